/** Match fields: what a field is, and how one is declared. The declarations are in field-table.ts. */
import { NSH, NX, OF10, OF13, OF14, OF15, ONF, type Version } from './version.ts';

/** A field's value: `number` up to 48 bits, `bigint` beyond (tun_id, metadata, xreg, IPv6 addresses, labels ...). */
export type FieldValue = number | bigint;

/** How ovs-ofctl writes a field's value (ovs-fields(7), "Format"). */
export type FieldFormat =
  | 'decimal'
  | 'hex'
  | 'ethernet'
  | 'ipv4'
  | 'ipv6'
  | 'port16'
  | 'port32'
  | 'frag'
  | 'tunnel_flags'
  | 'tcp_flags'
  | 'ct_state'
  | 'packet_type'
  | 'raw';

/** What a match must say before it may name the field (ovs-fields(7), "Prerequisites"). */
export type Prerequisite =
  | 'none'
  | 'ethernet'
  | 'vlan'
  | 'arp'
  | 'ipv4'
  | 'ipv6'
  | 'ip'
  | 'mpls'
  | 'nsh'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmpv4'
  | 'icmpv6'
  | 'nd'
  | 'nd_solicit'
  | 'nd_advert'
  | 'ct';

/** One way to write a field on the wire. */
export interface Codepoint {
  /** `OXM_OF_ETH_SRC`, as in `move:OXM_OF_ETH_SRC[]->...`. */
  readonly name: string;
  readonly oxmClass: number;
  readonly number: number;
  /** The experimenter's id when the class is 0xffff. */
  readonly experimenter: number | undefined;
  /** Class and number as they stand in a header, without mask bit and length. */
  readonly header: number;
  /** The first version that has it. 0: Nicira's NXM, understood under every version and preferred under none. */
  readonly since: Version | 0;
}

/** A field, declared once in field-table.ts. */
export interface Field {
  /** As in ovs-fields(7). */
  readonly name: string;
  readonly aliases: readonly string[];
  /** Place in the table, which is the order of fields in an encoded match: prerequisites come first. */
  readonly index: number;
  /** How many bits may be set. */
  readonly bits: number;
  /** How many bytes its value has on the wire. */
  readonly bytes: number;
  readonly format: FieldFormat;
  readonly maskable: boolean;
  readonly writable: boolean;
  readonly prerequisite: Prerequisite;
  readonly codepoints: readonly Codepoint[];
  /** All bits that may be set. */
  readonly ones: FieldValue;
  /**
   * The mask that means an exact match. Where bytes have bits to spare (tcp_flags has 12 in 16) it has those too: Open
   * vSwitch keeps a match that leaves them out apart from an exact one.
   */
  readonly exactMask: FieldValue;
  /** False for fields whose length another table decides (tun_metadata), and for unknown ones. */
  readonly fixedLength: boolean;
  /** The codepoint that each version uses, by `Version`. Version 1.0 stands for NXM. */
  readonly wire: Readonly<Record<Version, Codepoint>>;
}

const CLASSES: readonly (readonly [prefix: string, oxmClass: number, experimenter: number | undefined])[] = [
  ['NXM_OF_', 0x0000, undefined],
  ['NXM_NX_', 0x0001, undefined],
  ['ERICOXM_OF_', 0x1000, undefined],
  ['OXM_OF_PKT_REG', 0x8001, undefined],
  ['OXM_OF_', 0x8000, undefined],
  ['NXOXM_ET_', 0xffff, NX],
  ['NXOXM_NSH_', 0xffff, NSH],
  ['ONFOXM_ET_', 0xffff, ONF],
];

/** Class and number as the upper 23 bits of a header. */
export function headerOf(oxmClass: number, number: number): number {
  return ((oxmClass << 16) | (number << 9)) >>> 0;
}

/** Declares a codepoint: the class follows from the name's prefix. */
function codepoint(name: string, number: number, since: Version | 0): Codepoint {
  const found = CLASSES.find(([prefix]) => name.startsWith(prefix));
  if (found === undefined) throw new TypeError(`no OXM class for ${name}`);
  const [, oxmClass, experimenter] = found;
  return { name, number, since, oxmClass, experimenter, header: headerOf(oxmClass, number) };
}

/** A standard codepoint; 1.3 also stands for the versions before it. */
export function oxm(name: string, number: number, since: Version = OF13): Codepoint {
  return codepoint(name, number, since);
}

/** A codepoint that every version understands. */
export function nxm(name: string, number: number): Codepoint {
  return codepoint(name, number, 0);
}

/** The codepoint that a version uses: the newest standard one it has, else Nicira's. */
function choose(codepoints: readonly Codepoint[], version: Version): Codepoint {
  let best: Codepoint | undefined;
  for (const candidate of codepoints) {
    if (version === OF10) {
      if (best === undefined || candidate.since < best.since) best = candidate;
    } else if (candidate.since <= version && (best === undefined || candidate.since > best.since)) best = candidate;
  }
  const chosen = best ?? codepoints[0];
  if (chosen === undefined) throw new TypeError('a field without a codepoint');
  return chosen;
}

/** What a declaration of a field says. */
export interface FieldDeclaration {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly bits: number;
  /** Only where it does not follow from `bits`. */
  readonly bytes?: number;
  readonly format: FieldFormat;
  readonly maskable?: boolean;
  readonly writable?: boolean;
  readonly prerequisite?: Prerequisite;
  readonly fixedLength?: boolean;
  /** Bits that are not there count as matched: a mask of all bits is the same as none. */
  readonly spareBitsMatch?: boolean;
  readonly codepoints: readonly Codepoint[];
}

/** How many bytes hold so many bits, in the sizes that fields come in. */
function bytesFor(bits: number): number {
  if (bits <= 8) return 1;
  if (bits <= 16) return 2;
  if (bits <= 32) return 4;
  return Math.ceil(bits / 8);
}

/** All ones of so many bits, in the type that values of this width have. */
export function onesOf(bits: number): FieldValue {
  return bits <= 48 ? 2 ** bits - 1 : (1n << BigInt(bits)) - 1n;
}

/** Makes the field of a declaration. */
export function declareField(declaration: FieldDeclaration, index: number): Field {
  const { codepoints, bits } = declaration;
  const bytes = declaration.bytes ?? bytesFor(bits);
  return {
    name: declaration.name,
    aliases: declaration.aliases ?? [],
    index,
    bits,
    bytes,
    format: declaration.format,
    maskable: declaration.maskable ?? true,
    writable: declaration.writable ?? true,
    prerequisite: declaration.prerequisite ?? 'none',
    codepoints,
    ones: onesOf(bits),
    exactMask: onesOf(declaration.spareBitsMatch === true ? bits : bytes * 8),
    fixedLength: declaration.fixedLength ?? true,
    wire: {
      [OF10]: choose(codepoints, OF10),
      [OF13]: choose(codepoints, OF13),
      [OF14]: choose(codepoints, OF14),
      [OF15]: choose(codepoints, OF15),
    },
  };
}
