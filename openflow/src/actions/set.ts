/** Setting and copying fields (ovs-actions(7), "Field Modification Actions"). */
import type { Action, CheckPktLarger, DeleteField, Load, Move, SetField, Stack } from '../action.ts';
import { type ActionSpec, erase, versions } from '../action-spec.ts';
import { needArgument, splitArrow } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import type { Field, FieldValue } from '../field.ts';
import { and, bitRange, isZero, ofWidth } from '../field-bits.ts';
import { formatSetting, parseValue } from '../field-text.ts';
import { fieldFor, isUnknownField, readFieldHeader, readValue, writeFieldHeader, writeValue } from '../fields.ts';
import { parseBigint, parseNumber } from '../number-text.ts';
import type { Reader } from '../reader.ts';
import {
  checkRange,
  formatSubfield,
  packRange,
  parseField,
  parseSubfield,
  readFieldName,
  unpackRange,
  wholeBits,
  writeFieldName,
} from '../subfield.ts';
import { NX, OF10, OF13, OF14, OF15, ONF, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';

/** Reads a field with its value, and a mask where there is one. */
function readFieldValue(r: Reader): SetField {
  const { field, hasMask, length } = readFieldHeader(r);
  if (length !== (hasMask ? field.bytes * 2 : field.bytes)) throw r.malformed(`${field.name} without a value`);
  const value = readValue(r, field);
  const mask = hasMask ? readValue(r, field) : undefined;
  return { type: 'set_field', field, value, mask };
}

function writeFieldValue(
  w: Writer,
  version: Version,
  field: Field,
  value: FieldValue,
  mask: FieldValue | undefined,
): void {
  writeFieldHeader(w, field, version, mask !== undefined, mask === undefined ? field.bytes : field.bytes * 2);
  writeValue(w, value, field.bytes);
  if (mask !== undefined) writeValue(w, mask, field.bytes);
}

/** The runs of ones in a mask, lowest first: what NXAST_REG_LOAD, which knows ranges only, can set. */
function runsOf(mask: FieldValue): readonly (readonly [offset: number, bits: number])[] {
  const runs: (readonly [number, number])[] = [];
  let left = BigInt(mask);
  let offset = 0;
  while (left !== 0n) {
    while ((left & 1n) === 0n) {
      left >>= 1n;
      offset += 1;
    }
    let bits = 0;
    while ((left & 1n) === 1n && bits < 64) {
      left >>= 1n;
      bits += 1;
    }
    runs.push([offset, bits]);
    offset += bits;
  }
  return runs;
}

/** Fields that NXAST_REG_LOAD has no room for: those with a long header, and tunnel options. */
const needsLoad2 = (field: Field): boolean => field.wire[OF10].experimenter !== undefined || !field.fixedLength;

/** Whether the mask leaves bits out. */
const isPartial = ({ field, mask }: SetField): boolean => mask !== undefined && mask !== field.exactMask;

/** A set_field with a mask, as the loads that OpenFlow before 1.5 has for it. */
function asLoads({ field, value, mask }: SetField): readonly Load[] {
  const bits = and(mask ?? field.ones, ofWidth(field, bitRange(0, wholeBits(field))));
  return runsOf(bits).map(([offset, bits]) => ({
    type: 'load',
    dst: { field, offset, bits },
    value: ofWidth(field, (BigInt(value) & bitRange(offset, bits)) >> BigInt(offset)),
  }));
}

const SET_FIELD: ActionSpec<SetField> = {
  types: ['set_field'],
  forms: [
    {
      vendor: 0,
      code: 25,
      from: OF13,
      to: OF14,
      suits: (action) => !isPartial(action),
      read: (r, c) => {
        const action = readFieldValue(r);
        if (c.version < OF15 && action.mask !== undefined)
          throw r.malformed('a set_field with a mask before OpenFlow 1.5');
        return action;
      },
      write: (w, { field, value }, c) => writeFieldValue(w, c.version, field, value, undefined),
    },
    {
      vendor: 0,
      code: 25,
      from: OF15,
      to: OF15,
      write: (w, action, c) => {
        const { field, value, mask } = action;
        writeFieldValue(w, c.version, field, value, isPartial(action) ? mask : undefined);
      },
    },
    {
      // NXAST_REG_LOAD2: up to 1.4, for fields that NXAST_REG_LOAD has no room for.
      vendor: NX,
      code: 33,
      from: OF13,
      to: OF14,
      read: (r) => readFieldValue(r),
      write: (w, { field, value, mask }, c) => {
        writeFieldValue(w, loadVersion(field, c.version), field, value, mask ?? field.ones);
      },
    },
  ],
  words: [
    ...['set_field', 'set_tunnel', 'set_tunnel64', 'mod_dl_src', 'mod_dl_dst', 'mod_nw_src', 'mod_nw_dst'],
    ...['mod_nw_tos', 'mod_nw_ecn', 'set_mpls_label', 'set_mpls_tc', 'mod_vlan_vid', 'mod_vlan_pcp'],
  ],
  format: ({ field, value, mask }) => `set_field:${formatSetting(field, value, mask)}->${field.name}`,
  parse: (word, args) => {
    const text = needArgument(word, args);
    if (word !== 'set_field') return parseShorthand(word, text);
    const [value, name] = splitArrow(word, text);
    const field = parseField(name.trim());
    return setField(field, parseValue(field, value.trim()));
  },
};

/** A checked set_field. */
function setField(
  field: Field,
  parsed: { readonly value: FieldValue; readonly mask: FieldValue | undefined },
): SetField {
  if (!field.writable) throw new OpenFlowError('invalid_value', `${field.name} cannot be set (ovs-fields(7))`);
  const sized = fieldFor(field, parsed.value, parsed.mask);
  if (sized !== field) {
    const { value, mask } = parsed;
    return setField(sized, { value: ofWidth(sized, value), mask: mask === undefined ? mask : ofWidth(sized, mask) });
  }
  const { value } = parsed;
  // Flags without signs are the whole field.
  const mask = field.format === 'tunnel_flags' ? undefined : parsed.mask;
  if (mask === undefined) return { type: 'set_field', field, value, mask };
  if (!isZero(value) && and(value, mask) !== value) {
    throw new OpenFlowError('invalid_value', `set_field of ${field.name}: the value has bits that the mask leaves out`);
  }
  return { type: 'set_field', field, value, mask };
}

/** Older words for set_field (ovs-actions(7)). */
const SHORTHANDS: Readonly<Record<string, string>> = {
  set_tunnel: 'tun_id',
  set_tunnel64: 'tun_id',
  mod_dl_src: 'eth_src',
  mod_dl_dst: 'eth_dst',
  mod_nw_src: 'ip_src',
  mod_nw_dst: 'ip_dst',
  mod_nw_ecn: 'nw_ecn',
  set_mpls_label: 'mpls_label',
  set_mpls_tc: 'mpls_tc',
  mod_vlan_pcp: 'vlan_pcp',
};

function parseShorthand(word: string, text: string): SetField {
  if (word === 'mod_nw_tos') {
    const tos = parseNumber(text, 255, word);
    if (tos % 4 !== 0) throw new OpenFlowError('invalid_value', `mod_nw_tos:${text} is no multiple of 4`);
    return { type: 'set_field', field: parseField('ip_dscp'), value: tos / 4 };
  }
  if (word === 'mod_vlan_vid') {
    return { type: 'set_field', field: parseField('vlan_vid'), value: parseNumber(text, 0xfff, word) | 0x1000 };
  }
  const field = parseField(SHORTHANDS[word] ?? word);
  return setField(field, parseValue(field, text));
}

/** A load as the set_field with a mask that OpenFlow 1.5 has for it. */
function asSetField({ dst, value }: Load): SetField {
  const { field, offset, bits } = dst;
  const range = bitRange(offset, bits);
  return {
    type: 'set_field',
    field,
    value: ofWidth(field, BigInt(value) << BigInt(offset)),
    mask: range === BigInt(field.ones) ? undefined : ofWidth(field, range),
  };
}

const LOAD: ActionSpec<Load> = {
  types: ['load'],
  forms: [
    {
      vendor: 0,
      code: 25,
      from: OF15,
      to: OF15,
      // Read as the set_field that it is on the wire.
      write: (w, action, c) => {
        const { field, value, mask } = asSetField(action);
        writeFieldValue(w, c.version, field, value, mask);
      },
    },
    {
      vendor: NX,
      code: 7,
      from: OF13,
      to: OF14,
      suits: ({ dst }) => dst.bits <= 64 && (!needsLoad2(dst.field) || isUnknownField(dst.field)),
      read: (r) => {
        const range = r.u16();
        const field = readFieldName(r);
        const dst = unpackRange(r, field, range);
        return { type: 'load', dst, value: ofWidth(field, r.u64()) };
      },
      write: (w, { dst, value }, c) => {
        w.u16(packRange(dst));
        writeFieldName(w, dst.field, c.version === OF10 ? OF10 : loadVersion(dst.field, c.version));
        w.u64(BigInt(value));
      },
    },
    {
      vendor: 0,
      code: 25,
      from: OF13,
      to: OF14,
      suits: ({ dst }) => dst.bits === dst.field.bits,
      write: (w, { dst, value }, c) => writeFieldValue(w, c.version, dst.field, value, undefined),
    },
    {
      vendor: NX,
      code: 33,
      from: OF13,
      to: OF14,
      // Read as the set_field that it is on the wire.
      write: (w, action, c) => {
        const { field, value, mask } = asSetField(action);
        writeFieldValue(w, loadVersion(field, c.version), field, value, mask);
      },
    },
  ],
  words: ['load'],
  format: ({ dst, value }) =>
    `load:${value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`}->${formatSubfield(dst)}`,
  parse: (word, args) => {
    const [text, name] = splitArrow(word, needArgument(word, args));
    const dst = parseSubfield(name);
    const max = (1n << BigInt(dst.bits)) - 1n;
    return { type: 'load', dst, value: ofWidth(dst.field, parseBigint(text, max, `load into ${name}`)) };
  },
};

/** Nicira's actions name fields by NXM where they can. */
function loadVersion(field: Field, version: Version): Version {
  return field.wire[OF10].since === 0 ? OF10 : version;
}

/** NXAST_REG_MOVE, the body: number of bits, offsets, headers. */
function readMove(r: Reader): Move {
  const bits = r.u16();
  const from = r.u16();
  const to = r.u16();
  const src = checkRange(r, readFieldName(r), from, bits);
  return { type: 'move', src, dst: checkRange(r, readFieldName(r), to, bits) };
}

const MOVE: ActionSpec<Move> = {
  types: ['move'],
  forms: [
    {
      vendor: 0,
      code: 28,
      from: OF15,
      to: OF15,
      read: (r) => {
        const bits = r.u16();
        const from = r.u16();
        const to = r.u16();
        r.skip(2);
        const src = checkRange(r, readFieldName(r), from, bits);
        return { type: 'move', src, dst: checkRange(r, readFieldName(r), to, bits) };
      },
      write: (w, { src, dst }, c) => {
        w.u16(src.bits);
        w.u16(src.offset);
        w.u16(dst.offset);
        w.u16(0);
        writeFieldName(w, src.field, c.version);
        writeFieldName(w, dst.field, c.version);
      },
    },
    {
      vendor: NX,
      code: 6,
      from: OF13,
      to: OF14,
      read: readMove,
      write: (w, { src, dst }, c) => {
        w.u16(src.bits);
        w.u16(src.offset);
        w.u16(dst.offset);
        writeFieldName(w, src.field, loadVersion(src.field, c.version));
        writeFieldName(w, dst.field, loadVersion(dst.field, c.version));
      },
    },
    {
      // What ONF's extension for 1.3 reads as; written as Nicira's, which older switches know too.
      vendor: ONF,
      code: 3200,
      from: OF13,
      to: OF13,
      read: (r) => {
        const bits = r.u16();
        const from = r.u16();
        const to = r.u16();
        r.skip(2);
        const src = checkRange(r, readFieldName(r), from, bits);
        return { type: 'move', src, dst: checkRange(r, readFieldName(r), to, bits) };
      },
    },
  ],
  words: ['move'],
  format: ({ src, dst }) => `move:${formatSubfield(src)}->${formatSubfield(dst)}`,
  parse: (word, args) => {
    const [from, to] = splitArrow(word, needArgument(word, args));
    const src = parseSubfield(from);
    const dst = parseSubfield(to);
    if (src.bits !== dst.bits) {
      throw new OpenFlowError('syntax', `move:${args}: source has ${src.bits} bits, destination ${dst.bits}`);
    }
    return { type: 'move', src, dst };
  },
};

/** push and pop. */
function stack(type: 'push' | 'pop', code: number): ActionSpec<Stack> {
  return {
    types: [type],
    forms: [
      {
        vendor: NX,
        code,
        ...versions(),
        read: (r) => {
          const offset = r.u16();
          const field = readFieldName(r);
          return { type, subfield: checkRange(r, field, offset, r.u16()) };
        },
        write: (w, { subfield: { field, offset, bits } }, c) => {
          w.u16(offset);
          writeFieldName(w, field, loadVersion(field, c.version));
          w.u16(bits);
        },
      },
    ],
    words: [type],
    format: (action) => `${type}:${formatSubfield(action.subfield)}`,
    parse: (word, args) => ({ type, subfield: parseSubfield(needArgument(word, args)) }),
  };
}

const DELETE_FIELD: ActionSpec<DeleteField> = {
  types: ['delete_field'],
  forms: [
    {
      vendor: NX,
      code: 50,
      ...versions(),
      read: (r) => ({ type: 'delete_field', field: readFieldName(r) }),
      write: (w, { field }) => {
        writeFieldName(w, field, OF10);
        w.zeros(10);
      },
    },
  ],
  words: ['delete_field'],
  format: ({ field }) => `delete_field:${field.name}`,
  parse: (word, args) => ({ type: 'delete_field', field: parseField(needArgument(word, args)) }),
};

const CHECK_PKT_LARGER: ActionSpec<CheckPktLarger> = {
  types: ['check_pkt_larger'],
  forms: [
    {
      vendor: NX,
      code: 49,
      ...versions(),
      read: (r) => {
        const length = r.u16();
        const offset = r.u16();
        const field = readFieldName(r);
        return { type: 'check_pkt_larger', length, dst: checkRange(r, field, offset, 1) };
      },
      write: (w, { length, dst }, c) => {
        w.u16(length);
        w.u16(dst.offset);
        writeFieldName(w, dst.field, loadVersion(dst.field, c.version));
      },
    },
  ],
  words: ['check_pkt_larger'],
  format: ({ length, dst }) => `check_pkt_larger(${length})->${formatSubfield(dst)}`,
  parse: (word, args) => {
    const [length, name] = splitArrow(word, needArgument(word, args));
    const dst = parseSubfield(name);
    if (dst.bits !== 1) throw new OpenFlowError('syntax', `${word} sets one bit; ${name} has ${dst.bits}`);
    return { type: 'check_pkt_larger', length: parseNumber(length.replaceAll(/[()]/g, ''), 0xffff, word), dst };
  },
};

export const SET_ACTIONS: readonly ActionSpec<Action>[] = [
  erase(SET_FIELD),
  erase(LOAD),
  erase(MOVE),
  erase(stack('push', 27)),
  erase(stack('pop', 28)),
  erase(DELETE_FIELD),
  erase(CHECK_PKT_LARGER),
];

/** A set_field that only OpenFlow 1.5 can say as it is. */
const needsLoads = (action: Action): action is SetField =>
  action.type === 'set_field' &&
  isPartial(action) &&
  !needsLoad2(action.field) &&
  action.mask !== undefined &&
  !isZero(action.mask);

/** Rewrites masked set_fields as loads where the version needs it. */
export function forVersion(actions: readonly Action[], version: Version): readonly Action[] {
  if (version >= OF15 || !actions.some(needsLoads)) return actions;
  return actions.flatMap((action): readonly Action[] => (needsLoads(action) ? asLoads(action) : [action]));
}
