import { OpenFlowError } from './error.ts';

const NUMBER = /^(?:0x[0-9a-f]+|\d+)$/i;

/** As printf's `%#x`: `0x1f`, and `0` for zero. */
export function hex(value: number | bigint): string {
  return value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`;
}

/** `0x` and at least `digits` digits. */
export function paddedHex(value: number | bigint, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** The most digits that surely make an exact integer, decimal and hexadecimal, counted with the 0x. */
const SAFE_DECIMAL = 15;
const SAFE_HEX = 15;

/** The value of a hex digit's character code, or -1. */
export function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** The number of a text that holds digits and nothing else; -1 for others, and for very long ones. */
export function parsePlain(text: string): number {
  const { length } = text;
  let value = 0;
  if (length > 2 && text.charCodeAt(0) === 48 && (text.charCodeAt(1) | 32) === 120) {
    if (length > SAFE_HEX) return -1;
    for (let at = 2; at < length; at += 1) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  }
  if (length === 0 || length > SAFE_DECIMAL) return -1;
  for (let at = 0; at < length; at += 1) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * Parses an unsigned integer, decimal or 0x hexadecimal.
 * @param max the largest one that fits
 * @throws OpenFlowError `syntax` for other text, `invalid_value` for a number beyond `max`
 */
export function parseNumber(text: string, max: number, what: string): number {
  const plain = parsePlain(text);
  if (plain >= 0 && plain <= max) return plain;
  const trimmed = text.trim();
  if (!NUMBER.test(trimmed)) throw new OpenFlowError('syntax', `"${text}" is not a number, for ${what}`);
  const value = Number(trimmed);
  if (value > max) throw new OpenFlowError('invalid_value', `${trimmed} is too large for ${what} (at most ${max})`);
  return value;
}

/** As `parseNumber`, for integers of any size. */
export function parseBigint(text: string, max: bigint, what: string): bigint {
  const plain = parsePlain(text);
  if (plain >= 0 && plain <= max) return BigInt(plain);
  const trimmed = text.trim();
  if (!NUMBER.test(trimmed)) throw new OpenFlowError('syntax', `"${text}" is not a number, for ${what}`);
  const value = BigInt(trimmed);
  if (value > max) throw new OpenFlowError('invalid_value', `${trimmed} is too large for ${what} (at most ${max})`);
  return value;
}

/** Bytes as `01.02.0a`. */
export function formatBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('.');
}

/** Parses pairs of hex digits, with or without dots. @throws OpenFlowError `syntax` */
export function parseBytes(text: string): Uint8Array {
  const digits = text.replaceAll(/[. ]/g, '');
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) {
    throw new OpenFlowError('syntax', `"${text}" is not a row of bytes; write pairs of hex digits as 01.02.0a`);
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}
