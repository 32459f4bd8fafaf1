/**
 * Every change of an object goes through here: create, update (of which patches and sub-resources are forms) and
 * delete, with the system's part of `metadata`, preconditions, admission, validation and finalizers.
 */
import { randomInt, randomUUID } from 'node:crypto';
import type { Admit } from './admission-policies.ts';
import {
  alreadyExists,
  badRequest,
  type Cause,
  conflict,
  forbidden,
  forbiddenField,
  invalid,
  MODIFIED,
  notFound,
} from './api-error.ts';
import { type DeleteOptions, deletionPlan, removable } from './deletion.ts';
import { clone, equal, isObject, type JsonObject, type KubeObject, type ObjectMeta, stringOf, textOf } from './json.ts';
import { trackUpdate } from './managed-fields.ts';
import { validateMetadata } from './names.ts';
import { apiVersionOf, groupResource, type PrepareContext, type Resource } from './resource.ts';
import type { Collection, Entry, Store } from './store.ts';

/** How a write is asked for. */
export interface WriteOptions {
  readonly dryRun: boolean;
  /** Manager name for `managedFields`. */
  readonly fieldManager: string;
  /** What happens to unknown fields: kept silent, warned of, or refused. */
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
  /** Filled with texts for `Warning` headers. */
  readonly warnings: string[];
  /** Asked before anything is stored; throws what it refuses. Absent for what the server does by itself. */
  readonly admit?: Admit;
}

/** Options of writes that the server makes by itself. */
export function internalWrite(): WriteOptions {
  return { dryRun: false, fieldManager: 'apiserver', fieldValidation: 'Ignore', warnings: [] };
}

/** The result of a write: an entry of the store, or for a dry run one that looks like it. */
export interface Written {
  readonly entry: Entry;
  readonly created: boolean;
}

const SUFFIX = 'bcdfghjklmnpqrstvwxz2456789';
/** 63 - 5 characters, as k8s.io/apiserver/pkg/storage/names. */
const GENERATE_LIMIT = 58;

function generated(base: string): string {
  let suffix = '';
  for (let i = 0; i < 5; i++) suffix += SUFFIX[randomInt(SUFFIX.length)] ?? '';
  return base.slice(0, GENERATE_LIMIT) + suffix;
}

/** Makes all changes to the store. `now` is milliseconds since the epoch. */
export class Writer {
  readonly store: Store;
  readonly #now: () => number;

  constructor(store: Store, now: () => number) {
    this.store = store;
    this.#now = now;
  }

  /** RFC 3339 in UTC with seconds, as metav1.Time. */
  timestamp(offsetSeconds = 0): string {
    return `${new Date(this.#now() + offsetSeconds * 1000).toISOString().slice(0, 19)}Z`;
  }

  collection(resource: Resource): Collection {
    return this.store.collection(groupResource(resource));
  }

  /** The stored entry. Throws 404. */
  get(resource: Resource, namespace: string, name: string): Entry {
    const entry = this.collection(resource).get(namespace, name);
    if (entry === undefined) throw notFound(resource, name);
    return entry;
  }

  /**
   * Creates an object from a request body.
   * Throws 409 if it exists, 404 for a missing namespace, 422 with causes for bad content.
   */
  create(resource: Resource, namespace: string, body: unknown, options: WriteOptions, applied = false): Written {
    const draft = this.#decode(resource, namespace, body);
    this.#checkNamespace(resource, namespace);
    const given = draft.metadata;
    const context = this.#context(options, '');
    if (stringOf(given.resourceVersion) !== undefined && given.resourceVersion !== '') {
      throw badRequest('resourceVersion should not be set on objects to be created');
    }
    let name = stringOf(given.name) ?? '';
    const base = stringOf(given.generateName) ?? '';
    const collection = this.collection(resource);
    if (name === '' && base !== '') {
      do name = generated(base);
      while (collection.get(namespace, name) !== undefined);
    }
    draft.metadata = this.#systemMeta(resource, given, namespace, name, context.now, applied);
    unknownFields(resource, draft, options);
    resource.strategy.prepareCreate?.(draft, context);
    const causes = validateMetadata(draft, resource.nameRule, undefined);
    if (causes.length === 0) causes.push(...(resource.strategy.validate?.(draft, undefined, context) ?? []));
    if (causes.length > 0) throw invalid(resource, name === '' ? base : name, causes);
    if (collection.get(namespace, name) !== undefined) throw alreadyExists(resource, name);
    options.admit?.({ operation: 'CREATE', resource, subresource: '', object: draft });
    if (options.dryRun) return { entry: transient(draft), created: true };
    const entry = collection.put(draft);
    resource.strategy.committed?.(draft, undefined);
    return { entry, created: true };
  }

  /**
   * Changes an object. `change` gets the stored object, which it must not touch, and returns the wanted one.
   * A wanted `metadata.uid` or `resourceVersion` that differs is a 409. A change of nothing writes nothing.
   */
  update(
    resource: Resource,
    namespace: string,
    name: string,
    subresource: string,
    change: (old: KubeObject) => unknown,
    options: WriteOptions,
    applied = false,
  ): Written {
    const stored = this.get(resource, namespace, name);
    const old = stored.object;
    const draft = this.#decode(resource, namespace, change(old));
    const wanted = draft.metadata;
    if (wanted.name !== name) {
      throw badRequest(`the name of the object (${wanted.name}) does not match the name on the URL (${name})`);
    }
    this.#preconditions(resource, name, old, wanted.uid, wanted.resourceVersion);
    const context = this.#context(options, subresource);
    const { deletionTimestamp, deletionGracePeriodSeconds, generation } = old.metadata;
    const fixed: ObjectMeta = { ...wanted, uid: old.metadata.uid, creationTimestamp: old.metadata.creationTimestamp };
    setOrDelete(fixed, 'namespace', old.metadata.namespace);
    setOrDelete(fixed, 'generateName', old.metadata.generateName);
    setOrDelete(fixed, 'deletionTimestamp', deletionTimestamp);
    setOrDelete(fixed, 'deletionGracePeriodSeconds', deletionGracePeriodSeconds);
    setOrDelete(fixed, 'generation', generation);
    fixed.resourceVersion = old.metadata.resourceVersion;
    draft.metadata = fixed;
    separateStatus(resource, draft, old, subresource);
    unknownFields(resource, draft, options);
    resource.strategy.prepareUpdate?.(draft, old, context);
    const causes = validateMetadata(draft, resource.nameRule, old);
    causes.push(...newFinalizers(draft, old));
    if (causes.length === 0) causes.push(...(resource.strategy.validate?.(draft, old, context) ?? []));
    if (causes.length > 0) throw invalid(resource, name, causes);
    if (!applied && (draft.metadata.managedFields ?? old.metadata.managedFields) !== undefined) {
      trackUpdate(old, draft, resource, { manager: options.fieldManager, subresource, now: context.now });
    }
    normalizeMeta(draft.metadata);
    if (resource.generation && subresource !== 'status' && !equal(desired(resource, draft), desired(resource, old))) {
      draft.metadata.generation = (generation ?? 0) + 1;
    }
    options.admit?.({ operation: 'UPDATE', resource, subresource, object: draft, oldObject: old });
    if (sameContent(draft, old)) return { entry: stored, created: false };
    if (options.dryRun) return { entry: transient(draft), created: false };
    if (removable(resource, draft)) return { entry: this.#remove(resource, draft), created: false };
    const entry = this.collection(resource).put(draft);
    resource.strategy.committed?.(draft, old);
    return { entry, created: false };
  }

  /**
   * Deletes an object, or marks it as being deleted where finalizers, a grace period or a namespace's content stand in
   * the way. `removed` tells which. Throws 404 and, for failed preconditions, 409.
   */
  delete(
    resource: Resource,
    namespace: string,
    name: string,
    options: DeleteOptions,
  ): { entry: Entry; removed: boolean } {
    const stored = this.get(resource, namespace, name);
    const old = stored.object;
    this.#preconditions(resource, name, old, options.uid, options.resourceVersion);
    options.admit?.({ operation: 'DELETE', resource, subresource: '', oldObject: old });
    const kept = resource.strategy.keep?.(old);
    if (kept !== undefined) throw forbidden(resource, name, kept);
    const plan = deletionPlan(resource, old, options, (seconds) => this.timestamp(seconds));
    if (plan === undefined) {
      if (options.dryRun) return { entry: stored, removed: true };
      return { entry: this.#remove(resource, old), removed: true };
    }
    if (equal(plan, old)) return { entry: stored, removed: false };
    if (options.dryRun) return { entry: transient(plan), removed: false };
    const entry = this.collection(resource).put(plan);
    resource.strategy.committed?.(plan, old);
    return { entry, removed: false };
  }

  #remove(resource: Resource, last: KubeObject): Entry {
    const namespace = last.metadata.namespace ?? '';
    const entry = this.collection(resource).remove(namespace, last.metadata.name);
    if (entry === undefined) throw notFound(resource, last.metadata.name);
    resource.strategy.committed?.(undefined, last);
    return entry;
  }

  /** Checks the body's form and gives a copy that may be changed. */
  #decode(resource: Resource, namespace: string, body: unknown): KubeObject {
    if (!isObject(body)) throw badRequest(`the body must be a JSON object of kind ${resource.kind}`);
    const apiVersion = apiVersionOf(resource);
    const kind = body['kind'] ?? resource.kind;
    const version = body['apiVersion'] ?? apiVersion;
    if (kind !== resource.kind || version !== apiVersion) {
      throw badRequest(
        `the object provided is unrecognized: it says ${textOf(version)} ${textOf(kind)}, this path takes ${apiVersion} ${resource.kind}`,
      );
    }
    const draft = clone(body);
    draft['apiVersion'] = apiVersion;
    draft['kind'] = resource.kind;
    if (draft['metadata'] === undefined || draft['metadata'] === null) draft['metadata'] = {};
    const metadata = draft['metadata'];
    if (!isObject(metadata)) throw badRequest('metadata must be an object');
    for (const key of Object.keys(metadata)) if (metadata[key] === null) delete metadata[key];
    for (const key of ['name', 'namespace', 'generateName', 'uid', 'resourceVersion']) {
      if (metadata[key] !== undefined && typeof metadata[key] !== 'string') {
        throw badRequest(`metadata.${key} must be a string, got ${JSON.stringify(metadata[key])}`);
      }
    }
    const given = metadata['namespace'];
    if (resource.namespaced && given !== undefined && given !== '' && given !== namespace) {
      throw badRequest(
        `the namespace of the provided object does not match the namespace sent on the request: ${textOf(given)} is not ${namespace}`,
      );
    }
    if (!resource.namespaced) delete metadata['namespace'];
    // The order of the members is what people see with -o json: apiVersion, kind, metadata, then the rest.
    const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...rest } = draft;
    return { apiVersion, kind: resource.kind, metadata: metadata as unknown as ObjectMeta, ...rest };
  }

  #systemMeta(
    resource: Resource,
    given: ObjectMeta,
    namespace: string,
    name: string,
    now: string,
    applied: boolean,
  ): ObjectMeta {
    const metadata: ObjectMeta = {
      ...given,
      name,
      uid: randomUUID(),
      resourceVersion: '',
      creationTimestamp: now,
    };
    if (resource.namespaced) metadata.namespace = namespace;
    delete metadata.deletionTimestamp;
    delete metadata.deletionGracePeriodSeconds;
    if (!applied) delete metadata.managedFields;
    delete (metadata as unknown as JsonObject)['selfLink'];
    if (resource.generation) metadata.generation = 1;
    else delete metadata.generation;
    normalizeMeta(metadata);
    return metadata;
  }

  #checkNamespace(resource: Resource, namespace: string): void {
    if (!resource.namespaced) return;
    const owner = this.store.collection('namespaces').get('', namespace);
    const namespaces = { group: '', plural: 'namespaces' };
    if (owner === undefined) throw notFound(namespaces, namespace);
    if (owner.object.metadata.deletionTimestamp !== undefined) {
      throw forbidden(
        resource,
        '',
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
    }
  }

  #preconditions(resource: Resource, name: string, old: KubeObject, uid?: string, version?: string): void {
    if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) {
      throw conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
      );
    }
    if (version !== undefined && version !== '' && version !== old.metadata.resourceVersion) {
      throw conflict(resource, name, MODIFIED);
    }
  }

  #context(options: WriteOptions, subresource: string): PrepareContext {
    return { now: this.timestamp(), dryRun: options.dryRun, subresource };
  }
}

function transient(object: KubeObject): Entry {
  return {
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    object,
    json: JSON.stringify(object),
    revision: 0,
  };
}

function setOrDelete<K extends keyof ObjectMeta>(metadata: ObjectMeta, key: K, value: ObjectMeta[K] | undefined): void {
  if (value === undefined) delete metadata[key];
  else metadata[key] = value;
}

/** Empty lists and maps of metadata are left out, as Go's omitempty does. */
function normalizeMeta(metadata: ObjectMeta): void {
  for (const key of ['finalizers', 'ownerReferences', 'managedFields'] as const) {
    if (metadata[key]?.length === 0) delete metadata[key];
  }
  for (const key of ['labels', 'annotations'] as const) {
    const value = metadata[key];
    if (value !== undefined && isObject(value) && Object.keys(value).length === 0) delete metadata[key];
  }
  if (metadata.generateName === '') delete metadata.generateName;
}

/** A write of the object leaves `status` alone, a write of `status` leaves the rest alone. */
function separateStatus(resource: Resource, draft: KubeObject, old: KubeObject, subresource: string): void {
  if (!resource.hasStatus || subresource === 'binding') return;
  if (subresource === 'status') {
    for (const key of Object.keys(draft)) if (key !== 'status' && key !== 'metadata') delete draft[key];
    const { status, metadata } = draft;
    const { status: _status, metadata: oldMetadata, ...rest } = old;
    Object.assign(draft, clone(rest));
    delete draft['status'];
    if (status !== undefined) draft['status'] = status;
    if (resource.custom) {
      draft.metadata = clone(oldMetadata);
      if (metadata.managedFields !== undefined) draft.metadata.managedFields = metadata.managedFields;
    }
  } else if (old['status'] === undefined) {
    delete draft['status'];
  } else {
    draft['status'] = clone(old['status']);
  }
}

/** What `metadata.generation` counts: everything but metadata and status. */
function desired(resource: Resource, object: KubeObject): JsonObject {
  const { metadata: _metadata, status, ...rest } = object;
  return resource.hasStatus ? rest : { ...rest, status };
}

function newFinalizers(draft: KubeObject, old: KubeObject): Cause[] {
  if (old.metadata.deletionTimestamp === undefined) return [];
  const before = old.metadata.finalizers ?? [];
  const added = (draft.metadata.finalizers ?? []).filter((finalizer) => !before.includes(finalizer));
  if (added.length === 0) return [];
  return [
    forbiddenField(
      'metadata.finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
    ),
  ];
}

/** Equal but for the times in managedFields: writing that would wake every watcher for nothing. */
function sameContent(draft: KubeObject, old: KubeObject): boolean {
  const { managedFields: left, ...draftMeta } = draft.metadata;
  const { managedFields: right, ...oldMeta } = old.metadata;
  if (!equal(draftMeta, oldMeta)) return false;
  const { metadata: _draftMetadata, ...draftRest } = draft;
  const { metadata: _oldMetadata, ...oldRest } = old;
  if (!equal(draftRest, oldRest)) return false;
  const timeless = (entries: ObjectMeta['managedFields']): unknown =>
    (entries ?? []).map(({ time: _time, ...rest }) => rest);
  return equal(timeless(left), timeless(right));
}

function unknownFields(resource: Resource, draft: KubeObject, options: WriteOptions): void {
  const unknown = resource.strategy.prune?.(draft) ?? [];
  if (unknown.length === 0 || options.fieldValidation === 'Ignore') return;
  const shown = unknown.map((field) => `unknown field "${field}"`);
  if (options.fieldValidation === 'Strict') {
    throw badRequest(
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${shown.join(', ')}`,
    );
  }
  options.warnings.push(...shown);
}
