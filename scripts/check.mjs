#!/usr/bin/env node
// npm run check: types, lint, format, and generated code is current.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const steps = [
  ['types', 'tsc', ['-p', '.']],
  ['lint', 'oxlint', ['--type-aware', '--deny-warnings']],
  ['format', 'biome', ['check', '--error-on-warnings', '.']],
  ['generated code', 'node', ['scripts/gen.mjs', '--check']],
];
let bad = 0;
for (const [name, program, args] of steps) {
  const result = spawnSync(join(bin, program), args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  if (result.status === 0) process.stdout.write(`check: ${name} ok\n`);
  else {
    bad += 1;
    process.stdout.write(
      `check: ${name} FAILED\n${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}\n`,
    );
  }
}
process.exit(bad === 0 ? 0 : 1);
