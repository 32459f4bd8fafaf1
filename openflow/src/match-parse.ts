/** Matches from ovs-ofctl syntax: `tcp,nw_dst=10.0.0.0/8,tp_dst=80`. */
import { OpenFlowError } from './error.ts';
import type { Field } from './field.ts';
import { parseValue } from './field-text.ts';
import { FIELDS, fieldNamed, findField, sizedField } from './fields.ts';
import { addField, finishMatch, type Match, type MatchField } from './match.ts';
import { parseNumber } from './number-text.ts';
import { parsePort } from './port.ts';

/** Words that stand for an Ethernet type and an IP protocol (ovs-ofctl(8), "Flow Syntax"). */
const WORDS: ReadonlyMap<string, readonly [type: number, protocol: number | undefined]> = new Map([
  ['ip', [0x0800, undefined]],
  ['icmp', [0x0800, 1]],
  ['tcp', [0x0800, 6]],
  ['udp', [0x0800, 17]],
  ['sctp', [0x0800, 132]],
  ['ipv6', [0x86dd, undefined]],
  ['ip6', [0x86dd, undefined]],
  ['icmp6', [0x86dd, 58]],
  ['tcp6', [0x86dd, 6]],
  ['udp6', [0x86dd, 17]],
  ['sctp6', [0x86dd, 132]],
  ['arp', [0x0806, undefined]],
  ['rarp', [0x8035, undefined]],
  ['mpls', [0x8847, undefined]],
  ['mplsm', [0x8848, undefined]],
]);

const ETH_TYPE = fieldNamed('eth_type');
const NW_PROTO = fieldNamed('nw_proto');
const PACKET_TYPE = fieldNamed('packet_type');
const VLAN_VID = fieldNamed('vlan_vid');
const VLAN_PCP = fieldNamed('vlan_pcp');
const IN_PORT = fieldNamed('in_port_oxm');

/** Keys whose field depends on the rest of the match. */
const AMBIGUOUS: ReadonlySet<string> = new Set([
  ...['nw_src', 'nw_dst', 'ip_src', 'ip_dst', 'nw_proto', 'ip_proto', 'tp_src', 'tp_dst', 'icmp_type', 'icmp_code'],
]);

const BY_PROTOCOL: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
]);
const OTHER_NAMES: Readonly<Record<string, string>> = {
  gtpu_flags: 'tun_gtpu_flags',
  gtpu_msgtype: 'tun_gtpu_msgtype',
};

/** Keys that name a field and nothing else. */
const PLAIN: ReadonlyMap<string, Field> = new Map(
  FIELDS.flatMap((field) =>
    [field.name, ...field.aliases]
      .filter((name) => name !== 'in_port' && !AMBIGUOUS.has(name))
      .map((name) => [name, field] as const),
  ),
);

/** Keys that are treated by themselves. */
const SPECIAL: ReadonlySet<string> = new Set(['in_port', 'dl_vlan', 'dl_vlan_pcp']);
const isKey = (key: string): boolean =>
  SPECIAL.has(key) || AMBIGUOUS.has(key) || findField(OTHER_NAMES[key] ?? key) !== undefined;

/** Collects the parts of a match. */
export class MatchParser {
  readonly #fields: MatchField[] = [];
  #waiting: (readonly [key: string, value: string])[] | undefined;

  /** Takes one part; false when its key is no field. @throws OpenFlowError `syntax` or `invalid_value` */
  take(key: string, value: string | undefined): boolean {
    if (value === undefined) {
      const word = WORDS.get(key);
      if (word !== undefined) {
        addField(this.#fields, ETH_TYPE, word[0], undefined);
        if (word[1] !== undefined) addField(this.#fields, NW_PROTO, word[1], undefined);
        return true;
      }
      if (key === 'eth') {
        addField(this.#fields, PACKET_TYPE, 0, undefined);
        return true;
      }
      return this.#present(key);
    }
    // Anything will do, but for a tunnel option, which has to be there (ovs-ofctl knows no other word for it).
    if (value === '*') return this.#present(key) || isKey(key);
    const plain = PLAIN.get(key);
    if (plain !== undefined) {
      this.#add(plain, value);
      return true;
    }
    if (AMBIGUOUS.has(key)) {
      (this.#waiting ??= []).push([key, value]);
      return true;
    }
    switch (key) {
      case 'in_port':
        addField(this.#fields, IN_PORT, parsePort(value), undefined);
        return true;
      case 'dl_vlan': {
        const id = parseNumber(value, 0xffff, key);
        // 0xffff is how OpenFlow 1.0 said "no tag".
        if (id !== 0xffff && id > 0xfff) throw new OpenFlowError('invalid_value', `${value} is no VLAN ID (0 to 4095)`);
        addField(this.#fields, VLAN_VID, id === 0xffff ? 0 : id | 0x1000, undefined);
        return true;
      }
      case 'dl_vlan_pcp':
        addField(this.#fields, VLAN_VID, 0x1000, 0x1000);
        addField(this.#fields, VLAN_PCP, parseNumber(value, 7, key), undefined);
        return true;
      default: {
        const field = findField(OTHER_NAMES[key] ?? key);
        if (field === undefined) return false;
        this.#add(field, value);
        return true;
      }
    }
  }

  /** Takes a tunnel option that only has to be there; false when the key is none. */
  #present(key: string): boolean {
    const field = findField(key);
    if (field === undefined || field.fixedLength) return false;
    this.#fields.push({ field: sizedField(field, 0), value: 0, mask: undefined });
    return true;
  }

  #add(field: Field, text: string): void {
    const { value, mask } = parseValue(field, text);
    addField(this.#fields, field, value, mask);
  }

  #exact(field: Field): number | undefined {
    const entry = this.#fields.find((candidate) => candidate.field === field);
    return entry === undefined ? undefined : Number(entry.value);
  }

  /** The field that an ambiguous key means. */
  #resolve(key: string): Field {
    const type = this.#exact(ETH_TYPE);
    const isArp = type === 0x0806 || type === 0x8035;
    switch (key) {
      case 'nw_src':
      case 'ip_src':
        return fieldNamed(isArp ? 'arp_spa' : 'ip_src');
      case 'nw_dst':
      case 'ip_dst':
        return fieldNamed(isArp ? 'arp_tpa' : 'ip_dst');
      case 'nw_proto':
      case 'ip_proto':
        return isArp ? fieldNamed('arp_op') : NW_PROTO;
      case 'icmp_type':
        return fieldNamed(type === 0x86dd ? 'icmpv6_type' : 'icmp_type');
      case 'icmp_code':
        return fieldNamed(type === 0x86dd ? 'icmpv6_code' : 'icmp_code');
      default: {
        const protocol = this.#exact(NW_PROTO) ?? -1;
        const source = key === 'tp_src';
        if (protocol === 1) return fieldNamed(source ? 'icmp_type' : 'icmp_code');
        if (protocol === 58) return fieldNamed(source ? 'icmpv6_type' : 'icmpv6_code');
        const name = BY_PROTOCOL.get(protocol);
        if (name === undefined) {
          throw new OpenFlowError(
            'prerequisite',
            `${key} needs a protocol: tcp, udp, sctp, icmp, or one of them with 6`,
          );
        }
        return fieldNamed(`${name as 'tcp' | 'udp' | 'sctp'}_${source ? 'src' : 'dst'}`);
      }
    }
  }

  /** The match. @throws OpenFlowError `prerequisite` */
  finish(): Match {
    if (this.#waiting !== undefined) {
      const rank = (key: string): number => (key.endsWith('proto') ? 0 : 1);
      for (const [key, value] of this.#waiting.sort((a, b) => rank(a[0]) - rank(b[0])))
        this.#add(this.#resolve(key), value);
    }
    return finishMatch(this.#fields);
  }
}

/** A part of a list that is separated by commas or spaces: `key`, `key=value`. */
export type Part = readonly [key: string, value: string | undefined];

/** Cuts `a=1, b=(2,3) c` into parts; what is in parentheses stays together. */
export function splitParts(text: string): readonly Part[] {
  const words = text.includes('(') ? (text.match(/[^,\s(]*(?:\([^)]*\))[^,\s]*|[^,\s]+/g) ?? []) : text.split(/[,\s]+/);
  const parts: Part[] = [];
  for (const word of words) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    parts.push(equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)]);
  }
  return parts;
}

/**
 * Parses a match.
 * @throws OpenFlowError `syntax`, `invalid_value`, `prerequisite`
 */
export function parseMatch(text: string): Match {
  const parser = new MatchParser();
  for (const [key, value] of splitParts(text)) {
    if (!parser.take(key, value)) {
      throw new OpenFlowError(
        'syntax',
        `"${value === undefined ? key : `${key}=${value}`}" is no part of a match (ovs-ofctl(8))`,
      );
    }
  }
  return parser.finish();
}
