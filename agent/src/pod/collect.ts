import { existsSync } from 'node:fs';
import type { IP } from '@ovenbird/crds';
import type { Pod, Store } from '@ovenbird/kube';
import { linkExists } from '../host/link.ts';
import type { InterfaceRow, Ovs } from '../ovs/database.ts';
import { type Attachment, attachmentOf, podInterfaces } from './interface-row.ts';
import { hostVethName } from './veth.ts';

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

type Listed = readonly { readonly containerID: string; readonly ifname: string }[] | null | undefined;

/**
 * Whether an attachment of one network is not among those that the runtime lists as valid (SPEC.md, "GC"). @param network its name
 * @param valid what the runtime listed; absent = it listed nothing at all, which is taken as "do not know": libcni's
 *   `cnitool gc` sends no list, and removing every pod's network on its word would be an outage. `[]` means none.
 */
export function unlisted(network: string, valid: Listed): (name: string, one: Attachment) => boolean {
  if (valid === undefined || valid === null) return () => false;
  const keep = new Set(valid.map(({ containerID, ifname }) => hostVethName(containerID, ifname)));
  return (name, one) => one.network === network && !keep.has(name);
}

/** Attachments that the runtime does not list. @param unwanted as {@link unlisted} says */
export function invalidAttachments(ovs: Ovs, unwanted: ReturnType<typeof unlisted>): readonly Attachment[] {
  return podInterfaces(ovs)
    .map((row) => attachmentOf(row))
    .filter((attachment) => attachment !== undefined)
    .filter((one) => unwanted(hostVethName(one.containerId, one.ifname), one));
}

/** The pod a row belongs to, as `namespace/name`. */
export function podKeyOf(row: InterfaceRow): string {
  return `${row.external_ids.get('pod_namespace') ?? ''}/${row.external_ids.get('pod_name') ?? ''}`;
}
