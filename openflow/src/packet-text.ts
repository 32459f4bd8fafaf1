/** The headers of a packet as ovs-ofctl prints them below a packet-in: as a flow that matches all of them. */
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseMac } from './address.ts';
import { OpenFlowError } from './error.ts';
import { formatFlags, TCP_FLAGS } from './flags-text.ts';
import { splitParts } from './match-parse.ts';
import { paddedHex, parseNumber } from './number-text.ts';
import { Reader } from './reader.ts';
import type { TextReader } from './text-reader.ts';
import { Writer } from './writer.ts';

const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8];

/** Protocols with ports, by number. */
const TRANSPORT: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
]);

const FRAGMENTS = ['', 'nw_frag=first,', 'nw_frag=later,'];

function formatTransport(r: Reader, protocol: number, icmp: number): string {
  if (protocol === icmp) return r.left >= 2 ? `,icmp_type=${r.u8()},icmp_code=${r.u8()}` : '';
  if (!TRANSPORT.has(protocol) || r.left < 4) return '';
  const ports = `,tp_src=${r.u16()},tp_dst=${r.u16()}`;
  if (protocol !== 6 || r.left < 10) return ports;
  r.skip(8);
  return `${ports},tcp_flags=${formatFlags(TCP_FLAGS, r.u16() & 0xfff)}`;
}

function formatIpHeader(r: Reader, ethernet: string): string {
  const start = r.pos;
  const headerLength = (r.u8() & 0xf) * 4;
  const tos = r.u8();
  r.skip(4);
  const fragment = r.u16();
  const ttl = r.u8();
  const protocol = r.u8();
  r.skip(2);
  const addresses = `nw_src=${formatIpv4(r.u32())},nw_dst=${formatIpv4(r.u32())}`;
  r.skip(Math.max(0, Math.min(headerLength - (r.pos - start), r.left)));
  const later = (fragment & 0x1fff) !== 0;
  const kind = later ? 2 : Number((fragment & 0x2000) !== 0);
  const name = protocol === 1 ? 'icmp' : (TRANSPORT.get(protocol) ?? 'ip');
  const number = name === 'ip' ? `nw_proto=${protocol},` : '';
  const tail = later ? '' : formatTransport(r, protocol, 1);
  return (
    `${name},${ethernet},${addresses},${number}nw_tos=${tos & 0xfc},nw_ecn=${tos & 3},nw_ttl=${ttl},${FRAGMENTS[kind]}`.replace(
      /,$/,
      '',
    ) + tail
  );
}

function formatIpv6Header(r: Reader, ethernet: string): string {
  const first = r.u32();
  r.skip(2);
  const protocol = r.u8();
  const ttl = r.u8();
  const addresses = `ipv6_src=${formatIpv6(r.big(16))},ipv6_dst=${formatIpv6(r.big(16))}`;
  const transport = TRANSPORT.get(protocol);
  const name = protocol === 58 ? 'icmp6' : transport === undefined ? 'ipv6' : `${transport}6`;
  const number = name === 'ipv6' ? `nw_proto=${protocol},` : '';
  const tos = (first >>> 20) & 0xff;
  return `${name},${ethernet},${addresses},ipv6_label=${paddedHex(first & 0xfffff, 5)},${number}nw_tos=${tos & 0xfc},nw_ecn=${tos & 3},nw_ttl=${ttl}${formatTransport(r, protocol, 58)}`;
}

/** Ethernet and IPv4: hardware 1, protocol 0x800, addresses of 6 and 4 bytes. */
const ARP_OF_IPV4 = 0x0001_0800_0604;
const ARP_LENGTH = 28;

function formatArpBody(r: Reader, ethernet: string): string {
  // What is no whole ARP header of IPv4 prints as one of zeros.
  const whole = r.left >= ARP_LENGTH && r.uint(6) === ARP_OF_IPV4;
  const operation = whole ? r.u16() : 0;
  const sha = whole ? r.uint(6) : 0;
  const spa = whole ? r.u32() : 0;
  const tha = whole ? r.uint(6) : 0;
  const tpa = whole ? r.u32() : 0;
  return `${ethernet},arp_spa=${formatIpv4(spa)},arp_tpa=${formatIpv4(tpa)},arp_op=${operation > 0xff ? 0 : operation},arp_sha=${formatMac(sha)},arp_tha=${formatMac(tha)}`;
}

const ETHERNET_LENGTH = 14;
const ETHERTYPE_ARP = 0x0806;

/**
 * Reads the line of a packet.
 * @param length of the packet: the line says all of one that ends with its Ethernet header, or with its ARP header
 * @throws OpenFlowError `syntax` when the packet has more bytes than the line says
 */
export function parsePacket(r: TextReader, length: number): Uint8Array {
  if (length === 0) return new Uint8Array();
  const parts = new Map(splitParts(r.take(/\s*\S*\s*/y) ?? ''));
  const isArp = parts.has('arp');
  const known = isArp && length > ETHERNET_LENGTH ? ETHERNET_LENGTH + ARP_LENGTH : ETHERNET_LENGTH;
  const type = isArp ? ETHERTYPE_ARP : parseNumber(parts.get('dl_type') ?? '', 0xffff, 'dl_type');
  if (length !== known || parts.get('vlan_tci') !== '0x0000') {
    throw new OpenFlowError(
      'syntax',
      `the text of a packet of ${length} bytes says its headers only: it cannot be read back`,
    );
  }
  const w = new Writer();
  const mac = (key: string): void => w.uint(parseMac(parts.get(key) ?? ''), 6);
  const ip = (key: string): void => w.u32(parseIpv4(parts.get(key) ?? ''));
  mac('dl_dst');
  mac('dl_src');
  w.u16(type);
  if (length > ETHERNET_LENGTH) {
    w.uint(ARP_OF_IPV4, 6);
    w.u16(parseNumber(parts.get('arp_op') ?? '', 0xff, 'arp_op'));
    mac('arp_sha');
    ip('arp_spa');
    mac('arp_tha');
    ip('arp_tpa');
  }
  return w.take();
}

/** The line for a packet, with its line break; empty for less than an Ethernet header. */
export function formatPacket(packet: Uint8Array): string {
  const r = new Reader(packet);
  if (r.left < 14) return '';
  const dst = r.uint(6);
  const src = r.uint(6);
  let type = r.u16();
  let vlan = 'vlan_tci=0x0000';
  if (VLAN_TYPES.includes(type) && r.left >= 4) {
    const tci = r.u16();
    vlan = `dl_vlan=${tci & 0xfff},dl_vlan_pcp=${tci >> 13}`;
    type = r.u16();
  }
  const ethernet = `${vlan},dl_src=${formatMac(src)},dl_dst=${formatMac(dst)}`;
  if (type === 0x0806) return `arp,${formatArpBody(r, ethernet)}\n`;
  if (type === 0x0800 && r.left >= 20) return `${formatIpHeader(r, ethernet)}\n`;
  if (type === 0x86dd && r.left >= 40) return `${formatIpv6Header(r, ethernet)}\n`;
  return `${ethernet},dl_type=${paddedHex(type, 4)}\n`;
}
