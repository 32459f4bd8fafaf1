import { existsSync } from 'node:fs';
import type { IP } from '@ovenbird/crds';
import type { Pod, Store } from '@ovenbird/kube';
import { linkExists, listLinks } from '../host/link.ts';
import { type InterfaceRow, interfaceNamed, type Ovs } from '../ovs/database.ts';
import { type Attachment, attachmentOf, podInterfaces } from './interface-row.ts';
import { hostVethName, LINK_ALIAS } from './veth.ts';

/**
 * Attachments that have no container any more although nobody sent DEL. That is certain when the host's end of the pair
 * is gone: the kernel removes it with the namespace. A missing namespace path alone proves nothing (a process may keep
 * the namespace alive, and a wrongly mounted /run/netns would make every pod look dead), so then the pod has to be gone
 * from the API too.
 * @param pods the pods of this node
 * @param containers the IP objects of its containers outside of Kubernetes
 */
export function abandonedAttachments(ovs: Ovs, pods: Store<Pod>, containers: Store<IP>): readonly Attachment[] {
  const abandoned: Attachment[] = [];
  for (const row of podInterfaces(ovs)) {
    const attachment = attachmentOf(row);
    if (attachment === undefined) continue;
    const object = row.external_ids.get('ip_object');
    const uid = row.external_ids.get('iface-id-ver');
    const podGone =
      object === undefined
        ? pods.generation > 0 && pods.get(podKeyOf(row))?.metadata.uid !== uid
        : containers.generation > 0 && containers.get(object)?.metadata.uid !== uid;
    if (!linkExists(row.name) || (podGone && !existsSync(attachment.netns))) abandoned.push(attachment);
  }
  return abandoned;
}

/**
 * Attachments of one network that the runtime does not list as valid (SPEC.md, "GC").
 * @param valid what the runtime listed; absent = it listed nothing at all, which is taken as "do not know": libcni's
 *   `cnitool gc` sends no list, and removing every pod's network on its word would be an outage. `[]` means none.
 */
export function invalidAttachments(
  ovs: Ovs,
  network: string,
  valid: readonly { readonly containerID: string; readonly ifname: string }[] | null | undefined,
): readonly Attachment[] {
  if (valid === undefined || valid === null) return [];
  const keep = new Set(valid.map(({ containerID, ifname }) => hostVethName(containerID, ifname)));
  return podInterfaces(ovs)
    .map((row) => attachmentOf(row))
    .filter((attachment) => attachment !== undefined)
    .filter((one) => one.network === network && !keep.has(hostVethName(one.containerId, one.ifname)));
}

/** Host ends of pairs that have no row: an agent died between creating the pair and connecting it. */
export async function orphanLinks(ovs: Ovs): Promise<readonly string[]> {
  const links = await listLinks();
  return links
    .filter(({ ifname, ifalias }) => ifalias === LINK_ALIAS && /^h[0-9a-f]{12}$/.test(ifname))
    .map(({ ifname }) => ifname)
    .filter((name) => interfaceNamed(ovs, name) === undefined);
}

/** The pod a row belongs to, as `namespace/name`. */
export function podKeyOf(row: InterfaceRow): string {
  return `${row.external_ids.get('pod_namespace') ?? ''}/${row.external_ids.get('pod_name') ?? ''}`;
}
