/**
 * zod schema → structural OpenAPI v3 schema.
 *
 * Source: Kubernetes docs, "Custom Resources", "Specifying a structural schema" and "CustomResourceDefinition", list of
 * OpenAPI fields that are not allowed.
 */
import * as z from 'zod';
import type { KubernetesValidation } from './rule.ts';

/** A structural schema, as far as these kinds use it. */
export interface StructuralSchema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly default?: unknown;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly 'x-kubernetes-validations'?: readonly KubernetesValidation[];
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** The keys above, in the order in which manifests show them. */
const KEYS = [
  'description',
  'type',
  'format',
  'default',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'required',
  'properties',
  'additionalProperties',
  'items',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
] as const satisfies readonly (keyof StructuralSchema)[];
const known: ReadonlySet<string> = new Set(KEYS);

/**
 * Converts a schema made of objects, records, arrays, strings, enums, numbers and booleans.
 * @throws Error for anything that has no structural form (unions, nullable, tuples ...)
 */
export function structuralSchema(schema: z.ZodType): StructuralSchema {
  return convert(
    z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', reused: 'inline', unrepresentable: 'throw' }),
    '$',
  );
}

function convert(source: object, path: string): StructuralSchema {
  const from = source as Record<string, unknown>;
  const result: Record<string, unknown> = {};
  for (const key of KEYS) {
    const value = from[key];
    if (value === undefined) continue;
    if (key === 'properties')
      result[key] = Object.fromEntries(
        Object.entries(value as Record<string, object>).map(([name, child]) => [
          name,
          convert(child, `${path}.${name}`),
        ]),
      );
    else if (key === 'items') result[key] = convert(value as object, `${path}[]`);
    else if (key === 'additionalProperties') {
      // A closed object: the API server prunes or refuses unknown fields by itself, and forbids the keyword.
      if (value !== false) result[key] = convert(value as object, `${path}{}`);
    } else if (Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER) continue;
    else result[key] = value;
  }
  const lost = Object.keys(from).filter((key) => !known.has(key) && key !== '$schema' && key !== 'id');
  if (lost.length > 0)
    throw new Error(
      `${path}: ${lost.join(', ')} cannot be in a structural schema; use plain objects, lists and scalars`,
    );
  return result as unknown as StructuralSchema;
}

/**
 * Checks the rules for structural schemas, and that everything which CEL rules may look at is bounded.
 * @returns what is wrong, one line each; empty when the API server would take the schema
 */
export function checkStructural(schema: StructuralSchema, path = '$', inSpec = false): string[] {
  const problems: string[] = [];
  const say = (text: string): unknown => problems.push(`${path}: ${text}`);
  if (schema.type === undefined) say('type is missing');
  if (schema.properties !== undefined && schema.additionalProperties !== undefined)
    say('properties and additionalProperties exclude each other');
  if (schema.type === 'array' && schema.items === undefined) say('items is missing');
  if (schema.description === undefined && inSpec && !path.includes(']')) say('description is missing');
  if (inSpec) {
    const finite = schema.maxLength !== undefined || schema.enum !== undefined || schema.format !== undefined;
    if (schema.type === 'string' && !finite) say('maxLength is missing');
    if (schema.type === 'array' && schema.maxItems === undefined) say('maxItems is missing');
  }
  for (const { rule, message, messageExpression } of schema['x-kubernetes-validations'] ?? []) {
    if (/[\n\r]/.test(rule + message + (messageExpression ?? ''))) say('rules and messages must be one line');
    if (message.length > 2048) say('a message must not be longer than 2048 characters');
  }
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    problems.push(...checkStructural(child, `${path}.${name}`, inSpec || (path === '$' && name === 'spec')));
  if (schema.items !== undefined) problems.push(...checkStructural(schema.items, `${path}[]`, inSpec));
  if (schema.additionalProperties !== undefined)
    problems.push(...checkStructural(schema.additionalProperties, `${path}[]`, inSpec));
  return problems;
}
