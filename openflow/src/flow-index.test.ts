import fc from 'fast-check';
import { expect, it } from 'vitest';
import { flowKey } from './flow-diff.ts';
import { FlowIndex, sameIdentity } from './flow-index.ts';
import { match } from './match.ts';
import { SEED } from './test-support.ts';

it(`holds two flows for the same exactly when their keys are (SEED=${SEED})`, () => {
  const flow = fc.record({
    tableId: fc.option(fc.nat(1), { nil: undefined }),
    priority: fc.option(fc.constantFrom(1, 0x8000), { nil: undefined }),
    match: fc
      .record(
        {
          reg0: fc.nat(1),
          reg1: fc.tuple(fc.nat(3), fc.nat(3)),
          metadata: fc.bigInt(0n, 1n << 40n),
          eth_src: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
        },
        { requiredKeys: [] },
      )
      .map((fields) => match(fields)),
  });
  fc.assert(
    fc.property(flow, flow, (a, b) => {
      const shuffled = { ...a, match: a.match.toReversed() };
      expect(sameIdentity(a, shuffled)).toBe(true);
      const same = flowKey(a) === flowKey(b);
      expect(sameIdentity(shuffled, b)).toBe(same);
      const index = new FlowIndex<typeof a>();
      expect(index.add(a)).toBeUndefined();
      expect(index.add(b)).toBe(same ? a : undefined);
      expect([...index.values()]).toEqual(same ? [a] : expect.arrayContaining([a, b]));
      expect(index.take(shuffled)).toBe(a);
      expect(index.take(b)).toBe(same ? undefined : b);
      expect([...index.values()]).toEqual([]);
    }),
    { seed: SEED, numRuns: 1_000 },
  );
});

it('finds each of so many that some hashes clash', () => {
  // Of n values with 32 bits about n²/2³³ pairs clash: here some ten.
  const flows = Array.from({ length: 300_000 }, (_, at) => ({
    match: match({ metadata: BigInt(at) * 0x1_0001_0007n }),
  }));
  const index = new FlowIndex<(typeof flows)[0]>();
  expect(flows.filter((flow) => index.add(flow) !== undefined)).toEqual([]);
  expect(flows.filter((flow) => index.take(flow) !== flow)).toEqual([]);
  expect([...index.values()]).toEqual([]);
});
