/** Bit arithmetic on field values, which are numbers up to 48 bits and bigints beyond. */
import { OpenFlowError } from './error.ts';
import type { Field, FieldValue } from './field.ts';

const HALF = 2 ** 24;

/** Bitwise and. Both values are of one field, so of one type. */
export function and(a: FieldValue, b: FieldValue): FieldValue {
  if (typeof a === 'number' && typeof b === 'number') {
    if (a < 0x8000_0000 && b < 0x8000_0000) return a & b;
    return (Math.floor(a / HALF) & Math.floor(b / HALF)) * HALF + ((a % HALF) & (b % HALF));
  }
  return BigInt(a) & BigInt(b);
}

/** Bitwise or. */
export function or(a: FieldValue, b: FieldValue): FieldValue {
  if (typeof a === 'number' && typeof b === 'number') {
    return (Math.floor(a / HALF) | Math.floor(b / HALF)) * HALF + ((a % HALF) | (b % HALF));
  }
  return BigInt(a) | BigInt(b);
}

/** Whether no bit is set. */
export function isZero(value: FieldValue): boolean {
  return typeof value === 'number' ? value === 0 : value === 0n;
}

/** A value in the type that the field's values have. */
export function ofWidth(field: Field, value: FieldValue): FieldValue {
  return field.bits <= 48 ? Number(value) : BigInt(value);
}

/**
 * Checks that a value fits a field, and gives it the type that the field's values have.
 * @throws OpenFlowError `invalid_value`
 */
export function checkValue(field: Field, value: FieldValue, what = 'value'): FieldValue {
  const whole = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!whole || value < 0 || value > field.ones) {
    throw new OpenFlowError(
      'invalid_value',
      `${what} ${value} does not fit ${field.name}, which has ${field.bits} bits`,
    );
  }
  return ofWidth(field, value);
}

/** The bits from `offset` on, `count` of them, in place: `bitRange(8, 4)` is 0xf00. */
export function bitRange(offset: number, count: number): bigint {
  return ((1n << BigInt(count)) - 1n) << BigInt(offset);
}
