import { multus, type Route } from '@ovenbird/crds';
import {
  KubeError,
  type Node as KubeNode,
  type Pod as KubePod,
  NODES,
  PODS,
  type Requester,
  Resource,
  WorkQueue,
  type WorkReport,
} from '@ovenbird/kube';
import { AllocError } from '../alloc/error.ts';
import { interfacesAnnouncement } from '../attachment/announcement.ts';
import { isAnnounced, nodeAnnouncement, podAnnouncement } from '../pod/announcement.ts';
import { requestOf } from '../pod/request.ts';
import type { Address, Key, Kind, Namespace, Node, Pod, Tables, UsableSubnet } from '../store/model.ts';
import type { State } from '../store/state.ts';

export interface AnnouncerOptions {
  readonly client: Requester;
  readonly state: State;
  readonly signal: AbortSignal;
  /** Whether the northbound database has the rows of this incarnation. It may not when it was queued for a predecessor. */
  readonly isPublished: (owner: string, uid: string) => boolean;
  /** A pod's or node's annotations were written: its IP object may follow. */
  readonly announced: (owner: string) => void;
  /** A result key was edited by somebody else and is put back. */
  readonly restored: (pod: Pod) => void;
  readonly onReport?: (report: WorkReport<string>) => void;
}

/** An announcement that was seen on its object. */
interface Done {
  /** Of the object. */
  readonly uid: string;
  readonly text: string;
  /** What it was made from, when that is all of it: the same again needs no second look. */
  readonly from?: Source;
}

interface Source {
  readonly annotations: Pod['annotations'];
  readonly address: Address;
  readonly subnet: UsableSubnet;
  readonly namespace: Namespace | undefined;
}

/** Patches in flight. The API server is the bottleneck, not we; more than this only makes it queue. */
const concurrency = 32;

/**
 * Writes what was decided into the annotations of pods and nodes: one merge patch each, with the UID as precondition, so
 * that a re-created pod of the same name never gets its predecessor's address.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #queue: WorkQueue<string>;
  readonly #pods: Resource<KubePod>;
  readonly #nodes: Resource<KubeNode>;
  /** What was seen on each object: what differs from the same wish afterwards was edited by somebody else. */
  readonly #done = new Map<string, Done>();
  /** What was patched, and the object as it was then: nothing to do until the watch shows another one. */
  readonly #sent = new Map<string, { readonly object: Pod | Node; readonly text: string }>();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#pods = new Resource(options.client, PODS);
    this.#nodes = new Resource(options.client, NODES);
    this.#queue = new WorkQueue<string>({
      process: ({ key, signal }) => this.#announce(key, signal),
      concurrency,
      signal: options.signal,
      ...(options.onReport === undefined ? {} : { onReport: options.onReport }),
    });
    this.#queue.start();
  }

  pod(key: Key): void {
    this.#queue.add(`Pod/${key}`);
  }

  node(name: Key): void {
    this.#queue.add(`Node/${name}`);
  }

  /** Resolves when no announcement waits or is on its way. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  async #announce(owner: string, signal: AbortSignal): Promise<void> {
    const { state } = this.#options;
    const slash = owner.indexOf('/');
    const isPod = owner.startsWith('Pod/');
    const key = owner.slice(slash + 1);
    const kind: Kind = isPod ? 'Pod' : 'Node';
    const object: Tables['Pod'] | Tables['Node'] | undefined = state.get(kind, key);
    const address = state.get(isPod ? 'PodAddress' : 'NodeAddress', key);
    const subnet = address === undefined ? undefined : state.get('UsableSubnet', address.subnet);
    if (object === undefined) {
      this.#done.delete(owner);
      this.#sent.delete(owner);
    }
    if (object === undefined || address === undefined || subnet === undefined || address.uid !== object.uid) return;
    if (!this.#options.isPublished(owner, object.uid)) return;
    const objectUid = uidOf(object);
    const namespace = 'namespace' in object ? state.get('Namespace', object.namespace) : undefined;
    const source: Source = { annotations: object.annotations, address, subnet, namespace };
    const known = this.#done.get(owner);
    if (known?.from !== undefined && known.uid === objectUid && isSame(known.from, source)) return;
    const further = 'hostNetwork' in object ? interfacesAnnouncement(state, object, address) : undefined;
    const annotations = isPod
      ? { ...podAnnouncement(address, subnet, this.#routes(object as Pod)), ...further?.wanted }
      : nodeAnnouncement(key, address, subnet);
    const text = JSON.stringify(annotations);
    if (isAnnounced(object, annotations)) {
      this.#remember(owner, {
        uid: objectUid,
        text,
        ...(multus.networks in object.annotations ? {} : { from: source }),
      });
      return;
    }
    const sent = this.#sent.get(owner);
    if (sent?.object === object && sent.text === text) return;
    const done = this.#done.get(owner);
    if (isPod && done?.uid === objectUid && done.text === text) this.#options.restored(object as Pod);
    const ref = 'namespace' in object ? { namespace: object.namespace, name: object.name } : { name: object.name };
    const patch = { metadata: { uid: objectUid, annotations: { ...annotations, ...further?.unguarded } } };
    try {
      if (isPod) await this.#pods.patch(ref, patch, { signal, unread: true });
      else await this.#nodes.patch(ref, patch, { signal, unread: true });
    } catch (error) {
      // Gone, or another incarnation of the name: the watch brings it.
      if (error instanceof KubeError && (error.code === 'not-found' || error.code === 'conflict')) return;
      throw error;
    }
    this.#sent.set(owner, { object, text });
    this.#done.delete(owner);
    this.#options.announced(owner);
  }

  /** The routes that the pod and its namespace ask for; none when what they say cannot be read (any more). */
  #routes(pod: Pod): readonly Route[] {
    try {
      return requestOf(pod, this.#options.state.get('Namespace', pod.namespace)?.annotations).routes;
    } catch (error) {
      if (error instanceof AllocError) return [];
      throw error;
    }
  }

  #remember(owner: string, seen: Done): void {
    const { uid } = seen;
    const sentTo = this.#sent.get(owner)?.object;
    const sent = sentTo !== undefined && uidOf(sentTo) === uid;
    this.#sent.delete(owner);
    const done = this.#done.get(owner);
    this.#done.set(owner, seen);
    if (done?.uid !== uid && !sent) this.#options.announced(owner);
  }
}

/** The UID that the API server knows an object by. */
function uidOf(object: Pod | Node): string {
  return 'objectUid' in object ? (object.objectUid ?? object.uid) : object.uid;
}

function isSame(a: Source, b: Source): boolean {
  if (a.address !== b.address || a.subnet !== b.subnet || a.namespace !== b.namespace) return false;
  const keys = Object.keys(a.annotations);
  return (
    keys.length === Object.keys(b.annotations).length && keys.every((key) => a.annotations[key] === b.annotations[key])
  );
}
