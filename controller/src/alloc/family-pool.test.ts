import { ipToBigint } from '@ovenbird/crds';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FamilyPool, type Range } from './family-pool.ts';
import type { Slot } from './slot.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const range = (first: string, last: string): Range => ({ first: ipToBigint(first), last: ipToBigint(last) });
const config = {
  family: 4,
  range: range('10.0.0.1', '10.0.0.30'),
  excluded: [range('10.0.0.9', '10.0.0.12')],
} as const;

/** What the pool should do, as plainly as can be: fresh addresses first, then those that were freed the longest ago. */
class Model {
  readonly used = new Set<string>();
  readonly free: string[];
  constructor(fresh: readonly string[]) {
    this.free = [...fresh];
  }
  take(address: string): void {
    this.used.add(address);
    this.free.splice(this.free.indexOf(address), 1);
  }
  release(address: string): void {
    this.used.delete(address);
    this.free.push(address);
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ type: 'next' as const }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('named' as const), at: fc.nat(40) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('free' as const), at: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'configure' as const }) },
);

describe('addresses of one family', () => {
  it(`are fresh first, then those that were freed the longest ago (SEED=${seed})`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const pool = new FamilyPool(config);
        const text = (slot: Slot | undefined): string | undefined =>
          slot === undefined ? undefined : pool.slots.toText(slot);
        const all = Array.from({ length: 30 }, (_, index) => `10.0.0.${index + 1}`);
        const fresh = all.filter((address) => pool.refusal(pool.slots.fromText(address)) === undefined);
        expect(fresh).toHaveLength(26);
        const model = new Model(fresh);
        for (const one of steps) {
          expect(text(pool.next())).toBe(model.free[0]);
          expect([pool.using(), pool.available()]).toEqual([model.used.size, BigInt(model.free.length)]);
          const candidates = one.type === 'free' ? [...model.used] : model.free;
          const address = 'at' in one ? candidates[one.at % Math.max(candidates.length, 1)] : candidates[0];
          if (one.type === 'configure') pool.configure(config);
          else if (address === undefined) continue;
          else if (one.type === 'free') {
            pool.free(pool.slots.fromText(address));
            model.release(address);
          } else {
            pool.take(pool.slots.fromText(address), 'somebody');
            model.take(address);
          }
        }
      }),
      { seed, numRuns: 300 },
    );
  });

  it('keep their order when one of them is asked for by name thousands of times', () => {
    const pool = new FamilyPool(config);
    const slot = (address: string): Slot => pool.slots.fromText(address);
    for (let count = 0; count < 26; count += 1) pool.take(pool.next() ?? 0, 'first');
    for (const address of ['10.0.0.7', '10.0.0.3', '10.0.0.5']) pool.free(slot(address));
    for (let count = 0; count < 5_000; count += 1) {
      pool.take(slot('10.0.0.3'), 'again');
      pool.free(slot('10.0.0.3'));
    }
    const order: string[] = [];
    for (let next = pool.next(); next !== undefined; next = pool.next()) {
      order.push(pool.slots.toText(next));
      pool.take(next, 'second');
    }
    expect(order).toEqual(['10.0.0.7', '10.0.0.5', '10.0.0.3']);
  });

  it('have one holder', () => {
    const pool = new FamilyPool(config);
    pool.take(pool.slots.fromText('10.0.0.3'), 'one');
    expect(() => pool.take(pool.slots.fromText('10.0.0.3'), 'two')).toThrow('10.0.0.3 was in use by one, not for two');
  });
});
