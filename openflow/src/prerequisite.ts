/** What a match must say before it may name a field (OpenFlow 1.5.1 §7.2.3.6, ovs-fields(7)). */
import { OpenFlowError } from './error.ts';
import type { Field, Prerequisite } from './field.ts';
import { fieldNamed } from './fields.ts';
import type { MatchField } from './match.ts';

const ETH_TYPE = fieldNamed('eth_type');
const NW_PROTO = fieldNamed('nw_proto');
const ICMPV6_TYPE = fieldNamed('icmpv6_type');
const ICMPV6_CODE = fieldNamed('icmpv6_code');
const VLAN_VID = fieldNamed('vlan_vid');
const CT_STATE = fieldNamed('ct_state');
const PACKET_TYPE = fieldNamed('packet_type');

/** Ethernet types (IEEE 802 numbers) and IP protocols (IANA) that prerequisites name. */
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ARP: readonly number[] = [0x0806, 0x8035];
const MPLS: readonly number[] = [0x8847, 0x8848];
const NSH = 0x894f;
const ICMPV6 = 58;

/** What a prerequisite wants: one of the values of each field. A single value can be added, a choice must be said. */
const WANTED: Readonly<Partial<Record<Prerequisite, readonly (readonly [Field, readonly number[]])[]>>> = {
  ipv4: [[ETH_TYPE, [IPV4]]],
  ipv6: [[ETH_TYPE, [IPV6]]],
  ip: [[ETH_TYPE, [IPV4, IPV6]]],
  arp: [[ETH_TYPE, ARP]],
  mpls: [[ETH_TYPE, MPLS]],
  nsh: [[ETH_TYPE, [NSH]]],
  tcp: [
    [ETH_TYPE, [IPV4, IPV6]],
    [NW_PROTO, [6]],
  ],
  udp: [
    [ETH_TYPE, [IPV4, IPV6]],
    [NW_PROTO, [17]],
  ],
  sctp: [
    [ETH_TYPE, [IPV4, IPV6]],
    [NW_PROTO, [132]],
  ],
  icmpv4: [
    [ETH_TYPE, [IPV4]],
    [NW_PROTO, [1]],
  ],
  icmpv6: [
    [ETH_TYPE, [IPV6]],
    [NW_PROTO, [ICMPV6]],
  ],
  nd: [
    [ETH_TYPE, [IPV6]],
    [NW_PROTO, [ICMPV6]],
    [ICMPV6_TYPE, [135, 136]],
    [ICMPV6_CODE, [0]],
  ],
  nd_solicit: [
    [ETH_TYPE, [IPV6]],
    [NW_PROTO, [ICMPV6]],
    [ICMPV6_TYPE, [135]],
    [ICMPV6_CODE, [0]],
  ],
  nd_advert: [
    [ETH_TYPE, [IPV6]],
    [NW_PROTO, [ICMPV6]],
    [ICMPV6_TYPE, [136]],
    [ICMPV6_CODE, [0]],
  ],
};

/** ct_state bits that say that the packet has a connection: one of new, est, rel, rpl, snat, dnat set; or +trk-inv. */
const TRACKED = 0x01 | 0x02 | 0x04 | 0x08 | 0x40 | 0x80;
const TRK = 0x20;
const INV = 0x10;

function hasConnection(fields: readonly MatchField[]): boolean {
  const state = fields.find(({ field }) => field === CT_STATE);
  if (state === undefined) return false;
  const value = Number(state.value);
  const mask = Number(state.mask ?? 0xffff_ffff);
  if ((value & mask & TRACKED) !== 0) return true;
  return (value & mask & TRK) !== 0 && (mask & INV) !== 0 && (value & INV) === 0;
}

/** The Ethernet type that the match says, also by a packet type of an IP packet without an Ethernet header. */
function exactValue(fields: readonly MatchField[], wanted: Field): number | undefined {
  for (const { field, value, mask } of fields) {
    if (field === wanted) return mask === undefined ? Number(value) : undefined;
  }
  if (wanted === ETH_TYPE) {
    const type = fields.find(({ field }) => field === PACKET_TYPE);
    if (type !== undefined && Number(type.value) >>> 16 === 1) return Number(type.value) & 0xffff;
  }
  return undefined;
}

/** What is missing for one field, as text; undefined when nothing is. */
function missing(fields: readonly MatchField[], field: Field): string | undefined {
  if (field.prerequisite === 'none' || field.prerequisite === 'ethernet') return undefined;
  if (field.prerequisite === 'ct') {
    return hasConnection(fields) ? undefined : 'ct_state with +trk-inv or one of new, est, rel, rpl, snat, dnat set';
  }
  if (field.prerequisite === 'vlan') {
    const vid = fields.find((entry) => entry.field === VLAN_VID);
    return vid !== undefined && (Number(vid.value) & 0x1000) !== 0 ? undefined : 'vlan_vid with bit 0x1000 set';
  }
  for (const [wanted, values] of WANTED[field.prerequisite] ?? []) {
    const value = exactValue(fields, wanted);
    if (value === undefined || !values.includes(value)) {
      // Open vSwitch lets neighbour discovery fields do without an ICMP code.
      if (wanted === ICMPV6_CODE && value === undefined) continue;
      return `${wanted.name}=${values.map((v) => (wanted === ETH_TYPE ? `0x${v.toString(16)}` : String(v))).join(' or ')}`;
    }
  }
  return undefined;
}

/** The first field whose prerequisite the match does not meet, and what it wants; undefined when all are met. */
export function unmetPrerequisite(fields: readonly MatchField[]): readonly [field: Field, wants: string] | undefined {
  for (const { field } of fields) {
    const wants = missing(fields, field);
    if (wants !== undefined) return [field, wants];
  }
  return undefined;
}

/**
 * Adds the prerequisites that can only have one value, and checks the others.
 * @throws OpenFlowError `prerequisite`
 */
export function addPrerequisites(fields: MatchField[]): void {
  // What is added needs nothing that is not added with it: the fields that were there before are enough to look at.
  const { length } = fields;
  for (let at = 0; at < length; at += 1) {
    const field = fields[at]?.field;
    if (field === undefined || field.prerequisite === 'none' || field.prerequisite === 'ethernet') continue;
    for (const [wanted, values] of WANTED[field.prerequisite] ?? []) {
      const [only, ...others] = values;
      if (
        only !== undefined &&
        others.length === 0 &&
        wanted !== ICMPV6_CODE &&
        exactValue(fields, wanted) === undefined
      ) {
        fields.push({ field: wanted, value: only, mask: undefined });
      }
    }
    if (field.prerequisite === 'vlan' && !fields.some((entry) => entry.field === VLAN_VID)) {
      fields.push({ field: VLAN_VID, value: 0x1000, mask: 0x1000 });
    }
  }
  const unmet = unmetPrerequisite(fields);
  if (unmet !== undefined) {
    throw new OpenFlowError(
      'prerequisite',
      `a match on ${unmet[0].name} must also match on ${unmet[1]} (ovs-fields(7))`,
    );
  }
}
