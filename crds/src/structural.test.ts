import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { checkStructural, type StructuralSchema, structuralSchema } from './structural.ts';

describe('structuralSchema', () => {
  it('keeps bounds, descriptions and extensions, and drops what the server forbids', () => {
    const schema = z.strictObject({
      a: z.string().min(1).max(3).meta({ description: 'A.', default: 'x' }).exactOptional(),
      b: z.int().meta({ description: 'B.' }),
      c: z.record(z.string(), z.string().max(5)).meta({ 'x-kubernetes-validations': [{ rule: 'true', message: 'm' }] }),
    });
    expect(structuralSchema(schema)).toEqual({
      type: 'object',
      required: ['b', 'c'],
      properties: {
        a: { type: 'string', description: 'A.', default: 'x', minLength: 1, maxLength: 3 },
        b: { type: 'integer', description: 'B.' },
        c: {
          type: 'object',
          additionalProperties: { type: 'string', maxLength: 5 },
          'x-kubernetes-validations': [{ rule: 'true', message: 'm' }],
        },
      },
    });
  });

  it.each([
    ['a union', z.union([z.string(), z.int()])],
    ['a nullable', z.string().nullable()],
    ['a literal number or text', z.object({ a: z.union([z.literal(1), z.literal('a')]) })],
  ])('refuses %s', (_, schema) => {
    expect(() => structuralSchema(schema)).toThrow('cannot be in a structural schema');
  });
});

describe('checkStructural', () => {
  const spec = (property: object): StructuralSchema => ({
    type: 'object',
    properties: { spec: { type: 'object', description: 'S.', properties: { a: property as StructuralSchema } } },
  });
  it.each<[object, string]>([
    [{ description: 'A.' }, '$.spec.a: type is missing'],
    [{ type: 'string', description: 'A.' }, '$.spec.a: maxLength is missing'],
    [{ type: 'string', maxLength: 1 }, '$.spec.a: description is missing'],
    [{ type: 'array', description: 'A.', maxItems: 1 }, '$.spec.a: items is missing'],
    [{ type: 'array', description: 'A.', items: { type: 'integer' } }, '$.spec.a: maxItems is missing'],
    [
      { type: 'object', description: 'A.', properties: {}, additionalProperties: { type: 'integer' } },
      '$.spec.a: properties and additionalProperties exclude each other',
    ],
    [
      { type: 'integer', description: 'A.', 'x-kubernetes-validations': [{ rule: 'true', message: 'a\nb' }] },
      '$.spec.a: rules and messages must be one line',
    ],
  ])('%j', (property, problem) => {
    expect(checkStructural(spec(property))).toEqual([problem]);
  });
});
