/** Schemas of the built-in kinds for OpenAPI, and removal of fields they do not have, both from the field tables. */
import { isObject, type JsonObject, type KubeObject, listOf } from './json.ts';
import { fieldTable, typeOfKind } from './kinds.ts';

const SCALARS: Readonly<Record<string, JsonObject>> = {
  string: { type: 'string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  double: { type: 'number', format: 'double' },
  bool: { type: 'boolean' },
  bytes: { type: 'string', format: 'byte' },
  time: { type: 'string', format: 'date-time' },
  microtime: { type: 'string', format: 'date-time' },
  duration: { type: 'string' },
  quantity: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
  intorstring: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
  raw: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
};

/** `core.v1.Pod` as `io.k8s.api.core.v1.Pod`, the name that the real server's documents use. */
export function builtinSchemaName(type: string): string {
  return type.startsWith('meta.') ? `io.k8s.apimachinery.pkg.apis.${type}` : `io.k8s.api.${type}`;
}

function schemaOf(type: string, into: JsonObject): JsonObject {
  if (type.startsWith('[]')) return { type: 'array', items: schemaOf(type.slice(2), into) };
  if (type.startsWith('{}')) return { type: 'object', additionalProperties: schemaOf(type.slice(2), into) };
  if (!type.startsWith('@')) return SCALARS[type] ?? {};
  addSchema(type.slice(1), into);
  // `allOf` instead of a bare `$ref` is how the real documents write it; kubectl explain follows it.
  return { allOf: [{ $ref: `#/components/schemas/${builtinSchemaName(type.slice(1))}` }], default: {} };
}

function members(type: string, into: JsonObject, properties: JsonObject, required: string[]): void {
  for (const [name, [, fieldType, flags = '']] of Object.entries(fieldTable(type))) {
    if (flags.includes('+')) {
      members(fieldType.slice(1), into, properties, required);
      continue;
    }
    properties[name] = schemaOf(fieldType, into);
    if (flags.includes('!')) required.push(name);
  }
}

function addSchema(type: string, into: JsonObject): void {
  const name = builtinSchemaName(type);
  if (into[name] !== undefined) return;
  const properties: JsonObject = {};
  const required: string[] = [];
  const schema: JsonObject = { type: 'object', properties };
  into[name] = schema;
  members(type, into, properties, required);
  if (required.length > 0) schema['required'] = required;
}

/**
 * The schema of a built-in kind; schemas it refers to are added to `into`. A kind without a field table (a
 * CustomResourceDefinition) is an object of anything.
 */
export function builtinSchema(apiVersion: string, kind: string, into: JsonObject): JsonObject {
  const type = typeOfKind(apiVersion, kind);
  if (type === undefined) return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  addSchema(type, into);
  const name = builtinSchemaName(type);
  const schema = into[name] as JsonObject;
  const strings = { apiVersion: { type: 'string' }, kind: { type: 'string' } };
  return { ...schema, properties: { ...strings, ...(schema['properties'] as JsonObject) } };
}

const cache = new Map<string, ReadonlyMap<string, string>>();

/** Field name → type of everything that may stand in an object of a type. */
function memberTypes(type: string): ReadonlyMap<string, string> {
  const cached = cache.get(type);
  if (cached !== undefined) return cached;
  const known = new Map<string, string>();
  for (const [field, [, fieldType, flags = '']] of Object.entries(fieldTable(type))) {
    if (flags.includes('+')) for (const [name, inner] of memberTypes(fieldType.slice(1))) known.set(name, inner);
    else known.set(field, fieldType);
  }
  cache.set(type, known);
  return known;
}

/** Where a value stands; its text is made only for what is removed. */
interface Place {
  readonly parent: Place | undefined;
  readonly member: string | number;
}

function pathOf({ parent, member }: Place): string {
  if (parent === undefined) return String(member);
  return typeof member === 'number' ? `${pathOf(parent)}[${member}]` : `${pathOf(parent)}.${member}`;
}

function pruneObject(object: JsonObject, type: string, parent: Place | undefined, removed: string[]): void {
  const known = memberTypes(type);
  for (const member of Object.keys(object)) {
    if (parent === undefined && (member === 'apiVersion' || member === 'kind')) continue;
    const value = object[member];
    const fieldType = known.get(member);
    if (fieldType === undefined) {
      delete object[member];
      removed.push(pathOf({ parent, member }));
    } else if (value === null) {
      delete object[member];
    } else if (typeof value === 'object') {
      pruneValue(value, fieldType, { parent, member }, removed);
    }
  }
}

function pruneValue(value: unknown, type: string, place: Place, removed: string[]): void {
  if (type.startsWith('[]@')) {
    for (const [member, item] of listOf(value).entries())
      pruneValue(item, type.slice(2), { parent: place, member }, removed);
  } else if (type.startsWith('{}@') && isObject(value)) {
    for (const member of Object.keys(value))
      pruneValue(value[member], type.slice(2), { parent: place, member }, removed);
  } else if (type.startsWith('@') && isObject(value)) {
    pruneObject(value, type.slice(1), place, removed);
  }
}

/** Removes the fields that a built-in kind does not have (and nulls, which mean absent); returns their paths. */
export function pruneBuiltin(object: KubeObject): string[] {
  const type = typeOfKind(object.apiVersion, object.kind);
  const removed: string[] = [];
  if (type !== undefined) pruneObject(object, type, undefined, removed);
  return removed;
}
