/** Matches as `ovs-ofctl dump-flows` prints them. */
import { formatMac } from './address.ts';
import type { Field, FieldValue } from './field.ts';
import { formatIpv4Masked, formatIpv6Masked, formatValue } from './field-text.ts';
import { FIELDS, fieldNamed } from './fields.ts';
import { type Match, type MatchField } from './match.ts';
import { hex, paddedHex } from './number-text.ts';

/** The order in which ovs-ofctl prints fields. `type` stands for the word that eth_type and nw_proto become. */
const ORDER: readonly string[] = [
  ...['pkt_mark', 'recirc_id', 'dp_hash', 'conj_id', 'actset_output', 'ct_state', 'ct_zone', 'ct_mark', 'ct_label'],
  ...['ct_nw_src', 'ct_ipv6_src', 'ct_nw_dst', 'ct_ipv6_dst', 'ct_nw_proto', 'ct_tp_src', 'ct_tp_dst', 'packet_type'],
  'type',
  ...Array.from({ length: 32 }, (_, n) => `reg${n}`),
  ...['tun_id', 'tun_src', 'tun_dst', 'tun_ipv6_src', 'tun_ipv6_dst', 'tun_gbp_id', 'tun_gbp_flags'],
  ...['tun_erspan_ver', 'tun_erspan_idx', 'tun_erspan_dir', 'tun_erspan_hwid', 'tun_gtpu_flags', 'tun_gtpu_msgtype'],
  'tun_flags',
  ...Array.from({ length: 64 }, (_, n) => `tun_metadata${n}`),
  ...['metadata', 'in_port_oxm', 'in_phy_port', 'vlan_vid', 'vlan_pcp', 'eth_src', 'eth_dst', 'eth_type'],
  ...['ipv6_src', 'ipv6_dst', 'ipv6_label', 'arp_spa', 'arp_tpa', 'nsh_flags', 'nsh_ttl', 'nsh_mdtype', 'nsh_np'],
  ...['nsh_spi', 'nsh_si', 'nsh_c1', 'nsh_c2', 'nsh_c3', 'nsh_c4', 'ip_src', 'ip_dst', 'nw_proto', 'arp_op'],
  ...['arp_sha', 'arp_tha', 'ip_dscp', 'nw_ecn', 'nw_ttl', 'mpls_label', 'mpls_tc', 'mpls_ttl', 'mpls_bos', 'ip_frag'],
  ...['icmp_type', 'icmp_code', 'icmpv6_type', 'icmpv6_code', 'tcp_src', 'udp_src', 'sctp_src', 'tcp_dst', 'udp_dst'],
  ...['sctp_dst', 'nd_target', 'nd_sll', 'nd_tll', 'nd_reserved', 'nd_options_type', 'tcp_flags'],
];

/** Fields that matches call by another name than ovs-fields(7) does. */
const LABELS: Readonly<Record<string, string>> = {
  eth_src: 'dl_src',
  eth_dst: 'dl_dst',
  eth_type: 'dl_type',
  in_port_oxm: 'in_port',
  ip_src: 'nw_src',
  ip_dst: 'nw_dst',
  ip_frag: 'nw_frag',
  icmpv6_type: 'icmp_type',
  icmpv6_code: 'icmp_code',
  tcp_src: 'tp_src',
  udp_src: 'tp_src',
  sctp_src: 'tp_src',
  tcp_dst: 'tp_dst',
  udp_dst: 'tp_dst',
  sctp_dst: 'tp_dst',
  tun_gtpu_flags: 'gtpu_flags',
  tun_gtpu_msgtype: 'gtpu_msgtype',
};

type Printer = (value: FieldValue, mask: FieldValue | undefined) => string;

const decimal: Printer = (value, mask) => (mask === undefined ? String(value) : `${hex(value)}/${hex(mask)}`);

/** Fields whose text in a match differs from that in an action. */
const PRINTERS: Readonly<Record<string, Printer>> = {
  recirc_id: (value) => hex(value),
  ct_zone: decimal,
  eth_type: (value) => paddedHex(value, 4),
  ipv6_label: (value, mask) => paddedHex(value, 5) + (mask === undefined ? '' : `/${paddedHex(mask, 5)}`),
  tun_gbp_flags: (value) => hex(value),
  nsh_flags: (value, mask) => (mask === undefined ? String(value) : `${paddedHex(value, 2)}/${paddedHex(mask, 2)}`),
  tun_erspan_ver: (value) => String(value),
  tun_erspan_dir: (value) => String(value),
  tun_erspan_idx: (value) => hex(value),
  tun_erspan_hwid: (value) => hex(value),
  tun_gtpu_flags: (value) => hex(value),
  tun_gtpu_msgtype: (value) => String(value),
};

/** A field's name and its equals sign, its rank, and how to print its value. By field index. */
interface Style {
  readonly rank: number;
  readonly label: string;
  readonly print: Printer;
}

function printerOf(field: Field): Printer {
  const own = PRINTERS[field.name];
  if (own !== undefined) return own;
  switch (field.format) {
    case 'decimal':
      return decimal;
    case 'ethernet':
      return (value, mask) =>
        mask === undefined ? formatMac(Number(value)) : `${formatMac(Number(value))}/${formatMac(Number(mask))}`;
    case 'ipv4':
      return (value, mask) => formatIpv4Masked(Number(value), mask === undefined ? undefined : Number(mask));
    case 'ipv6':
      return (value, mask) => formatIpv6Masked(BigInt(value), mask === undefined ? undefined : BigInt(mask));
    default:
      return (value, mask) => formatValue(field, value, mask);
  }
}

const STYLES: readonly Style[] = FIELDS.map((field) => ({
  rank: ORDER.includes(field.name) ? ORDER.indexOf(field.name) : ORDER.length,
  label: `${LABELS[field.name] ?? field.name}=`,
  print: printerOf(field),
}));

function styleOf(field: Field): Style {
  return (
    STYLES[field.index] ?? {
      rank: ORDER.length + field.index,
      label: `${field.name}=`,
      print: (value, mask) => formatValue(field, value, mask),
    }
  );
}

/** The word for an Ethernet type, and for one with an IP protocol. */
const WORDS: ReadonlyMap<number, readonly [word: string, protocols: ReadonlyMap<number, string>]> = new Map([
  [
    0x0800,
    [
      'ip',
      new Map([
        [1, 'icmp'],
        [6, 'tcp'],
        [17, 'udp'],
        [132, 'sctp'],
      ]),
    ],
  ],
  [
    0x86dd,
    [
      'ipv6',
      new Map([
        [58, 'icmp6'],
        [6, 'tcp6'],
        [17, 'udp6'],
        [132, 'sctp6'],
      ]),
    ],
  ],
  [0x0806, ['arp', new Map()]],
  [0x8035, ['rarp', new Map()]],
  [0x8847, ['mpls', new Map()]],
  [0x8848, ['mplsm', new Map()]],
]);

const ETH_TYPE = fieldNamed('eth_type');
const NW_PROTO = fieldNamed('nw_proto');
const VLAN_VID = fieldNamed('vlan_vid');
const VLAN_PCP = fieldNamed('vlan_pcp');
const IP_DSCP = fieldNamed('ip_dscp');
const PACKET_TYPE = fieldNamed('packet_type');
const TYPE_RANK = ORDER.indexOf('type');
const ANY_STATE = 0xff;

/** VLAN ID and priority: `dl_vlan=100,dl_vlan_pcp=3`, or as bits of the tag where those words cannot say it. */
function formatVlan(vid: MatchField | undefined, pcp: MatchField | undefined): string {
  const value = Number(vid?.value ?? 0);
  const mask = vid === undefined ? 0 : Number(vid.mask ?? 0x1fff);
  const id = mask & 0xfff;
  if (
    (mask & 0x1000) !== 0 &&
    (value & 0x1000) !== 0 &&
    (id === 0 || id === 0xfff) &&
    (id !== 0 || pcp !== undefined)
  ) {
    const words: string[] = [];
    if (id !== 0) words.push(`dl_vlan=${value & 0xfff}`);
    if (pcp !== undefined) words.push(`dl_vlan_pcp=${pcp.value}`);
    return words.join(',');
  }
  const tci = value | (Number(pcp?.value ?? 0) << 13);
  const bits = mask | (pcp === undefined ? 0 : 0xe000);
  return `vlan_tci=${paddedHex(tci & bits, 4)}${bits === 0xffff ? '' : `/${paddedHex(bits, 4)}`}`;
}

/** What one entry prints as; undefined when it is part of something else. */
function formatEntry(entry: MatchField, style: Style): string {
  const { field, value, mask } = entry;
  if (field.bytes === 0) return field.name;
  if (field === IP_DSCP) return `nw_tos=${Number(value) << 2}`;
  // All eight known states: Open vSwitch prints them as a list instead of with signs.
  if (field.format === 'ct_state' && (mask === undefined || Number(mask) === ANY_STATE)) {
    return style.label + formatValue(field, value, undefined);
  }
  return style.label + style.print(value, mask);
}

/** Texts of a match on their way into printing order. Kept from match to match: a dump has many. */
class Parts {
  readonly #ranks: number[] = [];
  readonly #texts: string[] = [];
  #count = 0;

  /** Forgets what a match left that could not be printed to its end. */
  clear(): void {
    this.#count = 0;
  }

  /** Puts a text to its place: behind those of the same rank. */
  add(rank: number, text: string): void {
    let at = this.#count;
    for (; at > 0 && (this.#ranks[at - 1] ?? 0) > rank; at -= 1) {
      this.#ranks[at] = this.#ranks[at - 1] ?? 0;
      this.#texts[at] = this.#texts[at - 1] ?? '';
    }
    this.#ranks[at] = rank;
    this.#texts[at] = text;
    this.#count += 1;
  }

  /** All of them, separated by commas; none are left. */
  take(): string {
    let text = this.#texts[0] ?? '';
    if (this.#count === 0) return '';
    for (let at = 1; at < this.#count; at += 1) text += `,${this.#texts[at]}`;
    this.#count = 0;
    return text;
  }
}

const PARTS = new Parts();
const VLAN_RANK = styleOf(VLAN_VID).rank;
const ETH_TYPE_RANK = styleOf(ETH_TYPE).rank;
const NW_PROTO_RANK = styleOf(NW_PROTO).rank;

/** The text of a match; empty for one that every packet meets. */
export function formatMatch(match: Match): string {
  PARTS.clear();
  let type: MatchField | undefined;
  let protocol: MatchField | undefined;
  let vid: MatchField | undefined;
  let pcp: MatchField | undefined;
  for (const entry of match) {
    const { field } = entry;
    if (field === ETH_TYPE) type = entry;
    else if (field === NW_PROTO) protocol = entry;
    else if (field === VLAN_VID) vid = entry;
    else if (field === VLAN_PCP) pcp = entry;
    else if (field === PACKET_TYPE && Number(entry.value) === 0) continue;
    else {
      const style = styleOf(field);
      PARTS.add(style.rank, formatEntry(entry, style));
    }
  }
  if (vid !== undefined || pcp !== undefined) PARTS.add(VLAN_RANK, formatVlan(vid, pcp));
  if (type !== undefined) {
    const known = WORDS.get(Number(type.value));
    if (known === undefined) PARTS.add(ETH_TYPE_RANK, `dl_type=${paddedHex(type.value, 4)}`);
    else {
      const word = protocol === undefined ? undefined : known[1].get(Number(protocol.value));
      PARTS.add(TYPE_RANK, word ?? known[0]);
      if (word !== undefined) protocol = undefined;
    }
  }
  if (protocol !== undefined) PARTS.add(NW_PROTO_RANK, `nw_proto=${protocol.value}`);
  return PARTS.take();
}

/** ovs-ofctl's default priority. */
export const DEFAULT_PRIORITY = 0x8000;

/** The match with the priority in front, unless that is the default. */
export function formatRule(match: Match, priority: number): string {
  const text = formatMatch(match);
  if (priority === DEFAULT_PRIORITY) return text;
  return text === '' ? `priority=${priority}` : `priority=${priority},${text}`;
}
