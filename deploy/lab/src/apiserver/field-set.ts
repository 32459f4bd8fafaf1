/**
 * Sets of fields, as server-side apply keeps them per manager (KEP-555; structured-merge-diff's FieldsV1 format:
 * `f:<name>` a member, `k:<json>` the list item with those keys, `v:<json>` a member of a set, `.` the place itself).
 */
import { isObject, type JsonObject } from './json.ts';
import { listKind } from './merge-types.ts';
import type { MergeType, Resource } from './resource.ts';

/** Separates the elements of a path; cannot stand in a field name. */
const SEPARATOR = '\u0001';

/** A path as one string: its elements joined. Build and take apart with {@link joinPath} and {@link elements}. */
export type FieldPath = string;

/** The path one element below `path` ('' is the root). */
function joinPath(path: FieldPath, element: string): FieldPath {
  return path === '' ? element : path + SEPARATOR + element;
}

/** The elements of a path. */
export function elements(path: FieldPath): string[] {
  return path.split(SEPARATOR);
}

/** Whether `path` lies below `ancestor`. */
export function isBelow(path: FieldPath, ancestor: FieldPath): boolean {
  return path.startsWith(ancestor + SEPARATOR);
}

/** A place that exists but whose value is in its members: a list item. */
const ITEM = Symbol('item');

/** Metadata that nobody owns: the system's. */
const SYSTEM = new Set(
  [
    'name',
    'namespace',
    'uid',
    'resourceVersion',
    'creationTimestamp',
    'generation',
    'managedFields',
    'selfLink',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ].map((name) => `f:metadata${SEPARATOR}f:${name}`),
);

/** The element that names an item of a keyed list: its keys in alphabetical order, defaults filled in. */
export function keyElement(item: unknown, type: MergeType): string {
  const source = isObject(item) ? item : {};
  const keys: JsonObject = {};
  for (const key of [...(type.keys ?? [])].sort()) {
    const value = source[key] ?? type.keyDefaults?.[key];
    if (value !== undefined) keys[key] = value;
  }
  return `k:${JSON.stringify(keys)}`;
}

function walk(value: unknown, type: MergeType, path: FieldPath, into: Map<FieldPath, unknown>): void {
  if (Array.isArray(value)) {
    const kind = listKind(type);
    if (kind === 'atomic') {
      into.set(path, value);
      return;
    }
    for (const item of value as unknown[]) {
      const element = kind === 'set' ? `v:${JSON.stringify(item)}` : keyElement(item, type);
      const itemPath = joinPath(path, element);
      into.set(itemPath, kind === 'set' ? item : ITEM);
      if (kind === 'list-map' && isObject(item)) walkMembers(item, type.child(''), itemPath, into);
    }
    return;
  }
  if (!isObject(value) || type.kind === 'atomic' || (Object.keys(value).length === 0 && path !== '')) {
    into.set(path, value);
    return;
  }
  walkMembers(value, type, path, into);
}

function walkMembers(value: JsonObject, type: MergeType, path: FieldPath, into: Map<FieldPath, unknown>): void {
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined || (path === '' && (name === 'apiVersion' || name === 'kind'))) continue;
    const memberPath = joinPath(path, `f:${name}`);
    if (!SYSTEM.has(memberPath)) walk(member, type.child(name), memberPath, into);
  }
}

/** Every field of an object that can be owned, with its value. What `subresource` does not write is left out. */
export function leaves(object: unknown, resource: Resource, subresource: string): Map<FieldPath, unknown> {
  const result = new Map<FieldPath, unknown>();
  if (!isObject(object)) return result;
  let shown: JsonObject = object;
  if (subresource === 'status') shown = { status: object['status'] };
  else if (resource.hasStatus) {
    const { status: _status, ...rest } = object;
    shown = rest;
  }
  walk(shown, resource.mergeType, '', result);
  result.delete('');
  return result;
}

/** The set in the form of `managedFields[].fieldsV1`. */
export function toFieldsV1(set: ReadonlySet<FieldPath>): JsonObject {
  const root: JsonObject = {};
  for (const path of [...set].sort()) {
    let node = root;
    const steps = elements(path);
    for (const step of steps) {
      const next = node[step];
      if (isObject(next)) node = next;
      else {
        const created: JsonObject = {};
        node[step] = created;
        node = created;
      }
    }
    node['.'] = {};
  }
  dropLeafDots(root);
  return root;
}

/** A leaf is written `{}`; only a place with members says `.` for itself. */
function dropLeafDots(node: JsonObject): void {
  for (const child of Object.values(node)) {
    if (!isObject(child)) continue;
    const keys = Object.keys(child);
    if (keys.length === 1 && keys[0] === '.') delete child['.'];
    else dropLeafDots(child);
  }
}

/** Reads `managedFields[].fieldsV1`. Members that are not in the format are skipped. */
export function fromFieldsV1(fields: unknown): Set<FieldPath> {
  const result = new Set<FieldPath>();
  const visit = (node: unknown, path: FieldPath): void => {
    if (!isObject(node)) return;
    const keys = Object.keys(node);
    if (keys.length === 0 && path !== '') result.add(path);
    for (const key of keys) {
      if (key === '.') {
        if (path !== '') result.add(path);
      } else if (/^[fkv]:/s.test(key)) {
        visit(node[key], joinPath(path, key));
      }
    }
  };
  visit(fields, '');
  return result;
}

/** `.spec.containers[name="a"].image`, as messages show a path. */
export function displayPath(path: FieldPath): string {
  return elements(path)
    .map((element) => {
      const body = element.slice(2);
      if (element.startsWith('f:')) return `.${body}`;
      if (element.startsWith('v:')) return `[=${body}]`;
      const keys = JSON.parse(body) as JsonObject;
      return `[${Object.entries(keys)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    })
    .join('');
}
