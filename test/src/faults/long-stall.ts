import { managerOf } from '@ovenbird/deploy';
import type { TestLab } from '../lab.ts';
import type { Choices } from '../random.ts';
import { SecondController } from '../second-controller.ts';
import type { Churn } from './churn.ts';

/** Longer than the Lease (15 s) and than two probes of our database clients (20 s). Milliseconds. */
const stallMs = 25_000;

/**
 * The leader, the southbound database, an agent and another node's ovn-controller stand still for so long that the Lease and
 * the probes run out: another controller leads meanwhile, and the first one finds that it does not when it goes on.
 * @param verify told what happened, twice: while the second controller leads, and after it gave the Lease back and pods came and went
 */
export async function longStall(
  lab: TestLab,
  churn: Churn,
  { pick, seed }: Choices,
  verify: (story: string) => Promise<void>,
): Promise<void> {
  const [one = '', other = ''] = pick(lab.nodes, 2);
  const victims = ['controller', 'ovnsb', `${one}.agent`, `${other}.ovn-controller`];
  const story = `${stallMs / 1000} s without ${victims.join(', ')} (SEED=${seed})`;
  {
    await using second = await SecondController.start(lab);
    // It has a connection, and waits for the Lease.
    await second.log.waitFor('northbound database');
    const begun = performance.now();
    for (const victim of victims) await lab.killProcess(victim, 'SIGSTOP');
    try {
      await churn.step(2, 1);
      await second.log.waitFor('in control', 60_000);
      await churn.step(2, 1);
      await lab.waitFor(
        'the stall was long enough',
        () => ((left) => left <= 0 || `${Math.round(left)} ms to go`)(begun + stallMs - performance.now()),
        2 * stallMs,
      );
    } finally {
      for (const victim of victims) await lab.killProcess(victim, 'SIGCONT');
    }
    const manager = managerOf(lab.state.directory);
    await lab.waitFor(
      'the first controller ends, because another one leads',
      () => manager.state('controller') === 'dead' || manager.state('controller'),
      30_000,
    );
    await verify(`${story}, another controller leads`);
  }
  await churn.step(2, 1);
  await verify(`${story}, and the other controller ended`);
}
