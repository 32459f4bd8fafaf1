import { isIPv6 } from 'node:net';
import { AgentError } from '../error.ts';
import { linkExists } from '../host/link.ts';
import { hostSocket, RouteSocket } from '../netlink/socket.ts';
import { isUp, readLink } from '../netlink/state.ts';
import { interfaceNamed } from '../ovs/database.ts';
import { portHasFlows } from '../ovs/port-flows.ts';
import { type PodContext, vethPlan } from './context.ts';
import { attachmentOf } from './interface-row.ts';
import { openNetns, type PodNetns } from './netns.ts';
import { type PreviousResult, previousResult } from './previous-result.ts';
import { type CniRequest, isIpam } from './request.ts';
import { resolve } from './resolve.ts';
import type { VethPlan } from './veth.ts';

/**
 * What is wrong with the pod's end of the cable, or undefined. Additional addresses and routes are none of our business.
 * @param result what ADD's result says by now: of the MAC and default routes, which others may have changed since (a later
 *   plugin of the chain, Multus), and written there
 */
export async function podEndProblem(
  plan: VethPlan,
  netns: PodNetns,
  result: { readonly mac?: string | undefined; readonly routes?: PreviousResult['routes'] } = {},
): Promise<string | undefined> {
  const { ifname } = plan;
  const { mac = plan.mac, routes } = result;
  using socket = new RouteSocket(netns.fd);
  const link = await readLink(socket, ifname);
  if (link === undefined) return `${netns.path} has no interface ${ifname}`;
  if (!link.up) return `${ifname} in ${netns.path} is down`;
  if (link.address !== mac) return `${ifname} has the MAC ${link.address ?? 'none'} instead of ${mac}`;
  for (const { address, prefix, gateway } of plan.addresses) {
    if (!link.addresses.some((one) => one.local === address && one.prefixlen === prefix)) {
      return `${ifname} does not have the address ${address}/${prefix}`;
    }
    const isGone = routes?.every(({ dst }) => dst !== (isIPv6(address) ? '::/0' : '0.0.0.0/0'));
    if (!plan.defaultRoute || isGone === true) continue;
    if (!link.routes.some((route) => route.dst === 'default' && route.gateway === gateway))
      return `the default route via ${gateway} is missing`;
  }
  return undefined;
}

/** The MAC that the result of ADD gives the container's interface, lower case; a later plugin may have changed it. */
function resultMac(result: PreviousResult, { ifname }: CniRequest): string | undefined {
  return result.interfaces
    .find(({ name, sandbox }) => name === ifname && sandbox !== undefined && sandbox !== '')
    ?.mac?.toLowerCase();
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
  const mac = resultMac(previous, request);
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
  const problem = await podEndProblem(plan, netns, { mac, routes: previous.routes });
  if (problem !== undefined) failed(problem);
}
