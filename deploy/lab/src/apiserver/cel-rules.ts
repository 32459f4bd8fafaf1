/** `x-kubernetes-validations` of a structural schema: compiled once, run on every object, reported as the real server does. */
import { type Cause, duplicateValue, forbiddenField, invalidValue, requiredValue } from './api-error.ts';
import { CelCompileError, type CompiledRule, compileRule } from './cel.ts';
import { equal, isObject, type JsonObject, type KubeObject, listOf, objectOf, objectsOf, stringOf } from './json.ts';
import { itemKey, schemaMergeType } from './merge-types.ts';
import type { MergeType } from './resource.ts';

interface Rule {
  readonly compiled: CompiledRule;
  readonly text: string;
  readonly message: string;
  readonly reason: string;
  /** Relative, with a leading dot; '' for the place of the rule itself. */
  readonly fieldPath: string;
  readonly optionalOldSelf: boolean;
}

/** A place of the schema that has rules itself or below it. */
interface Place {
  readonly type: string;
  readonly rules: readonly Rule[];
  readonly properties: ReadonlyMap<string, Place>;
  readonly additional: Place | undefined;
  readonly items: Place | undefined;
  /** How items of an old list are found; undefined where they cannot be. */
  readonly list: MergeType | undefined;
}

function compileRules(schema: JsonObject): Rule[] {
  return objectsOf(schema['x-kubernetes-validations']).map((given) => {
    const text = stringOf(given['rule']) ?? '';
    return {
      compiled: compileRule(text, stringOf(given['messageExpression']), schema),
      text,
      message: (stringOf(given['message']) ?? '').trim(),
      reason: stringOf(given['reason']) ?? 'FieldValueInvalid',
      fieldPath: stringOf(given['fieldPath']) ?? '',
      optionalOldSelf: given['optionalOldSelf'] === true,
    };
  });
}

function compilePlace(schema: unknown): Place | undefined {
  if (!isObject(schema)) return undefined;
  const properties = new Map<string, Place>();
  for (const [name, property] of Object.entries(objectOf(schema['properties']))) {
    const place = compilePlace(property);
    if (place !== undefined) properties.set(name, place);
  }
  const additional = compilePlace(schema['additionalProperties']);
  const items = compilePlace(schema['items']);
  const rules = compileRules(schema);
  if (rules.length === 0 && properties.size === 0 && additional === undefined && items === undefined) return undefined;
  const list = schemaMergeType(schema, false);
  return {
    type: stringOf(schema['type']) ?? '',
    rules,
    properties,
    additional,
    items,
    list: list.kind === 'list-map' ? list : undefined,
  };
}

/** The compiled rules of a schema. */
export class CelRules {
  readonly #root: Place | undefined;

  /** Throws CelCompileError for a rule that cannot be compiled; ask {@link problems} first. */
  constructor(schema: JsonObject) {
    this.#root = compilePlace(schema);
  }

  /** The rules of a schema at `field` that cannot be compiled. */
  static problems(schema: JsonObject, field: string): Cause[] {
    const causes: Cause[] = [];
    objectsOf(schema['x-kubernetes-validations']).forEach((given, index) => {
      const rule = stringOf(given['rule']) ?? '';
      const at = `${field}.x-kubernetes-validations[${index}].rule`;
      if (rule.trim() === '') {
        causes.push(requiredValue(at, 'rule is not specified'));
        return;
      }
      try {
        compileRule(rule, stringOf(given['messageExpression']), schema);
      } catch (error) {
        if (!(error instanceof CelCompileError)) throw error;
        causes.push(invalidValue(at, rule, `compilation failed: ${error.message}`));
      }
    });
    for (const [name, property] of Object.entries(objectOf(schema['properties']))) {
      if (isObject(property)) causes.push(...CelRules.problems(property, `${field}.properties[${name}]`));
    }
    for (const key of ['items', 'additionalProperties']) {
      const child = schema[key];
      if (isObject(child)) causes.push(...CelRules.problems(child, `${field}.${key}`));
    }
    return causes;
  }

  /** The rules that an object breaks; `old` for transition rules. */
  validate(object: KubeObject, old: KubeObject | undefined): Cause[] {
    if (this.#root === undefined) return [];
    const causes: Cause[] = [];
    visit(this.#root, visible(object), old === undefined ? undefined : visible(old), '', causes);
    return causes;
  }
}

/** Of `metadata`, rules see name and generateName only. */
function visible(object: KubeObject): JsonObject {
  const { name, generateName } = object.metadata;
  return { ...object, metadata: { name, ...(generateName === undefined ? {} : { generateName }) } };
}

function visit(place: Place, self: unknown, old: unknown, path: string, causes: Cause[]): void {
  if (self === undefined || self === null) return;
  const unchanged = old !== undefined && equal(self, old);
  for (const rule of place.rules) {
    if (rule.compiled.usesOldSelf && old === undefined && !rule.optionalOldSelf) continue;
    // Ratcheting (KEP-4008): a value that was stored may stay, whatever a newer rule says of it.
    if (unchanged && !rule.compiled.usesOldSelf) continue;
    const cause = run(rule, place, self, old, path);
    if (cause !== undefined) causes.push(cause);
  }
  if (Array.isArray(self)) {
    if (place.items === undefined) return;
    const before = new Map<string, unknown>();
    if (place.list !== undefined) for (const item of listOf(old)) before.set(itemKey(item, place.list), item);
    for (const [index, item] of (self as unknown[]).entries()) {
      const match = place.list === undefined ? undefined : before.get(itemKey(item, place.list));
      visit(place.items, item, match, `${path}[${index}]`, causes);
    }
  } else if (isObject(self)) {
    const before = objectOf(old);
    for (const [name, value] of Object.entries(self)) {
      const child = place.properties.get(name);
      if (child !== undefined) visit(child, value, before[name], path === '' ? name : `${path}.${name}`, causes);
      else if (place.additional !== undefined) visit(place.additional, value, before[name], `${path}[${name}]`, causes);
    }
  }
}

function run(rule: Rule, place: Place, self: unknown, old: unknown, path: string): Cause | undefined {
  const verdict = rule.compiled.verdict(self, rule.compiled.usesOldSelf ? old : undefined);
  if (verdict.valid) return undefined;
  const fallback = rule.message === '' ? `failed rule: ${rule.text}` : rule.message;
  if ('error' in verdict) {
    return invalidValue(
      path,
      place.type,
      `${verdict.error} evaluating rule: ${rule.message === '' ? rule.text : rule.message}`,
    );
  }
  const message = verdict.message ?? fallback;
  const field = rule.fieldPath === '' ? path : `${path}${rule.fieldPath}`.replace(/^\./, '');
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return forbiddenField(field, message);
    case 'FieldValueRequired':
      return requiredValue(field, message);
    case 'FieldValueDuplicate':
      return duplicateValue(field, place.type);
    default:
      return invalidValue(field, place.type, message);
  }
}
