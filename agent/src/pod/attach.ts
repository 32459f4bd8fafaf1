import type { Ref } from '@ovenbird/ovsdb';
import { deleteLink, linkExists } from '../host/link.ts';
import { interfaceNamed, type Ovs, withPatience } from '../ovs/database.ts';
import { type Announcement, checkRequestedAddress } from './announcement.ts';
import { limitBandwidth } from './bandwidth.ts';
import { podEndProblem } from './check.ts';
import { type PodContext, vethPlan } from './context.ts';
import { detach } from './detach.ts';
import {
  type Attachment,
  attachmentOf,
  attachTransaction,
  newInterfaceUuid,
  refuseSecondInterface,
} from './interface-row.ts';
import { linkAlias } from './link-note.ts';
import { openNetns, type PodNetns } from './netns.ts';
import { type PreviousResult, previousResult } from './previous-result.ts';
import { type CniRequest, isContainer, isIpam, podIdentity } from './request.ts';
import { resolve } from './resolve.ts';
import { addResult, appendResult, type CniAddResult, ipamResult } from './result.ts';
import { configurePodEnd, createVeth, type VethPlan } from './veth.ts';
import { waitForwards, waitInstalled } from './wait-installed.ts';

/** The Interface row of an earlier, complete ADD of the same attachment, or undefined. */
async function earlierAttachment(
  ovs: Ovs,
  pod: Announcement,
  request: CniRequest,
  plan: VethPlan,
  netns: PodNetns,
): Promise<Ref<'Interface'> | undefined> {
  const row = interfaceNamed(ovs, plan.hostName);
  if (row === undefined || !linkExists(plan.hostName)) return undefined;
  const attachment = attachmentOf(row);
  if (attachment?.containerId !== request.containerId || attachment.netns !== request.netns) return undefined;
  if (row.external_ids.get('iface-id-ver') !== pod.uid) return undefined;
  return (await podEndProblem(plan, netns)) === undefined ? row._uuid : undefined;
}

function attachmentBy({ containerId, ifname, config, netns }: CniRequest): Attachment {
  return { containerId, ifname, network: config.name, netns };
}

/** Connects the pair to br-int and configures the pod end; the two do not depend on each other and overlap. */
async function connect(
  context: PodContext,
  pod: Announcement,
  request: CniRequest,
  plan: VethPlan,
  netns: PodNetns,
  signal: AbortSignal,
): Promise<void> {
  const uuid = newInterfaceUuid();
  const attachment = attachmentBy(request);
  const bind = async (): Promise<void> => {
    // A try whose reply was lost may have been carried out.
    const done = (): boolean => context.ovs.replica.table('Interface').get(uuid) !== undefined;
    await withPatience(context.config.ovsdb, context.config.installTimeout, signal, (until) =>
      context.commits.commit(
        pod.portName,
        () => (done() ? undefined : attachTransaction(context.ovs, uuid, pod, attachment, plan)),
        until,
      ),
    );
    await waitInstalled(context.ovs, uuid, signal, context.config.installTimeout);
  };
  // Both have to be over before anything is undone.
  const configure = async (): Promise<void> => {
    await configurePodEnd(plan, netns);
    await limitBandwidth(plan, netns, request.config.runtimeConfig?.bandwidth);
  };
  const outcomes = await Promise.allSettled([bind(), configure()]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/**
 * CNI ADD: waits for the pod's addresses, creates its interface and waits until OVN forwards for it. The same ADD again
 * returns the same result and changes nothing. What a failing ADD began is undone.
 * @throws AgentError
 */
export async function attach(context: PodContext, request: CniRequest, signal: AbortSignal): Promise<CniAddResult> {
  const previous = previousResult(request.config);
  const deadlines = { announceMs: context.config.announceTimeout, appearMs: 1000 };
  if (isIpam(request)) {
    const pod = await resolve(context, request, signal, deadlines);
    checkRequestedAddress(pod, request);
    return ipamResult(request.config.cniVersion, pod, request.config.dns);
  }
  if (!isContainer(request)) podIdentity(request);
  await using netns = await openNetns(request.netns, context.config.netnsDirs);
  if (!isContainer(request)) {
    const pod = await resolve(context, request, signal, deadlines);
    return await attachAnnounced(context, pod, request, previous, netns, signal);
  }
  const known = context.containers.of(request.containerId, request.ifname) !== undefined;
  try {
    await context.containers.ensure(request, signal);
    const container = await resolve(context, request, signal, deadlines);
    return await attachAnnounced(context, container, request, previous, netns, signal);
  } catch (error) {
    const object = context.containers.of(request.containerId, request.ifname);
    if (!known && object !== undefined) {
      await context.containers.remove(object).catch((failure: unknown) => {
        context.log.warn({ err: failure, object: object.metadata.name }, 'could not give an address back yet');
      });
    }
    throw error;
  }
}

async function attachAnnounced(
  context: PodContext,
  pod: Announcement,
  request: CniRequest,
  previous: PreviousResult | undefined,
  netns: PodNetns,
  signal: AbortSignal,
): Promise<CniAddResult> {
  checkRequestedAddress(pod, request);
  refuseSecondInterface(context.ovs, pod, request);
  const plan = vethPlan(context, pod, request.containerId, request.ifname);
  const own = addResult(request.config.cniVersion, request.netns, plan, request.config.dns);
  const result = previous === undefined ? own : appendResult(previous, own);
  const earlier = await earlierAttachment(context.ovs, pod, request, plan, netns);
  if (earlier !== undefined) {
    await waitForwards(context, earlier, signal);
    return result;
  }
  // A leftover of an ADD that the agent did not survive. Its other end is in this pod or in none.
  await deleteLink(plan.hostName);
  signal.throwIfAborted();
  await createVeth(plan, netns, linkAlias(pod, attachmentBy(request)));
  try {
    await connect(context, pod, request, plan, netns, signal);
  } catch (error) {
    await detach(context, request.containerId, request.ifname).catch((failure: unknown) => {
      // The runtime sends DEL after a failed ADD, which tries this again.
      context.log.warn({ err: failure, what: pod.label }, 'could not undo a failed ADD');
    });
    throw error;
  }
  return result;
}
