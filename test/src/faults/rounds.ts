import { expect } from 'vitest';
import { settledFirewalls } from '../firewalls.ts';
import type { TestLab } from '../lab.ts';
import { ourRows, settledRows } from '../northbound-rows.ts';
import { namespace } from '../objects.ts';
import { choices } from '../random.ts';
import { Churn } from './churn.ts';
import { type Fault, faultsOf } from './fault.ts';
import { longStall } from './long-stall.ts';
import { Complaints } from './messages.ts';
import { unreviewed } from './reviewed.ts';
import type { SmallDisk } from './small-disk.ts';
import { baseline, verify } from './verify.ts';
import { rulesOf } from './wishes.ts';

/** How much is broken. */
export interface FaultOptions {
  readonly namespace: string;
  readonly rounds: number;
  /** Faults in a round, one after the other, overlapping in part. */
  readonly faults: number;
  /** Steps of the churn in a round. */
  readonly steps: number;
  /** Longest wait for everything to be right again, milliseconds. */
  readonly deadline: number;
  readonly disk?: SmallDisk;
  /** After the rounds, a stall that Lease and probes do not outlast. */
  readonly longStall?: boolean;
  readonly progress: (line: string) => void;
}

/** One round: faults begin at even distances in the churn, and each lasts until the second step after it. */
async function breaking(churn: Churn, chosen: readonly Fault[], steps: number): Promise<void> {
  const open: Fault[] = [];
  const endFirst = async (): Promise<void> => {
    const fault = open[0];
    await fault?.end();
    open.shift();
  };
  try {
    for (let step = 0; step < steps; step += 1) {
      const due = chosen.slice(
        Math.floor((step * chosen.length) / steps),
        Math.floor(((step + 1) * chosen.length) / steps),
      );
      for (const fault of due.filter(({ apiAnswers }) => apiAnswers)) {
        open.push(fault);
        await fault.begin();
      }
      await churn.step(2, step % 2 === 0 ? 1 : 2);
      // The step needs the API server; its pods are on their way now, and come and go without it.
      for (const fault of due.filter(({ apiAnswers }) => !apiAnswers)) {
        open.push(fault);
        await fault.begin();
        await fault.end();
        open.pop();
      }
      while (open.length > 1) await endFirst();
    }
    while (open.length > 0) await endFirst();
  } finally {
    // Of a round that failed, for the tests after it; those that did not even begin cannot end.
    await Promise.allSettled(open.map((fault) => fault.end()));
  }
}

/**
 * Rounds of pods that come and go while things break at random; after each round everything has to be right, and in the end
 * nothing of the pods may be left. `SEED` repeats a run.
 */
export async function runFaults(lab: TestLab, options: FaultOptions): Promise<void> {
  const random = choices();
  const { seed, pick } = random;
  const { rounds, steps, deadline, progress } = options;
  progress(`SEED=${seed}`);
  const rows = await settledRows(lab);
  const before = await baseline(lab, await settledFirewalls(lab));
  const complaints = await Complaints.follow(lab);
  const rules = rulesOf(options.namespace);
  await lab.apply(namespace(options.namespace), ...rules);
  using churn = await Churn.follow(lab, options.namespace, random);
  await churn.step(6, 0);
  let held = await verify(lab, churn, before, new Map(), `the start (SEED=${seed})`, deadline);
  for (let round = 1; round <= rounds; round += 1) {
    const all = faultsOf(lab, options.disk);
    const targets = pick([...new Set(all.map(({ target }) => target))], options.faults);
    const chosen = targets.flatMap((target) =>
      pick(
        all.filter((fault) => fault.target === target),
        1,
      ),
    );
    const story = `round ${round}: ${chosen.map(({ name }) => name).join(', ')} (SEED=${seed})`;
    progress(story);
    const begun = performance.now();
    await breaking(churn, chosen, steps);
    held = await verify(lab, churn, before, held, story, deadline);
    progress(`  right again ${Math.round(performance.now() - begun)} ms after its begin, ${held.size} pods`);
  }
  if (options.longStall === true)
    await longStall(lab, churn, random, async (story) => {
      held = await verify(lab, churn, before, held, story, deadline);
      progress(`${story}: right again, ${held.size} pods`);
    });
  await churn.clear();
  await verify(lab, churn, before, new Map(), `the end (SEED=${seed})`, deadline);
  const said = await complaints.said();
  await lab.delete([...rules, namespace(options.namespace)], '--wait=true', '--timeout=60s');
  await lab.waitFor('rows are as before', async () => rows.difference(await ourRows(lab)).join('\n') || true, deadline);
  expect(unreviewed(said), `what was said without anybody having looked whether it helps (SEED=${seed})`).toEqual([]);
}
