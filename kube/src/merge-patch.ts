import { isDeepStrictEqual } from 'node:util';

type Fields = Readonly<Record<string, unknown>>;

/**
 * The merge patch (RFC 7386) that makes the fields named in `desired` equal to it and leaves all others alone.
 * An `undefined` field of `desired` is removed. Objects inside are made equal as a whole: what they have beyond
 * `desired` is removed.
 *
 * @returns undefined when there is nothing to change
 */
export function mergePatchOf(base: Fields, desired: Fields): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(desired)) {
    const old = base[name];
    if (value === undefined || value === null) {
      if (old !== undefined && old !== null) patch[name] = null;
    } else if (isFields(value) && isFields(old)) {
      const absent = Object.fromEntries(Object.keys(old).map((key) => [key, undefined]));
      const inner = mergePatchOf(old, { ...absent, ...value });
      if (inner !== undefined) patch[name] = inner;
    } else if (!isDeepStrictEqual(old, value)) {
      patch[name] = value;
    }
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
