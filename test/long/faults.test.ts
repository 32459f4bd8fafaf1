import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { down, type LabOptions, up } from '@ovenbird/deploy';
import { describe, it } from 'vitest';
import { runFaults } from '../src/faults/rounds.ts';
import { SmallDisk } from '../src/faults/small-disk.ts';
import { TestLab } from '../src/lab.ts';

/** `ROUNDS=n` of the environment makes it longer or shorter. */
const rounds = Number(process.env['ROUNDS'] ?? 15);
/** `LOGS=directory` keeps the logs of the processes there. */
const logs = process.env['LOGS'];

/** Many rounds of faults, of all kinds: also a full disk below the central databases, and in the end a long stall. */
describe('faults', () => {
  const options: LabOptions = { nodes: 3, dualStack: true, fabricOnly: false, keepState: true, without: [] };
  const progress = (line: string): void => void process.stdout.write(`${line}\n`);

  it(`leave nothing lost, nothing behind and everybody reachable, ${rounds} times`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ovenbird-lab-'));
    try {
      await using disk = await SmallDisk.below(directory);
      await up(directory, options, () => undefined);
      try {
        const lab = new TestLab(directory, () => Promise.resolve());
        await runFaults(lab, {
          namespace: 'faults',
          rounds,
          faults: 6,
          steps: 8,
          deadline: 180_000,
          disk,
          longStall: true,
          progress,
        });
      } finally {
        if (logs !== undefined) cpSync(join(directory, 'log'), logs, { recursive: true });
        await down(directory, () => undefined, false);
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
