import fc from 'fast-check';
import { expect, it } from 'vitest';
import { collect, randomStep } from './testing/random-cluster.ts';
import { World } from './testing/world.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

it(`a restart changes nothing, whatever happened to pods, subnets and addresses (SEED=${seed})`, async () => {
  const restarts = fc.uniqueArray(fc.nat(40), { maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(randomStep, { minLength: 5, maxLength: 40 }),
      fc.nat(3),
      restarts,
      async (steps, pause, at) => {
        let world = World.standard();
        for (const [index, apply] of steps.entries()) {
          apply(world);
          if (index % (pause + 1) === 0) await collect(world);
          if (at.includes(index)) world = await world.restarted();
        }
        await collect(world);
        const restarted = await world.restarted();
        expect(restarted.sink.content()).toEqual(world.sink.content());
        for (const kind of ['PodAddress', 'VipAddress', 'NodeAddress', 'UsableSubnet', 'UsablePool'] as const)
          expect(new Map(restarted.state.entries(kind)), kind).toEqual(new Map(world.state.entries(kind)));
        expect(restarted.state.list('IpRecord')).toEqual(world.state.list('IpRecord'));
      },
    ),
    { seed, numRuns: 60 },
  );
});
