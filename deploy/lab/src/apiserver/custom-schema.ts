/**
 * Structural schemas of custom resources (KEP-2335): pruning, defaulting, validation by JSON schema, and by CEL rules.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Cause } from './api-error.ts';
import { CelRules } from './cel-rules.ts';
import { clone, equal, isObject, type JsonObject, type KubeObject, listOf } from './json.ts';
import { FORMATS, toJsonSchema } from './json-schema.ts';
import { causeOf } from './schema-causes.ts';

const PRESERVE = 'x-kubernetes-preserve-unknown-fields';
const EMBEDDED = 'x-kubernetes-embedded-resource';

/** Members that an object with `apiVersion` and `kind` always may have. */
const OBJECT_MEMBERS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

function compile(schema: JsonObject): ValidateFunction {
  const ajv = new Ajv({
    strict: false,
    allErrors: true,
    verbose: true,
    validateSchema: false,
    unicodeRegExp: false,
    formats: FORMATS,
    logger: false,
  });
  return ajv.compile(toJsonSchema(schema, true));
}

/** A compiled `openAPIV3Schema`. */
export class CustomSchema {
  readonly #schema: JsonObject;
  readonly #validate: ValidateFunction;
  readonly #rules: CelRules;

  /** Throws for a schema that cannot be compiled; ask {@link problems} first. */
  constructor(schema: JsonObject) {
    this.#schema = schema;
    this.#validate = compile(schema);
    this.#rules = new CelRules(schema);
  }

  /** What is wrong with a schema at `field` of a definition. */
  static problems(schema: JsonObject, field: string): Cause[] {
    const causes = [...structuralProblems(schema, field, true), ...CelRules.problems(schema, field)];
    if (causes.length > 0) return causes;
    try {
      compile(schema);
      return [];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [{ reason: 'FieldValueInvalid', field, message: `Invalid value: the schema cannot be used: ${why}` }];
    }
  }

  /** Removes what the schema does not know; returns the paths of what was removed. */
  prune(object: KubeObject): string[] {
    const removed: string[] = [];
    pruneObject(object, this.#schema, '', true, removed);
    return removed;
  }

  /** Fills in defaults. Null for a field with a default that is not nullable counts as absent. */
  applyDefaults(object: KubeObject): void {
    defaults(object, this.#schema, true);
  }

  /** What is wrong with an object; `old` for rules that compare. CEL runs only on objects of the right shape. */
  validate(object: KubeObject, old: KubeObject | undefined): Cause[] {
    if (!this.#validate(object)) {
      const errors = (this.#validate.errors ?? []).filter((error) => outermost(error) && !ratcheted(error, old));
      if (errors.length > 0) return errors.map((error) => causeOf(error, object));
    }
    const causes = listProblems(object, this.#schema, '');
    return causes.length > 0 ? causes : this.#rules.validate(object, old);
  }

  /** The schema as kubectl wants it for explain: with apiVersion, kind and metadata described. */
  openapi(): JsonObject {
    const schema = clone(this.#schema);
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    return {
      ...schema,
      properties: {
        apiVersion: { type: 'string', description: 'Group and version of this object.' },
        kind: { type: 'string', description: 'Kind of this object.' },
        ...properties,
        metadata: {
          type: 'object',
          description: 'Name, namespace, labels, annotations and the rest of the standard metadata.',
          'x-kubernetes-preserve-unknown-fields': true,
        },
      },
    };
  }
}

/** Errors inside of a oneOf or anyOf branch say only that the branch did not match; the branch's keyword says it all. */
function outermost(error: ErrorObject): boolean {
  return !/\/(oneOf|anyOf)\/\d+\//.test(error.schemaPath) && error.keyword !== 'if';
}

/** Whether the value complained about was stored before: it may stay (KEP-4008). */
function ratcheted(error: ErrorObject, old: KubeObject | undefined): boolean {
  if (old === undefined) return false;
  let before: unknown = old;
  for (const part of error.instancePath.split('/').slice(1)) {
    const name = part.replace(/~1/g, '/').replace(/~0/g, '~');
    if (Array.isArray(before)) before = (before as unknown[])[Number(name)];
    else before = isObject(before) ? before[name] : undefined;
  }
  return before !== undefined && before !== old && equal(before, error.data);
}

function structuralProblems(schema: JsonObject, field: string, root: boolean): Cause[] {
  const causes: Cause[] = [];
  const typed = typeof schema['type'] === 'string' && schema['type'] !== '';
  if (!typed && schema[PRESERVE] !== true && schema['x-kubernetes-int-or-string'] !== true) {
    causes.push({
      reason: 'FieldValueRequired',
      field: `${field}.type`,
      message: 'Required value: must not be empty for specified object fields',
    });
  }
  if (root && schema['type'] !== 'object') {
    causes.push({
      reason: 'FieldValueInvalid',
      field: `${field}.type`,
      message: `Invalid value: ${JSON.stringify(schema['type'])}: must be object at the root`,
    });
  }
  const { properties, items, additionalProperties } = schema;
  if (isObject(properties) && additionalProperties !== undefined) {
    causes.push({
      reason: 'FieldValueForbidden',
      field: `${field}.additionalProperties`,
      message: 'Forbidden: additionalProperties and properties are mutual exclusive',
    });
  }
  for (const [name, property] of Object.entries(isObject(properties) ? properties : {})) {
    if (isObject(property) && !(root && name === 'metadata')) {
      causes.push(...structuralProblems(property, `${field}.properties[${name}]`, false));
    }
  }
  if (isObject(items)) causes.push(...structuralProblems(items, `${field}.items`, false));
  if (isObject(additionalProperties)) {
    causes.push(...structuralProblems(additionalProperties, `${field}.additionalProperties`, false));
  }
  return causes;
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function pruneValue(value: unknown, schema: unknown, path: string, removed: string[]): void {
  if (!isObject(schema)) return;
  if (Array.isArray(value)) {
    (value as unknown[]).forEach((item, index) => pruneValue(item, schema['items'], `${path}[${index}]`, removed));
  } else if (isObject(value)) {
    pruneObject(value, schema, path, schema[EMBEDDED] === true, removed);
  }
}

function pruneObject(value: JsonObject, schema: JsonObject, path: string, whole: boolean, removed: string[]): void {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const additional = schema['additionalProperties'];
  for (const [name, member] of Object.entries(value)) {
    if (whole && OBJECT_MEMBERS.has(name)) continue;
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (property !== undefined) pruneValue(member, property, join(path, name), removed);
    else if (isObject(additional)) pruneValue(member, additional, join(path, name), removed);
    else if (additional !== true && schema[PRESERVE] !== true) {
      delete value[name];
      removed.push(join(path, name));
    }
  }
}

function defaults(value: unknown, schema: unknown, root: boolean): void {
  if (!isObject(schema)) return;
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) defaults(item, schema['items'], false);
    return;
  }
  if (!isObject(value)) return;
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  for (const [name, property] of Object.entries(properties)) {
    if (!isObject(property) || (root && name === 'metadata')) continue;
    const fallback = property['default'];
    if (
      fallback !== undefined &&
      (value[name] === undefined || (value[name] === null && property['nullable'] !== true))
    ) {
      value[name] = clone(fallback);
    }
    defaults(value[name], property, false);
  }
  const additional = schema['additionalProperties'];
  if (isObject(additional)) {
    for (const [name, member] of Object.entries(value)) {
      if (!Object.hasOwn(properties, name)) defaults(member, additional, false);
    }
  }
}

/** Duplicates in lists of type set and map. */
function listProblems(value: unknown, schema: unknown, path: string): Cause[] {
  if (!isObject(schema)) return [];
  const causes: Cause[] = [];
  if (Array.isArray(value)) {
    const items = value as unknown[];
    const type = schema['x-kubernetes-list-type'];
    if (type === 'set' || type === 'map') {
      const keys = listOf(schema['x-kubernetes-list-map-keys']) as string[];
      const itemProperties =
        isObject(schema['items']) && isObject(schema['items']['properties']) ? schema['items']['properties'] : {};
      const seen = new Set<string>();
      items.forEach((item, index) => {
        const key =
          type === 'set'
            ? item
            : Object.fromEntries(
                keys.map((name) => {
                  const property = itemProperties[name];
                  return [
                    name,
                    (isObject(item) ? item[name] : undefined) ?? (isObject(property) ? property['default'] : undefined),
                  ];
                }),
              );
        const text = JSON.stringify(key) ?? '';
        if (seen.has(text))
          causes.push({
            reason: 'FieldValueDuplicate',
            field: `${path}[${index}]`,
            message: `Duplicate value: ${text}`,
          });
        seen.add(text);
      });
    }
    items.forEach((item, index) => causes.push(...listProblems(item, schema['items'], `${path}[${index}]`)));
  } else if (isObject(value)) {
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    for (const [name, member] of Object.entries(value)) {
      if (path === '' && name === 'metadata') continue;
      const property = Object.hasOwn(properties, name) ? properties[name] : schema['additionalProperties'];
      if (typeof member === 'object') causes.push(...listProblems(member, property, join(path, name)));
    }
  }
  return causes;
}
