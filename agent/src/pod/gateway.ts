import { announcement } from '@ovenbird/crds';
import type { Change, Pod } from '@ovenbird/kube';
import type { InterfaceRow } from '../ovs/database.ts';
import { commit, interfaceNamed, newTransaction } from '../ovs/database.ts';
import type { Announcement } from './announcement.ts';
import { readContainer } from './containers.ts';
import { type PodContext, vethPlan } from './context.ts';
import { attachmentOf, gatewaysOf, podInterfaces } from './interface-row.ts';
import { openNetns } from './netns.ts';
import { announcedPort } from './resolve.ts';
import { followSubnet } from './veth.ts';

/** An interface whose routes lead to where its Subnet's gateway was before, or whose Subnet has grown. */
export interface MovedGateway {
  /** Host end of the interface. */
  readonly hostName: string;
  /** What is announced now. */
  readonly now: Announcement;
}

type Source = Pick<PodContext, 'ovs' | 'pods'> & { readonly containers: Pick<PodContext['containers'], 'objects'> };

/** Whether gateways of a running pod, or the CIDRs of its Subnets, were announced anew. */
export function gatewayMoved({ old, new: now }: Change<Pod>): boolean {
  return [announcement.gateway, announcement.cidr, announcement.interfaces].some((key) => {
    const [before, after] = [old?.metadata.annotations?.[key], now?.metadata.annotations?.[key]];
    return before !== undefined && after !== undefined && before !== after;
  });
}

/** What is announced now of an interface that was attached; undefined when nothing is, or it cannot be read. */
function announcedNow({ pods, containers }: Source, { external_ids: ids }: InterfaceRow): Announcement | undefined {
  const object = ids.get('ip_object');
  try {
    if (object !== undefined) {
      const record = containers.objects.get(object);
      const found = record === undefined ? undefined : readContainer(record);
      // ADD decided it.
      return found && { ...found, defaultRoute: ids.get('default_route') !== 'false' };
    }
    const pod = pods.get(`${ids.get('pod_namespace') ?? ''}/${ids.get('pod_name') ?? ''}`);
    return pod && announcedPort(pod, (port) => port === ids.get('iface-id'));
  } catch {
    // What the controller writes next may be readable; an ADD would say what is wrong.
    return undefined;
  }
}

/** Interfaces of this node whose announced gateways and prefixes are not those that they have. No I/O. */
export function movedGateways(source: Source): readonly MovedGateway[] {
  return podInterfaces(source.ovs).flatMap((row) => {
    const ids = row.external_ids;
    const now = announcedNow(source, row);
    if (now === undefined || now.uid !== ids.get('iface-id-ver') || now.portName !== ids.get('iface-id')) return [];
    return ids.get('gateways') === gatewaysOf(now) ? [] : [{ hostName: row.name, now }];
  });
}

/**
 * Gives a running container's addresses the present prefixes of its Subnet, points its routes at the gateways, and records
 * that it did. The gateway stays reachable under its old address until then only as far as the kernel still knows its MAC,
 * so this is done at once.
 * @throws AgentError `invalid-netns` when the namespace is gone, `try-again`, `host-command`
 */
export async function followGateway(
  context: PodContext,
  { hostName, now }: MovedGateway,
  signal: AbortSignal,
): Promise<void> {
  const { ovs, config, log } = context;
  const row = interfaceNamed(ovs, hostName);
  const attachment = row === undefined ? undefined : attachmentOf(row);
  if (row === undefined || attachment === undefined) return;
  const plan = vethPlan(context, now, attachment.containerId, attachment.ifname);
  await using netns = await openNetns(attachment.netns, config.netnsDirs);
  await followSubnet(plan, netns);
  const gateways = gatewaysOf(now);
  await commit(
    ovs,
    () => {
      const transaction = newTransaction();
      transaction.mutate('Interface', row._uuid, 'external_ids', 'delete', ['gateways']);
      transaction.mutate('Interface', row._uuid, 'external_ids', 'insert', new Map([['gateways', gateways]]));
      return transaction.comment(`ovenbird: gateway of ${now.label}`);
    },
    signal,
  );
  log.info({ what: now.label, gateways }, 'routes and prefixes follow the Subnet');
}
