/**
 * What an API server says about an object of a CRD: structure by ajv, then the CEL rules of every place that has a value.
 * For tests of the committed CRDs; the API server itself does the same while it stores.
 */
import type { CustomResourceDefinition, FieldProblem, StructuralSchema } from '@ovenbird/crds';
import { Ajv } from 'ajv';
import { type CompiledRule, compileRule } from '../cel.ts';

/** A problem, and the rule that found it (absent for structure). */
export interface RuleProblem extends FieldProblem {
  readonly rule?: string;
}

interface Place {
  readonly rules: readonly { text: string; message: string; compiled: CompiledRule }[];
  readonly properties: ReadonlyMap<string, Place>;
  readonly items?: Place;
}

/** Validates objects as an API server would on create (`old` absent) and update. */
export type CrdValidator = (object: unknown, old?: unknown) => RuleProblem[];

/** Compiles the schema of a CRD. @throws CelCompileError for a bad rule */
export function crdValidator(crd: CustomResourceDefinition): CrdValidator {
  const schema = crd.spec.versions[0]?.schema.openAPIV3Schema;
  if (schema === undefined) throw new Error('the CRD has no version');
  const structure = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(closed(schema));
  const root = compilePlace(schema);
  return (object, old) => {
    if (!structure(object))
      return (structure.errors ?? []).map(({ instancePath, message }) => ({
        field: instancePath.slice(1).replaceAll('/', '.'),
        message: message ?? 'is not valid',
      }));
    const problems: RuleProblem[] = [];
    visit(root, object, old, '', problems);
    return problems;
  };
}

/** The schema with unknown fields refused, which is what kubectl asks the server to do. */
function closed(schema: StructuralSchema): object {
  const { properties, items, ...rest } = schema;
  return {
    ...rest,
    ...(items === undefined ? {} : { items: closed(items) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, closed(child)])),
          additionalProperties: false,
        }),
  };
}

function compilePlace(schema: StructuralSchema): Place {
  return {
    rules: (schema['x-kubernetes-validations'] ?? []).map(({ rule, message, messageExpression }) => ({
      text: rule,
      message,
      compiled: compileRule(rule, messageExpression, schema),
    })),
    properties: new Map(Object.entries(schema.properties ?? {}).map(([name, child]) => [name, compilePlace(child)])),
    ...(schema.items === undefined ? {} : { items: compilePlace(schema.items) }),
  };
}

function visit(place: Place, value: unknown, old: unknown, field: string, problems: RuleProblem[]): void {
  for (const { text, message, compiled } of place.rules) {
    if (compiled.usesOldSelf && old === undefined) continue;
    const verdict = compiled.verdict(value, old);
    if (verdict.valid) continue;
    if ('error' in verdict) problems.push({ field, rule: text, message: `rule evaluation error: ${verdict.error}` });
    else problems.push({ field, rule: text, message: verdict.message ?? message });
  }
  for (const [name, child] of place.properties) {
    const inner = member(value, name);
    if (inner !== undefined) visit(child, inner, member(old, name), field === '' ? name : `${field}.${name}`, problems);
  }
  // List items have no counterpart in the old object unless the list is a map, and no rule of ours needs one.
  if (place.items !== undefined && Array.isArray(value))
    for (const [index, item] of value.entries()) visit(place.items, item, undefined, `${field}[${index}]`, problems);
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
