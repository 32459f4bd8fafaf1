import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { AgentError } from '../error.ts';
import { deleteLink } from '../host/link.ts';
import { run } from '../host/run.ts';
import { INHERITED_NETNS, type PodNetns } from './netns.ts';

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
  /** Whether the node's kernel has IPv6 (a kernel without it refuses the IPv6 settings of a link). */
  readonly ipv6: boolean;
}

/** The alias by which the agent knows links it made, should their OVS row be gone. */
export const LINK_ALIAS = 'ovenbird';

function digest(containerId: string, ifname: string): string {
  return createHash('sha256').update(`${containerId}/${ifname}`).digest('hex');
}

/** Name of the host end: `h` and 12 hex digits (a link name has at most 15 characters). */
export function hostVethName(containerId: string, ifname: string): string {
  return `h${digest(containerId, ifname).slice(0, 12)}`;
}

/** MAC of the host end: derived, so that a result can name it without asking the kernel. fe: is local and unicast. */
export function hostVethMac(containerId: string, ifname: string): string {
  return `fe:${(digest(containerId, ifname).slice(12, 22).match(/../g) ?? []).join(':')}`;
}

/** `ip -batch` lines, run on the node: the pair, its far end born inside the pod's namespace. */
export function hostCommands(plan: VethPlan): string {
  const host = `name ${plan.hostName} mtu ${plan.mtu} address ${plan.hostMac}`;
  const peer = `name ${plan.ifname} mtu ${plan.mtu} address ${plan.mac} netns ${INHERITED_NETNS}`;
  return [
    `link add ${host} type veth peer ${peer}`,
    // No link-local address on the host end: what the host would send there goes straight into the pod.
    `link set dev ${plan.hostName} alias ${LINK_ALIAS}${plan.ipv6 ? ' addrgenmode none' : ''} up`,
    '',
  ].join('\n');
}

/** `ip -batch` lines, run inside the pod. */
export function podCommands(plan: VethPlan): string {
  const lines: string[] = [];
  for (const { address, prefix } of plan.addresses) {
    // OVN owns the subnet, so nobody else has the address; duplicate detection would only delay it by a second.
    lines.push(`address add ${address}/${prefix} dev ${plan.ifname}${isIPv6(address) ? ' nodad' : ''}`);
  }
  lines.push(`link set dev ${plan.ifname} up`);
  return [...lines, ...routeCommands(plan, 'add'), ''].join('\n');
}

/** `ip -batch` lines of the routes inside the pod: the default ones and its own. */
export function routeCommands(
  plan: Pick<VethPlan, 'ifname' | 'addresses' | 'routes' | 'defaultRoute'>,
  verb: 'add' | 'replace',
): string[] {
  const defaults = (plan.defaultRoute ? plan.addresses : []).map(({ gateway }) => ({ dst: 'default', gateway }));
  return [...defaults, ...plan.routes].map(
    ({ dst, gateway }) => `route ${verb} ${dst} via ${gateway} dev ${plan.ifname} onlink`,
  );
}

/**
 * Creates the pair and leaves the host end up, the pod end unconfigured.
 * @throws AgentError `interface-exists` when the pod already has a link of that name; it is left untouched.
 */
export async function createVeth(plan: VethPlan, netns: PodNetns, signal: AbortSignal): Promise<void> {
  try {
    await run('ip', ['-batch', '-'], { input: hostCommands(plan), fds: [netns.fd], signal });
  } catch (error) {
    if (error instanceof AgentError && /^ip link add .*File exists/.test(error.message)) {
      throw new AgentError(
        'interface-exists',
        `${netns.path} already has an interface named ${plan.ifname}; it was left untouched`,
        { cause: error },
      );
    }
    await deleteLink(plan.hostName);
    throw error;
  }
}

/** Gives the pod end its addresses, brings it up and sets the default routes. One child process. */
export async function configurePodEnd(plan: VethPlan, netns: PodNetns, signal: AbortSignal): Promise<void> {
  const enter = [`--net=${INHERITED_NETNS}`];
  const args = plan.disableOffload
    ? // One shell for both programs: a fork of this process costs more than one of a small shell.
      [...enter, 'sh', '-c', 'ip -batch - && exec ethtool -K "$0" tx off tso off gso off', plan.ifname]
    : [...enter, 'ip', '-batch', '-'];
  await run('nsenter', args, { input: podCommands(plan), fds: [netns.fd], signal });
}
