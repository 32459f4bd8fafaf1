import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mergePatchOf } from './merge-patch.ts';
import { seed } from './testing/seed.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** RFC 7386, section 2, literally. */
function apply(target: Json, patch: Json): Json {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = apply(result[key] ?? null, value);
  }
  return result;
}

const value: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.integer({ min: 0, max: 2 }),
    fc.constantFrom('x', 'y', true),
    fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value')),
  ),
})).value;
const fields = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), value);

describe('mergePatchOf', () => {
  test('property: applied, it makes the named fields equal and touches no other', () => {
    fc.assert(
      fc.property(fields, fields, (base, desired) => {
        const patch = mergePatchOf(base, desired);
        const result = patch === undefined ? base : apply(base, patch as Json);
        expect(result).toEqual({ ...base, ...desired });
        expect(mergePatchOf(result as Record<string, Json>, desired)).toBeUndefined();
      }),
      seed(),
    );
  });

  test('undefined removes', () => {
    expect(mergePatchOf({ a: 1, b: 2 }, { a: undefined, c: undefined })).toEqual({ a: null });
  });
});
