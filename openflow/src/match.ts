/** Matches: lists of fields with values, built and normalised the same way wherever they come from. */
import { OpenFlowError } from './error.ts';
import type { Field, FieldValue } from './field.ts';
import { and, checkValue, isZero, ofWidth, or } from './field-bits.ts';
import type { FieldName } from './field-name.ts';
import { parseValue } from './field-text.ts';
import { fieldFor, fieldNamed } from './fields.ts';
import { fromPort16 } from './port.ts';
import { addPrerequisites } from './prerequisite.ts';
import { registersOf } from './register.ts';

/** One field of a match. */
export interface MatchField {
  readonly field: Field;
  /** Without the bits that the mask leaves out. */
  readonly value: FieldValue;
  /** Undefined for an exact match; never zero. */
  readonly mask: FieldValue | undefined;
}

/** What packets a flow is for. Each field occurs once; the order has no meaning. Empty: every packet. */
export type Match = readonly MatchField[];

/** A match to build: by field, a value, its text (`10.0.0.0/8`), or value and mask. */
export type MatchInput = {
  readonly [name in FieldName]?: FieldValue | string | readonly [value: FieldValue, mask: FieldValue] | undefined;
};

const IN_PORT = fieldNamed('in_port');
const IN_PORT_OXM = fieldNamed('in_port_oxm');
const VLAN_TCI = fieldNamed('vlan_tci');
const VLAN_VID = fieldNamed('vlan_vid');
const VLAN_PCP = fieldNamed('vlan_pcp');
const NW_TOS = fieldNamed('nw_tos');
const IP_DSCP = fieldNamed('ip_dscp');

/** Adds one field, merging with what is there. Two values that contradict each other match nothing, so are an error. */
function put(into: MatchField[], field: Field, value: FieldValue, mask: FieldValue | undefined): void {
  let at = 0;
  while (at < into.length && into[at]?.field !== field) at += 1;
  const old = into[at];
  if (old === undefined) {
    into.push({ field, value, mask });
    return;
  }
  const common = and(old.mask ?? field.exactMask, mask ?? field.exactMask);
  if (and(old.value, common) !== and(value, common)) {
    throw new OpenFlowError('invalid_value', `${field.name} is matched twice, on values that exclude each other`);
  }
  const joined = or(old.mask ?? field.exactMask, mask ?? field.exactMask);
  into[at] = { field, value: or(old.value, value), mask: joined === field.exactMask ? undefined : joined };
}

/**
 * Adds a field in its normal form: the value without bits outside of the mask, no mask where it has all bits, nothing
 * at all where it has none; and one form for fields that overlap: xreg and xxreg as 32-bit registers, vlan_tci as
 * vlan_vid and vlan_pcp, nw_tos as ip_dscp, the 16-bit in_port as the 32-bit one.
 */
export function addField(into: MatchField[], field: Field, value: FieldValue, mask: FieldValue | undefined): void {
  if (!field.fixedLength) {
    const sized = fieldFor(field, value, mask);
    if (sized !== field) {
      addField(into, sized, ofWidth(sized, value), mask === undefined ? undefined : ofWidth(sized, mask));
      return;
    }
  }
  let bits = mask;
  let masked = value;
  if (bits !== undefined) {
    bits = and(bits, field.exactMask);
    if (isZero(bits)) return;
    masked = and(value, bits);
    if (bits === field.exactMask) bits = undefined;
  }
  const registers = registersOf(field);
  if (registers !== undefined) {
    registers.forEach((register, place) => {
      const shift = BigInt(32 * (registers.length - 1 - place));
      const part = bits === undefined ? 0xffff_ffff : Number((BigInt(bits) >> shift) & 0xffff_ffffn);
      if (part !== 0) {
        const low = Number((BigInt(masked) >> shift) & 0xffff_ffffn);
        put(into, register, low, part === 0xffff_ffff ? undefined : part);
      }
    });
  } else if (field === IN_PORT) {
    put(into, IN_PORT_OXM, fromPort16(Number(masked)), undefined);
  } else if (field === VLAN_TCI) {
    const tci = Number(masked);
    const part = Number(bits ?? 0xffff);
    // Bit 12 says that there is a tag; the VLAN ID is below, the priority above it (IEEE 802.1Q).
    if ((part & 0x1fff) !== 0) addField(into, VLAN_VID, tci & 0x1fff, part & 0x1fff);
    // A packet without a tag has no priority; OpenFlow cannot say it either.
    if ((part & 0xe000) !== 0 && (tci & 0x1000) !== 0) put(into, VLAN_PCP, tci >> 13, undefined);
  } else if (field === NW_TOS) {
    put(into, IP_DSCP, Number(masked) >> 2, undefined);
  } else {
    put(into, field, masked, bits);
  }
}

const byIndex = (a: MatchField, b: MatchField): number => a.field.index - b.field.index;

/** Sorts into encoding order and checks prerequisites. */
export function finishMatch(fields: MatchField[]): Match {
  addPrerequisites(fields);
  // Few fields, mostly in order: putting each one to its place is cheaper than a sort.
  for (let at = 1; at < fields.length; at += 1) {
    const entry = fields[at];
    if (entry === undefined) break;
    let place = at;
    for (; place > 0; place -= 1) {
      const before = fields[place - 1];
      if (before === undefined || before.field.index <= entry.field.index) break;
      fields[place] = before;
    }
    fields[place] = entry;
  }
  return fields;
}

/**
 * Builds a match. Prerequisites that follow from the fields are added (`tcp_dst` needs nw_proto 6); whether it is IPv4
 * or IPv6 must be said where both could be meant.
 * @throws OpenFlowError `invalid_value`, `syntax` or `prerequisite`
 * @example match({ eth_type: 0x800, ip_dst: '10.0.0.0/8', tcp_dst: 80, reg0: [0x10, 0xf0] })
 */
export function match(input: MatchInput): Match {
  const fields: MatchField[] = [];
  for (const [name, given] of Object.entries(input)) {
    if (given === undefined) continue;
    const field = fieldNamed(name as FieldName);
    if (typeof given === 'string') {
      const { value, mask } = parseValue(field, given);
      addField(fields, field, value, mask);
    } else if (typeof given === 'object') {
      if (!field.maskable) throw new OpenFlowError('invalid_value', `${name} takes no mask (ovs-fields(7))`);
      addField(fields, field, checkValue(field, given[0]), checkValue(field, given[1], 'mask'));
    } else addField(fields, field, checkValue(field, given), undefined);
  }
  return finishMatch(fields);
}

/** A match in encoding order. */
function sortMatch(fields: Match): Match {
  for (let at = 1; at < fields.length; at += 1) {
    const before = fields[at - 1];
    const here = fields[at];
    if (before !== undefined && here !== undefined && before.field.index > here.field.index)
      return [...fields].sort(byIndex);
  }
  return fields;
}

/** A string that is the same for two matches exactly when they mean the same. */
export function matchKey(fields: Match): string {
  let key = '';
  for (const { field, value, mask } of sortMatch(fields)) {
    key += mask === undefined ? `${field.index}=${value},` : `${field.index}=${value}/${mask},`;
  }
  return key;
}

/** The entry of a field, or undefined when the match leaves it open. */
export function matchOn(fields: Match, name: FieldName): MatchField | undefined {
  const field = fieldNamed(name);
  return fields.find((entry) => entry.field === field);
}
