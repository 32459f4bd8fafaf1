/** Looking fields up: by name, by the name of a codepoint, by a header on the wire. */
import { OpenFlowError } from './error.ts';
import { type Codepoint, declareField, type Field, type FieldValue, headerOf, onesOf } from './field.ts';
import type { FieldName } from './field-name.ts';
import { FIELD_DECLARATIONS } from './field-table.ts';
import type { Reader } from './reader.ts';
import { OF10, OF13, OF14, OF15, type Version } from './version.ts';
import type { Writer } from './writer.ts';

/** Every field, in encoding order. */
export const FIELDS: readonly Field[] = FIELD_DECLARATIONS.map(declareField);

const BY_NAME = new Map<string, Field>();
const BY_CODEPOINT = new Map<string, Field>();
/** Keyed by class and number as in the upper 23 bits of a header. */
const BY_HEADER = new Map<number, Field>();
const BY_EXPERIMENTER = new Map<string, Field>();
for (const field of FIELDS) {
  for (const name of [field.name, ...field.aliases]) BY_NAME.set(name, field);
  for (const point of field.codepoints) {
    BY_CODEPOINT.set(point.name, field);
    if (point.experimenter === undefined) BY_HEADER.set((point.oxmClass << 7) | point.number, field);
    else BY_EXPERIMENTER.set(`${point.experimenter} ${point.number}`, field);
  }
}
// The names that Nicira's documents gave to the IPv6 forms of these.
for (const [alias, name] of [
  ['NXM_NX_ICMPV6_TYPE', 'icmpv6_type'],
  ['NXM_NX_ICMPV6_CODE', 'icmpv6_code'],
] as const) {
  const field = BY_NAME.get(name);
  if (field !== undefined) BY_CODEPOINT.set(alias, field);
}

/** The field of a name or alias (`eth_src`, `dl_src`) or of a codepoint (`NXM_OF_ETH_SRC`); undefined for none. */
export function findField(name: string): Field | undefined {
  return BY_NAME.get(name) ?? BY_CODEPOINT.get(name);
}

/** @throws OpenFlowError `invalid_value` for a name that no field has */
export function fieldNamed(name: FieldName): Field {
  const field = BY_NAME.get(name);
  if (field === undefined) throw new OpenFlowError('invalid_value', `there is no field "${name}" (see ovs-fields(7))`);
  return field;
}

const SIZED = new Map<string, Field>();

/** A field of variable length (tun_metadata) at one length, in bytes. The result is the same object every time. */
export function sizedField(field: Field, bytes: number): Field {
  if (field.fixedLength || field.bytes === bytes) return field;
  const key = `${field.index} ${bytes}`;
  let sized = SIZED.get(key);
  if (sized === undefined) {
    sized = { ...field, bytes, bits: bytes * 8, ones: onesOf(bytes * 8), exactMask: onesOf(bytes * 8) };
    SIZED.set(key, sized);
  }
  return sized;
}

/** As many bytes as a value needs, at least one. */
function bytesOf(value: FieldValue): number {
  return Math.max(1, Math.ceil(value.toString(16).length / 2));
}

/** A field of variable length at the length that a value and its mask need; other fields as they are. */
export function fieldFor(field: Field, value: FieldValue, mask: FieldValue | undefined): Field {
  if (field.fixedLength || field !== FIELDS[field.index]) return field;
  return sizedField(field, Math.max(bytesOf(value), mask === undefined ? 1 : bytesOf(mask)));
}

/** Indexes from here on are those of unknown fields: they sort behind all known ones. */
const UNKNOWN_INDEX = FIELDS.length;

/** A field nobody declared: its bytes are kept as they are. */
function unknownField(oxmClass: number, number: number, experimenter: number | undefined, bytes: number): Field {
  const name = `oxm_0x${oxmClass.toString(16)}_${number}${experimenter === undefined ? '' : `_0x${experimenter.toString(16)}`}`;
  const point: Codepoint = { name, oxmClass, number, experimenter, header: headerOf(oxmClass, number), since: 0 };
  return {
    name,
    aliases: [],
    // By class and number, so that a match with several unknown fields has one order too.
    index: UNKNOWN_INDEX + ((oxmClass << 7) | number),
    bits: bytes * 8,
    bytes,
    format: 'raw',
    maskable: true,
    writable: true,
    prerequisite: 'none',
    codepoints: [point],
    ones: onesOf(bytes * 8),
    exactMask: onesOf(bytes * 8),
    fixedLength: false,
    wire: { [OF10]: point, [OF13]: point, [OF14]: point, [OF15]: point },
  };
}

/** Whether no declaration knows the field. */
export function isUnknownField(field: Field): boolean {
  return field.index >= UNKNOWN_INDEX;
}

/** What a field header on the wire says. */
export interface FieldHeader {
  readonly field: Field;
  readonly hasMask: boolean;
  /** Length of value and mask together, in bytes. */
  readonly length: number;
}

/**
 * Reads a header: class (16 bits), number (7), mask flag (1), length (8) of what follows, which for class 0xffff begins
 * with the experimenter's id (OpenFlow 1.5.1 §7.2.3.2).
 */
export function readFieldHeader(r: Reader): FieldHeader {
  const header = r.u32();
  const hasMask = (header & 0x100) !== 0;
  const length = header & 0xff;
  const oxmClass = header >>> 16;
  if (oxmClass === 0xffff) {
    const experimenter = r.u32();
    if (length < 4) throw r.malformed(`an experimenter's field of ${length} bytes`);
    const number = (header >>> 9) & 0x7f;
    const known = BY_EXPERIMENTER.get(`${experimenter} ${number}`);
    return settle(r, known, oxmClass, number, experimenter, hasMask, length - 4);
  }
  return settle(r, BY_HEADER.get(header >>> 9), oxmClass, (header >>> 9) & 0x7f, undefined, hasMask, length);
}

function settle(
  r: Reader,
  known: Field | undefined,
  oxmClass: number,
  number: number,
  experimenter: number | undefined,
  hasMask: boolean,
  length: number,
): FieldHeader {
  if (hasMask && length % 2 !== 0) throw r.malformed(`value and mask of a field share ${length} bytes`);
  const bytes = hasMask ? length / 2 : length;
  if (known === undefined) return { field: unknownField(oxmClass, number, experimenter, bytes), hasMask, length };
  if (known.bytes === bytes || length === 0) return { field: known, hasMask, length };
  if (known.fixedLength || bytes > known.bytes)
    throw r.malformed(`${known.name} has ${known.fixedLength ? '' : 'at most '}${known.bytes} bytes, not ${bytes}`);
  return { field: sizedField(known, bytes), hasMask, length };
}

/** Writes a header. @param length of value and mask; the experimenter's id is added here */
export function writeFieldHeader(w: Writer, field: Field, version: Version, hasMask: boolean, length: number): void {
  const { header, experimenter } = field.wire[version];
  if (experimenter === undefined) {
    w.u32(header + (hasMask ? 0x100 : 0) + length);
    return;
  }
  w.u32(header + (hasMask ? 0x100 : 0) + length + 4);
  w.u32(experimenter);
}

/** Reads a value of a field's width. */
export function readValue(r: Reader, field: Field): FieldValue {
  return field.bits <= 48 ? r.uint(field.bytes) : r.big(field.bytes);
}

/** Writes a value in `bytes` bytes. */
export function writeValue(w: Writer, value: FieldValue, bytes: number): void {
  if (typeof value === 'number') w.uint(value, bytes);
  else w.big(value, bytes);
}
