/** The memory of the fake API server: objects, versions, and the history that watches read. */

/** An object as stored. */
export interface StoredObject {
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    generation?: number;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

/** One change, as watches see it. */
export interface StoredEvent {
  readonly version: number;
  readonly collection: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
}

/** Objects of all kinds; a collection is the URL path without the namespace: `/api/v1/pods`. */
export class FakeObjects {
  readonly #collections = new Map<string, Map<string, StoredObject>>();
  #history: StoredEvent[] = [];
  #version: number;
  #uid = 0;
  /** Watches from before this version get 410. */
  compacted = 0;
  onEvent: (event: StoredEvent) => void = () => undefined;

  constructor(version = 100) {
    this.#version = version;
  }

  get version(): number {
    return this.#version;
  }

  get(collection: string, namespace: string | undefined, name: string): StoredObject | undefined {
    return this.#collections.get(collection)?.get(key(namespace, name));
  }

  list(collection: string, namespace: string | undefined): StoredObject[] {
    const objects = [...(this.#collections.get(collection)?.values() ?? [])];
    return namespace === undefined ? objects : objects.filter((object) => object.metadata.namespace === namespace);
  }

  /** Events after `version`. */
  since(collection: string, version: number): StoredEvent[] {
    return this.#history.filter((event) => event.collection === collection && event.version > version);
  }

  /** Creates or changes an object and returns it with its new version. */
  put(collection: string, object: StoredObject): StoredObject {
    const { namespace, name } = object.metadata;
    const old = this.get(collection, namespace, name);
    this.#version += 1;
    const specChanged = JSON.stringify(old?.['spec']) !== JSON.stringify(object['spec']);
    const stored: StoredObject = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: old?.metadata.uid ?? object.metadata.uid ?? `uid-${(this.#uid += 1)}`,
        generation: (old?.metadata.generation ?? 0) + (old === undefined || specChanged ? 1 : 0),
        resourceVersion: String(this.#version),
      },
    };
    let objects = this.#collections.get(collection);
    if (objects === undefined) this.#collections.set(collection, (objects = new Map<string, StoredObject>()));
    objects.set(key(namespace, name), stored);
    this.#record({
      version: this.#version,
      collection,
      type: old === undefined ? 'ADDED' : 'MODIFIED',
      object: stored,
    });
    return stored;
  }

  /** Removes an object; the event carries the version of the deletion. */
  remove(collection: string, namespace: string | undefined, name: string): StoredObject | undefined {
    const old = this.get(collection, namespace, name);
    if (old === undefined) return undefined;
    this.#collections.get(collection)?.delete(key(namespace, name));
    this.#version += 1;
    const object = { ...old, metadata: { ...old.metadata, resourceVersion: String(this.#version) } };
    this.#record({ version: this.#version, collection, type: 'DELETED', object });
    return object;
  }

  /** Forgets the history, as etcd's compaction does. */
  compact(): void {
    this.compacted = this.#version;
    this.#history = [];
  }

  #record(event: StoredEvent): void {
    this.#history.push(event);
    this.onEvent(event);
  }
}

function key(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}
