import { AgentError, messageOf, throwTogether } from '../error.ts';
import { deleteLink, linkExists, listLinks } from '../host/link.ts';
import type { LinkState } from '../netlink/state.ts';
import { interfaceNamed } from '../ovs/database.ts';
import type { Announcement } from './announcement.ts';
import { readContainer } from './containers.ts';
import { type PodContext, vethPlan } from './context.ts';
import { attachTransaction, newInterfaceUuid } from './interface-row.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { isOurAlias, type LinkNote, portDigest, readAlias } from './link-note.ts';
import { announcedPort } from './resolve.ts';
import { isHostVethName } from './veth.ts';
import { hasEnded } from './wait-announced.ts';

/**
 * What becomes of a pair without a row:
 * - `leftover`: an agent died before it connected it, or its pod is gone;
 * - `later`: the end of its pod has begun;
 * - `unlisted`: what there is is not known yet;
 * - the announcement of a running pod that lost its port (`ovs-vsctl del-port`, `del-br`, a database made anew);
 * - why nothing can be done.
 */
export type Verdict =
  | 'leftover'
  | 'later'
  | 'unlisted'
  | { readonly now: Announcement; readonly note: LinkNote }
  | { readonly unknown: string };

type Source = Pick<PodContext, 'ovs' | 'pods'> & { readonly containers: Pick<PodContext['containers'], 'objects'> };
type Link = Pick<LinkState, 'ifname' | 'ifalias' | 'peerElsewhere'>;

/** What is announced of the interface that a link is an end of. @throws Error when it cannot be read */
function announcedNow(
  { pods, containers }: Source,
  note: LinkNote,
): Announcement | 'gone' | 'later' | 'unlisted' | undefined {
  const { uid, defaultRoute } = note;
  if (pods.generation === 0) return 'unlisted';
  const pod = [...pods.values()].find(({ metadata }) => metadata.uid === uid);
  if (pod === undefined) {
    if (containers.objects.generation === 0) return 'unlisted';
    const object = [...containers.objects.values()].find(({ metadata }) => metadata.uid === uid);
    if (object === undefined) return 'gone';
    const container = readContainer(object);
    return container && { ...container, defaultRoute };
  }
  // It waits for DEL.
  if (hasEnded(pod)) return 'later';
  const now = announcedPort(pod, (port) => portDigest(port) === note.port);
  return now && { ...now, defaultRoute };
}

/** Decides about a pair without a row. No I/O. */
export function judge(source: Source, { ifalias = '', peerElsewhere }: Link): Verdict {
  // The pod's end was never in a pod.
  if (!peerElsewhere) return 'leftover';
  const note = readAlias(ifalias);
  if (note === undefined) return { unknown: 'its alias does not name it' };
  try {
    const now = announcedNow(source, note);
    if (now === 'gone') return 'leftover';
    if (now === 'later' || now === 'unlisted') return now;
    if (now === undefined) return { unknown: `no address is announced any more for container ${note.containerId}` };
    // A later sandbox of the pod has its port.
    const taken = source.ovs.replica.table('Interface').find('external_ids:iface-id', now.portName).length > 0;
    return taken ? 'leftover' : { now, note };
  } catch (error) {
    return { unknown: messageOf(error) };
  }
}

/** Tells people about a link that cannot be connected again by itself. */
export type TellStray = (link: string, message: string) => void;

/** Pairs of this node that have no row in the local database. */
export class LostPorts {
  readonly #context: PodContext;
  readonly #lock: KeyedLock;
  /** Links that people were told about. */
  readonly #told = new Set<string>();

  constructor(context: PodContext, lock: KeyedLock) {
    this.#context = context;
    this.#lock = lock;
  }

  /** Whether people were told of links that cannot be connected again as things stand. */
  get hasStrays(): boolean {
    return this.#told.size > 0;
  }

  /**
   * Removes pairs that belong to nobody: what an agent that died left unconnected, or a DEL that failed half-way.
   * @param invalid whether the runtime says so of one
   * @throws AgentError the failures together
   */
  async collect(invalid: (name: string, note: LinkNote) => boolean = () => false): Promise<void> {
    const failures: string[] = [];
    for (const link of await this.#orphans()) {
      const { ifname, ifalias = '' } = link;
      const note = readAlias(ifalias);
      const isUnwanted = judge(this.#context, link) === 'leftover' || (note !== undefined && invalid(ifname, note));
      // One with a request in progress is about to get its row.
      if (!isUnwanted || this.#lock.holds(ifname)) continue;
      await this.#lock
        .run(ifname, () => this.#remove(ifname))
        .catch((error: unknown) => failures.push(`${ifname}: ${messageOf(error)}`));
    }
    throwTogether(failures);
  }

  /**
   * Connects running pods again that lost their port, and removes pairs that belong to nobody.
   * @returns how many were connected
   * @throws AgentError the failures together
   */
  async restore(tell: TellStray, signal: AbortSignal): Promise<number> {
    const orphans = await this.#orphans();
    const names = new Set(orphans.map(({ ifname }) => ifname));
    for (const name of this.#told) if (!names.has(name)) this.#told.delete(name);
    const failures: string[] = [];
    const mended = orphans.map((link) =>
      this.#lock
        .run(link.ifname, () => this.#mend(link, tell, signal))
        .catch((error: unknown) => {
          failures.push(`${link.ifname}: ${messageOf(error)}`);
          return false;
        }),
    );
    const connected = (await Promise.all(mended)).filter((one) => one).length;
    throwTogether(failures);
    return connected;
  }

  /** Whether a link has lost its row and keeps it lost when what is asked for of it now is done. */
  async isLost(name: string): Promise<boolean> {
    return await this.#lock.run(name, async () => this.#lost(name));
  }

  #lost(name: string): boolean {
    return interfaceNamed(this.#context.ovs, name) === undefined && linkExists(name);
  }

  async #orphans(): Promise<readonly LinkState[]> {
    const links = (await listLinks()).filter(({ ifname, ifalias }) => isOurAlias(ifalias) && isHostVethName(ifname));
    return links.filter(({ ifname }) => interfaceNamed(this.#context.ovs, ifname) === undefined);
  }

  async #remove(name: string): Promise<void> {
    if (!this.#lost(name)) return;
    this.#context.log.info({ link: name }, 'removing a veth pair that is not connected');
    await deleteLink(name);
  }

  /** @returns whether it connected the link */
  async #mend(link: LinkState, tell: TellStray, signal: AbortSignal): Promise<boolean> {
    const { ovs, commits, log } = this.#context;
    const { ifname } = link;
    if (!this.#lost(ifname)) return false;
    const verdict = judge(this.#context, link);
    if (verdict === 'leftover') await this.#remove(ifname);
    if (verdict === 'unlisted') throw new AgentError('try-again', 'the pods of this node are not listed yet');
    if (typeof verdict === 'string') return false;
    if ('unknown' in verdict) {
      if (this.#told.has(ifname)) return false;
      this.#told.add(ifname);
      tell(
        ifname,
        `the link ${ifname} leads into a container but is no port of br-int, and it cannot be connected again: ${verdict.unknown}; delete the pod that has it, or the link`,
      );
      return false;
    }
    const { now, note } = verdict;
    const plan = vethPlan(this.#context, now, note.containerId, note.ifname);
    const uuid = newInterfaceUuid();
    const done = (): boolean => ovs.replica.table('Interface').find('external_ids:iface-id', now.portName).length > 0;
    // Without gateways: what the pod has is looked at, and they are recorded, right afterwards.
    await commits.commit(
      now.portName,
      () => (done() ? undefined : attachTransaction(ovs, uuid, now, note, plan, '')),
      signal,
    );
    log.warn({ link: ifname, what: now.label }, 'somebody removed the port of a running pod: connected again');
    return true;
  }
}
