import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Burst } from '../src/burst.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace } from '../src/objects.ts';
import { choices } from '../src/random.ts';

/** Waves of pods while processes of the product, of OVN and of the databases die at random moments. */
describe('waves of pods under interruptions', () => {
  let lab: TestLab;
  const ns = 'interruptions';
  const count = 60;
  const waves = 6;
  /** How many processes die at once. */
  const victims = 3;
  const { seed, pick } = choices();

  beforeAll(async () => {
    lab = await openLab();
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=120s');
  });

  const processes = (): readonly string[] => [
    'controller',
    'northd',
    'ovnnb',
    'ovnsb',
    ...lab.nodes.flatMap((node) => [`${node}.agent`, `${node}.ovn-controller`]),
  ];

  /** Does something, kills processes when `progress` has come to a random part of `count`, and starts them again. */
  const interrupted = async (what: string, work: Promise<void>, progress: () => number): Promise<void> => {
    const dying = pick(processes(), victims);
    const [moment = 0] = pick(
      Array.from({ length: count - 1 }, (_, index) => index),
      1,
    );
    const story = `${what}: ${dying.join(', ')} die at ${moment} of ${count} (SEED=${seed})`;
    await lab.waitFor(story, () => progress() >= moment || `${progress()}`, 240_000);
    await Promise.all(dying.map((name) => lab.killProcess(name)));
    await work;
    // In the order of the list: a database before those who need it, though each of them would wait.
    for (const name of dying) await lab.startProcess(name);
  };

  it.each(Array.from({ length: waves }, (_, wave) => wave + 1))('wave %i comes and goes completely', async (wave) => {
    using burst = await Burst.prepare(lab, ns, count);
    await interrupted(`creating wave ${wave}`, burst.create(), () => burst.readyCount);
    await burst.verify();
    await interrupted(`deleting wave ${wave}`, burst.delete(), () => count - burst.pods.length);
    await burst.gone();
    expect(burst.pods).toEqual([]);
  });
});
