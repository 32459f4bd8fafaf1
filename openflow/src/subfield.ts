/** Bits of a field: `NXM_NX_REG0[0..15]` (ovs-actions(7), "Field Specifications"). */
import { OpenFlowError } from './error.ts';
import type { Field } from './field.ts';
import type { FieldName } from './field-name.ts';
import { fieldNamed, findField, readFieldHeader, writeFieldHeader } from './fields.ts';
import type { Reader } from './reader.ts';
import { OF10, type Version } from './version.ts';
import type { Writer } from './writer.ts';

/** A field, or a part of it. */
export interface Subfield {
  readonly field: Field;
  /** The lowest bit, from 0. */
  readonly offset: number;
  /** How many bits. */
  readonly bits: number;
}

/** How many bits actions may use. Of a VLAN ID, the bit that says that there is one belongs to matches only. */
export function wholeBits(field: Field): number {
  return field.name === 'vlan_vid' ? 12 : field.bits;
}

/**
 * A field, or bits of it.
 * @param offset lowest bit @param bits how many; by default all from `offset` on
 * @throws OpenFlowError `invalid_value`
 */
export function subfield(field: Field | FieldName, offset = 0, bits?: number): Subfield {
  const known = typeof field === 'string' ? fieldNamed(field) : field;
  const count = bits ?? wholeBits(known) - offset;
  if (!Number.isInteger(offset) || offset < 0 || count < 1 || offset + count > wholeBits(known)) {
    throw new OpenFlowError(
      'invalid_value',
      `${known.name} has ${wholeBits(known)} bits; there are no ${count} from bit ${offset} on`,
    );
  }
  return { field: known, offset, bits: count };
}

/** The name that ovs-ofctl prints for a field in actions: Nicira's where there is one. */
function longName(field: Field): string {
  return field.wire[OF10].name;
}

/** `NXM_NX_REG0[0..15]`, `NXM_NX_REG0[3]`, `NXM_NX_REG0[]`. */
export function formatSubfield({ field, offset, bits }: Subfield): string {
  const name = longName(field);
  if (offset === 0 && bits === wholeBits(field)) return `${name}[]`;
  if (bits === 1) return `${name}[${offset}]`;
  return `${name}[${offset}..${offset + bits - 1}]`;
}

/** The field of a name in an action. @throws OpenFlowError `syntax` */
export function parseField(text: string): Field {
  const field = findField(text);
  if (field === undefined) throw new OpenFlowError('syntax', `there is no field "${text}" (see ovs-fields(7))`);
  return field;
}

/** @throws OpenFlowError `syntax` or `invalid_value` */
export function parseSubfield(text: string): Subfield {
  const parts = /^(\w+)(?:\[(?:(\d+)(?:\.\.(\d+))?)?\])?$/.exec(text.trim());
  if (parts === null) throw new OpenFlowError('syntax', `"${text}" is no field; write reg0, reg0[3] or reg0[0..15]`);
  const field = parseField(parts[1] ?? '');
  if (parts[2] === undefined) return subfield(field);
  const first = Number(parts[2]);
  return subfield(field, first, parts[3] === undefined ? 1 : Number(parts[3]) - first + 1);
}

/** Reads the header of a whole field, as actions name fields. */
export function readFieldName(r: Reader): Field {
  return readFieldHeader(r).field;
}

/** Writes the header of a whole field. */
export function writeFieldName(w: Writer, field: Field, version: Version): void {
  writeFieldHeader(w, field, version, false, field.bytes);
}

/** A range of bits as Nicira's actions write it: offset << 6 | bits - 1. */
export function packRange({ offset, bits }: Subfield): number {
  return (offset << 6) | (bits - 1);
}

/** The subfield of a packed range. @throws OpenFlowError `malformed` when the field has no such bits */
export function unpackRange(r: Reader, field: Field, packed: number): Subfield {
  return checkRange(r, field, packed >> 6, (packed & 0x3f) + 1);
}

/** @throws OpenFlowError `malformed` when the field has no such bits */
export function checkRange(r: Reader, field: Field, offset: number, bits: number): Subfield {
  if (bits < 1 || offset + bits > wholeBits(field)) {
    throw r.malformed(`${field.name} has ${wholeBits(field)} bits, not ${bits} from bit ${offset} on`);
  }
  return { field, offset, bits };
}
