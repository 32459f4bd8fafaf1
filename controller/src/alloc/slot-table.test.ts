import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Slot } from './slot.ts';
import { SlotTable } from './slot-table.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

test(`holds what a Map holds, near slots and far ones, also below the origin (SEED=${seed})`, () => {
  const slot: fc.Arbitrary<Slot> = fc.oneof(
    fc.integer({ min: -200, max: 200 }),
    fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0xffff_ffff, 0x1_0000_0000),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 53n + 3n }),
  );
  const step = fc.record({ slot, value: fc.option(fc.oneof(fc.nat(9), fc.string({ maxLength: 2 }))) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const table = new SlotTable<string | number>();
      const model = new Map<Slot, string | number>();
      for (const { slot: at, value } of steps) {
        if (value === null) {
          table.delete(at);
          model.delete(at);
        } else {
          table.set(at, value);
          model.set(at, value);
        }
        expect(table.get(at)).toBe(model.get(at));
      }
      expect(new Map(table)).toEqual(model);
    }),
    { seed },
  );
});
