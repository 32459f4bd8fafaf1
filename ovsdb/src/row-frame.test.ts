import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonFramer } from './framer.ts';
import type { Json } from './json.ts';
import { type RowFrame, RowFrameReader } from './row-frame.ts';
import { seeded } from './test-support.ts';

const text = fc
  .array(fc.constantFrom('}}}]}', '}},"', '"', '\\', 'a', '{', ']'), { maxLength: 6 })
  .map((parts) => parts.join(''));
const row = fc.dictionary(
  fc.constantFrom('name', 'external_ids'),
  fc.oneof(
    { weight: 1, arbitrary: fc.constant('\u00e9') },
    { weight: 20, arbitrary: text },
    { weight: 20, arbitrary: fc.boolean() },
    { weight: 20, arbitrary: fc.array(fc.tuple(text, text)).map((pairs) => ['map', pairs]) },
  ),
  { noNullPrototype: true },
);
const change = fc.oneof(
  row.map((modify) => ({ modify })),
  row.map((insert) => ({ insert })),
  fc.constant({ delete: null }),
);
const table = fc.constantFrom('A', 'Logical_Switch_Port');
const updates: fc.Arbitrary<Record<string, Record<string, object>>> = fc.oneof(
  fc.tuple(table, fc.uuid(), change).map(([name, uuid, each]) => ({ [name]: { [uuid]: each } })),
  fc.dictionary(table, fc.dictionary(fc.uuid(), change, { minKeys: 1, maxKeys: 2, noNullPrototype: true }), {
    minKeys: 1,
    noNullPrototype: true,
  }),
);

interface Message {
  readonly params: [string, string, Record<string, Record<string, { insert?: Json; modify?: Json; delete?: null }>>];
}

/** What a frame says, in the words of the message. */
function said({ lastTransaction, table, uuid, insert, modify }: RowFrame): Message['params'] {
  const what = insert !== undefined ? { insert } : modify !== undefined ? { modify } : { delete: null };
  return ['db', lastTransaction, { [table]: { [uuid]: what } }];
}

describe('RowFrameReader', () => {
  it('says what JSON.parse says, or nothing', () => {
    let taken = 0;
    let whole = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(updates, fc.uuid(), fc.boolean()), { maxLength: 4 }), fc.nat(), (list, cut) => {
        const messages = list.map(([tables, transaction, turned]) => {
          const params = ['db', transaction, tables];
          return turned ? { method: 'update3', id: null, params } : { id: null, method: 'update3', params };
        });
        const bytes = Buffer.from(messages.map((message) => JSON.stringify(message)).join(''));
        const reader = new RowFrameReader('db');
        const got: unknown[] = [];
        const framer = new JsonFramer(
          (message) => {
            whole += 1;
            got.push((JSON.parse(message) as Message).params);
          },
          undefined,
          (chunk, from) => {
            const frame = reader.read(chunk, from);
            if (frame !== undefined) {
              taken += 1;
              got.push(said(frame));
            }
            return frame?.end ?? -1;
          },
        );
        const at = cut % (bytes.length + 1);
        framer.push(bytes.subarray(0, at));
        framer.push(bytes.subarray(at));
        expect(got).toEqual(messages.map(({ params }) => params));
      }),
      seeded(2_000),
    );
    // Both ways were gone.
    expect(Math.min(taken, whole)).toBeGreaterThan(100);
  });

  it('reads row by row what JSON.parse says, or nothing', () => {
    let taken = 0;
    let rows = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(updates, fc.uuid()), { maxLength: 4 }), fc.nat(), (list, cut) => {
        const messages = list.map(([tables, transaction]) => ({
          id: null,
          method: 'update3',
          params: ['db', transaction, tables],
        }));
        const bytes = Buffer.from(messages.map((message) => JSON.stringify(message)).join(''));
        const reader = new RowFrameReader('db');
        const got: unknown[] = [];
        const take = (chunk: string, from: number): number => {
          const tables: Record<string, Record<string, Json>> = {};
          let read = 0;
          const frame = reader.readRows(chunk, from, (name, uuid, json, own) => {
            tables[name] = { ...tables[name], [uuid]: json };
            read += 1;
            expect(JSON.parse(own ?? '')).toEqual(json);
          });
          if (frame === undefined) return -1;
          taken += 1;
          rows = Math.max(rows, read);
          got.push(['db', frame.lastTransaction, tables]);
          return frame.end;
        };
        const framer = new JsonFramer(
          (message) => {
            if (take(message, 0) < 0) got.push((JSON.parse(message) as Message).params);
          },
          undefined,
          take,
        );
        const at = cut % (bytes.length + 1);
        framer.push(bytes.subarray(0, at));
        framer.push(bytes.subarray(at));
        expect(got).toEqual(messages.map(({ params }) => params));
      }),
      seeded(2_000),
    );
    expect(taken).toBeGreaterThan(1_000);
    expect(rows).toBeGreaterThan(1);
  });

  it('reads no frame row by row that is cut or not the monitor\u2019s', () => {
    const uuids = ['123e4567-e89b-42d3-a456-426614174000', '223e4567-e89b-42d3-a456-426614174000'] as const;
    const rows = `{"${uuids[0]}":{"insert":{"a":"}}}]}"}},"${uuids[1]}":{"delete":null}}`;
    const good = `{"id":null,"method":"update3","params":["db","${uuids[0]}",{"A":${rows},"B":${rows}}]}`;
    const seen: unknown[] = [];
    const read = (text: string) => new RowFrameReader('db').readRows(text, 0, (...row) => void seen.push(row));
    expect(read(good)).toEqual({ end: good.length, lastTransaction: uuids[0] });
    expect(seen).toEqual(
      ['A', 'B'].flatMap((name) => [
        [name, uuids[0], { insert: { a: '}}}]}' } }, '{"insert":{"a":"}}}]}"}}'],
        [name, uuids[1], { delete: null }, '{"delete":null}'],
      ]),
    );
    for (const [from, to] of [
      ['"db"', '"other"'],
      ['update3', 'update2'],
      ['"A":{', '"A": {'],
      ['"B":{', '"B\\"":{'],
      ['null}},', 'null}}, '],
      ['null}}', 'null}]'],
      [`"${uuids[1]}"`, '"short"'],
      ['}}}]}"}', '}}}]}}'],
    ] as const) {
      expect(read(good.replace(from, to)), to).toBeUndefined();
    }
    for (let end = 0; end < good.length; end += 1) {
      expect(read(good.slice(0, end))).toBeUndefined();
    }
  });

  it('takes no other message', () => {
    const reader = new RowFrameReader('db');
    const uuid = '123e4567-e89b-42d3-a456-426614174000';
    const good = `{"id":null,"method":"update3","params":["db","${uuid}",{"A":{"${uuid}":{"modify":{"a":1}}}}]}`;
    expect(reader.read(good, 0)).toMatchObject({ table: 'A', uuid, modify: { a: 1 }, end: good.length });
    for (const [from, to] of [
      ['"db"', '"other"'],
      ['update3', 'update2'],
      ['modify', 'initial'],
      ['{"a":1}', '{"a":}'],
      ['}}}]}', '}}}] }'],
      ['"A":{', '"A": {'],
      [`"${uuid}",`, '"short",'],
    ] as const) {
      expect(reader.read(good.replace(from, to), 0), to).toBeUndefined();
    }
    for (let end = 0; end < good.length; end += 1) {
      expect(reader.read(good.slice(0, end), 0)).toBeUndefined();
    }
  });
});
