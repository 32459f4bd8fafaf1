/** Other commands of ovs-ofctl(8) that have a syntax of their own: packet-out, add-tlv-map, ct-flush. */
import { parseActions } from './action-text.ts';
import { parseIpv4, parseIpv6 } from './address.ts';
import { OpenFlowError } from './error.ts';
import { MatchParser, splitParts } from './match-parse.ts';
import { type CtFlush, type CtTuple, mapIpv4 } from './messages/ct-flush.ts';
import type { TlvMap } from './messages/nicira.ts';
import type { PacketOut } from './messages/packet.ts';
import { parseBigint, parseBytes, parseNumber } from './number-text.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Parses a packet to send, as after `ovs-ofctl packet-out BRIDGE`.
 * @throws OpenFlowError `syntax`, `invalid_value`, `prerequisite`
 * @example parsePacketOut('in_port=1,packet=ffffffffffff0200000000010806,actions=output:2')
 */
export function parsePacketOut(text: string): Omit<PacketOut, 'xid'> {
  const cut = /^(.*?)[,\s]*\bactions?=(.*)$/s.exec(text.trim());
  if (cut === null) throw new OpenFlowError('syntax', `"${text}" has no actions; write actions=drop for none`);
  const parser = new MatchParser();
  let data: Uint8Array | undefined;
  for (const [key, value] of splitParts(cut[1] ?? '')) {
    if (key === 'packet' && value !== undefined) data = parseBytes(value);
    else if (!parser.take(key, value)) {
      throw new OpenFlowError('syntax', `"${key}" is no part of a packet-out (ovs-ofctl(8), Packet-Out Syntax)`);
    }
  }
  if (data === undefined) throw new OpenFlowError('syntax', `"${text}" needs packet=`);
  return { type: 'packet_out', match: parser.finish(), actions: parseActions(cut[2] ?? ''), data };
}

const MAP = /^\{class=(\w+),type=(\w+),len=(\w+)\}->tun_metadata(\d+)$/;
const MAX_OPTION = 124;

/**
 * Parses tunnel options and their fields, as after `ovs-ofctl add-tlv-map BRIDGE`.
 * @throws OpenFlowError `syntax`, `invalid_value`
 * @example parseTlvMaps('{class=0x102,type=0x80,len=4}->tun_metadata0')
 */
export function parseTlvMaps(text: string): readonly TlvMap[] {
  return text
    .replaceAll(/\s/g, '')
    .split(/,(?=\{)/)
    .filter((part) => part !== '')
    .map((part): TlvMap => {
      const [, optionClass = '', type = '', length = '', index = ''] = MAP.exec(part) ?? [];
      if (optionClass === '') {
        throw new OpenFlowError('syntax', `"${part}": write {class=0x102,type=0x80,len=4}->tun_metadata0`);
      }
      return {
        optionClass: parseNumber(optionClass, 0xffff, 'class'),
        optionType: parseNumber(type, 0xff, 'type'),
        length: parseNumber(length, MAX_OPTION, 'len'),
        index: parseNumber(index, 63, 'tun_metadata'),
      };
    });
}

const NUMBERS: Readonly<
  Record<string, readonly [key: 'srcPort' | 'dstPort' | 'icmpId' | 'icmpType' | 'icmpCode', max: number]>
> = {
  ct_tp_src: ['srcPort', 0xffff],
  ct_tp_dst: ['dstPort', 0xffff],
  icmp_id: ['icmpId', 0xffff],
  icmp_type: ['icmpType', 0xff],
  icmp_code: ['icmpCode', 0xff],
};

/** One direction; the protocol that it names is returned beside it. */
function parseTuple(text: string): readonly [tuple: CtTuple, ipProto: number | undefined] {
  const into: Mutable<CtTuple> = {};
  let ipProto: number | undefined;
  for (const [key, value] of splitParts(text)) {
    const number = NUMBERS[key];
    if (value === undefined) throw new OpenFlowError('syntax', `${key} of ct-flush needs a value`);
    if (number !== undefined) into[number[0]] = parseNumber(value, number[1], key);
    else if (key === 'ct_nw_src') into.src = mapIpv4(parseIpv4(value));
    else if (key === 'ct_nw_dst') into.dst = mapIpv4(parseIpv4(value));
    else if (key === 'ct_ipv6_src') into.src = parseIpv6(value);
    else if (key === 'ct_ipv6_dst') into.dst = parseIpv6(value);
    else if (key === 'ct_nw_proto') ipProto = parseNumber(value, 0xff, key);
    else throw new OpenFlowError('syntax', `"${key}" is no part of a connection (ovs-ofctl(8), ct-flush)`);
  }
  return [into, ipProto];
}

/** Takes `mark=VALUE[/MASK]` from the front of a list. */
function takeMasked(parts: string[], label: string, all: bigint): readonly [value: bigint, mask: bigint] | undefined {
  if (parts[0]?.startsWith(`${label}=`) !== true) return undefined;
  const [value = '', mask] = (parts.shift()?.slice(label.length + 1) ?? '').split('/');
  return [parseBigint(value, all, label), mask === undefined ? all : parseBigint(mask, all, label)];
}

/**
 * Parses which connections to forget, as after `ovs-ofctl ct-flush BRIDGE`: a zone, mark and labels (Open
 * vSwitch 3.3), the original direction, the reply.
 * @throws OpenFlowError `syntax`, `invalid_value`
 * @example parseCtFlush('zone=5 ct_nw_proto=6,ct_nw_src=10.0.0.1,ct_tp_dst=80')
 */
export function parseCtFlush(text: string): Omit<CtFlush, 'xid'> {
  const parts = text.trim().split(/\s+/);
  const into: Mutable<Omit<CtFlush, 'xid'>> = { type: 'ct_flush' };
  if (parts[0]?.startsWith('zone=') === true) into.zone = parseNumber(parts.shift()?.slice(5) ?? '', 0xffff, 'zone');
  const mark = takeMasked(parts, 'mark', 0xffff_ffffn);
  if (mark !== undefined) Object.assign(into, { mark: Number(mark[0]), markMask: Number(mark[1]) });
  const labels = takeMasked(parts, 'labels', (1n << 128n) - 1n);
  if (labels !== undefined) Object.assign(into, { labels: labels[0], labelsMask: labels[1] });
  const [original = '', reply = '', ...more] = parts;
  if (more.length > 0)
    throw new OpenFlowError('syntax', `"${text}": write [zone=N] [mark=N] [labels=N] [original direction] [reply]`);
  if (original !== '') [into.original, into.ipProto] = parseTuple(original);
  if (reply !== '') {
    const [tuple, ipProto] = parseTuple(reply);
    into.reply = tuple;
    into.ipProto ??= ipProto;
  }
  return into;
}
