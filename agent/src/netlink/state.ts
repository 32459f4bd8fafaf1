import { bigintToIp } from '@ovenbird/crds';
import { attribute, attributes, type NetlinkRequest, u32 } from './message.ts';
import { getLink, linkIndex } from './route.ts';
import type { RouteSocket } from './socket.ts';

/** What rtnetlink(7) tells of links, addresses and routes, in the words of ip(8). */

const TYPE = { getLink: 18, getAddress: 22, getRoute: 26 } as const;
const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;
/** if_link.h, if_addr.h, rtnetlink.h */
const IFLA = { address: 1, ifname: 3, mtu: 4, ifalias: 20, linkNetnsid: 37 } as const;
const IFA = { address: 1, local: 2 } as const;
const RTA = { dst: 1, oif: 4, gateway: 5, table: 15 } as const;
const ROUTE = { tableMain: 254, protocolKernel: 2, typeUnicast: 1, cloned: 0x200 } as const;

/** An address of a link. */
export interface LinkAddress {
  readonly family: 'inet' | 'inet6';
  readonly local: string;
  readonly prefixlen: number;
}

/** One link. */
export interface LinkState {
  readonly ifname: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Its MAC. */
  readonly address?: string;
  readonly ifalias?: string;
  /** It is one end of a pair whose other end is in another network namespace. */
  readonly peerElsewhere?: true;
  readonly addresses: readonly LinkAddress[];
}

/** A route of table main. */
export interface RouteState {
  /** CIDR, or `default`. */
  readonly dst: string;
  readonly gateway?: string;
  /** The kernel made it, for an address. */
  readonly byKernel: boolean;
}

/** @param link index; 0: of all */
function listAddresses(link: number): NetlinkRequest {
  // struct ifaddrmsg
  const body = Buffer.alloc(8);
  body.writeUInt32LE(link, 4);
  return { type: TYPE.getAddress, body, what: 'ip address show', dump: true };
}

/** @param link index. The kernel leaves out other links' routes (a node may have a million), or the reader does. */
function listRoutes(family: number, link: number): NetlinkRequest {
  // struct rtmsg
  const head = Buffer.alloc(12);
  head.writeUInt8(family, 0);
  const body = Buffer.concat([head, attribute(RTA.oif, u32(link))]);
  return { type: TYPE.getRoute, body, what: 'ip route show', dump: true };
}

const textOf = (bytes: Buffer | undefined): string | undefined => bytes?.toString('utf8').replace(/\0.*$/s, '');

const macOf = (bytes: Buffer | undefined): string | undefined =>
  bytes?.length === 6 ? [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':') : undefined;

function addressText(bytes: Buffer): string {
  return bytes.length === 4 ? [...bytes].join('.') : bigintToIp(BigInt(`0x${bytes.toString('hex')}`), 6);
}

/** @param body of RTM_NEWLINK @param addresses of all links, by index */
export function linkOf(body: Buffer, addresses: ReadonlyMap<number, readonly LinkAddress[]>): LinkState {
  const found = attributes(body.subarray(16));
  const address = macOf(found.get(IFLA.address));
  const ifalias = textOf(found.get(IFLA.ifalias));
  return {
    ifname: textOf(found.get(IFLA.ifname)) ?? '',
    mtu: found.get(IFLA.mtu)?.readUInt32LE() ?? 0,
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    ...(address === undefined ? {} : { address }),
    ...(ifalias === undefined ? {} : { ifalias }),
    ...(found.has(IFLA.linkNetnsid) ? { peerElsewhere: true } : {}),
    addresses: addresses.get(linkIndex(body)) ?? [],
  };
}

/** Addresses by index of their link. @param bodies of RTM_NEWADDR */
export function addressesOf(bodies: readonly Buffer[]): ReadonlyMap<number, readonly LinkAddress[]> {
  const byLink = new Map<number, LinkAddress[]>();
  for (const body of bodies) {
    const family = body.readUInt8(0);
    const found = attributes(body.subarray(8));
    // Of a point-to-point link IFA_ADDRESS is the other end (if_addr.h).
    const bytes = found.get(IFA.local) ?? found.get(IFA.address);
    if (bytes === undefined || (family !== AF_INET && family !== AF_INET6)) continue;
    const list = byLink.get(body.readUInt32LE(4)) ?? [];
    list.push({
      family: family === AF_INET ? 'inet' : 'inet6',
      local: addressText(bytes),
      prefixlen: body.readUInt8(1),
    });
    byLink.set(body.readUInt32LE(4), list);
  }
  return byLink;
}

/** Routes of table main through a link. @param bodies of RTM_NEWROUTE @param link index */
export function routesOf(bodies: readonly Buffer[], link: number): readonly RouteState[] {
  return bodies.flatMap((body): readonly RouteState[] => {
    const found = attributes(body.subarray(12));
    const family = body.readUInt8(0);
    const table = found.get(RTA.table)?.readUInt32LE() ?? body.readUInt8(4);
    if (family !== AF_INET && family !== AF_INET6) return [];
    if (table !== ROUTE.tableMain || body.readUInt8(7) !== ROUTE.typeUnicast) return [];
    if ((body.readUInt32LE(8) & ROUTE.cloned) !== 0 || found.get(RTA.oif)?.readUInt32LE() !== link) return [];
    const length = body.readUInt8(1);
    const network = found.get(RTA.dst);
    const gateway = found.get(RTA.gateway);
    return [
      {
        dst: network === undefined ? 'default' : `${addressText(network)}/${length}`,
        ...(gateway === undefined ? {} : { gateway: addressText(gateway) }),
        byKernel: body.readUInt8(5) === ROUTE.protocolKernel,
      },
    ];
  });
}

/** All links of the socket's namespace, with their addresses. @throws AgentError `host-command` */
export async function readLinks(socket: RouteSocket): Promise<readonly LinkState[]> {
  const addresses = addressesOf(await socket.dump(listAddresses(0)));
  const request = { type: TYPE.getLink, body: Buffer.alloc(16), what: 'ip link show', dump: true } as const;
  const links = await socket.dump(request);
  return links.map((body) => linkOf(body, addresses));
}

async function linkBody(socket: RouteSocket, name: string): Promise<Buffer | undefined> {
  const [reply] = await socket.exchange([getLink(name)]);
  return reply?.objects[0];
}

/** Whether there is a link of that name and it is up. */
export async function isUp(socket: RouteSocket, name: string): Promise<boolean> {
  const body = await linkBody(socket, name);
  return body !== undefined && linkOf(body, new Map()).up;
}

/** A link, with its addresses and routes. @returns undefined when there is none. @throws AgentError `host-command` */
export async function readLink(
  socket: RouteSocket,
  name: string,
): Promise<(LinkState & { readonly routes: readonly RouteState[] }) | undefined> {
  const body = await linkBody(socket, name);
  if (body === undefined) return undefined;
  const link = linkIndex(body);
  const addresses = addressesOf(await socket.dump(listAddresses(link)));
  const routes = [
    ...(await socket.dump(listRoutes(AF_INET, link))),
    ...(await socket.dump(listRoutes(AF_INET6, link))),
  ];
  return { ...linkOf(body, addresses), routes: routesOf(routes, link) };
}
