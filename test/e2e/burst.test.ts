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

  it('reaches gateways and peers from every pod, and leaves nothing', async () => {
    const burst = await Burst.prepare(lab, ns, count);
    await burst.create();
    await burst.verify();
    await burst.delete();
    await burst.gone();
  });

  it('does so when controller and agents are killed in the middle of both', async () => {
    const burst = await Burst.prepare(lab, ns, count);
    const creating = burst.create();
    await lab.waitFor(
      'a part of the pods is attached',
      async () => ((attached) => attached > count / 5 || `${attached} attached`)(await burst.attached()),
      60_000,
    );
    await killOurs(lab);
    await creating;
    // Else nothing was interrupted.
    expect(await burst.attached()).toBeLessThan(count);
    await startOurs(lab);
    await burst.verify();

    await burst.delete();
    await lab.waitFor(
      'a part of the pods is detached',
      async () => ((attached) => attached < (count * 4) / 5 || `${attached} attached`)(await burst.attached()),
      60_000,
    );
    await killOurs(lab);
    expect(await burst.attached()).toBeGreaterThan(0);
    await startOurs(lab);
    await burst.gone();
  });
});
