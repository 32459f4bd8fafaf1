/** The patch formats other than server-side apply: RFC 6902 (JSON patch), RFC 7386 (merge patch), strategic merge. */
import jsonpatch from 'fast-json-patch';
import { ApiError, badRequest } from './api-error.ts';
import { clone, isObject, type JsonObject, listOf } from './json.ts';
import { itemKey, listKind } from './merge-types.ts';
import type { MergeType } from './resource.ts';

/**
 * Applies a JSON patch to a copy of `target`.
 * Throws 400 for a malformed patch, 422 where it does not apply (a failing `test`, a missing path).
 */
export function jsonPatch(target: JsonObject, patch: unknown): JsonObject {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  const operations = patch as jsonpatch.Operation[];
  const copy = clone(target);
  const malformed = jsonpatch.validate(operations);
  if (malformed !== undefined) throw badRequest(`the JSON patch is malformed: ${firstLine(malformed.message)}`);
  try {
    const result: unknown = jsonpatch.applyPatch(copy, operations, true, true, true).newDocument;
    if (!isObject(result)) throw badRequest('the patch must leave an object');
    return result;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const text = error instanceof Error ? firstLine(error.message) : String(error);
    throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${text}`);
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

/** Applies a merge patch: objects are merged, `null` removes, anything else replaces. `target` is not changed. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return clone(patch);
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

const DIRECTIVE = '$patch';
const RETAIN = '$retainKeys';
const DELETE_PRIMITIVE = '$deleteFromPrimitiveList/';
const ORDER = '$setElementOrder/';

/**
 * Applies a strategic-merge patch (KEP "strategic merge patch", directives `$patch`, `$retainKeys`,
 * `$deleteFromPrimitiveList`, `$setElementOrder`). `target` is not changed.
 */
export function strategicMerge(target: unknown, patch: unknown, type: MergeType): unknown {
  if (!isObject(patch)) return clone(patch);
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') {
    const { [DIRECTIVE]: _directive, ...rest } = patch;
    return clone(rest);
  }
  if (directive === 'delete') return {};
  let result: JsonObject = isObject(target) ? { ...target } : {};
  const retain = patch[RETAIN];
  if (Array.isArray(retain)) {
    result = Object.fromEntries(Object.entries(result).filter(([key]) => retain.includes(key)));
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN) continue;
    if (key.startsWith(DELETE_PRIMITIVE)) {
      const field = key.slice(DELETE_PRIMITIVE.length);
      const gone = listOf(value);
      if (Array.isArray(result[field])) result[field] = listOf(result[field]).filter((item) => !gone.includes(item));
    } else if (key.startsWith(ORDER)) {
      continue;
    } else if (value === null) {
      delete result[key];
    } else if (Array.isArray(value)) {
      const merged = mergeList(result[key], value as unknown[], type.child(key));
      result[key] = order(merged, patch[ORDER + key], type.child(key));
    } else {
      result[key] = strategicMerge(result[key], value, type.child(key));
    }
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(ORDER)) continue;
    const field = key.slice(ORDER.length);
    if (patch[field] === undefined && Array.isArray(result[field])) {
      result[field] = order(result[field] as unknown[], value, type.child(field));
    }
  }
  return result;
}

function mergeList(target: unknown, patch: readonly unknown[], type: MergeType): unknown[] {
  const kind = listKind(type);
  if (kind === 'atomic') return clone([...patch]);
  if (kind === 'set') {
    const result = [...listOf(target)];
    for (const item of patch) if (!result.includes(item)) result.push(clone(item));
    return result;
  }
  if (patch.some((item) => isObject(item) && item[DIRECTIVE] === 'replace')) {
    return clone(patch.filter((item) => !(isObject(item) && item[DIRECTIVE] !== undefined)));
  }
  // Strategic merge knows one key per list (the first); server-side apply uses all of them.
  const single: MergeType = { ...type, keys: (type.keys ?? []).slice(0, 1) };
  const result = [...listOf(target)];
  for (const item of patch) {
    if (!isObject(item)) throw badRequest('an item of a list that is merged by key must be an object');
    const key = single.keys?.[0] ?? '';
    if (item[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const wanted = itemKey(item, single);
    const index = result.findIndex((old) => itemKey(old, single) === wanted);
    if (item[DIRECTIVE] === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) {
      result[index] = strategicMerge(result[index], item, type.child(''));
    } else {
      result.push(strategicMerge({}, item, type.child('')));
    }
  }
  return result;
}

/** Sorts a merged list by `$setElementOrder`; items that it does not name keep their place after their predecessor. */
function order(list: unknown[], wanted: unknown, type: MergeType): unknown[] {
  if (!Array.isArray(wanted)) return list;
  const single: MergeType = { ...type, keys: (type.keys ?? []).slice(0, 1) };
  const keyOf = (item: unknown): string => (type.kind === 'set' ? JSON.stringify(item) : itemKey(item, single)) ?? '';
  const rank = new Map(wanted.map((item, index) => [keyOf(item), index]));
  let last = -1;
  return list
    .map((item, index) => {
      const own = rank.get(keyOf(item));
      if (own !== undefined) last = own;
      return { item, index, rank: own ?? last };
    })
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ item }) => item);
}
