import {
  apiVersionOf,
  CRDS,
  isKubeError,
  type KubeObject,
  type OwnerReference,
  type ResourceKind,
  type Store,
  sleep,
  systemClock,
  WorkQueue,
} from '@ovenbird/kube';
import { discoverKinds } from './discovery.ts';
import { nameOf, type WorkloadContext, whenSynced } from './informers.ts';
import { type GraphNode, judge, ObjectGraph, ownersOf } from './object-graph.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';
/** Nothing is owned by them, and they are many. */
const IGNORED = new Set(['events', 'events.events.k8s.io']);
/** CRDs come in bunches, and their kinds are served a moment after they are accepted. */
const DISCOVERY_DELAY_MS = 300;
const LIST_PATIENCE_MS = 5000;
const DISCOVER = 'discover kinds';

/**
 * Deletes objects whose owners are gone, and finishes foreground and orphaning deletions, for every kind the server
 * has (Kubernetes documentation, "Garbage Collection").
 */
export function startGarbageCollector(context: WorkloadContext): void {
  const { informers, signal, onError } = context;
  const collector = new Collector(context);
  const queue = new WorkQueue<string>({
    concurrency: 8,
    backoff: { initialMs: 100, maxMs: 30_000 },
    signal,
    process: async ({ key }) => {
      if (key !== DISCOVER) await collector.look(key);
      else await collector.discover((uid) => queue.add(uid));
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'conflict', 'not-found', 'aborted')) {
        onError(`garbage collection of ${key}`, failure.error);
      }
    },
  });
  const crds = informers.get(CRDS);
  crds.onChange(() => queue.add(DISCOVER, { delayMs: DISCOVERY_DELAY_MS }));
  queue.add(DISCOVER);
  whenSynced(informers, () => queue.start());
}

class Collector {
  readonly #context: WorkloadContext;
  readonly #graph = new ObjectGraph();
  readonly #kinds = new Map<string, ResourceKind>();
  /** Owners that the server said do not exist; UIDs never come back. */
  readonly #absent = new Set<string>();
  /** Objects with an owner of a kind that nobody serves yet: looked at again when kinds change. */
  readonly #undecided = new Set<string>();
  /** Resolves when the kinds known at its making are listed. */
  #listed: Promise<unknown> = Promise.resolve();

  constructor(context: WorkloadContext) {
    this.#context = context;
  }

  /** Watch the kinds that appeared, forget those that went. */
  async discover(add: (uid: string) => void): Promise<void> {
    const { client, informers, signal } = this.#context;
    const found = new Map<string, ResourceKind>();
    for (const kind of await discoverKinds(client, signal)) {
      if (!IGNORED.has(nameOf(kind))) found.set(nameOf(kind), kind);
    }
    for (const [name, kind] of this.#kinds) {
      if (found.has(name)) continue;
      informers.drop(kind);
      this.#kinds.delete(name);
    }
    for (const [name, kind] of found) {
      if (this.#kinds.has(name)) continue;
      this.#kinds.set(name, kind);
      this.#follow(kind, informers.metadata(kind), add);
    }
    for (const uid of this.#undecided) add(uid);
    this.#undecided.clear();
    // An incomplete graph only costs questions to the server, so a kind that cannot be listed must not hold up others.
    this.#listed = Promise.race([
      informers.synced().catch(() => undefined),
      sleep(systemClock, LIST_PATIENCE_MS, signal),
    ]);
  }

  #follow(kind: ResourceKind, store: Store<KubeObject>, add: (uid: string) => void): void {
    const put = (object: KubeObject, old?: KubeObject): void => {
      this.#graph.put(kind, object);
      if (old && viewOf(old) === viewOf(object)) return; // most changes are of status
      if (ownersOf(object).length > 0 || finalizerOf(object)) add(object.metadata.uid ?? '');
    };
    const remove = (object: KubeObject): void => {
      const uid = object.metadata.uid ?? '';
      this.#graph.remove(uid);
      for (const dependent of this.#graph.dependents(uid)) add(dependent.uid);
      // An owner in foreground deletion may have waited for this one.
      for (const owner of ownersOf(object)) add(owner.uid);
    };
    for (const object of store.values()) put(object);
    store.onChange((changes) => {
      for (const { old, new: now } of changes) {
        if (old && old.metadata.uid !== now?.metadata.uid) remove(old);
        if (now) put(now, old?.metadata.uid === now.metadata.uid ? old : undefined);
      }
    });
  }

  /** Do what is due for one object. */
  async look(uid: string): Promise<void> {
    await this.#listed;
    const node = this.#graph.get(uid);
    if (!node) return;
    const finalizer = finalizerOf(node.object);
    if (finalizer === FOREGROUND) return await this.#finishForeground(node);
    if (finalizer === ORPHAN) return await this.#orphan(node);
    const owners = ownersOf(node.object);
    const gone = new Set<string>();
    for (const owner of owners) if (await this.#isGone(owner, node)) gone.add(owner.uid);
    const waits = (owner: OwnerReference): boolean => {
      const object = this.#graph.get(owner.uid)?.object;
      return object !== undefined && finalizerOf(object) === FOREGROUND;
    };
    const verdict = judge(node.object, (owner) => gone.has(owner.uid), waits);
    if (verdict.action === 'delete') await this.#delete(node, verdict.policy);
    if (verdict.action === 'unlink') await this.#unlink(node, verdict.owners);
  }

  async #finishForeground(node: GraphNode): Promise<void> {
    const dependents = this.#graph.dependents(node.uid);
    const blocking = dependents.filter(({ object }) =>
      ownersOf(object).some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion === true),
    );
    if (blocking.length === 0) return await this.#removeFinalizer(node, FOREGROUND);
    await Promise.all(
      blocking
        .filter(({ object }) => object.metadata.deletionTimestamp === undefined)
        .map((dependent) => this.look(dependent.uid)),
    );
  }

  async #orphan(node: GraphNode): Promise<void> {
    await Promise.all(
      this.#graph.dependents(node.uid).map((dependent) =>
        this.#unlink(
          dependent,
          ownersOf(dependent.object).filter((owner) => owner.uid === node.uid),
        ),
      ),
    );
    await this.#removeFinalizer(node, ORPHAN);
  }

  /** The graph may lack an owner that is only not listed yet: the server is asked before anything is deleted. */
  async #isGone(owner: OwnerReference, { uid, object }: GraphNode): Promise<boolean> {
    if (this.#graph.get(owner.uid)) return false;
    if (this.#absent.has(owner.uid)) return true;
    const kind = [...this.#kinds.values()].find(
      (known) => known.kind === owner.kind && apiVersionOf(known) === owner.apiVersion,
    );
    if (!kind) {
      this.#undecided.add(uid);
      return false;
    }
    const { namespace } = object.metadata;
    const ref = kind.namespaced ? { namespace, name: owner.name } : { name: owner.name };
    const found = await this.#context.client.resource(kind).find(ref, { signal: this.#context.signal });
    if (found?.metadata.uid === owner.uid) return false;
    if (this.#absent.size > 10_000) this.#absent.clear();
    this.#absent.add(owner.uid);
    return true;
  }

  async #delete({ kind, object }: GraphNode, propagationPolicy: 'Background' | 'Foreground'): Promise<void> {
    const { uid, resourceVersion } = object.metadata;
    const { client, signal } = this.#context;
    // The version: owners could have been added since.
    await client.resource(kind).delete(object.metadata, { uid, resourceVersion, propagationPolicy, signal });
  }

  async #unlink({ kind, object }: GraphNode, owners: readonly OwnerReference[]): Promise<void> {
    const { uid, resourceVersion } = object.metadata;
    const ownerReferences = ownersOf(object).filter((owner) => !owners.includes(owner));
    const { client, signal } = this.#context;
    const metadata = { uid, resourceVersion, ownerReferences: ownerReferences.length > 0 ? ownerReferences : null };
    await client.resource(kind).patch(object.metadata, { metadata }, { ...by, signal });
  }

  async #removeFinalizer({ kind, object }: GraphNode, finalizer: string): Promise<void> {
    const { uid, resourceVersion } = object.metadata;
    const finalizers = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
    const { client, signal } = this.#context;
    await client
      .resource(kind)
      .patch(object.metadata, { metadata: { uid, resourceVersion, finalizers } }, { ...by, signal });
  }
}

const by = { fieldManager: 'kube-controller-manager' } as const;

/** The collector's finalizer on an object that is being deleted. */
function finalizerOf({ metadata }: KubeObject): typeof FOREGROUND | typeof ORPHAN | undefined {
  const finalizers = metadata.deletionTimestamp === undefined ? [] : (metadata.finalizers ?? []);
  if (finalizers.includes(FOREGROUND)) return FOREGROUND;
  return finalizers.includes(ORPHAN) ? ORPHAN : undefined;
}

/** What the collector's decision about an object depends on. */
function viewOf(object: KubeObject): string {
  return JSON.stringify([ownersOf(object), object.metadata.deletionTimestamp, object.metadata.finalizers]);
}
