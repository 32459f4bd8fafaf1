/** A field's value as text, the way set_field and matches write it (ovs-fields(7)). */
import {
  formatIpv4,
  formatIpv6,
  formatMac,
  parseIpv4,
  parseIpv6,
  parseMac,
  prefixLength,
  prefixMask,
} from './address.ts';
import { OpenFlowError } from './error.ts';
import type { Field, FieldValue } from './field.ts';
import { checkValue } from './field-bits.ts';
import {
  CT_STATE,
  type FlagNames,
  formatFlags,
  formatMaskedFlags,
  parseFlags,
  TCP_FLAGS,
  TUNNEL_FLAGS,
} from './flags-text.ts';
import { hex, parseBigint, parseNumber } from './number-text.ts';
import { formatPort, fromPort16, parsePort, toPort16 } from './port.ts';

/** Fragment bits: 1 = any fragment, 2 = not the first (ovs-fields(7), ip_frag). */
const FRAGMENTS: readonly (readonly [name: string, value: number, mask: number])[] = [
  ['no', 0, 3],
  ['first', 1, 3],
  ['later', 3, 3],
  ['yes', 1, 1],
  ['no', 0, 1],
  ['not_later', 0, 2],
  ['later', 2, 2],
];

const FLAGS: Readonly<Partial<Record<Field['format'], FlagNames>>> = {
  ct_state: CT_STATE,
  tcp_flags: TCP_FLAGS,
  tunnel_flags: TUNNEL_FLAGS,
};

/** An IPv4 address with its mask: `10.0.0.0/8`, `10.0.0.1/255.0.255.0`. */
export function formatIpv4Masked(value: number, mask: number | undefined): string {
  if (mask === undefined) return formatIpv4(value);
  const length = prefixLength(mask, 32);
  return `${formatIpv4(value)}/${length ?? formatIpv4(mask)}`;
}

/** An IPv6 address with its mask. */
export function formatIpv6Masked(value: bigint, mask: bigint | undefined): string {
  if (mask === undefined) return formatIpv6(value);
  const length = prefixLength(mask, 128);
  return `${formatIpv6(value)}/${length ?? formatIpv6(mask)}`;
}

/** `(1,0x800)`. */
function formatPacketType(value: number): string {
  return `(${value >>> 16},${hex(value & 0xffff)})`;
}

/** The text of a value. @param mask undefined for an exact one */
export function formatValue(field: Field, value: FieldValue, mask: FieldValue | undefined): string {
  switch (field.format) {
    case 'ethernet':
      return mask === undefined ? formatMac(Number(value)) : `${formatMac(Number(value))}/${formatMac(Number(mask))}`;
    case 'ipv4':
      return formatIpv4Masked(Number(value), mask === undefined ? undefined : Number(mask));
    case 'ipv6':
      return formatIpv6Masked(BigInt(value), mask === undefined ? undefined : BigInt(mask));
    case 'port16':
      return formatPort(fromPort16(Number(value)));
    case 'port32':
      return formatPort(Number(value));
    case 'ct_state':
    case 'tcp_flags':
    case 'tunnel_flags': {
      const names = FLAGS[field.format] ?? [];
      if (mask === undefined) return formatFlags(names, Number(value));
      return formatMaskedFlags(names, Number(value), Number(mask));
    }
    case 'frag': {
      const bits = Number(mask ?? 3);
      return FRAGMENTS.find(([, v, m]) => m === bits && v === Number(value))?.[0] ?? '<error>';
    }
    case 'packet_type':
      return formatPacketType(Number(value));
    case 'decimal':
      return mask === undefined ? String(value) : `${value}/${hex(mask)}`;
    case 'hex':
    case 'raw':
      return mask === undefined ? hex(value) : `${hex(value)}/${hex(mask)}`;
  }
}

/**
 * The text of what an action sets a field to. Of flags, a mask of all bits that the field has is as good as none, and
 * ovs-ofctl prints it so; of other fields it prints the mask.
 */
export function formatSetting(field: Field, value: FieldValue, mask: FieldValue | undefined): string {
  const isWhole = field.format === 'tunnel_flags' && mask === field.ones;
  return formatValue(field, value, isWhole ? undefined : mask);
}

/** A value and its mask; mask undefined for an exact one. */
export interface ParsedValue {
  readonly value: FieldValue;
  readonly mask: FieldValue | undefined;
}

/** An integer of the field's width. */
function parseInteger(field: Field, text: string): FieldValue {
  if (field.bits <= 32) return parseNumber(text, Number(field.ones), field.name);
  return checkValue(field, parseBigint(text, BigInt(field.ones), field.name));
}

/** An address mask: a prefix length or an address. */
function parseAddressMask(text: string, bits: 32 | 128): FieldValue {
  if (/^\d+$/.test(text)) {
    const mask = prefixMask(parseNumber(text, bits, 'a prefix length'), bits);
    return bits === 32 ? Number(mask) : mask;
  }
  return bits === 32 ? parseIpv4(text) : parseIpv6(text);
}

/**
 * Parses the text of a value with an optional `/mask`.
 * @throws OpenFlowError `syntax` or `invalid_value`
 */
export function parseValue(field: Field, text: string): ParsedValue {
  const { format } = field;
  if (format === 'ct_state' || format === 'tcp_flags' || format === 'tunnel_flags') {
    const names = FLAGS[format] ?? [];
    const [value, mask] = parseFlags(names, text, field.name);
    checkValue(field, value);
    // Open vSwitch does not look at flags that have no name; of TCP it knows all.
    const named = format === 'tcp_flags' ? undefined : names.reduce((bits, [bit]) => bits | bit, 0);
    return { value, mask: mask ?? named };
  }
  if (format === 'frag') {
    const found = FRAGMENTS.find(([name]) => name === text);
    if (found !== undefined) return { value: found[1], mask: found[2] };
  }
  if (format === 'packet_type') {
    const parts = /^\((\w+),(\w+)\)$/.exec(text);
    if (parts === null) throw new OpenFlowError('syntax', `"${text}" is not a packet type; write (1,0x800)`);
    const namespace = parseNumber(parts[1] ?? '', 0xffff, 'a packet type namespace');
    return { value: namespace * 0x1_0000 + parseNumber(parts[2] ?? '', 0xffff, 'a packet type'), mask: undefined };
  }
  const slash = text.indexOf('/');
  const first = slash < 0 ? text : text.slice(0, slash);
  const second = slash < 0 ? undefined : text.slice(slash + 1);
  if (second !== undefined && !field.maskable) {
    throw new OpenFlowError('syntax', `${field.name} takes no mask, as in "${text}" (ovs-fields(7))`);
  }
  switch (format) {
    case 'ethernet':
      return { value: parseMac(first), mask: second === undefined ? undefined : parseMac(second) };
    case 'ipv4':
      return { value: parseIpv4(first), mask: second === undefined ? undefined : parseAddressMask(second, 32) };
    case 'ipv6':
      return { value: parseIpv6(first), mask: second === undefined ? undefined : parseAddressMask(second, 128) };
    case 'port16':
      return { value: toPort16(parsePort(first)), mask: undefined };
    case 'port32':
      return { value: parsePort(first), mask: undefined };
    case 'decimal':
    case 'hex':
    case 'frag':
    case 'raw':
      return {
        value: parseInteger(field, first),
        mask: second === undefined ? undefined : parseInteger(field, second),
      };
  }
}
