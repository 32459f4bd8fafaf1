import { createHash } from 'node:crypto';
import type { Announcement } from './announcement.ts';
import type { Attachment } from './interface-row.ts';

/** First word of the alias of every link that the agent made. */
const MARK = 'ovenbird';
/** The longest alias that the kernel takes, bytes (if.h, IFALIASZ). */
const MOST_BYTES = 255;

/**
 * What is needed to connect a pod's interface again whose row in the local database is gone, beside what the controller
 * announced.
 */
export interface LinkNote extends Attachment {
  /** UID of the pod, or of the container's IP object. */
  readonly uid: string;
  /** Which of its interfaces: {@link portDigest} of the name of its logical switch port. */
  readonly port: string;
  /** Whether the default routes go through it. */
  readonly defaultRoute: boolean;
}

/** Some digits that tell the ports of one pod apart. */
export function portDigest(portName: string): string {
  return createHash('sha256').update(portName).digest('hex').slice(0, 8);
}

/** Whether a link's alias says that the agent made it. */
export function isOurAlias(alias: string | undefined): boolean {
  return alias === MARK || alias?.startsWith(`${MARK} `) === true;
}

/**
 * The alias of the host's end of a pair: it lives as long as the pair does, whatever becomes of the database. It is the bare
 * mark where the rest does not fit.
 */
export function linkAlias(
  pod: Pick<Announcement, 'uid' | 'portName' | 'defaultRoute'>,
  { containerId, ifname, network, netns }: Attachment,
): string {
  const route = pod.defaultRoute ? 'default' : 'more';
  const words = [MARK, pod.uid, portDigest(pod.portName), route, containerId, ifname, network, netns];
  const text = words.join(' ');
  return Buffer.byteLength(text) > MOST_BYTES ? MARK : text;
}

/** Reads back what {@link linkAlias} wrote; undefined where it says no more than who made the link. */
export function readAlias(alias: string): LinkNote | undefined {
  // A path may hold spaces, the words before it cannot: none of the names may (SPEC.md, "Parameters"; dev_valid_name).
  const found = /^ovenbird (\S+) (\S+) (default|more) (\S+) (\S+) (\S+) (.+)$/s.exec(alias);
  if (found === null) return undefined;
  const [, uid = '', port = '', route, containerId = '', ifname = '', network = '', netns = ''] = found;
  return { uid, port, defaultRoute: route === 'default', containerId, ifname, network, netns };
}
