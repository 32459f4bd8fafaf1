import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MembershipCache } from './diff.ts';
import { seed } from './testing/units.ts';

it('tells what went from and came to a set, and knows the elements of the new one', () => {
  const set = fc.uniqueArray(fc.nat(9).map(String));
  fc.assert(
    fc.property(fc.array(set, { minLength: 2 }), fc.array(fc.boolean()), (versions, asked) => {
      const cache = new MembershipCache();
      versions.forEach((after, index) => {
        const before = versions[index - 1] ?? [];
        if (asked[index] === true) cache.elements(before);
        const { gone, came } = cache.changes(before, after);
        expect(new Set(gone)).toEqual(new Set(before).difference(new Set(after)));
        expect(new Set(came)).toEqual(new Set(after).difference(new Set(before)));
        expect(cache.elements(after)).toEqual(new Set(after));
      });
    }),
    seed(),
  );
});
