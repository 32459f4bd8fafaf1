/** Ethernet, IPv4 and IPv6 addresses as text. Values are numbers (48 and 32 bits) and bigints (128 bits). */
import { OpenFlowError } from './error.ts';
import { hexDigit } from './number-text.ts';

const HEX2: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** `02:00:00:00:00:01`. */
export function formatMac(value: number): string {
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value >>> 0;
  return `${HEX2[high >>> 8]}:${HEX2[high & 0xff]}:${HEX2[low >>> 24]}:${HEX2[(low >>> 16) & 0xff]}:${HEX2[(low >>> 8) & 0xff]}:${HEX2[low & 0xff]}`;
}

const COLON = 58;

/** @throws OpenFlowError `syntax` */
export function parseMac(text: string): number {
  let value = 0;
  let byte = 0;
  let digits = 0;
  let bytes = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const code = at === text.length ? COLON : text.charCodeAt(at);
    const digit = hexDigit(code);
    if (digit >= 0 && digits < 2) {
      byte = byte * 16 + digit;
      digits += 1;
    } else if (code === COLON && digits > 0 && bytes < 6) {
      value = value * 256 + byte;
      byte = 0;
      digits = 0;
      bytes += 1;
    } else {
      bytes = 0;
      break;
    }
  }
  if (bytes === 6) return value;
  throw new OpenFlowError('syntax', `"${text}" is not an Ethernet address; write 02:00:00:00:00:01`);
}

/** `10.0.0.1`. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}`;
}

/** @throws OpenFlowError `syntax` */
export function parseIpv4(text: string): number {
  let value = 0;
  let byte = -1;
  let dots = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const digit = text.charCodeAt(at) - 48;
    // No zeros in front: inet_pton(3) refuses them, since some read them as octal.
    if (digit >= 0 && digit <= 9 && byte !== 0) {
      byte = Math.max(byte, 0) * 10 + digit;
    } else if (byte >= 0 && byte <= 255 && (at === text.length ? dots === 3 : digit === -2 && dots < 3)) {
      value = value * 256 + byte;
      byte = -1;
      dots += 1;
    } else {
      throw new OpenFlowError('syntax', `"${text}" is not an IPv4 address; write 10.0.0.1`);
    }
  }
  return value;
}

/** As inet_ntop(3) writes it: `fd00::1`, `::ffff:10.0.0.1`. */
export function formatIpv6(value: bigint): string {
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn));
  let start = -1;
  let length = 1;
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - at > length) {
      start = at;
      length = end - at;
    }
    if (end > at) at = end;
  }
  // IPv4-mapped and IPv4-compatible addresses keep their dots.
  const dotted =
    start === 0 && (length === 6 || (length === 7 && groups[7] !== 1) || (length === 5 && groups[5] === 0xffff));
  if (dotted && (length !== 7 || (groups[7] ?? 0) > 0)) {
    const low = formatIpv4(Number(value & 0xffff_ffffn));
    if (length === 5) return `::ffff:${low}`;
    if (length === 6) return `::${low}`;
  }
  const hex = groups.map((group) => group.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

const NO_GROUP = -1;

/** @throws OpenFlowError `syntax` */
export function parseIpv6(text: string): bigint {
  const bad = (): OpenFlowError => new OpenFlowError('syntax', `"${text}" is not an IPv6 address; write fd00::1`);
  // Groups of 16 bits, those before "::" from the front, those behind it from the end.
  const groups: number[] = [];
  let gap = -1;
  let group = NO_GROUP;
  let digits = 0;
  let at = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const digit = hexDigit(code);
    if (digit >= 0) {
      group = Math.max(group, 0) * 16 + digit;
      digits += 1;
      if (digits > 4) throw bad();
    } else if (code === COLON) {
      if (group !== NO_GROUP) groups.push(group);
      else if (at !== 0) throw bad();
      group = NO_GROUP;
      digits = 0;
      if (text.charCodeAt(at + 1) === COLON) {
        if (gap >= 0) throw bad();
        gap = groups.length;
        at += 1;
      } else if (at === 0 || at === text.length - 1) throw bad();
    } else break;
  }
  if (at < text.length) {
    // The last 32 bits in the form of IPv4.
    const low = parseIpv4(text.slice(at - digits));
    groups.push(low >>> 16, low & 0xffff);
  } else if (group !== NO_GROUP) groups.push(group);
  const missing = 8 - groups.length;
  if (gap < 0 ? missing !== 0 : missing < 1) throw bad();
  let value = 0n;
  let word = 0;
  for (let place = 0; place < 8; place += 1) {
    const from = gap < 0 || place < gap ? place : place - missing;
    const part = gap >= 0 && place >= gap && place < gap + missing ? 0 : (groups[from] ?? 0);
    word = word * 0x1_0000 + part;
    if (place % 2 === 0) continue;
    value = (value << 32n) | BigInt(word);
    word = 0;
  }
  return value;
}

/** The length of the prefix that a mask says, or undefined when it is none. @param bits 32 or 128 */
export function prefixLength(mask: number | bigint, bits: number): number | undefined {
  const zeros = BigInt.asUintN(bits, ~BigInt(mask));
  // All ones, from the right: x & (x + 1) is 0.
  if ((zeros & (zeros + 1n)) !== 0n) return undefined;
  return bits - (zeros === 0n ? 0 : zeros.toString(2).length);
}

/** The mask of a prefix. @param bits 32 or 128 */
export function prefixMask(length: number, bits: number): bigint {
  return ((1n << BigInt(length)) - 1n) << BigInt(bits - length);
}
