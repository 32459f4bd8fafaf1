import { run } from '../host/run.ts';
import { commit, interfaceNamed, newTransaction } from '../ovs/database.ts';
import { type Announcement, readAnnouncement } from './announcement.ts';
import { type PodContext, vethPlan } from './context.ts';
import { attachmentOf, gatewaysOf, podInterfaces } from './interface-row.ts';
import { podPortName } from './interfaces.ts';
import { INHERITED_NETNS, openNetns } from './netns.ts';
import { replaceRoutes } from './veth.ts';

/** A pod whose default routes lead to where its Subnet's gateway was before. */
export interface MovedGateway {
  /** Host end of its interface. */
  readonly hostName: string;
  readonly pod: Announcement;
}

/** Pods of this node whose announced gateways are not those that their routes lead to. No child process, no I/O. */
export function movedGateways({ ovs, pods }: Pick<PodContext, 'ovs' | 'pods'>): readonly MovedGateway[] {
  return podInterfaces(ovs).flatMap((row) => {
    const ids = row.external_ids;
    const object = pods.get(`${ids.get('pod_namespace') ?? ''}/${ids.get('pod_name') ?? ''}`);
    const pod = object === undefined ? undefined : readAnnouncement(object);
    if (pod === undefined || pod.uid !== ids.get('iface-id-ver')) return [];
    if (ids.get('iface-id') !== podPortName(pod.namespace, pod.name) || ids.get('gateways') === gatewaysOf(pod))
      return [];
    return [{ hostName: row.name, pod }];
  });
}

/**
 * Points a running pod's routes at its Subnet's present gateways, and records that it did. The gateway stays reachable
 * under its old address until then only as far as the kernel still knows its MAC, so this is done at once.
 * @throws AgentError `invalid-netns` when the pod's namespace is gone, `try-again`
 */
export async function followGateway(
  context: PodContext,
  { hostName, pod }: MovedGateway,
  signal: AbortSignal,
): Promise<void> {
  const { ovs, config, log } = context;
  const row = interfaceNamed(ovs, hostName);
  const attachment = row === undefined ? undefined : attachmentOf(row);
  if (row === undefined || attachment === undefined) return;
  const plan = vethPlan(context, pod, attachment.containerId, attachment.ifname);
  await using netns = await openNetns(attachment.netns, config.netnsDirs);
  await run('nsenter', [`--net=${INHERITED_NETNS}`, 'ip', '-batch', '-'], {
    input: replaceRoutes(plan),
    fds: [netns.fd],
    signal,
  });
  const gateways = gatewaysOf(pod);
  await commit(
    ovs,
    () => {
      const transaction = newTransaction();
      transaction.mutate('Interface', row._uuid, 'external_ids', 'delete', ['gateways']);
      transaction.mutate('Interface', row._uuid, 'external_ids', 'insert', new Map([['gateways', gateways]]));
      return transaction.comment(`ovenbird: gateway of ${pod.namespace}/${pod.name}`);
    },
    signal,
  );
  log.info({ pod: `${pod.namespace}/${pod.name}`, gateways }, 'default routes follow the gateway of the Subnet');
}
