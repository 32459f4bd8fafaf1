import { lab } from './commands/lab.ts';
import { isTool, passThrough } from './commands/pass-through.ts';
import { help, UsageError } from './usage.ts';

async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  const asksHelp = [command, ...(command !== undefined && isTool(command) ? [] : rest)].some(
    (arg) => arg === '--help' || arg === '-h',
  );
  if (command === undefined || command === 'help' || asksHelp) {
    process.stdout.write(help);
    return command === undefined ? 2 : 0;
  }
  if (command === 'lab') return await lab(rest);
  if (command === 'status') {
    // Loaded only when asked for: the pass-through commands are used in loops and start in a tenth of a second.
    const { status } = await import('./commands/status.ts');
    return await status(rest);
  }
  if (command === 'acls') {
    const { acls } = await import('./commands/acls.ts');
    return await acls(rest);
  }
  if (command === 'acl-log') {
    const { aclLog } = await import('./commands/acl-log.ts');
    return await aclLog(rest);
  }
  if (command === 'confirm-deletion') {
    const { confirmDeletion } = await import('./commands/confirm-deletion.ts');
    return await confirmDeletion(rest);
  }
  if (command === 'drops') {
    const { drops } = await import('./commands/drops.ts');
    return await drops(rest);
  }
  if (command === 'import') {
    const { importKubeOvn } = await import('./commands/import.ts');
    return await importKubeOvn(rest);
  }
  if (command === 'top') {
    const { top } = await import('./commands/top.ts');
    return await top(rest);
  }
  if (isTool(command)) return await passThrough(command, rest);
  throw new UsageError(`no command ${command}; \`ovenbird help\` lists them`);
}

/** parseArgs of Node says what it does not like by errors with these codes. */
function isParseError(error: unknown): error is Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
}

/** Ovenbird's packages have one error class each, with a code, whose message is written for people. */
function isOwnError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && 'retryable' in error;
}

// A reader that closes early (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError || isParseError(error);
  if (!usage && !isOwnError(error)) throw error;
  const hint = isParseError(error) ? '; `ovenbird help` lists commands and options' : '';
  process.stderr.write(`ovenbird: ${error.message}${hint}\n`);
  process.exitCode = usage ? 2 : 1;
}
