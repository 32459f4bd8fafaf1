import type { HasMetadata, ObjectMeta } from './types/meta.ts';

/** One difference of a store. `old` absent = added, `new` absent = deleted, never both. */
export interface Change<T> {
  readonly key: string;
  readonly old?: T;
  readonly new?: T;
  /**
   * Inferred by comparing a list with what was known, not seen as a watch event. Deletions of this kind are what an
   * API server that lost its data would look like: think before acting on many of them.
   */
  readonly relist: boolean;
}

/** One event of a watch, projected. */
export interface ObjectEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: T;
}

/** Where a Reflector puts what it sees. Calls are synchronous and in order. */
export interface ReflectorSink<T> {
  /**
   * The complete content now.
   *
   * @param unreadable objects that exist but could not be projected: what was known of them stays
   */
  replace(objects: readonly T[], unreadable: readonly ObjectMeta[]): void;
  /** Events since, as many as arrived together. */
  apply(events: readonly ObjectEvent<T>[]): void;
}

/** Settings of a {@link Store}. */
export interface StoreOptions<T> {
  /** Identity of an object. Default `namespace/name`, or `name` for cluster-scoped ones. */
  readonly key?: ((object: HasMetadata) => string) | undefined;
  /** Values under which an object is found; `undefined` ones are skipped. */
  readonly indexes?: Readonly<Record<string, (object: T) => Iterable<string | undefined>>> | undefined;
  /** A listener threw. The others are still called. Default: the error is only counted. */
  readonly onListenerError?: ((error: unknown) => void) | undefined;
}

/** `namespace/name`, or `name` where there is no namespace. */
export function objectKey(object: HasMetadata): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

type Listener<T> = (changes: readonly Change<T>[]) => void;

interface Index<T> {
  readonly valuesOf: (object: T) => Iterable<string | undefined>;
  readonly keysByValue: Map<string, Set<string>>;
}

/**
 * Watched objects in memory, with indexes. Listeners get old and new together, once a batch, after all indexes are
 * current. Objects are shared, not copied: treat them as frozen.
 */
export class Store<T extends HasMetadata> implements ReflectorSink<T> {
  readonly #keyOf: (object: HasMetadata) => string;
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #listeners = new Set<Listener<T>>();
  readonly #onListenerError: ((error: unknown) => void) | undefined;
  #listenerErrors = 0;
  #generation = 0;

  constructor(options: StoreOptions<T> = {}) {
    this.#keyOf = options.key ?? objectKey;
    this.#onListenerError = options.onListenerError;
    for (const [name, valuesOf] of Object.entries(options.indexes ?? {})) {
      this.#indexes.set(name, { valuesOf, keysByValue: new Map() });
    }
  }

  /** Number of objects. */
  get size(): number {
    return this.#objects.size;
  }

  /** How often the content was compared with a complete list; 0 = nothing is known yet. */
  get generation(): number {
    return this.#generation;
  }

  /** Exceptions thrown by listeners so far. */
  get listenerErrors(): number {
    return this.#listenerErrors;
  }

  /** The object under `key`. */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  has(key: string): boolean {
    return this.#objects.has(key);
  }

  keys(): MapIterator<string> {
    return this.#objects.keys();
  }

  values(): MapIterator<T> {
    return this.#objects.values();
  }

  /** The key this store gives to `object`. */
  keyOf(object: HasMetadata): string {
    return this.#keyOf(object);
  }

  /** Objects that the index `name` files under `value`. */
  byIndex(name: string, value: string): T[] {
    const found: T[] = [];
    for (const key of this.indexKeys(name, value)) {
      const object = this.#objects.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  /** Their keys only; a live view, so do not hold it over an await. */
  indexKeys(name: string, value: string): ReadonlySet<string> {
    return this.#index(name).keysByValue.get(value) ?? noKeys;
  }

  /** All values that the index `name` has. */
  indexValues(name: string): MapIterator<string> {
    return this.#index(name).keysByValue.keys();
  }

  /**
   * Calls `listener` after each batch that changed something. Listeners are not called for what is already there.
   *
   * @returns the function that ends it
   */
  onChange(listener: Listener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  replace(objects: readonly T[], unreadable: readonly ObjectMeta[] = []): void {
    const batch = new Batch<T>(true);
    const seen = new Set<string>();
    for (const metadata of unreadable) seen.add(this.#keyOf({ metadata }));
    for (const object of objects) {
      const key = this.#keyOf(object);
      seen.add(key);
      this.#put(key, object, batch);
    }
    for (const key of this.#objects.keys()) if (!seen.has(key)) this.#remove(key, batch);
    this.#generation += 1;
    this.#notify(batch);
  }

  apply(events: readonly ObjectEvent<T>[]): void {
    const batch = new Batch<T>(false);
    for (const { type, object } of events) {
      const key = this.#keyOf(object);
      if (type === 'DELETED') this.#remove(key, batch);
      else this.#put(key, object, batch);
    }
    this.#notify(batch);
  }

  #index(name: string): Index<T> {
    const index = this.#indexes.get(name);
    if (index !== undefined) return index;
    throw new Error(`the store has no index "${name}", only ${[...this.#indexes.keys()].join(', ') || 'none'}`);
  }

  #put(key: string, object: T, batch: Batch<T>): void {
    const old = this.#objects.get(key);
    if (old !== undefined && sameVersion(old, object)) return;
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) refile(index, key, old, object);
    batch.record(key, old, object);
  }

  #remove(key: string, batch: Batch<T>): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) refile(index, key, old, undefined);
    batch.record(key, old, undefined);
  }

  #notify(batch: Batch<T>): void {
    const changes = batch.changes();
    if (changes.length === 0) return;
    // A copy: a listener added by another one must not see a batch from before its time.
    const listeners = [...this.#listeners];
    for (const listener of listeners) {
      try {
        listener(changes);
      } catch (error) {
        this.#listenerErrors += 1;
        this.#onListenerError?.(error);
      }
    }
  }
}

const noKeys: ReadonlySet<string> = new Set();

/** A resourceVersion names one state of one incarnation; without one, assume a change. */
function sameVersion(a: HasMetadata, b: HasMetadata): boolean {
  return (
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion &&
    a.metadata.uid === b.metadata.uid
  );
}

function refile<T>(index: Index<T>, key: string, old: T | undefined, current: T | undefined): void {
  const before = old === undefined ? noKeys : valueSet(index, old);
  const after = current === undefined ? noKeys : valueSet(index, current);
  for (const value of before) {
    if (after.has(value)) continue;
    const keys = index.keysByValue.get(value);
    keys?.delete(key);
    if (keys?.size === 0) index.keysByValue.delete(value);
  }
  for (const value of after) {
    if (before.has(value)) continue;
    const keys = index.keysByValue.get(value);
    if (keys === undefined) index.keysByValue.set(value, new Set([key]));
    else keys.add(key);
  }
}

function valueSet<T>(index: Index<T>, object: T): ReadonlySet<string> {
  const values = new Set<string>();
  for (const value of index.valuesOf(object)) if (value !== undefined) values.add(value);
  return values;
}

/**
 * Folds the events of one batch into one change an object: what listeners compare is the state before the batch and
 * after it. An incarnation that came and went inside the batch leaves no trace, except that a deletion followed by a
 * creation stays visible as a change of the UID between `old` and `new`.
 */
class Batch<T> {
  readonly #relist: boolean;
  readonly #first = new Map<string, T | undefined>();
  readonly #last = new Map<string, T | undefined>();

  constructor(relist: boolean) {
    this.#relist = relist;
  }

  record(key: string, old: T | undefined, current: T | undefined): void {
    if (!this.#first.has(key)) this.#first.set(key, old);
    this.#last.set(key, current);
  }

  changes(): Change<T>[] {
    const changes: Change<T>[] = [];
    for (const [key, current] of this.#last) {
      const old = this.#first.get(key);
      if (old === undefined && current === undefined) continue;
      changes.push({
        key,
        ...(old === undefined ? {} : { old }),
        ...(current === undefined ? {} : { new: current }),
        relist: this.#relist,
      });
    }
    return changes;
  }
}
