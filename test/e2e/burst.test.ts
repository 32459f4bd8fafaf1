import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Burst } from '../src/burst.ts';
import { killOurs, startOurs } from '../src/interruption.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace } from '../src/objects.ts';

/** 200 pods created at once over three nodes, and deleted at once; and the same while everything of ours is killed. */
describe('a burst of pods', () => {
  let lab: TestLab;
  const ns = 'burst';
  const count = 200;

  beforeAll(async () => {
    lab = await openLab();
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  /** Longest time for one test on a busy machine, in milliseconds. */
  const deadline = 300_000;

  it(
    'reaches gateways and peers from every pod, and leaves nothing',
    async () => {
      using burst = await Burst.prepare(lab, ns, count);
      await burst.create();
      await burst.verify();
      await burst.delete();
      await burst.gone();
    },
    deadline,
  );

  it(
    'does so when controller and agents are killed in the middle of both',
    async () => {
      using burst = await Burst.prepare(lab, ns, count);
      const creating = burst.create();
      await lab.waitFor(
        'a part of the pods is Ready',
        () => burst.readyCount > count / 5 || `${burst.readyCount} are Ready`,
        deadline,
      );
      await killOurs(lab);
      // Else nothing was interrupted.
      expect(await burst.attached()).toBeLessThan(count);
      await creating;
      await startOurs(lab);
      await burst.verify();

      const deleting = burst.delete();
      await lab.waitFor(
        'a part of the pods is deleted',
        () => burst.pods.length < (count * 4) / 5 || `${burst.pods.length} are there`,
        deadline,
      );
      await killOurs(lab);
      expect(await burst.attached()).toBeGreaterThan(0);
      await deleting;
      await startOurs(lab);
      await burst.gone();
    },
    deadline,
  );
});
