/**
 * The object store: one collection per resource, one revision counter for all (as etcd has), and per collection a
 * bounded history that watches start from. Entries are never changed in place, so a list can be kept as a snapshot.
 */
import type { KubeObject } from './json.ts';

/** One stored object with its JSON text: a write serialises once, every reader reuses it. */
export interface Entry {
  readonly namespace: string;
  readonly name: string;
  readonly object: KubeObject;
  readonly json: string;
  readonly revision: number;
}

/** A committed change. For a deletion `entry` holds the last state, with the revision of the deletion. */
export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  readonly entry: Entry;
  readonly previous: Entry | undefined;
  /** Encoded watch lines by encoding, so that each is made once and not once per watcher. */
  readonly lines: Map<string, Buffer>;
}

/** What is written to disk for one change. `object` is undefined for a deletion. */
export interface Change {
  readonly resource: string;
  readonly entry: Entry;
  readonly deleted: boolean;
}

/** The objects of one resource. */
export class Collection {
  readonly resource: string;
  readonly #store: Store;
  readonly #namespaces = new Map<string, Map<string, Entry>>();
  readonly #sorted = new Map<string, readonly Entry[]>();
  #all: readonly Entry[] | undefined;
  #history: StoreEvent[] = [];
  #floor: number;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #lastListeners = new Set<(event: StoreEvent) => void>();

  constructor(resource: string, store: Store) {
    this.resource = resource;
    this.#store = store;
    this.#floor = store.revision;
  }

  get(namespace: string, name: string): Entry | undefined {
    return this.#namespaces.get(namespace)?.get(name);
  }

  /** Number of objects. */
  get size(): number {
    let size = 0;
    for (const names of this.#namespaces.values()) size += names.size;
    return size;
  }

  /** Entries of a namespace (or all, for undefined) in key order: namespace, then name. The list is a snapshot. */
  list(namespace?: string): readonly Entry[] {
    if (namespace !== undefined) {
      let sorted = this.#sorted.get(namespace);
      if (sorted === undefined) {
        sorted = [...(this.#namespaces.get(namespace)?.values() ?? [])].sort(byName);
        this.#sorted.set(namespace, sorted);
      }
      return sorted;
    }
    this.#all ??= [...this.#namespaces.keys()].sort(compare).flatMap((key) => this.list(key));
    return this.#all;
  }

  /** Entries in the order of their creation in a namespace, without sorting. */
  *values(): Generator<Entry> {
    for (const names of this.#namespaces.values()) yield* names.values();
  }

  /** Writes an object; its `metadata.resourceVersion` is set here. The object must not be changed afterwards. */
  put(object: KubeObject): Entry {
    const namespace = object.metadata.namespace ?? '';
    const previous = this.get(namespace, object.metadata.name);
    const revision = this.#store.nextRevision();
    object.metadata.resourceVersion = String(revision);
    const entry: Entry = { namespace, name: object.metadata.name, object, json: JSON.stringify(object), revision };
    this.restore(entry);
    this.#store.log({ resource: this.resource, entry, deleted: false });
    this.#record({ type: previous === undefined ? 'ADDED' : 'MODIFIED', revision, entry, previous, lines: new Map() });
    return entry;
  }

  /** Removes an object; returns its last state with the revision of the deletion. */
  remove(namespace: string, name: string): Entry | undefined {
    const names = this.#namespaces.get(namespace);
    const previous = names?.get(name);
    if (names === undefined || previous === undefined) return undefined;
    const revision = this.#store.nextRevision();
    names.delete(name);
    if (names.size === 0) this.#namespaces.delete(namespace);
    this.#changed(namespace);
    const object: KubeObject = {
      ...previous.object,
      metadata: { ...previous.object.metadata, resourceVersion: String(revision) },
    };
    const entry: Entry = { namespace, name, object, json: JSON.stringify(object), revision };
    this.#store.log({ resource: this.resource, entry, deleted: true });
    this.#record({ type: 'DELETED', revision, entry, previous, lines: new Map() });
    return entry;
  }

  /** Puts an entry back as it was (start-up): no event, no new revision. */
  restore(entry: Entry): void {
    let names = this.#namespaces.get(entry.namespace);
    if (names === undefined) {
      names = new Map();
      this.#namespaces.set(entry.namespace, names);
    }
    names.set(entry.name, entry);
    this.#changed(entry.namespace);
  }

  /** Events after `revision`, or undefined when the history does not reach that far back (or lies in the future). */
  since(revision: number): readonly StoreEvent[] | undefined {
    if (revision < this.#floor || revision > this.#store.revision) return undefined;
    let low = 0;
    let high = this.#history.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#history[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#history.slice(low);
  }

  /** Calls `listener` for each change until the returned function is called. @param last after those that are not */
  subscribe(listener: (event: StoreEvent) => void, last = false): () => void {
    const listeners = last ? this.#lastListeners : this.#listeners;
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** Forgets the history: a watch from an older revision gets 410. */
  compact(): void {
    this.#history = [];
    this.#floor = this.#store.revision;
  }

  #changed(namespace: string): void {
    this.#sorted.delete(namespace);
    this.#all = undefined;
  }

  #record(event: StoreEvent): void {
    this.#history.push(event);
    const limit = this.#store.historyLimit;
    if (this.#history.length >= limit * 2) {
      const cut = this.#history.length - limit;
      this.#floor = this.#history[cut - 1]?.revision ?? this.#floor;
      this.#history = this.#history.slice(cut);
    }
    for (const listeners of [this.#listeners, this.#lastListeners]) for (const listener of listeners) listener(event);
  }
}

/** All collections. `log` is told of every change. */
export class Store {
  readonly historyLimit: number;
  revision = 1;
  log: (change: Change) => void = () => {};
  readonly #collections = new Map<string, Collection>();

  /** @param historyLimit events that each resource keeps at least, for watches that resume (twice that at most) */
  constructor(historyLimit = 2000) {
    this.historyLimit = historyLimit;
  }

  nextRevision(): number {
    return ++this.revision;
  }

  /** The collection of a resource (`pods`, `deployments.apps`). */
  collection(resource: string): Collection {
    let collection = this.#collections.get(resource);
    if (collection === undefined) {
      collection = new Collection(resource, this);
      this.#collections.set(resource, collection);
    }
    return collection;
  }

  /** Collections made so far. */
  collections(): Iterable<Collection> {
    return this.#collections.values();
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function byName(a: Entry, b: Entry): number {
  return compare(a.name, b.name);
}
