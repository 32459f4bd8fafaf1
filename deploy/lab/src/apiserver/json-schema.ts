/** From structural OpenAPI schemas to the JSON schema that the validator takes. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { isObject, type JsonObject, listOf } from './json.ts';

const COPIED: readonly string[] = [
  'pattern',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'uniqueItems',
  'multipleOf',
  'required',
  'format',
];

function cidr(text: string): boolean {
  const match = /^(.+)\/(\d{1,3})$/.exec(text);
  if (match === null) return false;
  const family = isIP(match[1] ?? '');
  return family !== 0 && Number(match[2]) <= (family === 4 ? 32 : 128);
}

/** The formats that kube-openapi checks, as far as they appear in schemas; unknown formats are ignored, as there. */
export const FORMATS: Record<
  string,
  ((text: string) => boolean) | { type: 'number'; validate: (value: number) => boolean } | true
> = {
  ipv4: (text) => isIPv4(text),
  ipv6: (text) => isIPv6(text),
  cidr,
  mac: (text) => /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(text),
  uuid: (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)),
  'date-time': (text) =>
    /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
  byte: (text) => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0,
  hostname: (text) =>
    text.length <= 255 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i.test(text),
  duration: (text) => /^([+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w))+$/.test(text),
  int32: { type: 'number', validate: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** 31 },
  int64: true,
  float: true,
  double: true,
  password: true,
};

/** The JSON schema of a structural schema. At the root, `metadata` is left to the server's own checks. */
export function toJsonSchema(schema: JsonObject, root = false): JsonObject {
  const result: JsonObject = {};
  for (const key of COPIED) if (schema[key] !== undefined) result[key] = schema[key];
  if (typeof schema['format'] === 'string' && FORMATS[schema['format']] === undefined) delete result['format'];
  const nullable = schema['nullable'] === true;
  if (schema['x-kubernetes-int-or-string'] === true)
    result['type'] = nullable ? ['integer', 'string', 'null'] : ['integer', 'string'];
  else if (typeof schema['type'] === 'string') result['type'] = nullable ? [schema['type'], 'null'] : schema['type'];
  if (Array.isArray(schema['enum'])) {
    const values = schema['enum'] as unknown[];
    result['enum'] = nullable && !values.includes(null) ? [...values, null] : values;
  }
  for (const bound of ['Minimum', 'Maximum'] as const) {
    const inclusive = bound.toLowerCase();
    const value = schema[inclusive];
    if (value === undefined) continue;
    // OpenAPI 3.0: a boolean beside the bound; JSON schema 2019: a bound of its own.
    result[schema[`exclusive${bound}`] === true ? `exclusive${bound}` : inclusive] = value;
  }
  if (isObject(schema['properties'])) {
    result['properties'] = Object.fromEntries(
      Object.entries(schema['properties'])
        .filter(([name]) => !(root && name === 'metadata'))
        .map(([name, property]) => [name, isObject(property) ? toJsonSchema(property) : {}]),
    );
  }
  if (isObject(schema['items'])) result['items'] = toJsonSchema(schema['items']);
  if (isObject(schema['additionalProperties']))
    result['additionalProperties'] = toJsonSchema(schema['additionalProperties']);
  if (isObject(schema['not'])) result['not'] = toJsonSchema(schema['not']);
  for (const key of ['allOf', 'anyOf', 'oneOf']) {
    if (Array.isArray(schema[key])) {
      result[key] = listOf(schema[key]).map((item) => (isObject(item) ? toJsonSchema(item) : {}));
    }
  }
  return result;
}
