/** JSON-schema errors in the words of k8s.io/apiextensions-apiserver. */
import type { ErrorObject } from 'ajv';
import { type Cause, invalidValue, notSupported, requiredValue } from './api-error.ts';
import { listOf } from './json.ts';

/** `/spec/acls/0/match` as `spec.acls[0].match`; what is an index shows in the object itself. */
function fieldPath(pointer: string, root: unknown): string {
  let path = '';
  let current: unknown = root;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replace(/~1/g, '/').replace(/~0/g, '~');
    if (Array.isArray(current)) {
      path += `[${name}]`;
      current = (current as unknown[])[Number(name)];
    } else {
      path += path === '' ? name : `.${name}`;
      current =
        typeof current === 'object' && current !== null ? (current as Record<string, unknown>)[name] : undefined;
    }
  }
  return path;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** The cause that an error of the validator stands for. */
export function causeOf(error: ErrorObject, root: unknown): Cause {
  const field = fieldPath(error.instancePath, root);
  const params = error.params as Record<string, unknown>;
  const value: unknown = error.data;
  const shown = field === '' ? '<nil>' : field;
  const bad = (why: string): Cause => invalidValue(field, value, `${shown} in body ${why}`);
  switch (error.keyword) {
    case 'required': {
      const missing = String(params['missingProperty']);
      return requiredValue(field === '' ? missing : `${field}.${missing}`);
    }
    case 'type': {
      const wanted = listOf(params['type']).length > 0 ? listOf(params['type']).join(',') : String(params['type']);
      const got = typeName(value);
      return {
        reason: 'FieldValueTypeInvalid',
        field,
        message: `Invalid value: "${got}": ${shown} in body must be of type ${wanted}: "${got}"`,
      };
    }
    case 'enum':
      return notSupported(field, value, listOf(params['allowedValues']));
    case 'pattern':
      return bad(`should match '${String(params['pattern'])}'`);
    case 'minimum':
      return bad(`should be greater than or equal to ${String(params['limit'])}`);
    case 'exclusiveMinimum':
      return bad(`should be greater than ${String(params['limit'])}`);
    case 'maximum':
      return bad(`should be less than or equal to ${String(params['limit'])}`);
    case 'exclusiveMaximum':
      return bad(`should be less than ${String(params['limit'])}`);
    case 'multipleOf':
      return bad(`should be a multiple of ${String(params['multipleOf'])}`);
    case 'minLength':
      return bad(`should be at least ${String(params['limit'])} chars long`);
    case 'maxLength':
      return {
        reason: 'FieldValueTooLong',
        field,
        message: `Too long: may not be more than ${String(params['limit'])} bytes`,
      };
    case 'minItems':
      return invalidValue(
        field,
        listOf(value).length,
        `${shown} in body should have at least ${String(params['limit'])} items`,
      );
    case 'maxItems':
      return {
        reason: 'FieldValueTooMany',
        field,
        message: `Too many: ${listOf(value).length}: must have at most ${String(params['limit'])} items`,
      };
    case 'minProperties':
      return bad(`should have at least ${String(params['limit'])} properties`);
    case 'maxProperties':
      return {
        reason: 'FieldValueTooMany',
        field,
        message: `Too many: ${Object.keys(value as object).length}: must have at most ${String(params['limit'])} items`,
      };
    case 'format':
      return bad(`must be of type ${String(params['format'])}: ${JSON.stringify(value)}`);
    case 'oneOf':
      return invalidValue(field, value, `"${field}" must validate one and only one schema (oneOf). Found none valid`);
    case 'anyOf':
      return invalidValue(field, value, `"${field}" must validate at least one schema (anyOf)`);
    case 'not':
      return invalidValue(field, value, `"${field}" must not validate the schema (not)`);
    default:
      return bad(error.message ?? 'is not valid');
  }
}
