import { beforeAll, describe, it } from 'vitest';
import { runFaults } from '../src/faults/rounds.ts';
import { openLab, type TestLab } from '../src/lab.ts';

/** Pods come and go while processes die and stall and connections break; test/long has more of it, and a full disk. */
describe('faults', () => {
  let lab: TestLab;

  beforeAll(async () => {
    lab = await openLab();
  });

  it('leave nothing lost, nothing behind and everybody reachable', async () => {
    await runFaults(lab, {
      namespace: 'faults',
      rounds: 1,
      faults: 4,
      steps: 4,
      deadline: 90_000,
      progress: (line) => process.stdout.write(`${line}\n`),
    });
  });
});
