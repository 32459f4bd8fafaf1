/** The headers of a packet as ovs-ofctl prints them below a packet-in: as a flow that matches all of them. */
import { formatIpv4, formatIpv6, formatMac } from './address.ts';
import { formatFlags, TCP_FLAGS } from './flags-text.ts';
import { paddedHex } from './number-text.ts';
import { Reader } from './reader.ts';

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

function formatArpBody(r: Reader, ethernet: string): string {
  // A packet that ends before its ARP header prints as one of zeros.
  const whole = r.left >= 28;
  if (whole) r.skip(6);
  const operation = whole ? r.u16() : 0;
  const sha = whole ? r.uint(6) : 0;
  const spa = whole ? r.u32() : 0;
  const tha = whole ? r.uint(6) : 0;
  const tpa = whole ? r.u32() : 0;
  return `${ethernet},arp_spa=${formatIpv4(spa)},arp_tpa=${formatIpv4(tpa)},arp_op=${operation},arp_sha=${formatMac(sha)},arp_tha=${formatMac(tha)}`;
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
