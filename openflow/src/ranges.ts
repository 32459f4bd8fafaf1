/** Ranges of values as masks: what a match can say of `tcp_dst` from 1000 to 1999. */
import { OpenFlowError } from './error.ts';
import type { FieldValue } from './field.ts';
import { checkValue, ofWidth } from './field-bits.ts';
import type { FieldName } from './field-name.ts';
import { fieldNamed } from './fields.ts';

/** Values that agree with `value` in the bits of `mask`. */
export type ValueMask = readonly [value: FieldValue, mask: FieldValue];

/**
 * The fewest masks whose values are just those from `low` to `high`, both included, in ascending order; at most
 * 2 × bits - 2 of them. Each is for one flow: `match({ tcp_dst: mask, ... })`.
 * @throws OpenFlowError `invalid_value` for an empty range, or a field that takes no mask
 */
export function rangeMasks(name: FieldName, low: FieldValue, high: FieldValue): readonly ValueMask[] {
  const field = fieldNamed(name);
  if (!field.maskable) throw new OpenFlowError('invalid_value', `${name} takes no mask (ovs-fields(7))`);
  const last = BigInt(checkValue(field, high));
  let at = BigInt(checkValue(field, low));
  if (at > last) throw new OpenFlowError('invalid_value', `${name} from ${low} to ${high} is an empty range`);
  const ones = BigInt(field.ones);
  const masks: ValueMask[] = [];
  while (at <= last) {
    // The largest block that begins here, and does not go beyond the end. 0 begins blocks of every size.
    let size = at === 0n ? ones + 1n : at & -at;
    while (at + size - 1n > last) size >>= 1n;
    masks.push([ofWidth(field, at), ofWidth(field, ones & ~(size - 1n))]);
    at += size;
  }
  return masks;
}
