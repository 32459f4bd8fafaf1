import { spawn } from 'node:child_process';
import { LabError } from '../lab/error.ts';

/** How a command is run. */
export interface RunOptions {
  /** Network namespace (a name under /run/netns) to run it in; absent = the caller's own. */
  readonly namespace?: string | undefined;
  /** Text for its standard input. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** What a command left behind. */
export interface RunResult {
  /** Exit code, or -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The argument vector that runs a command in a network namespace. nsenter(1) replaces itself by the program, so the
 * process id is the program's own; unlike `ip netns exec` it leaves the mounts alone.
 */
export function inNamespace(namespace: string | undefined, argv: readonly string[]): readonly string[] {
  return namespace === undefined ? argv : ['nsenter', `--net=/run/netns/${namespace}`, '--', ...argv];
}

/** The environment of the lab's commands: Debian keeps ip, nft and ovsdb-server out of an ordinary user's PATH. */
export function commandEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env)) if (value !== undefined) environment[key] = value;
  return { ...environment, PATH: `${environment['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: 'C', ...extra };
}

/** Runs a command to its end and returns whatever it did. Rejects only when it cannot be started. */
export function runAny(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program = '', ...args] = inNamespace(options.namespace, argv);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: commandEnvironment(options.env),
      stdio: 'pipe',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    // A program that ends without reading its input breaks the pipe; its exit code says what matters.
    child.stdin.on('error', () => undefined).end(options.input ?? '');
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT')
        reject(new LabError('missing-program', `${program} is not installed; run \`npm run setup\``, { cause: error }));
      else reject(error);
    });
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/**
 * Runs a command and returns its standard output.
 * @throws LabError `command-failed` with the command, its exit code and what it wrote, when the exit code is not 0.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await runAny(argv, options);
  if (result.code === 0) return result.stdout;
  const where = options.namespace === undefined ? '' : ` in ${options.namespace}`;
  const said = (result.stderr || result.stdout).trim();
  throw new LabError('command-failed', `\`${argv.join(' ')}\`${where} failed (exit ${result.code}): ${said}`);
}
