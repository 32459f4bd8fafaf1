#!/usr/bin/env node
// npm run bench -- NAME: runs test/bench/NAME.ts on the pinned Node.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const folder = join(root, 'test', 'bench');
const [name, ...rest] = process.argv.slice(2);
const known = existsSync(folder)
  ? readdirSync(folder)
      .filter((file) => file.endsWith('.bench.ts'))
      .map((file) => file.slice(0, -9))
  : [];
if (name === undefined || !known.includes(name)) {
  process.stderr.write(`usage: npm run bench -- NAME; known: ${known.join(', ')}\n`);
  process.exit(2);
}
const setup = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs')], { stdio: 'inherit' });
if (setup.status !== 0) process.exit(setup.status ?? 1);
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}:/usr/sbin:/sbin` };
const result = spawnSync(join(bin, 'node'), [join(folder, `${name}.bench.ts`), ...rest], {
  cwd: root,
  stdio: 'inherit',
  env,
});
process.exit(result.status ?? 1);
