import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generate } from './codegen.ts';
import { ovnNorthbound } from './gen/ovn-nb.ts';
import { ovnSouthbound } from './gen/ovn-sb.ts';
import { openVswitch } from './gen/vswitch.ts';
import type { Json } from './json.ts';
import { compatible, parseSchema } from './server-schema.ts';
import type { DatabaseSpec } from './spec.ts';

const target = {
  type: 'Small',
  spec: 'small',
  origin: 'a test',
  modules: { spec: '../spec.ts', uuid: '../uuid.ts' },
};
const column = (type: Json): Json => ({ type });

function schema(columns: { readonly [name: string]: Json }): Json {
  return { name: 'Small', version: '1.0.0', tables: { T: { columns } } };
}

describe('generate', () => {
  it('writes types and spec of the union of releases', () => {
    const text = generate(
      target,
      new Map([
        [
          '1',
          schema({
            e: column({ key: { type: 'string', enum: ['set', ['a', 'b']] } }),
            gone: column('string'),
            n: { type: { key: 'string', min: 1, max: 'unlimited' }, mutable: false },
            w: column({
              key: { type: 'string', minLength: 1, maxLength: 20 },
              value: { type: 'integer', minInteger: 3, maxInteger: 4 },
              min: 1,
              max: 2,
            }),
          }),
        ],
        [
          '2',
          schema({
            e: column({ key: { type: 'string', enum: ['set', ['b', 'c']] } }),
            n: { type: { key: 'string', min: 0, max: 'unlimited' }, mutable: false },
            w: column({
              key: { type: 'string', minLength: 0, maxLength: 10 },
              value: { type: 'integer', minInteger: -5 },
              min: 1,
              max: 3,
            }),
            r: { type: { key: { type: 'uuid', refTable: 'T' }, min: 0, max: 1 }, ephemeral: true },
            m: column({
              key: { type: 'integer', minInteger: 0, maxInteger: 9 },
              value: 'uuid',
              min: 0,
              max: 'unlimited',
            }),
          }),
        ],
      ]),
    );
    for (const line of [
      "  readonly e: 'a' | 'b' | 'c';",
      '  /** Until 1. */',
      '  readonly gone: string;',
      '  /** Cannot change after insert. */',
      '  readonly n: readonly string[];',
      '  /** Not kept over a server restart. Since 2. */',
      "  readonly r: Ref<'T'> | undefined;",
      '  /** 0 to 9. Since 2. */',
      '  readonly m: ReadonlyMap<number, Uuid>;',
      "    n: 'string*',",
      "    r: '(T)?',",
      "    m: 'integer[0..9]->uuid*',",
      '  /** 0 to 20 characters -> At least -5. */',
      "    w: 'string[0..20]->integer[-5..]{1,3}',",
      "import type { Ref, Uuid } from '../uuid.ts';",
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });

  it('refuses a column that changed its type between releases', () => {
    const schemas = new Map([
      ['1', schema({ c: column('string') })],
      ['2', schema({ c: column('integer') })],
    ]);
    expect(() => generate(target, schemas)).toThrow(/column c changed its type in 2/);
  });

  it.each<[string, DatabaseSpec<never>]>([
    ['ovn-nb', ovnNorthbound as DatabaseSpec<never>],
    ['ovn-sb', ovnSouthbound as DatabaseSpec<never>],
    ['vswitch', openVswitch as DatabaseSpec<never>],
  ])('%s has every table and column of every release, compatibly', (file, spec) => {
    const releases = readdirSync(new URL('../schemas/', import.meta.url), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    expect(releases.length).toBeGreaterThanOrEqual(3);
    for (const { name } of releases) {
      const path = new URL(`../schemas/${name}/${file}.ovsschema`, import.meta.url);
      const server = parseSchema(JSON.parse(readFileSync(path, 'utf8')) as Json);
      expect(server.name).toBe(spec.name);
      for (const table of server.tables.values()) {
        for (const theirs of table.columns.values()) {
          const own = spec.tables.get(table.name)?.columns.get(theirs.name);
          expect([table.name, theirs.name, own !== undefined && compatible(own, theirs)]).toEqual([
            table.name,
            theirs.name,
            true,
          ]);
        }
      }
    }
  });
});

describe('parseSchema', () => {
  it.each<[string, Json]>([
    ['no object', 1],
    ['no tables', { name: 'x' }],
    ['a table without columns', { name: 'x', tables: { T: {} } }],
    ['a column without type', schema({ c: {} })],
    ['a type that does not exist', schema({ c: column('strange') })],
    ['a key without type', schema({ c: column({ key: {} }) })],
  ])('refuses %s', (_, json) => {
    expect(() => parseSchema(json)).toThrow(/protocol_error/);
  });
});
