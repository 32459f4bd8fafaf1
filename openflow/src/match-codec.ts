/** Matches on the wire: OXM and NXM fields (OpenFlow 1.5.1 §7.2.3). */
import type { Field } from './field.ts';
import { isUnknownField, readFieldHeader, readValue, sizedField, writeFieldHeader, writeValue } from './fields.ts';
import { addField, type Match, type MatchField } from './match.ts';
import type { Reader } from './reader.ts';
import { register, registerNumber, wideRegister } from './register.ts';
import { OF15, type Version } from './version.ts';
import type { Writer } from './writer.ts';

const ALL = 0xffff_ffff;

/** Writes half a 64-bit register, or both halves at once: OpenFlow 1.5 has only the wide ones. */
function writeWideRegister(w: Writer, fields: Match, number: number, at: number): void {
  const first = register(number & ~1);
  const second = register(number | 1);
  let high: MatchField | undefined;
  let low: MatchField | undefined;
  for (const [place, entry] of fields.entries()) {
    if (entry.field !== first && entry.field !== second) continue;
    if (place < at) return; // written together with the other half
    if (entry.field === first) high = entry;
    else low = entry;
  }
  const highMask = high === undefined ? 0 : Number(high.mask ?? ALL);
  const lowMask = low === undefined ? 0 : Number(low.mask ?? ALL);
  const exact = highMask === ALL && lowMask === ALL;
  writeFieldHeader(w, wideRegister(number), OF15, !exact, exact ? 8 : 16);
  w.u32(Number(high?.value ?? 0));
  w.u32(Number(low?.value ?? 0));
  if (!exact) {
    w.u32(highMask);
    w.u32(lowMask);
  }
}

/** Writes one field with its header. */
function writeField(w: Writer, version: Version, { field, value, mask }: MatchField): void {
  if (mask === undefined) {
    // A tunnel option that only has to be there has no value, and a mask of no length.
    writeFieldHeader(w, field, version, field.bytes === 0, field.bytes);
    writeValue(w, value, field.bytes);
    return;
  }
  writeFieldHeader(w, field, version, true, field.bytes * 2);
  writeValue(w, value, field.bytes);
  writeValue(w, mask, field.bytes);
}

/** Writes the fields of a match, without the match's own header. */
export function writeMatchFields(w: Writer, version: Version, fields: Match): void {
  for (let at = 0; at < fields.length; at += 1) {
    const entry = fields[at];
    if (entry === undefined) continue;
    const number = version >= OF15 ? registerNumber(entry.field) : undefined;
    if (number === undefined) writeField(w, version, entry);
    else writeWideRegister(w, fields, number, at);
  }
}

/** Writes an `ofp_match`: type 1 (OXM), length without the padding, fields, padding to 8 bytes. */
export function writeMatch(w: Writer, version: Version, fields: Match): void {
  const start = w.length;
  w.u16(1);
  w.u16(0);
  writeMatchFields(w, version, fields);
  w.patch16(start + 2, w.length - start);
  w.pad8(start);
}

/** Class and number of OXM_OF_PKT_REG0 as they stand in a header. */
const PACKET_REGISTER = 0x8001;

/** Reads a packet register straight into its halves, which every register match of OpenFlow 1.5 needs. */
function readWideRegister(r: Reader, into: MatchField[], header: number): void {
  const number = ((header >>> 9) & 0x7f) * 2;
  const high = r.u32();
  const low = r.u32();
  const masked = (header & 0x100) !== 0;
  const highMask = masked ? r.u32() : ALL;
  const lowMask = masked ? r.u32() : ALL;
  if (highMask !== 0) {
    into.push({
      field: register(number),
      value: (high & highMask) >>> 0,
      mask: highMask === ALL ? undefined : highMask,
    });
  }
  if (lowMask !== 0) {
    into.push({
      field: register(number + 1),
      value: (low & lowMask) >>> 0,
      mask: lowMask === ALL ? undefined : lowMask,
    });
  }
}

/** Whether the field needs no second look: it has one form, and cannot come twice in another one. */
function isPlain(field: Field): boolean {
  return (
    !field.name.startsWith('x') && field.name !== 'in_port' && field.name !== 'vlan_tci' && field.name !== 'nw_tos'
  );
}

/** By field index: avoids the look at the name. */
const PLAIN: boolean[] = [];

/** Reads fields up to the reader's end. The order stays as it was. */
export function readMatchFields(r: Reader): Match {
  const into: MatchField[] = [];
  while (r.pos < r.end) {
    const start = r.pos;
    const header = r.u32();
    const length = header & 0xff;
    if (header >>> 16 === PACKET_REGISTER && length === (header & 0x100 ? 16 : 8) && ((header >>> 9) & 0x7f) < 16) {
      readWideRegister(r, into, header);
      continue;
    }
    r.pos = start;
    const { field, hasMask, length: payload } = readFieldHeader(r);
    if (payload === 0 && hasMask && !field.fixedLength) {
      into.push({ field: sizedField(field, 0), value: 0, mask: undefined });
      continue;
    }
    if (payload !== (hasMask ? field.bytes * 2 : field.bytes)) throw r.malformed(`${field.name} without a value`);
    const value = readValue(r, field);
    const mask = hasMask ? readValue(r, field) : undefined;
    const plain = (PLAIN[field.index] ??= isPlain(field));
    if ((mask === undefined && plain && value <= field.ones) || isUnknownField(field))
      into.push({ field, value, mask });
    else addField(into, field, value, mask);
  }
  return into;
}

/** Reads an `ofp_match` and its padding. */
export function readMatch(r: Reader): Match {
  const type = r.u16();
  const length = r.u16();
  if (type !== 1) throw r.malformed(`a match of type ${type}; only OXM (1) is known`);
  if (length < 4) throw r.malformed(`a match of ${length} bytes`);
  const end = r.narrow(length - 4);
  const fields = readMatchFields(r);
  r.widen(end);
  r.skip(Math.min((8 - (length % 8)) % 8, r.left));
  return fields;
}
