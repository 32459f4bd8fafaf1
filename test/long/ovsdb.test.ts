import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const ROUNDS = 10;
const first = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

it(`the OVSDB client holds against real servers for ${ROUNDS} seeds (SEED=${first})`, () => {
  const files = ['model', 'hostile', 'cluster', 'monitor'].map((name) => `test/integration/ovsdb/${name}`);
  for (let round = 0; round < ROUNDS; round += 1) {
    const SEED = String(first + round);
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const result = spawnSync(process.execPath, [vitest, 'run', '--project', 'integration', ...files], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, SEED },
    });
    expect(result.status, `SEED=${SEED} npx vitest run ...:\n${result.stdout.slice(-8000)}`).toBe(0);
  }
});
