import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { constants } from 'node:os';
import { AgentError } from '../error.ts';
import { deleteLink } from '../host/link.ts';
import { setSysctl } from '../host/sysctl.ts';
import type { NetlinkRequest } from '../netlink/message.ts';
import { addAddress, addRoute, addVeth, deleteAddress, nameAndRaise, raise, replaceRoute } from '../netlink/route.ts';
import { failure, hostSocket, RouteSocket, within } from '../netlink/socket.ts';
import { type LinkAddress, readLink } from '../netlink/state.ts';
import type { PodNetns } from './netns.ts';

/** One address of a pod. */
export interface PodAddress {
  readonly address: string;
  /** Length of the subnet's prefix. */
  readonly prefix: number;
  readonly gateway: string;
}

/** What the pod's end of the cable looks like. */
export interface VethPlan {
  readonly hostName: string;
  readonly hostMac: string;
  /** Name inside the pod (CNI_IFNAME). */
  readonly ifname: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly PodAddress[];
  /** Whether the default routes go through it. */
  readonly defaultRoute: boolean;
  /** Beside the default ones. */
  readonly routes: readonly { readonly dst: string; readonly gateway: string }[];
  /**
   * Switch off what a kernel leaves to hardware: OVS's userspace datapath reads frames from an AF_PACKET socket and
   * takes them as they are, so unfinished checksums and 64 kB "segments" would go out on the wire.
   */
  readonly disableOffload: boolean;
  /** Whether the host's end has IPv6 (the kernel refuses the IPv6 settings of a link that has none). */
  readonly ipv6: boolean;
}

function digest(containerId: string, ifname: string): string {
  return createHash('sha256').update(`${containerId}/${ifname}`).digest('hex');
}

/** Name of the host end: `h` and 12 hex digits (a link name has at most 15 characters). */
export function hostVethName(containerId: string, ifname: string): string {
  return `h${digest(containerId, ifname).slice(0, 12)}`;
}

/** Whether a name may be one of {@link hostVethName}. */
export function isHostVethName(name: string): boolean {
  return /^h[0-9a-f]{12}$/.test(name);
}

/** MAC of the host end: derived, so that a result can name it without asking the kernel. fe: is local and unicast. */
export function hostVethMac(containerId: string, ifname: string): string {
  return `fe:${(digest(containerId, ifname).slice(12, 22).match(/../g) ?? []).join(':')}`;
}

/**
 * Requests on the node: the pair, its far end born inside the pod's namespace.
 * @param netns descriptor of that
 * @param alias of the host's end
 */
export function hostRequests(plan: VethPlan, netns: number, alias: string): readonly NetlinkRequest[] {
  const { hostName, hostMac, ifname, mac, mtu } = plan;
  return [
    addVeth({ name: hostName, mac: hostMac, mtu }, { name: ifname, mac, mtu }, netns),
    // No link-local address on the host end: what the host would send there goes straight into the pod.
    nameAndRaise(hostName, alias, plan.ipv6),
  ];
}

/** Requests inside the pod. @param link index of its end */
export function podRequests(plan: VethPlan, link: number): readonly NetlinkRequest[] {
  const { ifname } = plan;
  return [
    // OVN owns the subnet, so nobody else has the address; duplicate detection would only delay it by a second.
    ...plan.addresses.map(({ address, prefix }) => addAddress(link, ifname, address, prefix)),
    raise(link, ifname),
    ...routesOf(plan).map(({ dst, gateway }) => addRoute(link, ifname, dst, gateway)),
  ];
}

type RoutePlan = Pick<VethPlan, 'ifname' | 'addresses' | 'routes' | 'defaultRoute'>;

/** Routes inside the pod: the default ones and its own. */
function routesOf({ addresses, routes, defaultRoute }: RoutePlan): VethPlan['routes'] {
  return [...(defaultRoute ? addresses : []).map(({ gateway }) => ({ dst: 'default', gateway })), ...routes];
}

/**
 * Gives the addresses of a running pod the prefixes of its Subnet, which may have grown (what was the broadcast address may
 * be somebody's now), and points its routes at the present gateways. @throws AgentError `host-command`
 */
export async function followSubnet(plan: RoutePlan, netns: PodNetns): Promise<void> {
  using socket = new RouteSocket(netns.fd);
  const link = await socket.indexOf(plan.ifname);
  const present = (await readLink(socket, plan.ifname))?.addresses ?? [];
  const routes = routesOf(plan).map(({ dst, gateway }) => replaceRoute(link, plan.ifname, dst, gateway));
  const requests = [...prefixRequests(link, plan, present), ...routes];
  if (requests.length > 0) await socket.run(requests);
}

/**
 * Requests that change prefixes: IPv4 has an address twice for a moment, IPv6 knows it once whatever its prefix. An address
 * that is not there at all stays away: who removed it had a reason.
 * @param link index @param present addresses of the link
 */
export function prefixRequests(
  link: number,
  { ifname, addresses }: Pick<RoutePlan, 'ifname' | 'addresses'>,
  present: readonly LinkAddress[],
): readonly NetlinkRequest[] {
  return addresses.flatMap(({ address, prefix }) => {
    const own = present.filter(({ local }) => local === address).map(({ prefixlen }) => prefixlen);
    const old = own.filter((length) => length !== prefix).map((length) => deleteAddress(link, ifname, address, length));
    if (old.length === 0) return [];
    const add = own.includes(prefix) ? [] : [addAddress(link, ifname, address, prefix)];
    return isIPv6(address) ? [...old, ...add] : [...add, ...old];
  });
}

/**
 * Creates the pair and leaves the host end up, the pod end unconfigured.
 * @param alias of the host's end
 * @throws AgentError `interface-exists` when the pod already has a link of that name; it is left untouched.
 */
export async function createVeth(plan: VethPlan, netns: PodNetns, alias: string): Promise<void> {
  const requests = hostRequests(plan, netns.fd, alias);
  const replies = await hostSocket().exchange(requests);
  const failed = replies.findIndex(({ errno }) => errno !== 0);
  const [request, reply] = [requests[failed], replies[failed]];
  if (request === undefined || reply === undefined) return;
  const cause = failure(request, reply);
  if (failed === 0 && reply.errno === constants.errno.EEXIST) {
    throw new AgentError(
      'interface-exists',
      `${netns.path} already has an interface named ${plan.ifname}; it was left untouched`,
      { cause },
    );
  }
  await deleteLink(plan.hostName);
  throw cause;
}

/**
 * Takes back what a runtime or an image says against IPv6 as such (`net.ipv6.conf.default.disable_ipv6=1`) for the one
 * interface that was given an IPv6 address.
 * @throws AgentError `host-command`
 */
function enableIpv6(netns: PodNetns, ifname: string): void {
  const key = `net/ipv6/conf/${ifname}/disable_ipv6`;
  try {
    within(netns.fd, () => setSysctl(key, '0'));
  } catch (cause) {
    throw new AgentError('host-command', `cannot set ${key}=0 in ${netns.path}: ${String(cause)}`, { cause });
  }
}

/** Gives the pod end its addresses, brings it up and sets the default routes. */
export async function configurePodEnd(plan: VethPlan, netns: PodNetns): Promise<void> {
  using socket = new RouteSocket(netns.fd);
  if (plan.addresses.some(({ address }) => isIPv6(address))) enableIpv6(netns, plan.ifname);
  await socket.run(podRequests(plan, await socket.indexOf(plan.ifname)));
  if (plan.disableOffload) await socket.disableOffload(plan.ifname);
}
