import { existsSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { AgentError } from '../error.ts';
import { deleteLinkRequest } from '../netlink/route.ts';
import { failure, hostSocket } from '../netlink/socket.ts';
import { type LinkState, readLinks } from '../netlink/state.ts';

/**
 * Whether this network namespace has a link of that name. /proc/sys/net follows the reader's namespace; /sys/class/net
 * would show the namespace in which sysfs was mounted, which in a container or under nsenter is another one.
 */
export function linkExists(name: string): boolean {
  return existsSync(`/proc/sys/net/ipv4/conf/${name}`) || existsSync(`/proc/sys/net/ipv6/conf/${name}`);
}

/** Deletes a link if it is there. @throws AgentError `host-command` */
export async function deleteLink(name: string): Promise<void> {
  if (!linkExists(name)) return;
  const request = deleteLinkRequest(name);
  const [reply] = await hostSocket().exchange([request]);
  // One that went away meanwhile (its namespace ended) is no error.
  if (reply !== undefined && reply.errno !== 0 && linkExists(name)) throw failure(request, reply);
}

/** Links of this namespace, with their addresses. @throws AgentError `host-command` */
export const listLinks = (): Promise<readonly LinkState[]> => readLinks(hostSocket());

/**
 * Bytes that Geneve adds to an inner IP packet, so that the outer packet still fits the underlay:
 * inner Ethernet 14 + Geneve base header 8 (RFC 8926 §3.4) + OVN's option TLV 8 (ovn-architecture(7), tunnel
 * encapsulations) + UDP 8 + outer IPv4 20 = 58, or outer IPv6 40 = 78. The outer Ethernet header is not part of an MTU.
 */
export function geneveOverhead(encapIp: string): number {
  return 14 + 8 + 8 + 8 + (isIPv6(encapIp) ? 40 : 20);
}

/** The least MTU of a link with IPv6, bytes (RFC 8200 §5): below it, Linux takes all IPv6 addresses from the link, for good. */
export const LEAST_IPV6_MTU = 1280;

/** What people have to know of an underlay whose packets cannot hold the least IPv6 packet; undefined when they can. */
export function smallForIpv6({ ifname, mtu }: Pick<LinkState, 'ifname' | 'mtu'>, encapIp: string): string | undefined {
  const needed = LEAST_IPV6_MTU + geneveOverhead(encapIp);
  if (mtu >= needed) return undefined;
  const left = mtu - geneveOverhead(encapIp);
  const fate = isIPv6(encapIp) ? 'is lost between nodes' : 'goes from node to node in fragments';
  return `the MTU of ${ifname} (${mtu}) leaves pods ${left} bytes, less than IPv6 needs: pods with IPv6 have ${LEAST_IPV6_MTU}, and what they send beyond ${left} ${fate}; give ${ifname} an MTU of ${needed} or more`;
}

/**
 * The link that carries the encapsulation address: its MTU, less {@link geneveOverhead}, is that of pods when nobody sets
 * one.
 * @throws AgentError `invalid-config` when no link carries the address.
 */
export function underlayOf(links: readonly LinkState[], encapIp: string): LinkState {
  if (!isIPv4(encapIp) && !isIPv6(encapIp)) {
    throw new AgentError('invalid-config', `encapIp "${encapIp}" is not an IP address`);
  }
  const underlay = links.find((link) => link.addresses.some((address) => address.local === encapIp));
  if (underlay === undefined) {
    throw new AgentError(
      'invalid-config',
      `no link of this node has the encapsulation address ${encapIp}; set encapIp to an address of the underlay NIC`,
    );
  }
  return underlay;
}

/**
 * Whether a line of `ip -oneline monitor` (`4: eth0    inet 10.0.0.1/24 ...`, `Deleted 4: eth0@if5: <...> mtu 1500 ...`) is about
 * the underlay's link.
 */
export function concernsUnderlay(line: string, underlay: string): boolean {
  return /^(?:Deleted )?\d+: ([^\s:@]+)/.exec(line)?.[1] === underlay;
}
