import { isIPv6 } from 'node:net';
import { isIp, parseIp } from '@ovenbird/crds';
import { AgentError } from '../error.ts';
import { linkExists } from '../host/link.ts';
import { hostSocket, RouteSocket } from '../netlink/socket.ts';
import { isUp, readLink } from '../netlink/state.ts';
import { interfaceNamed } from '../ovs/database.ts';
import { portHasFlows } from '../ovs/port-flows.ts';
import { type PodContext, vethPlan } from './context.ts';
import { attachmentOf } from './interface-row.ts';
import { openNetns, type PodNetns } from './netns.ts';
import { type ClaimedEnd, claimedEnd, previousResult } from './previous-result.ts';
import { type CniRequest, isIpam } from './request.ts';
import { resolve } from './resolve.ts';
import type { VethPlan } from './veth.ts';

type PodEnd = NonNullable<Awaited<ReturnType<typeof readLink>>>;

/** Whether a link has an address. Its prefix follows the Subnet. @param cidr as somebody wrote it */
function hasIpOf({ addresses }: Pick<PodEnd, 'addresses'>, cidr: string): boolean {
  const [ip = ''] = cidr.split('/');
  return addresses.some(({ local }) => local === (isIp(ip) ? parseIp(ip) : ip));
}

/**
 * What the result of ADD says of the pod's end and does not hold (SPEC.md, "CHECK"). An MTU that is smaller than the overlay's may
 * be the work of a later plugin whose result does not tell it; a larger one loses packets.
 */
export function claimProblem(
  plan: Pick<VethPlan, 'ifname' | 'mtu' | 'routes'>,
  link: Pick<PodEnd, 'mtu' | 'addresses' | 'routes'>,
  claim: ClaimedEnd,
): string | undefined {
  const { ifname, mtu } = plan;
  const lost = claim.addresses.find((address) => !hasIpOf(link, address));
  if (lost !== undefined) return `${ifname} does not have the address ${lost}, which prevResult lists`;
  if (link.mtu > mtu || (claim.mtu !== undefined && link.mtu !== claim.mtu && link.mtu !== mtu))
    return `${ifname} has the MTU ${link.mtu} instead of ${mtu}`;
  for (const { dst, gateway } of plan.routes) {
    // Asked for after ADD: not there by right. A gateway that moved since may be either.
    const said = claim.routes.find((route) => route.dst === dst);
    if (said === undefined) continue;
    if (!link.routes.some((one) => one.dst === dst && (one.gateway === gateway || one.gateway === said.gw)))
      return `the route to ${dst} via ${gateway} is missing`;
  }
  return undefined;
}

/**
 * What is wrong with the pod's end of the cable, or undefined. Additional addresses and routes are none of our business.
 * @param claim what ADD's result says by now: of the MAC and default routes, which others may have changed since (a later
 *   plugin of the chain, Multus), and written there
 */
export async function podEndProblem(plan: VethPlan, netns: PodNetns, claim?: ClaimedEnd): Promise<string | undefined> {
  const { ifname } = plan;
  const mac = claim?.mac ?? plan.mac;
  using socket = new RouteSocket(netns.fd);
  const link = await readLink(socket, ifname);
  if (link === undefined) return `${netns.path} has no interface ${ifname}`;
  if (!link.up) return `${ifname} in ${netns.path} is down`;
  if (link.address !== mac) return `${ifname} has the MAC ${link.address ?? 'none'} instead of ${mac}`;
  for (const { address, prefix, gateway } of plan.addresses) {
    if (!link.addresses.some((one) => one.local === address && one.prefixlen === prefix)) {
      return `${ifname} does not have the address ${address}/${prefix}`;
    }
    const isGone = claim?.routes.every(({ dst }) => dst !== (isIPv6(address) ? '::/0' : '0.0.0.0/0'));
    if (!plan.defaultRoute || isGone === true) continue;
    if (!link.routes.some((route) => route.dst === 'default' && route.gateway === gateway))
      return `the default route via ${gateway} is missing`;
  }
  return claim && claimProblem(plan, link, claim);
}

/** Whether the switch has flows for a port, where the configuration says how to ask it: a mark in the database outlives them. */
async function forwards({ config: { ovsRunDir } }: PodContext, ofport: number, signal: AbortSignal): Promise<boolean> {
  if (ovsRunDir === undefined) return true;
  return await portHasFlows({ ovsRunDir, ofport, patience: 'now', signal });
}

/**
 * CNI CHECK: compares the attachment with what ADD made.
 * @throws AgentError `check-failed` naming the first difference; `try-again` while br-int has no flows for it
 */
export async function check(context: PodContext, request: CniRequest, signal: AbortSignal): Promise<void> {
  const previous = previousResult(request.config);
  if (previous === undefined) throw new AgentError('invalid-config', 'CHECK needs the result of ADD as prevResult');
  // What is there was announced long ago: no patience.
  const pod = await resolve(context, request, signal, { announceMs: 0, appearMs: 0 });
  if (isIpam(request)) return;
  await using netns = await openNetns(request.netns, context.config.netnsDirs);
  const plan = vethPlan(context, pod, request.containerId, request.ifname);
  const failed = (what: string): never => {
    throw new AgentError('check-failed', `${pod.label}: ${what}`);
  };
  const dataplane = await context.dataplane();
  if (dataplane?.running === true) failed(dataplane.message);
  if (!linkExists(plan.hostName)) failed(`the host's end ${plan.hostName} of its interface is missing`);
  const row = interfaceNamed(context.ovs, plan.hostName);
  if (row === undefined || attachmentOf(row)?.containerId !== request.containerId) {
    return failed(`${plan.hostName} is not a port of br-int`);
  }
  if (row.external_ids.get('iface-id-ver') !== pod.uid)
    failed(`${plan.hostName} belongs to an earlier pod or container of this name`);
  if (row.ofport === undefined || row.ofport < 0)
    return failed(`ovs-vswitchd has not opened ${plan.hostName}: ${row.error ?? ''}`);
  if (row.external_ids.get('ovn-installed') !== 'true') failed(`OVN has not installed the flows of ${plan.hostName}`);
  if (!(await forwards(context, row.ofport, signal))) {
    const what = `OVN has not installed the flows of ${plan.hostName} again since ovs-vswitchd started`;
    throw new AgentError('try-again', `${pod.label}: ${what}; ask again in a moment, and see that ovn-controller runs`);
  }
  if (!(await isUp(hostSocket(), plan.hostName))) failed(`the host's end ${plan.hostName} of its interface is down`);
  const claim = claimedEnd(previous, request.ifname);
  if (claim === undefined) return failed(`prevResult does not list the interface ${request.ifname} of a container`);
  const problem = await podEndProblem(plan, netns, claim);
  if (problem !== undefined) failed(problem);
}
