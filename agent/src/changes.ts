import { isDeepStrictEqual } from 'node:util';
import type { Subnet } from '@ovenbird/crds';
import type { Change, Pod } from '@ovenbird/kube';
import { HOST_PORT } from './host/ovn0.ts';
import { hasIpv6 } from './networks.ts';
import type { InterfaceRow, OvsChange } from './ovs/database.ts';
import { gatewayMoved } from './pod/gateway.ts';
import { attachmentOf } from './pod/interface-row.ts';
import { netemsOf } from './pod/netem.ts';

/** Loops of the agent. */
export type LoopName =
  | 'bootstrap'
  | 'ovn0'
  | 'nat'
  | 'forward'
  | 'collect'
  | 'gateways'
  | 'mtu'
  | 'netem'
  | 'install'
  | 'ports'
  | 'conditions';

/** Loops that a change of the local database concerns. */
export function concernedByRow(change: OvsChange): readonly LoopName[] {
  if (change.table === 'Open_vSwitch') return ['bootstrap'];
  if (change.table === 'Bridge') {
    const { old, new: now } = change;
    if ((now ?? old)?.name !== 'br-int') return [];
    if (now === undefined || old === undefined) return ['bootstrap', 'ovn0', 'install'];
    return now.fail_mode === old.fail_mode && now.datapath_type === old.datapath_type ? [] : ['bootstrap'];
  }
  if (change.table !== 'Interface') return [];
  const { old, new: now } = change;
  const netem: readonly LoopName[] = old === undefined || now === undefined ? ['netem'] : [];
  const row = now ?? old;
  if (row?.name === HOST_PORT) return ['ovn0', 'bootstrap', ...netem];
  if (row?.name === 'br-int') return ['install', ...netem];
  return lostLink(old, now) ? ['collect', ...netem] : netem;
}

/** Name of the pod's interface whose row was removed, by whomever. */
export function removedPort(change: OvsChange): string | undefined {
  if (change.table !== 'Interface' || change.new !== undefined || change.old === undefined) return undefined;
  return attachmentOf(change.old) === undefined ? undefined : change.old.name;
}

/**
 * Whether vswitchd has just said that the link of a pod's interface is gone: by an error in the kernel datapath, by
 * forgetting the ifindex in userspace.
 */
function lostLink(old: InterfaceRow | undefined, now: InterfaceRow | undefined): boolean {
  if (now === undefined || !now.external_ids.has('container_id')) return false;
  return now.error !== undefined || ((now.ifindex ?? 0) === 0 && (old?.ifindex ?? 0) > 0);
}

/** Loops that a change of a Subnet concerns. */
export function concernedBySubnet(change: Change<Subnet>): readonly LoopName[] {
  const { old, new: now } = change;
  const [before, after] = [old, now].map((subnet) => subnet !== undefined && hasIpv6(subnet));
  return [
    // The first one with IPv6 asks more of the underlay.
    ...(before === after ? [] : (['bootstrap'] as const)),
    ...(subnetEdited(change) ? (['ovn0', 'nat'] as const) : []),
    ...(old?.spec.mtu === now?.spec.mtu ? [] : (['mtu'] as const)),
  ];
}

/** Loops that a change of a pod concerns. */
export function concernedByPod(change: Change<Pod>): readonly LoopName[] {
  return [
    ...(change.new === undefined ? (['collect'] as const) : []),
    ...(gatewayMoved(change) ? (['gateways'] as const) : []),
    ...(netemEdited(change) ? (['netem'] as const) : []),
  ];
}

/** Whether a pod asks for other delay or loss than before. */
function netemEdited({ old, new: now }: Change<Pod>): boolean {
  const wish = (pod: Pod | undefined): string =>
    JSON.stringify([...(pod === undefined ? [] : netemsOf(pod))].filter(([, text]) => text !== ''));
  return wish(old) !== wish(now);
}

/** Whether the host may have to change: the counts in a Subnet's status, new every second while pods come, are nothing to it. */
function subnetEdited({ old, new: now }: Change<Subnet>): boolean {
  const read = (subnet: Subnet | undefined): unknown =>
    subnet && [subnet.spec, subnet.status?.vpc, subnet.status?.nodes];
  return !isDeepStrictEqual(read(old), read(now));
}
