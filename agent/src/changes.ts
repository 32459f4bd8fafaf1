import { isDeepStrictEqual } from 'node:util';
import type { Subnet } from '@ovenbird/crds';
import type { Change, Pod } from '@ovenbird/kube';
import type { InterfaceRow } from './ovs/database.ts';
import { netemsOf } from './pod/netem.ts';

/**
 * Whether vswitchd has just said that the link of a pod's interface is gone: by an error in the kernel datapath, by
 * forgetting the ifindex in userspace.
 */
export function lostLink(old: InterfaceRow | undefined, now: InterfaceRow | undefined): boolean {
  if (now === undefined || !now.external_ids.has('container_id')) return false;
  return now.error !== undefined || ((now.ifindex ?? 0) === 0 && (old?.ifindex ?? 0) > 0);
}

/** Whether a pod asks for other delay or loss than before. */
export function netemEdited({ old, new: now }: Change<Pod>): boolean {
  const wish = (pod: Pod | undefined): string =>
    JSON.stringify([...(pod === undefined ? [] : netemsOf(pod))].filter(([, text]) => text !== ''));
  return wish(old) !== wish(now);
}

/** Whether the host may have to change: the counts in a Subnet's status, new every second while pods come, are nothing to it. */
export function subnetEdited({ old, new: now }: Change<Subnet>): boolean {
  const read = (subnet: Subnet | undefined): unknown =>
    subnet && [subnet.spec, subnet.status?.vpc, subnet.status?.nodes];
  return !isDeepStrictEqual(read(old), read(now));
}
