import {
  type Change,
  controllerOf,
  dropBulk,
  type KubeClient,
  type KubeObject,
  metadataOnly,
  Reflector,
  type ResourceKind,
  Store,
} from '@ovenbird/kube';

/** What every controller of the lab runs with. */
export interface WorkloadContext {
  readonly client: KubeClient;
  readonly informers: Informers;
  readonly signal: AbortSignal;
  /** Failures that are retried; `what` names the controller and the object. */
  readonly onError: (what: string, error: unknown) => void;
}

interface Informer {
  readonly store: Store<KubeObject>;
  readonly reflector: Reflector<KubeObject, KubeObject>;
  readonly whole: boolean;
}

/** Settings of {@link Informers}. */
export interface InformersOptions {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  readonly onError: (what: string, error: unknown) => void;
}

/**
 * One list+watch per kind, shared by all controllers. Every store is indexed by `namespace`, `owner` (UID of the
 * controlling owner) and `owners` (UIDs of all owners); pods also by `node` and `owner-node`.
 */
export class Informers {
  readonly #options: InformersOptions;
  readonly #informers = new Map<string, Informer>();

  constructor(options: InformersOptions) {
    this.#options = options;
  }

  /** The store of a kind, with whole objects. Ask for it before anybody asks for its metadata only. */
  get<T extends KubeObject>(kind: ResourceKind<T>): Store<T> {
    const informer = this.#informer(kind, true);
    if (!informer.whole) throw new Error(`${kind.plural} are watched without their content already`);
    return informer.store as unknown as Store<T>;
  }

  /** The store of a kind of which only the metadata matters. */
  metadata(kind: ResourceKind): Store<KubeObject> {
    return this.#informer(kind, false).store;
  }

  /** Resolves when all stores asked for so far hold a complete list; rejects when stopped before. */
  async synced(): Promise<void> {
    await Promise.all([...this.#informers.values()].map(({ reflector }) => reflector.synced));
  }

  /** Stop watching a kind (its CRD is gone). */
  drop(kind: ResourceKind): void {
    const key = nameOf(kind);
    const informer = this.#informers.get(key);
    if (!informer) return;
    informer.reflector.stop();
    informer.store.replace([]);
    this.#informers.delete(key);
  }

  #informer(kind: ResourceKind, whole: boolean): Informer {
    const key = nameOf(kind);
    const known = this.#informers.get(key);
    if (known) return known;
    const { client, signal, onError } = this.#options;
    const store = new Store<KubeObject>({
      indexes: {
        namespace: (object) => [object.metadata.namespace],
        owner: (object) => [controllerOf(object)?.uid],
        owners: (object) => (object.metadata.ownerReferences ?? []).map((owner) => owner.uid),
        node: (object) => [nodeOf(object)],
        'owner-node': (object) => [`${controllerOf(object)?.uid ?? ''}/${nodeOf(object) ?? ''}`],
      },
      onListenerError: (error) => onError(`watching ${key}`, error),
    });
    const reflector = new Reflector<KubeObject, KubeObject>({
      client,
      kind,
      project: whole ? dropBulk : metadataOnly,
      sink: store,
      signal,
      onNotice: (notice) => {
        if (notice.type === 'error' || notice.type === 'handler-error') onError(`watching ${key}`, notice.error);
      },
    });
    const informer = { store, reflector, whole };
    this.#informers.set(key, informer);
    reflector.start();
    return informer;
  }
}

/** `pods`, `deployments.apps`. */
export function nameOf(kind: ResourceKind): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

/** Call `on` with the UIDs of the owners that a change touches, old and new. */
export function ownersTouched<T extends KubeObject>(change: Change<T>): Set<string> {
  const owners = new Set<string>();
  for (const object of [change.old, change.new]) {
    const uid = object && controllerOf(object)?.uid;
    if (uid !== undefined) owners.add(uid);
  }
  return owners;
}

function nodeOf(object: KubeObject): string | undefined {
  const node = (object as { spec?: { nodeName?: string } | undefined }).spec?.nodeName;
  return node === undefined || node === '' ? undefined : node;
}

/** Call `then` once all stores asked for so far hold a complete list; never, when stopped before. */
export function whenSynced(informers: Informers, then: () => void): void {
  informers.synced().then(then, () => undefined);
}
