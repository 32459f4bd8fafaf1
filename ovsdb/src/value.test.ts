import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from './json.ts';
import { compatible } from './server-schema.ts';
import { type ColumnSpec, columnToText, defineDatabase } from './spec.ts';
import { seeded } from './test-support.ts';
import type { Atom, Value } from './types.ts';
import { assertExact, checkNotation, decodeValue, defaultValue, encodeValue, valuesEqual } from './value.ts';

const A = '11111111-1111-4111-8111-111111111111';
const B = '22222222-2222-4222-8222-222222222222';

function column(text: string): ColumnSpec {
  const spec = defineDatabase('db', { t: { c: text } })
    .tables.get('t')
    ?.columns.get('c');
  if (spec === undefined) {
    throw new Error('no column');
  }
  return spec;
}

function decode(text: string, json: Json): Value | undefined {
  checkNotation(column(text), json);
  return decodeValue(column(text), json);
}

describe('decodeValue', () => {
  it('decodes every kind', () => {
    expect(decode('string', 'a')).toBe('a');
    expect(decode('string', ['set', ['a']])).toBe('a');
    expect(decode('uuid', ['uuid', A])).toBe(A);
    expect(decode('integer?', ['set', []])).toBeUndefined();
    expect(decode('integer?', 7)).toBe(7);
    expect(decode('(t)?', ['set', [['uuid', A]]])).toBe(A);
    expect(decode('string*', 'one')).toEqual(['one']);
    expect(decode('string*', ['set', ['uuid', A]])).toEqual(['uuid', A]);
    expect(decode('(t)*', ['uuid', A])).toEqual([A]);
    expect(
      decode('(t)*', [
        'set',
        [
          ['uuid', A],
          ['uuid', B],
        ],
      ]),
    ).toEqual([A, B]);
    expect(
      decode('string->integer*', [
        'map',
        [
          ['a', 1],
          ['b', 2],
        ],
      ]),
    ).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    );
    expect(decode('integer->(t)*', ['map', [[5, ['uuid', A]]]])).toEqual(new Map([[5, A]]));
  });

  it.each<[string, Json]>([
    ['string', 5],
    ['string', ['set', []]],
    ['string', ['set', ['a', 'b']]],
    ['integer', 1.5],
    ['integer', '1'],
    ['boolean', null],
    ['uuid', A],
    ['uuid', ['uuid', 'nonsense']],
    ['uuid', ['named-uuid', 'x']],
    ['string?', ['set', ['a', 'b']]],
    ['string*', ['set', [1]]],
    ['string*', ['map', []]],
    ['string->string*', ['set', []]],
    ['string->string*', ['map', [['a']]]],
    ['string->string*', ['map', [['a', 1]]]],
    ['string->string*', { a: 'b' }],
  ])('refuses, as %s, %j', (text, json) => {
    expect(() => checkNotation(column(text), json)).toThrow(/protocol_error: the server sent .* for a/);
  });

  it('tells integers that a number cannot hold', () => {
    const exact = (text: string, json: Json): unknown => assertExact(column(text), decode(text, json));
    expect(exact('integer', 2 ** 53 - 1)).toBe(2 ** 53 - 1);
    expect(exact('integer?', ['set', []])).toBeUndefined();
    expect(exact('real', 2 ** 60)).toBe(2 ** 60);
    expect(() => exact('integer', 2 ** 53)).toThrow(/invalid_value: integer 9007199254740992 is beyond 2\^53/);
    expect(() => exact('integer*', ['set', [1, -(2 ** 53)]])).toThrow(/beyond/);
    expect(() => exact('string->integer*', ['map', [['rx', 2 ** 63]]])).toThrow(/beyond/);
    expect(() => exact('integer->string*', ['map', [[2 ** 63, 'x']]])).toThrow(/beyond/);
  });
});

describe('encodeValue', () => {
  it('encodes every kind', () => {
    expect(encodeValue(column('string?'), null)).toEqual(['set', []]);
    expect(encodeValue(column('string?'), 'a')).toBe('a');
    expect(encodeValue(column('(t)*'), [A, 'row1'])).toEqual([
      'set',
      [
        ['uuid', A],
        ['named-uuid', 'row1'],
      ],
    ]);
    expect(encodeValue(column('string->string*'), new Map([['a', 'b']]))).toEqual(['map', [['a', 'b']]]);
  });

  it.each<[string, unknown, RegExp]>([
    ['string', null, /takes string, not null/],
    ['string', 'a\0b', /takes string/],
    ['integer', 2 ** 53, /takes integer/],
    ['integer', Number.NaN, /takes integer/],
    ['real', Infinity, /takes real/],
    ['(Logical_Switch)', 'not a ref', /takes a row of Logical_Switch, not "not a ref"/],
    ['string*', 'a', /takes an array/],
    ['string+', [], /takes 1 to Infinity elements/],
    ['string{0,3}', ['a', 'b', 'c', 'd'], /takes 0 to 3 elements/],
    ['string->string*', { a: 'b' }, /takes a Map/],
    ['boolean', undefined, /takes boolean, not undefined/],
  ])('refuses, as %s, %j', (text, value, message) => {
    expect(() => encodeValue(column(text), value)).toThrow(message);
  });
});

const uuid = fc.uuid();
const atoms: Record<string, fc.Arbitrary<Atom>> = {
  string: fc.string().filter((text) => !text.includes('\0')),
  integer: fc.maxSafeInteger(),
  real: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
  boolean: fc.boolean(),
  uuid,
};

/** A column type with a value of it. */
const typedValue: fc.Arbitrary<{ text: string; value: Value | null }> = fc
  .tuple(fc.constantFrom('string', 'integer', 'real', 'boolean', 'uuid'), fc.constantFrom('string', 'integer', 'uuid'))
  .chain(([key, value]) => {
    const keys = atoms[key] ?? uuid;
    const values = atoms[value] ?? uuid;
    return fc.oneof(
      keys.map((atom) => ({ text: key, value: atom })),
      fc.option(keys).map((atom) => ({ text: `${key}?`, value: atom })),
      fc.uniqueArray(keys).map((set) => ({ text: `${key}*`, value: set })),
      fc.array(fc.tuple(keys, values)).map((pairs) => ({ text: `${key}->${value}*`, value: new Map(pairs) })),
    );
  });

describe('ranges', () => {
  it('hold for numbers and for the length of strings in characters', () => {
    const encode = (text: string, value: Value) => encodeValue(column(text), value);
    expect(encode('integer[0..9]', 9)).toBe(9);
    expect(() => encode('integer[0..9]', 10)).toThrow(/column c takes integer in 0\.\.9, not 10/);
    expect(() => encode('integer[0..9]*', [1, -1])).toThrow(/invalid_value/);
    expect(() => encode('string->real[0.5..]*', new Map([['a', 0.25]]))).toThrow(/real in 0\.5\.\./);
    expect(encode('string[..3]', 'é😀a')).toBe('é😀a');
    expect(() => encode('string[..3]', 'abcd')).toThrow(/takes string of \.\.3 characters, not "abcd"/);
    expect(() => encode('string[1..]', '')).toThrow(/invalid_value/);
  });
});

describe('round trip', () => {
  it('decodes what it encodes', () => {
    fc.assert(
      fc.property(typedValue, ({ text, value }) => {
        const json = JSON.parse(JSON.stringify(encodeValue(column(text), value))) as Json;
        expect(valuesEqual(decode(text, json), value)).toBe(true);
      }),
      seeded(1_000),
    );
  });

  it('reads the text form of every column type', () => {
    for (const text of [
      'string',
      'integer?',
      '(Port)*',
      'uuid+',
      'string{0,3}',
      'integer->(Queue)*',
      'string->string{1,1}',
      'integer[-1..4095]?',
      'string[..63]->real[0.5..]*',
    ]) {
      const spec = column(text);
      expect(column(columnToText(spec))).toEqual(spec);
    }
    expect(column('string[..63]->real[0.5..]*')).toMatchObject({ key: { most: 63 }, value: { least: 0.5 } });
    expect(() => column('strange')).toThrow(/"strange" is not an atomic type/);
    expect(() => column('integer[1-2]')).toThrow(/is not an atomic type/);
    expect(() => column('string**')).toThrow(/is not BASE/);
  });
});

describe('valuesEqual', () => {
  it('knows no order in sets and maps', () => {
    expect(valuesEqual(['a', 'b'], ['b', 'a'])).toBe(true);
    expect(valuesEqual(['a', 'b'], ['a', 'c'])).toBe(false);
    expect(valuesEqual(['a', 'a'], ['a', 'b'])).toBe(false);
    expect(
      valuesEqual(
        new Map([
          ['a', 1],
          ['b', 2],
        ]),
        new Map([
          ['b', 2],
          ['a', 1],
        ]),
      ),
    ).toBe(true);
    expect(valuesEqual(new Map([['a', 1]]), new Map([['b', 1]]))).toBe(false);
    expect(valuesEqual(new Map([['a', 1]]), new Map([['a', 2]]))).toBe(false);
  });

  it('keeps kinds apart, and takes null for an empty optional', () => {
    expect(valuesEqual(null, undefined)).toBe(true);
    expect(valuesEqual('', undefined)).toBe(false);
    expect(valuesEqual([], undefined)).toBe(false);
    expect(valuesEqual(['a'], 'a')).toBe(false);
    expect(valuesEqual([], new Map())).toBe(false);
    expect(valuesEqual(0, false)).toBe(false);
  });
});

describe('compatible', () => {
  it.each<[string, string, boolean]>([
    ['string', 'string', true],
    ['string', 'integer', false],
    ['string', 'string?', false],
    ['string?', 'string', true],
    ['string?', 'string*', false],
    ['string*', 'string', true],
    ['string->string*', 'string->integer*', false],
    ['string*', 'string->string*', false],
  ])('spec %s, server %s: %s', (spec, server, expected) => {
    expect(compatible(column(spec), column(server))).toBe(expected);
  });

  it('has a default for every kind', () => {
    expect(
      ['string', 'integer', 'boolean', 'uuid', 'string?', 'string*', 'string->string*'].map((text) =>
        defaultValue(column(text)),
      ),
    ).toEqual(['', 0, false, '00000000-0000-0000-0000-000000000000', undefined, [], new Map()]);
  });
});
