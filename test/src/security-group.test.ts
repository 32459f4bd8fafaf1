import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GroupsBoth, groupChange } from './random-security-groups.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

describe.each([
  ['priority bands, as on OVN 23.03', false],
  ['ACL tiers', true],
] as const)('SecurityGroups in %s', (_name, tiers) => {
  it(`mean what the documentation says, whatever changes (SEED=${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(groupChange, { minLength: 6, maxLength: 15 }), async (changes) => {
        const both = new GroupsBoth(tiers);
        for (const [index, item] of changes.entries()) {
          both.apply(item);
          if (index % 3 === 0) await both.world.settle();
        }
        await both.world.settle();
        expect(both.disagreements()).toEqual([]);
        const restarted = await both.world.restarted();
        expect(restarted.sink.content()).toEqual(both.world.sink.content());
      }),
      { seed, numRuns: 8 },
    );
  }, 300_000);
});
