/** NXT_CT_FLUSH: forgets the connections of a tuple (Open vSwitch 3.1 and later). */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../address.ts';
import { erase, type MessageBase, type MessageBody, type MessageSpec, nxt } from '../message-spec.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import type { Reader } from '../reader.ts';
import { decimal, readScalar, type Scalar, type TextContext } from '../text.ts';
import type { TextReader } from '../text-reader.ts';
import { OF10 } from '../version.ts';
import type { Writer } from '../writer.ts';

/** One direction of a connection; what is left out matches all. */
export interface CtTuple {
  /** 128 bits; IPv4 addresses are mapped (`::ffff:10.0.0.1`, see `mapIpv4`). */
  readonly src?: bigint | undefined;
  readonly dst?: bigint | undefined;
  readonly srcPort?: number | undefined;
  readonly dstPort?: number | undefined;
  readonly icmpId?: number | undefined;
  readonly icmpType?: number | undefined;
  readonly icmpCode?: number | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** Forgets connections. */
export interface CtFlush extends MessageBase {
  readonly type: 'ct_flush';
  /** Default 0: all. */
  readonly ipProto?: number | undefined;
  readonly original?: CtTuple | undefined;
  readonly reply?: CtTuple | undefined;
  readonly zone?: number | undefined;
  /** Only connections with these bits of their mark and labels: value and mask (Open vSwitch 3.3). */
  readonly mark?: number | undefined;
  readonly markMask?: number | undefined;
  readonly labels?: bigint | undefined;
  readonly labelsMask?: bigint | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** An IPv4 address as 128 bits. */
export function mapIpv4(address: number): bigint {
  return 0xffff_0000_0000n | BigInt(address);
}

const PROPERTY = { original: 0, reply: 1, zone: 2, mark: 3, markMask: 4, labels: 5, labelsMask: 6 } as const;
const LABELS_LENGTH = 20;
const TUPLE = { src: 0, dst: 1, srcPort: 2, dstPort: 3, icmpId: 4, icmpType: 5, icmpCode: 6 } as const;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readTuple(r: Reader): CtTuple {
  // Nested properties begin at a multiple of 8.
  r.skip(Math.min(4, r.left));
  const into: Mutable<CtTuple> = {};
  const properties = readProperties(r, (type, length) => {
    if ((type === TUPLE.src || type === TUPLE.dst) && length === 20)
      into[type === TUPLE.src ? 'src' : 'dst'] = r.big(16);
    else if (type === TUPLE.srcPort) into.srcPort = r.u16();
    else if (type === TUPLE.dstPort) into.dstPort = r.u16();
    else if (type === TUPLE.icmpId) into.icmpId = r.u16();
    else if (type === TUPLE.icmpType) into.icmpType = r.u8();
    else if (type === TUPLE.icmpCode) into.icmpCode = r.u8();
    else return false;
    return true;
  });
  if (properties.length > 0) into.properties = properties;
  return into;
}

function writeTuple(w: Writer, tuple: CtTuple): void {
  w.zeros(4);
  // A short number is followed by zeros that the length counts.
  const number = (type: number, value: number | undefined, bytes: 1 | 2): void => {
    if (value === undefined) return;
    writeProperty(w, type, () => {
      w.uint(value, bytes);
      w.zeros(4 - bytes);
    });
  };
  const { src, dst } = tuple;
  writeProperties(w, tuple.properties, () => {
    if (src !== undefined) writeProperty(w, TUPLE.src, () => w.big(src, 16));
    if (dst !== undefined) writeProperty(w, TUPLE.dst, () => w.big(dst, 16));
    number(TUPLE.srcPort, tuple.srcPort, 2);
    number(TUPLE.dstPort, tuple.dstPort, 2);
    number(TUPLE.icmpId, tuple.icmpId, 2);
    number(TUPLE.icmpType, tuple.icmpType, 1);
    number(TUPLE.icmpCode, tuple.icmpCode, 1);
  });
}

const isMapped = (address: bigint): boolean => address >> 32n === 0xffffn;

function formatTuple(tuple: CtTuple, ipProto: number, isIpv4: boolean): string {
  const { src = 0n, dst = 0n } = tuple;
  const text = (address: bigint): string =>
    isMapped(address) ? formatIpv4(Number(address & 0xffff_ffffn)) : formatIpv6(address);
  const kind = isIpv4 ? 'ct_nw' : 'ct_ipv6';
  const addresses = `${kind}_src=${text(src)},${kind}_dst=${text(dst)}`;
  if (ipProto === 1 || ipProto === 58) {
    return `${addresses},icmp_id=${tuple.icmpId ?? 0},icmp_type=${tuple.icmpType ?? 0},icmp_code=${tuple.icmpCode ?? 0}`;
  }
  return `${addresses},ct_tp_src=${tuple.srcPort ?? 0},ct_tp_dst=${tuple.dstPort ?? 0}`;
}

function parseAddress(r: TextReader): bigint {
  const text = r.take(/[0-9a-f:.]+/y) ?? '';
  return text.includes(':') ? parseIpv6(text) : mapIpv4(parseIpv4(text));
}

const NUMBERS = [
  ['icmp_id', 'icmpId'],
  ['icmp_type', 'icmpType'],
  ['icmp_code', 'icmpCode'],
  ['ct_tp_src', 'srcPort'],
  ['ct_tp_dst', 'dstPort'],
] as const;

/** Reads what `formatTuple` printed. */
function parseTuple(r: TextReader, c: TextContext): CtTuple {
  const into: Mutable<CtTuple> = {};
  if (!r.accept('ct_nw_src=')) r.expect('ct_ipv6_src=');
  const src = parseAddress(r);
  if (!r.accept(',ct_nw_dst=')) r.expect(',ct_ipv6_dst=');
  const dst = parseAddress(r);
  if (src !== 0n) into.src = src;
  if (dst !== 0n) into.dst = dst;
  for (const [label, key] of NUMBERS) {
    const value = r.accept(`,${label}=`) ? readScalar(r, decimal, c) : 0;
    if (value !== 0) into[key] = value;
  }
  return into;
}

/** `mark=0x1/0xff `; nothing where there is no value. */
function formatMasked(label: string, value: number | bigint | undefined, mask: number | bigint | undefined): string {
  if (value === undefined) return '';
  return `${label}=0x${value.toString(16)}${mask === undefined ? '' : `/0x${mask.toString(16)}`} `;
}

function parseMasked(
  r: TextReader,
  label: string,
  c: TextContext,
): readonly [value: bigint, mask: bigint | undefined] | undefined {
  if (!r.accept(`${label}=`)) return undefined;
  const value = readScalar(r, LABELS, c);
  const mask = r.accept('/') ? readScalar(r, LABELS, c) : undefined;
  r.skipSpace();
  return [value, mask];
}

/** Up to 128 bits. */
const LABELS: Scalar<bigint> = {
  pattern: /0x[0-9a-f]{1,32}/y,
  what: 'a hexadecimal number',
  format: (value) => `0x${value.toString(16)}`,
  parse: BigInt,
};

const CT_FLUSH: MessageSpec<CtFlush> = {
  type: 'ct_flush',
  codes: [nxt('NXT_CT_FLUSH', 32, { from: OF10 })],
  read: (r) => {
    const into: Mutable<MessageBody<CtFlush>> = { ipProto: r.u8() };
    r.skip(7);
    const properties = readProperties(r, (type, length) => {
      if (type === PROPERTY.original) into.original = readTuple(r);
      else if (type === PROPERTY.reply) into.reply = readTuple(r);
      else if (type === PROPERTY.zone) into.zone = r.u16();
      else if (type === PROPERTY.mark) into.mark = r.u32();
      else if (type === PROPERTY.markMask) into.markMask = r.u32();
      else if (type === PROPERTY.labels && length === LABELS_LENGTH) into.labels = r.big(16);
      else if (type === PROPERTY.labelsMask && length === LABELS_LENGTH) into.labelsMask = r.big(16);
      else return false;
      return true;
    });
    if (properties.length > 0) into.properties = properties;
    return into;
  },
  write: (w, { ipProto, original, reply, zone, mark, markMask, labels, labelsMask, properties }) => {
    w.u8(ipProto ?? 0);
    w.zeros(7);
    writeProperties(w, properties, () => {
      if (original !== undefined) writeProperty(w, PROPERTY.original, () => writeTuple(w, original));
      if (reply !== undefined) writeProperty(w, PROPERTY.reply, () => writeTuple(w, reply));
      if (zone !== undefined) {
        writeProperty(w, PROPERTY.zone, () => {
          w.u16(zone);
          w.zeros(2);
        });
      }
      if (mark !== undefined) writeProperty(w, PROPERTY.mark, () => w.u32(mark));
      if (markMask !== undefined) writeProperty(w, PROPERTY.markMask, () => w.u32(markMask));
      if (labels !== undefined) writeProperty(w, PROPERTY.labels, () => w.big(labels, 16));
      if (labelsMask !== undefined) writeProperty(w, PROPERTY.labelsMask, () => w.big(labelsMask, 16));
    });
  },
  text: {
    format: ({ ipProto = 0, original = {}, reply = {}, zone = 0, ...chosen }) => {
      const isIpv4 = [original.src, original.dst, reply.src, reply.dst].some(
        (address) => address !== undefined && isMapped(address),
      );
      return ` zone=${zone} ${formatMasked('mark', chosen.mark, chosen.markMask)}${formatMasked('labels', chosen.labels, chosen.labelsMask)}'${formatTuple(original, ipProto, isIpv4)},ct_nw_proto=${ipProto}' '${formatTuple(reply, ipProto, isIpv4)}'`;
    },
    // Zero and "any" print alike: they are read as the latter.
    parse: (r, c) => {
      r.expect(' zone=');
      const zone = readScalar(r, decimal, c);
      r.skipSpace();
      const mark = parseMasked(r, 'mark', c);
      const labels = parseMasked(r, 'labels', c);
      r.expect("'");
      const original = parseTuple(r, c);
      r.expect(',ct_nw_proto=');
      const ipProto = readScalar(r, decimal, c);
      r.expect("' '");
      const reply = parseTuple(r, c);
      r.expect("'");
      return {
        ipProto,
        ...(Object.keys(original).length === 0 ? {} : { original }),
        ...(Object.keys(reply).length === 0 ? {} : { reply }),
        ...(zone === 0 ? {} : { zone }),
        ...(mark === undefined ? {} : { mark: Number(mark[0]) }),
        ...(mark?.[1] === undefined ? {} : { markMask: Number(mark[1]) }),
        ...(labels === undefined ? {} : { labels: labels[0] }),
        ...(labels?.[1] === undefined ? {} : { labelsMask: labels[1] }),
      };
    },
  },
};

export const CT_FLUSH_MESSAGES: readonly MessageSpec<MessageBase>[] = [erase(CT_FLUSH)];
