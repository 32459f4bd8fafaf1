import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const rounds = 25;

/** Random tests run with one seed in `npm test`; here each of them runs with many. `SEED=n` begins with that one. */
it(`random tests hold for ${rounds} seeds`, () => {
  const files = globSync('{crds,ovsdb,openflow,kube,controller,agent,deploy/lab,test}/src/**/*.test.ts', {
    cwd: root,
  }).filter((file) => readFileSync(join(root, file), 'utf8').includes('fast-check'));
  expect(files.length).toBeGreaterThan(5);
  const first = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000));
  for (let round = 0; round < rounds; round += 1) {
    const seed = String(first + round);
    const result = spawnSync(
      process.execPath,
      [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'unit', ...files],
      {
        cwd: root,
        encoding: 'utf8',
        env: { ...process.env, SEED: seed },
      },
    );
    expect(result.status, `SEED=${seed} npx vitest run --project unit:\n${result.stdout.slice(-8000)}`).toBe(0);
  }
});
