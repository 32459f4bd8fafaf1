import type { KubeRequest, Query } from './client.ts';
import { KubeError, type RequestSubject } from './error.ts';
import { apiVersionOf, type ResourceKind } from './resource-kind.ts';
import type { KubeObject, ObjectList, ObjectRef, Status } from './types/meta.ts';

/** What {@link Resource} needs of a client. */
export interface Requester {
  request<T>(request: KubeRequest): Promise<T>;
}

/** Options of every call. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** See `KubeRequest.timeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

/** Which objects to list. */
export interface ListOptions extends CallOptions {
  /** Absent = all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Objects a page. Default 500, the page size of kubectl and client-go. */
  readonly limit?: number | undefined;
}

/** Options of writes. */
export interface WriteOptions extends CallOptions {
  /** Name in managedFields. Default `ovenbird`. */
  readonly fieldManager?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

/** The server answers a write with the whole object: whoever has a watch need not parse it a second time. */
export interface Unread {
  readonly unread: true;
}

/** How a patch is meant (Kubernetes: "Update API objects in place using kubectl patch"). */
export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';

/** Options of patches. */
export interface PatchOptions extends WriteOptions {
  /** Default `merge` (RFC 7386). */
  readonly type?: PatchType | undefined;
  /** Only for `apply`: take over fields that others own. */
  readonly force?: boolean | undefined;
}

/** Options of deletions. */
export interface DeleteOptions extends CallOptions {
  /** Delete only this incarnation; another UID is a `conflict`. */
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined;
}

const patchContentTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const satisfies Record<PatchType, string>;

/** Typed operations on the objects of one kind. All throw {@link KubeError}. */
export class Resource<T extends KubeObject> {
  readonly #client: Requester;
  readonly #kind: ResourceKind<T>;

  constructor(client: Requester, kind: ResourceKind<T>) {
    this.#client = client;
    this.#kind = kind;
  }

  /** Reads one object, from a quorum of the server's store. */
  async get(ref: ObjectRef, options: CallOptions = {}): Promise<T> {
    return await this.#client.request<T>({
      path: this.#objectPath(ref),
      subject: this.#subject('get', ref),
      ...call(options),
    });
  }

  /** Like {@link get}; undefined where there is none. */
  async find(ref: ObjectRef, options: CallOptions = {}): Promise<T | undefined> {
    try {
      return await this.get(ref, options);
    } catch (error) {
      if (error instanceof KubeError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  /** Lists everything, page by page. Prefer a Reflector for what is wanted continuously. */
  async list(options: ListOptions = {}): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let resourceVersion = '';
    for await (const page of this.pages(options)) {
      // Not push(...items): 200,000 arguments overflow the stack.
      for (const item of page.items) items.push(item);
      resourceVersion ||= page.metadata.resourceVersion ?? '';
    }
    return { items, resourceVersion };
  }

  /**
   * The pages of one consistent list: all have the resourceVersion of the first.
   *
   * @throws KubeError `gone` when the server forgot the snapshot before the last page (about 5 minutes)
   */
  async *pages(options: ListOptions = {}): AsyncGenerator<ObjectList<T>, void, void> {
    let token: string | undefined;
    do {
      const query: Query = {
        limit: options.limit ?? 500,
        continue: token,
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
      };
      const page = await this.#client.request<ObjectList<T>>({
        path: this.collectionPath(options.namespace),
        query,
        subject: this.subject('list', options.namespace),
        ...call(options),
      });
      const items: unknown = page.items;
      if (items !== null && !Array.isArray(items)) {
        throw new KubeError('protocol', 'the answer is not a list', {
          subject: this.subject('list', options.namespace),
        });
      }
      yield { ...page, metadata: page.metadata ?? {}, items: page.items ?? [] };
      token = page.metadata?.continue;
    } while (token !== undefined && token !== '');
  }

  /** Creates an object; its namespace is `metadata.namespace`. apiVersion and kind may be left out. */
  async create(object: T, options: WriteOptions & Unread): Promise<undefined>;
  async create(object: T, options?: WriteOptions): Promise<T>;
  async create(object: T, options: WriteOptions & Partial<Unread> = {}): Promise<T | undefined> {
    const { metadata } = object;
    return await this.#client.request<T>({
      method: 'POST',
      path: this.#requiredNamespacePath(metadata.namespace, metadata.name),
      query: writeQuery(options),
      body: this.#typed(object),
      subject: this.#subject('create', metadata),
      unread: options.unread,
      ...call(options),
    });
  }

  /** Replaces an object. With `metadata.resourceVersion` it is a compare-and-swap (`conflict`). */
  async replace(object: T, options: WriteOptions = {}): Promise<T> {
    return await this.#put(object, undefined, options);
  }

  /** Replaces the status subresource. */
  async replaceStatus(object: T, options: WriteOptions = {}): Promise<T> {
    return await this.#put(object, 'status', options);
  }

  /**
   * Patches an object. `{ metadata: { uid } }` in a merge patch is a precondition: another incarnation of the name is
   * a `conflict`.
   */
  async patch(ref: ObjectRef, patch: unknown, options: PatchOptions & Unread): Promise<undefined>;
  async patch(ref: ObjectRef, patch: unknown, options?: PatchOptions): Promise<T>;
  async patch(ref: ObjectRef, patch: unknown, options: PatchOptions & Partial<Unread> = {}): Promise<T | undefined> {
    return await this.#patch(ref, undefined, patch, options);
  }

  /** Patches the status subresource, or the status where that is none. */
  async patchStatus(ref: ObjectRef, patch: unknown, options: PatchOptions = {}): Promise<T> {
    return await this.#patch(ref, this.#kind.statusSubresource === false ? undefined : 'status', patch, options);
  }

  /** Server-side apply: creates the object or sets exactly the given fields. */
  async apply(object: T, options: Omit<PatchOptions, 'type'> = {}): Promise<T> {
    return await this.#patch(object.metadata, undefined, this.#typed(object), { ...options, type: 'apply' });
  }

  /** Deletes one object. The answer is the object (still terminating) or a `Status`. */
  async delete(ref: ObjectRef, options: DeleteOptions = {}): Promise<T | Status> {
    const { uid, resourceVersion, gracePeriodSeconds, propagationPolicy } = options;
    const preconditions = uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion };
    return await this.#client.request<T | Status>({
      method: 'DELETE',
      path: this.#objectPath(ref),
      body: { kind: 'DeleteOptions', apiVersion: 'v1', preconditions, gracePeriodSeconds, propagationPolicy },
      subject: this.#subject('delete', ref),
      ...call(options),
    });
  }

  /** URL path of the collection, over all namespaces unless one is given. */
  collectionPath(namespace?: string): string {
    const { group, version, plural, namespaced } = this.#kind;
    const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    if (namespace === undefined) return `${root}/${plural}`;
    if (!namespaced) throw this.#misuse(`${plural} have no namespace, but "${namespace}" was given`);
    return `${root}/namespaces/${segment(namespace)}/${plural}`;
  }

  /** For messages about the collection or one of its objects. */
  subject(verb: string, namespace?: string, name?: string): RequestSubject {
    const { group, plural } = this.#kind;
    return { verb, resource: group === '' ? plural : `${plural}.${group}`, namespace, name };
  }

  #subject(verb: string, ref: ObjectRef): RequestSubject {
    return this.subject(verb, ref.namespace, ref.name);
  }

  async #put(object: T, subresource: 'status' | undefined, options: WriteOptions): Promise<T> {
    return await this.#client.request<T>({
      method: 'PUT',
      path: this.#objectPath(object.metadata, subresource),
      query: writeQuery(options),
      body: this.#typed(object),
      subject: this.#subject(subresource === undefined ? 'replace' : 'replace status of', object.metadata),
      ...call(options),
    });
  }

  async #patch(
    ref: ObjectRef,
    subresource: 'status' | undefined,
    body: unknown,
    options: PatchOptions & Partial<Unread>,
  ): Promise<T> {
    const type = options.type ?? 'merge';
    return await this.#client.request<T>({
      method: 'PATCH',
      path: this.#objectPath(ref, subresource),
      query: { ...writeQuery(options), force: type === 'apply' && options.force === true ? true : undefined },
      body,
      contentType: patchContentTypes[type],
      subject: this.#subject(subresource === undefined ? 'patch' : 'patch status of', ref),
      unread: options.unread,
      ...call(options),
    });
  }

  #typed(object: T): T {
    return { ...object, apiVersion: apiVersionOf(this.#kind), kind: this.#kind.kind };
  }

  #requiredNamespacePath(namespace: string | undefined, name: string): string {
    if (this.#kind.namespaced && (namespace === undefined || namespace === '')) {
      throw this.#misuse(`${this.#kind.plural} are namespaced: give the namespace of "${name}"`);
    }
    return this.collectionPath(this.#kind.namespaced ? namespace : undefined);
  }

  #objectPath(ref: ObjectRef, subresource?: string): string {
    const path = `${this.#requiredNamespacePath(ref.namespace, ref.name)}/${segment(ref.name)}`;
    return subresource === undefined ? path : `${path}/${subresource}`;
  }

  #misuse(message: string): KubeError {
    return new KubeError('config', message);
  }
}

/** A name as one path segment; `..` would address another object. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..') throw new KubeError('config', `"${name}" cannot name an object`);
  return encodeURIComponent(name);
}

function call(options: CallOptions): CallOptions {
  return { signal: options.signal, timeoutMs: options.timeoutMs };
}

function writeQuery(options: WriteOptions): Query {
  return { fieldManager: options.fieldManager ?? 'ovenbird', dryRun: options.dryRun === true ? 'All' : undefined };
}
