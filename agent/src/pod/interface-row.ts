import { randomUUID } from 'node:crypto';
import { multus } from '@ovenbird/crds';
import { type OpenVswitch, type Ref, type Transaction, toRef } from '@ovenbird/ovsdb';
import { AgentError } from '../error.ts';
import { linkExists } from '../host/link.ts';
import {
  type InterfaceRow,
  integrationBridge,
  interfaceNamed,
  newTransaction,
  noopQos,
  type Ovs,
  removePort,
  VENDOR,
} from '../ovs/database.ts';
import type { Announcement } from './announcement.ts';
import type { VethPlan } from './veth.ts';

/** One attachment of a container, as its Interface row records it. */
export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
  /** `name` of the network configuration that created it; GC is confined to one network (SPEC.md, "GC"). */
  readonly network: string;
  readonly netns: string;
}

/** Reads back what {@link attachTransaction} wrote; undefined for rows that are not a pod's interface of ours. */
export function attachmentOf(row: InterfaceRow): Attachment | undefined {
  const ids = row.external_ids;
  const containerId = ids.get('container_id');
  if (ids.get('vendor') !== VENDOR || containerId === undefined) return undefined;
  return {
    containerId,
    ifname: ids.get('container_ifname') ?? '',
    network: ids.get('cni_network') ?? '',
    netns: ids.get('pod_netns') ?? '',
  };
}

/** The gateways of a pod's routes with the prefixes of its addresses, as its Interface row records them. */
export function gatewaysOf(pod: Pick<Announcement, 'addresses'>): string {
  return pod.addresses.map(({ gateway, prefix }) => `${gateway}/${prefix}`).join(',');
}

/**
 * Whether the default routes of a container outside of Kubernetes go through one of its interfaces: through the first one
 * that was attached. What an ADD decided stays so.
 */
export function firstOfContainer(ovs: Ovs, hostName: string, containerId: string): boolean {
  const isDefault = (row: InterfaceRow): boolean => row.external_ids.get('default_route') !== 'false';
  const own = interfaceNamed(ovs, hostName);
  if (own !== undefined && attachmentOf(own)?.containerId === containerId) return isDefault(own);
  const others = podInterfaces(ovs).filter((row) => attachmentOf(row)?.containerId === containerId);
  return !others.some((row) => row.name !== hostName && isDefault(row));
}

/** Every pod interface of ours. */
export function podInterfaces(ovs: Ovs): readonly InterfaceRow[] {
  return ovs.replica
    .table('Interface')
    .find('external_ids:vendor', VENDOR)
    .filter((row) => attachmentOf(row) !== undefined);
}

/**
 * Refuses an interface in a container whose port another interface of it has already: taking the port over would cut that
 * one off.
 * @throws AgentError `second-interface`
 */
export function refuseSecondInterface(
  ovs: Ovs,
  pod: Pick<Announcement, 'label' | 'portName'>,
  request: Pick<Attachment, 'containerId' | 'ifname'>,
): void {
  for (const row of ovs.replica.table('Interface').find('external_ids:iface-id', pod.portName)) {
    const other = attachmentOf(row);
    // One whose link is gone has no interface any more; it only waits to be collected.
    if (other?.containerId !== request.containerId || other.ifname === request.ifname || !linkExists(row.name))
      continue;
    throw new AgentError(
      'second-interface',
      `${pod.label} is attached as ${other.ifname} already, and does not ask for a further interface ${request.ifname}: name its network in the annotation ${multus.networks}`,
    );
  }
}

/**
 * The transaction that puts a pod's host veth on br-int. Rows in the way (a sandbox of the same pod that was never
 * deleted, an earlier try of this one) go in the same transaction: two Interfaces with one iface-id would make
 * ovn-controller choose either.
 * @param uuid of the new Interface row, so that an ambiguous commit cannot make a twin
 * @param gateways what is recorded of the pod's routes
 * @throws AgentError `try-again` while br-int does not exist, `second-interface`
 */
export function attachTransaction(
  ovs: Ovs,
  uuid: Ref<'Interface'>,
  pod: Announcement,
  attachment: Attachment,
  plan: VethPlan,
  gateways: string = gatewaysOf(plan),
): Transaction<OpenVswitch> {
  const bridge = integrationBridge(ovs);
  if (bridge === undefined) throw new AgentError('try-again', 'the bridge br-int does not exist yet');
  refuseSecondInterface(ovs, pod, attachment);
  const transaction = newTransaction();
  const ifaceId = pod.portName;
  const inTheWay = new Set([
    ...ovs.replica.table('Interface').find('external_ids:iface-id', ifaceId),
    ...ovs.replica.table('Interface').find('name', plan.hostName),
  ]);
  for (const row of inTheWay) removePort(ovs, transaction, row);
  transaction.insert(
    'Interface',
    {
      name: plan.hostName,
      external_ids: new Map([
        ['vendor', VENDOR],
        ['iface-id', ifaceId],
        ['iface-id-ver', pod.uid],
        ['attached-mac', plan.mac],
        ['ip_addresses', plan.addresses.map(({ address }) => address).join(',')],
        ['gateways', gateways],
        ['subnet', pod.subnet],
        ...(pod.object === undefined
          ? ([
              ['pod_name', pod.name],
              ['pod_namespace', pod.namespace],
            ] as const)
          : ([['ip_object', pod.object]] as const)),
        ['pod_netns', attachment.netns],
        ['container_id', attachment.containerId],
        ...(plan.defaultRoute ? [] : ([['default_route', 'false']] as const)),
        ['container_ifname', attachment.ifname],
        ['cni_network', attachment.network],
      ]),
    },
    { uuid },
  );
  const qos = noopQos(ovs);
  const port = transaction.insert('Port', {
    name: plan.hostName,
    interfaces: [uuid],
    ...(qos === undefined ? {} : { qos }),
    // Namespaces do not outlive a boot but conf.db does: ovs-ctl(8) deletes transient ports when the system starts.
    other_config: new Map([['transient', 'true']]),
  });
  transaction.mutate('Bridge', bridge._uuid, 'ports', 'insert', [port]);
  return transaction.comment(`ovenbird: attach ${pod.label}`);
}

/** A fresh uuid for {@link attachTransaction}. */
export function newInterfaceUuid(): Ref<'Interface'> {
  return toRef('Interface', randomUUID());
}

/** The transaction that takes an attachment's port away, or undefined when there is none. */
export function detachTransaction(
  ovs: Ovs,
  hostName: string,
  containerId: string,
): Transaction<OpenVswitch> | undefined {
  const row = interfaceNamed(ovs, hostName);
  if (row === undefined || attachmentOf(row)?.containerId !== containerId) return undefined;
  const transaction = newTransaction();
  removePort(ovs, transaction, row);
  return transaction.comment(`ovenbird: detach ${hostName}`);
}
