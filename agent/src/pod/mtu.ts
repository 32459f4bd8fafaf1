import { listLinks } from '../host/link.ts';
import { setMtu } from '../netlink/route.ts';
import { hostSocket, RouteSocket } from '../netlink/socket.ts';
import type { PodContext } from './context.ts';
import { type Attachment, attachmentOf, podInterfaces } from './interface-row.ts';
import { openNetns } from './netns.ts';

/** An interface whose MTU is not what its Subnet, or the underlay, says now. */
export interface WrongMtu {
  readonly hostName: string;
  readonly attachment: Attachment;
  /** What it should be, bytes. */
  readonly mtu: number;
}

/** Interfaces of this node with another MTU than a new one would get. */
export async function wrongMtus({ ovs, mtuOf }: Pick<PodContext, 'ovs' | 'mtuOf'>): Promise<readonly WrongMtu[]> {
  const links = new Map((await listLinks()).map(({ ifname, mtu }) => [ifname, mtu]));
  return podInterfaces(ovs).flatMap((row) => {
    const attachment = attachmentOf(row);
    const subnet = row.external_ids.get('subnet');
    const now = links.get(row.name);
    if (attachment === undefined || subnet === undefined || now === undefined) return [];
    const mtu = mtuOf(subnet);
    return now === mtu ? [] : [{ hostName: row.name, attachment, mtu }];
  });
}

/**
 * Gives both ends of a running pod's cable another MTU: a packet that no longer fits the underlay would vanish in the
 * tunnel without a word to its sender.
 * @throws AgentError `invalid-netns` when the pod's namespace is gone, `host-command`
 */
export async function followMtu(
  { config, log }: Pick<PodContext, 'config' | 'log'>,
  { hostName, attachment, mtu }: WrongMtu,
  signal: AbortSignal,
): Promise<void> {
  await using netns = await openNetns(attachment.netns, config.netnsDirs);
  const { ifname } = attachment;
  using inside = new RouteSocket(netns.fd);
  await inside.run([setMtu(await inside.indexOf(ifname), ifname, mtu)]);
  signal.throwIfAborted();
  // What is looked at: only when this has changed too is it done.
  const host = hostSocket();
  await host.run([setMtu(await host.indexOf(hostName), hostName, mtu)]);
  log.info({ hostName, netns: attachment.netns, mtu }, 'MTU of a running pod changed');
}
