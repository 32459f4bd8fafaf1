/** When one match says no more than another. */
import { and } from './field-bits.ts';
import type { Match } from './match.ts';

/**
 * Whether every packet of `special` is one of `general`, as far as the fields show it: the test by which a flow_mod
 * without "strict", a dump and a monitor choose flows (OpenFlow 1.5.1 §6.4).
 */
export function matchIncludes(general: Match, special: Match): boolean {
  return general.every(({ field, value, mask }) => {
    const other = special.find((entry) => entry.field === field);
    if (other === undefined) return false;
    const bits = mask ?? field.exactMask;
    return and(other.mask ?? field.exactMask, bits) === bits && and(other.value, bits) === value;
  });
}
