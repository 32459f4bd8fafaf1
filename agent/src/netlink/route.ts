import { isIPv6 } from 'node:net';
import { ipToBigint } from '@ovenbird/crds';
import { attribute, type NetlinkRequest, text, u32 } from './message.ts';

/** Requests of rtnetlink(7) about links, addresses and routes: as many of their parts as pods need. */

const TYPE = { newLink: 16, delLink: 17, getLink: 18, newAddress: 20, delAddress: 21, newRoute: 24 } as const;
const CREATE = { replace: 0x100, exclusive: 0x200, create: 0x400 } as const;
const AF = { unspec: 0, inet: 2, inet6: 10 } as const;
const IFF_UP = 1;
/** if_link.h */
const IFLA = { address: 1, ifname: 3, mtu: 4, linkinfo: 18, ifalias: 20, afSpec: 26, netNsFd: 28 } as const;
const IFLA_INFO = { kind: 1, data: 2 } as const;
const VETH_INFO_PEER = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_MODE_NONE = 1;
/** if_addr.h */
const IFA = { address: 1, local: 2 } as const;
const IFA_F_NODAD = 2;
/** rtnetlink.h */
const RTA = { dst: 1, oif: 4, gateway: 5 } as const;
const ROUTE = { tableMain: 254, protocolBoot: 3, typeUnicast: 1, nextHopOnlink: 4 } as const;
const NESTED = 0x8000;

/** struct ifinfomsg */
function linkHeader(index: number, flags = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(AF.unspec, 0);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(flags, 12);
  return bytes;
}

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

function ipBytes(address: string): Buffer {
  const digits = isIPv6(address) ? 32 : 8;
  return Buffer.from(ipToBigint(address).toString(16).padStart(digits, '0'), 'hex');
}

/** One end of a pair. */
export interface VethEnd {
  readonly name: string;
  /** With colons. */
  readonly mac: string;
  readonly mtu: number;
}

const endAttributes = ({ name, mac, mtu }: VethEnd): readonly Buffer[] => [
  attribute(IFLA.ifname, text(name)),
  attribute(IFLA.mtu, u32(mtu)),
  attribute(IFLA.address, macBytes(mac)),
];

/** `ip link add ... type veth peer ... netns`. @param netns descriptor of the far end's namespace */
export function addVeth(near: VethEnd, far: VethEnd, netns: number): NetlinkRequest {
  const peer = [linkHeader(0), ...endAttributes(far), attribute(IFLA.netNsFd, u32(netns))];
  const info = [
    attribute(IFLA_INFO.kind, text('veth')),
    attribute(IFLA_INFO.data | NESTED, attribute(VETH_INFO_PEER | NESTED, ...peer)),
  ];
  return {
    type: TYPE.newLink,
    flags: CREATE.create | CREATE.exclusive,
    body: Buffer.concat([linkHeader(0), ...endAttributes(near), attribute(IFLA.linkinfo | NESTED, ...info)]),
    what: `ip link add ${near.name} type veth peer ${far.name}`,
  };
}

/** `ip link set dev NAME alias ALIAS [addrgenmode none] up` */
export function nameAndRaise(name: string, alias: string, withoutLinkLocal: boolean): NetlinkRequest {
  const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.of(ADDR_GEN_MODE_NONE));
  const body = [
    linkHeader(0, IFF_UP),
    attribute(IFLA.ifname, text(name)),
    attribute(IFLA.ifalias, Buffer.from(alias)),
    ...(withoutLinkLocal ? [attribute(IFLA.afSpec | NESTED, attribute(AF.inet6 | NESTED, mode))] : []),
  ];
  return { type: TYPE.newLink, body: Buffer.concat(body), what: `ip link set dev ${name} alias ${alias} up` };
}

/** `ip link set dev NAME up` */
export function raise(index: number, name: string): NetlinkRequest {
  return { type: TYPE.newLink, body: linkHeader(index, IFF_UP), what: `ip link set dev ${name} up` };
}

/** `ip link set dev NAME mtu BYTES` */
export function setMtu(index: number, name: string, mtu: number): NetlinkRequest {
  const body = Buffer.concat([linkHeader(index), attribute(IFLA.mtu, u32(mtu))]);
  return { type: TYPE.newLink, body, what: `ip link set dev ${name} mtu ${mtu}` };
}

/** `ip link delete dev NAME` */
export function deleteLinkRequest(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader(0), attribute(IFLA.ifname, text(name))]);
  return { type: TYPE.delLink, body, what: `ip link delete dev ${name}` };
}

/** Asks for a link; see {@link linkIndex}. */
export function getLink(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader(0), attribute(IFLA.ifname, text(name))]);
  return { type: TYPE.getLink, body, what: `ip link show dev ${name}` };
}

/** Index of a link, of the object in the answer to {@link getLink}. */
export const linkIndex = (body: Buffer): number => body.readInt32LE(4);

/** `ip address add ADDRESS/PREFIX dev NAME`; of IPv6 without duplicate detection. @param link index */
export function addAddress(link: number, name: string, address: string, prefix: number): NetlinkRequest {
  return {
    type: TYPE.newAddress,
    flags: CREATE.create | CREATE.exclusive,
    body: addressBody(link, address, prefix),
    what: `ip address add ${address}/${prefix} dev ${name}${isIPv6(address) ? ' nodad' : ''}`,
  };
}

/** `ip address delete ADDRESS/PREFIX dev NAME`. @param link index */
export function deleteAddress(link: number, name: string, address: string, prefix: number): NetlinkRequest {
  const body = addressBody(link, address, prefix);
  return { type: TYPE.delAddress, body, what: `ip address delete ${address}/${prefix} dev ${name}` };
}

function addressBody(link: number, address: string, prefix: number): Buffer {
  const v6 = isIPv6(address);
  // struct ifaddrmsg
  const head = Buffer.alloc(8);
  head.writeUInt8(v6 ? AF.inet6 : AF.inet, 0);
  head.writeUInt8(prefix, 1);
  head.writeUInt8(v6 ? IFA_F_NODAD : 0, 2);
  head.writeUInt32LE(link, 4);
  const bytes = ipBytes(address);
  return Buffer.concat([head, attribute(IFA.local, bytes), attribute(IFA.address, bytes)]);
}

/** `ip route add DESTINATION via GATEWAY dev NAME onlink`. @param destination CIDR or `default` @param link index */
export function addRoute(link: number, name: string, destination: string, gateway: string): NetlinkRequest {
  return routeRequest('add', link, name, destination, gateway);
}

/** The same with `replace`: a route to this destination that is there already leads to this gateway afterwards. */
export function replaceRoute(link: number, name: string, destination: string, gateway: string): NetlinkRequest {
  return routeRequest('replace', link, name, destination, gateway);
}

function routeRequest(
  verb: 'add' | 'replace',
  link: number,
  name: string,
  destination: string,
  gateway: string,
): NetlinkRequest {
  const [network = '', length = ''] = destination === 'default' ? ['', '0'] : destination.split('/');
  const v6 = isIPv6(gateway);
  // struct rtmsg
  const head = Buffer.alloc(12);
  head.writeUInt8(v6 ? AF.inet6 : AF.inet, 0);
  head.writeUInt8(length === '' ? (v6 ? 128 : 32) : Number(length), 1);
  head.writeUInt8(ROUTE.tableMain, 4);
  head.writeUInt8(ROUTE.protocolBoot, 5);
  head.writeUInt8(ROUTE.typeUnicast, 7);
  head.writeUInt32LE(ROUTE.nextHopOnlink, 8);
  const body = [
    head,
    ...(network === '' ? [] : [attribute(RTA.dst, ipBytes(network))]),
    attribute(RTA.gateway, ipBytes(gateway)),
    attribute(RTA.oif, u32(link)),
  ];
  return {
    type: TYPE.newRoute,
    flags: CREATE.create | (verb === 'add' ? CREATE.exclusive : CREATE.replace),
    body: Buffer.concat(body),
    what: `ip route ${verb} ${destination} via ${gateway} dev ${name} onlink`,
  };
}
