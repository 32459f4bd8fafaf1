import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, type FramerLimits, JsonFramer } from './framer.ts';
import type { Json } from './json.ts';
import { seeded } from './test-support.ts';

type Rows = Record<string, Record<string, Json>>;

interface Cut {
  readonly leading: unknown[][];
  readonly rows: Rows;
  readonly order: string[];
  readonly texts: string[];
}

function cut(bytes: Buffer, at: readonly number[], alone = true, limits: FramerLimits = DEFAULT_LIMITS): Cut {
  const result: Cut = { leading: [], rows: {}, order: [], texts: [] };
  const framer = new JsonFramer((text) => result.texts.push(text), limits);
  framer.cutRows({
    id: 7,
    alone: () => alone,
    sink: {
      begin: (leading) => result.leading.push([...leading]),
      row: (table, uuid, json) => {
        (result.rows[table] ??= {})[uuid] = json;
        result.order.push(uuid);
      },
    },
  });
  let from = 0;
  for (const position of [...at.toSorted((a, b) => a - b), bytes.length]) {
    framer.push(bytes.subarray(from, position));
    from = position;
  }
  return result;
}

const uuid = fc.uuid();
const text = fc
  .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'a', '\u00e9', '\u{1f426}'), { maxLength: 8 })
  .map((parts) => parts.join(''));
// Column names have no backslashes. (V8 of Node 24 reads the key "\\"" as "\\\\" after it has seen the latter.)
const row = fc.dictionary(
  text.map((name) => name.replaceAll('\\', '_')),
  fc.oneof(text, fc.integer(), fc.array(fc.array(text))),
  {
    maxKeys: 4,
    noNullPrototype: true,
  },
);
const tables = fc.dictionary(
  fc.constantFrom('A', 'Logical_Switch', 'a "b"'),
  fc.dictionary(uuid, row, { maxKeys: 4, noNullPrototype: true }),
  { noNullPrototype: true },
);

/** The same object with its members in another order, and blanks. */
function serialize(message: Record<string, unknown>, order: number, blanks: boolean): string {
  const keys = Object.keys(message);
  const turned = [...keys.slice(order % keys.length), ...keys.slice(0, order % keys.length)];
  return JSON.stringify(Object.fromEntries(turned.map((key) => [key, message[key]])), null, blanks ? 1 : 0);
}

describe('a reply that is cut by row', () => {
  it('has the same rows and the same rest as when it is parsed whole, wherever its bytes are cut', () => {
    fc.assert(
      fc.property(
        tables,
        fc.boolean(),
        fc.nat(2),
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 10 }),
        (content, since, order, blanks, cuts) => {
          const result = since ? [false, '123e4567-e89b-42d3-a456-426614174000', content] : content;
          const reply = serialize({ id: 7, result, error: null }, order, blanks);
          const other = '{"id":null,"method":"echo","params":[{"A":{"b":{}}}]}';
          const bytes = Buffer.from(`${other}${reply}${other}`);
          const got = cut(
            bytes,
            cuts.map((position) => position % (bytes.length + 1)),
          );
          expect(got.texts.map((each) => each.length > 0)).toEqual([true, true, true]);
          expect([got.texts[0], got.texts[2]]).toEqual([other, other]);
          const rest = JSON.parse(got.texts[1] ?? '') as { id: number; result: Json; error: null };
          const left = (since ? (rest.result as Json[])[2] : rest.result) as Rows;
          expect(Object.keys(left)).toEqual(Object.keys(content));
          expect([rest.id, rest.error]).toEqual([7, null]);
          // What was not cut is in the rest.
          const all = Object.fromEntries(
            Object.keys(content).map((table) => [table, { ...left[table], ...got.rows[table] }]),
          );
          expect(all).toEqual(content);
          const cutAtAll = Object.values(left).every((rows) => Object.keys(rows).length === 0);
          expect(cutAtAll).toBe(true);
          expect(got.leading).toEqual([since ? [false, '123e4567-e89b-42d3-a456-426614174000'] : []]);
        },
      ),
      seeded(2_000),
    );
  });

  it('is left whole when it answers another call, or might', () => {
    for (const reply of ['{"id":8,"result":{"A":{"b":{}}},"error":null}', '{"id":7,"error":{"a":{}},"result":null}']) {
      expect(cut(Buffer.from(reply), [])).toMatchObject({ rows: {}, texts: [reply] });
    }
    const late = '{"result":{"A":{"b":{}}},"error":null,"id":7}';
    expect(cut(Buffer.from(late), [], false)).toMatchObject({ rows: {}, texts: [late] });
    expect(cut(Buffer.from(late), []).texts).toEqual(['{"result":{"A":{}},"error":null,"id":7}']);
    const transact = '{"id":7,"result":[{"uuid":["uuid","x"]},{"count":1}],"error":null}';
    expect(JSON.parse(cut(Buffer.from(transact), []).texts[0] ?? '')).toMatchObject({ id: 7 });
  });

  it('is refused where its rows are none', () => {
    const bad = [
      '{"A":{"u":5}}',
      '{"A":{"u":[]}}',
      '{"A":[]}',
      '{"A":{"u":{}"v":{}}}',
      '{"A":{,"u":{}}}',
      '{"A":{"u":{},}}',
      '{"A":{"u"}}',
      '{"A":{{}}}',
      '{"A":{"u":{}]}',
      '{"A":{"u":{"a":tru}}}',
      '{"A":{"u":{]}}',
      '{{}}',
    ];
    for (const each of bad) {
      expect(() => cut(Buffer.from(`{"id":7,"result":${each},"error":null}`), []), each).toThrow(/^protocol_error/);
    }
  });

  it('is bounded: each row, the whole, the depth', () => {
    const limits = { maxBytes: 200, maxDumpBytes: 1_000, maxDepth: 8 };
    const reply = (...rows: readonly string[]): Buffer =>
      Buffer.from(`{"id":7,"result":{"A":{${rows.map((each, i) => `"${i}":${each}`).join(',')}}},"error":null}`);
    expect(cut(reply(...Array.from({ length: 50 }, () => '{"a":1}')), [5, 9], true, limits).order).toHaveLength(50);
    expect(() => cut(reply(...Array.from({ length: 200 }, () => '{"a":1}')), [], true, limits)).toThrow(/dump larger/);
    expect(() => cut(reply(`{"a":"${'x'.repeat(300)}"}`), [100, 200, 300], true, limits)).toThrow(
      /row of table A larger/,
    );
    expect(() => cut(reply('{"a":[[[[[[]]]]]]}'), [], true, limits)).toThrow(/deeper than 8/);
  });

  it('never does anything but frame, cut or refuse, whatever the bytes', () => {
    const reply = Buffer.from(
      '{"id":7,"result":[false,"x",{"A":{"123e4567-e89b-42d3-a456-426614174000":{"initial":{"a":"\\"}"}}}}],"error":null}',
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.nat(reply.length - 1), fc.constantFrom('{', '}', '[', ']', '"', ',', ':', '\\', '1', ' ')),
          { maxLength: 4 },
        ),
        fc.nat(reply.length),
        (edits, position) => {
          const bytes = Buffer.from(reply);
          for (const [at, byte] of edits) {
            bytes.write(byte, at, 'latin1');
          }
          try {
            cut(bytes, [position]);
          } catch (error) {
            expect(error).toMatchObject({ code: 'protocol_error' });
          }
        },
      ),
      seeded(5_000),
    );
  });
});
