#!/usr/bin/env node
// Starts on any Node from 20 on and runs the program on the Node 24 that npm installed with the packages, since that one
// runs TypeScript directly.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(realpathSync(fileURLToPath(import.meta.url)))));
const main = join(root, 'cli', 'src', 'main.ts');
const node = join(root, 'node_modules', '.bin', 'node');
if (!existsSync(node)) {
  process.stderr.write(`ovenbird: ${node} is missing; run \`node ${join(root, 'scripts', 'setup.mjs')}\` first\n`);
  process.exit(1);
}
// What was compiled once starts in a third of the time; where the folder cannot be written, nothing is kept.
const compiled = join(root, 'node_modules', '.cache', 'ovenbird', 'compile');
const child = spawn(node, ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { NODE_COMPILE_CACHE: compiled, ...process.env },
});
// From a terminal the child gets ^C by itself; from elsewhere a signal is meant for the program, not for this wrapper.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
process.on('SIGINT', () => undefined);
child.once('error', (error) => {
  process.stderr.write(`ovenbird: cannot start ${node}: ${error.message}\n`);
  process.exit(1);
});
child.once('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
