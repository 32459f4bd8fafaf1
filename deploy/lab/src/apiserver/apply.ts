/** Server-side apply (KEP-555): fields merged by list-map keys, owners per field, conflicts, force. */
import { ApiError, badRequest, type Cause } from './api-error.ts';
import { displayPath, elements, type FieldPath, isBelow, keyElement, leaves } from './field-set.ts';
import { clone, equal, isObject, type JsonObject, type KubeObject, listOf } from './json.ts';
import { difference, entriesOf, type Manager, managersOf } from './managed-fields.ts';
import { itemKey, listKind } from './merge-types.ts';
import type { RequestInfo } from './request-info.ts';
import { apiVersionOf, type MergeType, type Resource } from './resource.ts';
import type { WriteOptions, Writer, Written } from './writer.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Applies a configuration: creates the object where it is missing. Throws 409 with the conflicting fields. */
export function applyPatch(
  writer: Writer,
  resource: Resource,
  info: Pick<RequestInfo, 'namespace' | 'name'>,
  subresource: string,
  body: unknown,
  options: WriteOptions,
  force: boolean,
): Written {
  if (!isObject(body)) throw badRequest('an apply patch must be an object');
  const metadata = isObject(body['metadata']) ? body['metadata'] : {};
  if (body['apiVersion'] === undefined || body['kind'] === undefined) {
    throw badRequest('an apply patch must have apiVersion and kind');
  }
  if (metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
  const applied: JsonObject = { ...metadata, name: metadata['name'] ?? info.name };
  const config: JsonObject = clone({ ...body, metadata: applied });
  const now = writer.timestamp();
  const { namespace, name } = info;
  const stored = writer.collection(resource).get(namespace, name);
  const own: Manager = {
    manager: options.fieldManager,
    operation: 'Apply',
    subresource,
    apiVersion: apiVersionOf(resource),
    time: now,
    fields: new Set(leaves(config, resource, subresource).keys()),
  };
  if (stored === undefined && subresource === '') {
    config['metadata'] = { ...applied, managedFields: entriesOf([own]) };
    return writer.create(resource, namespace, config, options, true);
  }
  return writer.update(
    resource,
    namespace,
    name,
    subresource,
    (live) => merged(live, config, own, resource, force),
    options,
    true,
  );
}

function merged(live: KubeObject, config: JsonObject, own: Manager, resource: Resource, force: boolean): JsonObject {
  const { subresource } = own;
  const liveLeaves = leaves(live, resource, subresource);
  const configLeaves = leaves(config, resource, subresource);
  const managers =
    live.metadata.managedFields === undefined
      ? [beforeFirstApply(live, resource, liveLeaves)]
      : managersOf(live.metadata.managedFields);
  const isOwn = (item: Manager): boolean =>
    item.manager === own.manager && item.operation === 'Apply' && item.subresource === subresource;
  const previous = managers.find(isOwn);
  const others = managers.filter((item) => !isOwn(item));

  const { changed } = difference(liveLeaves, configLeaves);
  const contested = others.flatMap((owner) =>
    [...owner.fields].filter((path) => changed.has(path)).map((path) => ({ owner, path })),
  );
  const conflicts = force ? [] : contested.filter(({ path }) => !migrated(live, path, own, resource));
  if (conflicts.length > 0) throw conflictError(conflicts);
  for (const { owner, path } of contested) owner.fields.delete(path);

  const result = mergeObjects(live, config, resource.mergeType) as JsonObject;
  const gone = [...(previous?.fields ?? [])].filter((path) => !configLeaves.has(path) && !claimed(path, others));
  // Outermost first: a list item is found by its keys, which are members of it.
  for (const path of gone.sort((a, b) => elements(a).length - elements(b).length)) {
    if (![...configLeaves.keys()].some((other) => isBelow(other, path)))
      removeAt(result, elements(path), resource.mergeType);
  }
  const unchanged = previous !== undefined && equal([...previous.fields].sort(), [...own.fields].sort());
  const entry = unchanged ? { ...own, time: previous.time } : own;
  const metadata = isObject(result['metadata']) ? result['metadata'] : {};
  return { ...result, metadata: { ...metadata, managedFields: entriesOf([...others, entry]) } };
}

/** Fields of an object that nobody applied so far belong to this manager, as in the real server. */
function beforeFirstApply(live: KubeObject, resource: Resource, liveLeaves: ReadonlyMap<FieldPath, unknown>): Manager {
  return {
    manager: 'before-first-apply',
    operation: 'Update',
    subresource: '',
    apiVersion: apiVersionOf(resource),
    time: live.metadata.creationTimestamp,
    fields: new Set(liveLeaves.keys()),
  };
}

/** Whether a field was set by `kubectl apply` on the client's side: kubectl may take that over without force. */
function migrated(live: KubeObject, path: FieldPath, own: Manager, resource: Resource): boolean {
  const text = live.metadata.annotations?.[LAST_APPLIED];
  if (own.manager !== 'kubectl' || text === undefined) return false;
  try {
    return leaves(JSON.parse(text) as unknown, resource, own.subresource).has(path);
  } catch {
    return false;
  }
}

function claimed(path: FieldPath, others: readonly Manager[]): boolean {
  return others.some(({ fields }) => {
    if (fields.has(path)) return true;
    for (const other of fields) if (isBelow(other, path)) return true;
    return false;
  });
}

function conflictError(conflicts: readonly { owner: Manager; path: FieldPath }[]): ApiError {
  const causes = conflicts.map(({ owner, path }): Cause => {
    const sub = owner.subresource === '' ? '' : ` with subresource "${owner.subresource}"`;
    const time = owner.operation === 'Update' && owner.time !== undefined ? ` at ${owner.time}` : '';
    return {
      reason: 'FieldManagerConflict',
      message: `conflict with "${owner.manager}"${sub} using ${owner.apiVersion}${time}`,
      field: displayPath(path),
    };
  });
  const shown = causes.map((cause) => `${cause.message}: ${cause.field}`).join('\n');
  const count = `${causes.length} conflict${causes.length === 1 ? '' : 's'}`;
  return new ApiError(409, 'Conflict', `Apply failed with ${count}: ${shown}`, { causes });
}

function mergeObjects(live: unknown, config: unknown, type: MergeType): unknown {
  if (Array.isArray(config)) return mergeLists(live, config as unknown[], type);
  if (!isObject(config) || !isObject(live) || type.kind === 'atomic') return config;
  const result: JsonObject = { ...live };
  for (const [name, value] of Object.entries(config)) {
    if (value === null) delete result[name];
    else result[name] = mergeObjects(result[name], value, type.child(name));
  }
  return result;
}

function mergeLists(live: unknown, config: readonly unknown[], type: MergeType): unknown[] {
  const kind = listKind(type);
  if (kind === 'atomic') return [...config];
  const keyOf = (item: unknown): string => (kind === 'set' ? (JSON.stringify(item) ?? '') : itemKey(item, type));
  const result = [...listOf(live)];
  const index = new Map(result.map((item, place) => [keyOf(item), place]));
  for (const item of config) {
    const place = index.get(keyOf(item));
    if (place === undefined) result.push(item);
    else if (kind === 'list-map') result[place] = mergeObjects(result[place], item, type.child(''));
  }
  return result;
}

/** Removes what is at a path from `root`, copying what it changes on the way. */
function removeAt(root: JsonObject, path: readonly string[], type: MergeType): void {
  const [step = '', ...rest] = path;
  if (!step.startsWith('f:')) return;
  const name = step.slice(2);
  const member = root[name];
  const memberType = type.child(name);
  if (rest.length === 0) {
    delete root[name];
  } else if (Array.isArray(member)) {
    const [element = '', ...below] = rest;
    const matches = (item: unknown): boolean =>
      element.startsWith('v:') ? `v:${JSON.stringify(item)}` === element : keyElement(item, memberType) === element;
    if (below.length === 0) {
      root[name] = (member as unknown[]).filter((item) => !matches(item));
    } else {
      root[name] = (member as unknown[]).map((item) => {
        if (!matches(item) || !isObject(item)) return item;
        const copy = { ...item };
        removeAt(copy, below, memberType.child(''));
        return copy;
      });
    }
  } else if (isObject(member)) {
    const copy = { ...member };
    root[name] = copy;
    removeAt(copy, rest, memberType);
  }
}
