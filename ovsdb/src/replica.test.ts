import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type OvnNorthbound, ovnNorthbound } from './gen/ovn-nb.ts';
import { openVswitch } from './gen/vswitch.ts';
import type { Json } from './json.ts';
import { ReplicaStore } from './replica.ts';
import { defineDatabase } from './spec.ts';
import { seeded } from './test-support.ts';
import type { AnyDatabase, RowChange, Value } from './types.ts';
import { encodeValue, valuesEqual } from './value.ts';

const A = '11111111-1111-4111-8111-111111111111';
const B = '22222222-2222-4222-8222-222222222222';
const C = '33333333-3333-4333-8333-333333333333';

function fail(error: unknown): never {
  throw error;
}

function northbound() {
  return new ReplicaStore(
    ovnNorthbound,
    { Logical_Switch: true, Logical_Switch_Port: ['name', 'addresses', 'external_ids', 'tag'] },
    {
      Logical_Switch: [['ports']],
      Logical_Switch_Port: [['name'], ['external_ids:owner'], ['name', 'tag'], ['tag']],
    },
    fail,
  );
}

describe('ReplicaStore', () => {
  it('reads rows of a snapshot, with what the server left out at its default', () => {
    const store = northbound();
    expect(store.generation).toBe(0);
    store.reload('monitor_cond_since', {
      Logical_Switch_Port: { [A]: { initial: { name: 'a', external_ids: ['map', [['owner', 'x']]], tag: 7 } } },
      Logical_Switch: { [B]: { initial: { name: 's', ports: ['uuid', A] } } },
    });
    expect(store.generation).toBe(1);
    const port = store.table('Logical_Switch_Port').get(A);
    expect([port?._uuid, port?.name, port?.addresses, port?.tag]).toEqual([A, 'a', [], 7]);
    expect(port?.external_ids.get('owner')).toBe('x');
    expect(store.table('Logical_Switch').get(B)?.ports).toEqual([A]);
    expect(port?.external_ids).toBe(port?.external_ids);
    expect(JSON.stringify(port)).toBe(
      `{"_uuid":"${A}","name":"a","addresses":[],"external_ids":{"owner":"x"},"tag":7}`,
    );
  });

  it('refuses to read what is not monitored', () => {
    const store = northbound();
    store.reload('monitor_cond', { Logical_Switch_Port: { [A]: { initial: { name: 'a' } } } });
    expect(() => store.table('Logical_Switch_Port').get(A)?.type).toThrow(
      /not_monitored: column Logical_Switch_Port.type/,
    );
    expect(() => store.table('ACL')).toThrow(/not_monitored: table ACL/);
    expect(() => store.table('Logical_Switch').find('name', 's')).toThrow(/no_index: no index on Logical_Switch/);
  });

  it('applies differences of scalars, optionals, sets and maps', () => {
    const store = northbound();
    const seen: RowChange<AnyDatabase>[] = [];
    store.onChange((changes) => seen.push(...(changes as unknown as RowChange<AnyDatabase>[])));
    store.apply('monitor_cond', {
      Logical_Switch_Port: {
        [A]: {
          insert: {
            name: 'a',
            addresses: ['set', ['x', 'y']],
            external_ids: [
              'map',
              [
                ['k', '1'],
                ['l', '2'],
                ['m', '3'],
              ],
            ],
            tag: 4,
          },
        },
      },
    });
    const before = store.table('Logical_Switch_Port').get(A);
    store.apply('monitor_cond', {
      Logical_Switch_Port: {
        [A]: {
          modify: {
            name: 'b',
            addresses: ['set', ['y', 'z']],
            external_ids: [
              'map',
              [
                ['k', '1'],
                ['l', '9'],
                ['n', '4'],
              ],
            ],
            tag: ['set', []],
          },
        },
      },
    });
    const after = store.table('Logical_Switch_Port').get(A);
    expect([after?.name, after?.addresses, after?.tag]).toEqual(['b', ['x', 'z'], undefined]);
    expect(after?.external_ids).toEqual(
      new Map([
        ['l', '9'],
        ['m', '3'],
        ['n', '4'],
      ]),
    );
    expect([before?.name, before?.addresses, before?.tag]).toEqual(['a', ['x', 'y'], 4]);
    store.apply('monitor_cond', { Logical_Switch_Port: { [A]: { delete: null } } });
    expect(store.table('Logical_Switch_Port').size).toBe(0);
    expect(seen.map((change) => [change.table, change.old === undefined, change.new === undefined])).toEqual([
      ['Logical_Switch_Port', true, false],
      ['Logical_Switch_Port', false, false],
      ['Logical_Switch_Port', false, true],
    ]);
    expect(seen[1]?.new).toBe(after);
  });

  it('follows integers beyond 2^53, which only their reader cannot have', () => {
    const store = new ReplicaStore(openVswitch, { Interface: ['name', 'statistics'] }, {}, fail);
    store.apply('monitor_cond', {
      Interface: {
        [A]: {
          insert: {
            name: 'i',
            statistics: [
              'map',
              [
                ['rx', 2 ** 60],
                ['tx', 1],
              ],
            ],
          },
        },
      },
    });
    store.apply('monitor_cond', { Interface: { [A]: { modify: { statistics: ['map', [['tx', 2]]] } } } });
    const row = store.table('Interface').get(A);
    expect(row?.name).toBe('i');
    expect(() => row?.statistics).toThrow(/invalid_value: integer 1152921504606847000 is beyond 2\^53/);
    store.apply('monitor_cond', { Interface: { [A]: { modify: { statistics: ['map', [['rx', 5]]] } } } });
    expect(store.table('Interface').get(A)?.statistics).toEqual(
      new Map([
        ['rx', 5],
        ['tx', 2],
      ]),
    );
  });

  it('applies the plain monitor of RFC 7047', () => {
    const store = northbound();
    store.apply('monitor', { Logical_Switch_Port: { [A]: { new: { name: 'a', tag: ['set', []] } } } });
    store.apply('monitor', { Logical_Switch_Port: { [A]: { old: { name: 'a' }, new: { name: 'b', tag: 3 } } } });
    expect(
      store
        .table('Logical_Switch_Port')
        .find('tag', 3)
        .map((row) => row.name),
    ).toEqual(['b']);
    store.apply('monitor', { Logical_Switch_Port: { [A]: { old: { name: 'b', tag: 3 } } } });
    expect(store.table('Logical_Switch_Port').size).toBe(0);
  });

  it('finds by columns, map keys, set elements and several columns', () => {
    const store = northbound();
    const ports = store.table('Logical_Switch_Port');
    store.apply('monitor_cond', {
      Logical_Switch_Port: {
        [A]: { insert: { name: 'a', tag: 1, external_ids: ['map', [['owner', 'p']]] } },
        [B]: { insert: { name: 'b', tag: 1, external_ids: ['map', [['owner', 'p']]] } },
        [C]: { insert: { name: 'c' } },
      },
      Logical_Switch: {
        [C]: {
          insert: {
            name: 's',
            ports: [
              'set',
              [
                ['uuid', A],
                ['uuid', B],
              ],
            ],
          },
        },
      },
    });
    const names = (rows: readonly { readonly name: string }[]): string[] => rows.map((row) => row.name).toSorted();
    expect(names(ports.find('external_ids:owner', 'p'))).toEqual(['a', 'b']);
    expect(names(ports.find('tag', 1))).toEqual(['a', 'b']);
    expect(names(ports.find(['name', 'tag'], ['a', 1]))).toEqual(['a']);
    expect(names(ports.find('name', 'nobody'))).toEqual([]);
    const port = ports.get(B);
    expect(port && names(store.table('Logical_Switch').find('ports', port._uuid))).toEqual(['s']);
    // One update swaps names: an index that added before it removed would lose one (libovsdb #264).
    store.apply('monitor_cond', {
      Logical_Switch_Port: {
        [A]: { modify: { name: 'b' } },
        [B]: { modify: { name: 'a', external_ids: ['map', [['owner', 'p']]] } },
      },
    });
    expect([ports.find('name', 'a')[0]?._uuid, ports.find('name', 'b')[0]?._uuid]).toEqual([B, A]);
    expect(names(ports.find('external_ids:owner', 'p'))).toEqual(['b']);
  });

  it('reloads as a difference, keeping the rows that are the same', () => {
    const store = northbound();
    store.reload('monitor_cond', {
      Logical_Switch_Port: {
        [A]: { initial: { name: 'a', addresses: ['set', ['x', 'y']] } },
        [B]: { initial: { name: 'b' } },
      },
    });
    const ports = store.table('Logical_Switch_Port');
    const kept = ports.get(A);
    const changes: string[] = [];
    store.onChange((list) =>
      changes.push(
        ...list.map(({ uuid, old, new: after }) => `${uuid.slice(0, 1)}${old ? '-' : ''}${after ? '+' : ''}`),
      ),
    );
    store.reload('monitor', {
      Logical_Switch_Port: {
        [A]: { new: { name: 'a', addresses: ['set', ['y', 'x']], tag: ['set', []], external_ids: ['map', []] } },
        [C]: { new: { name: 'c' } },
      },
    });
    expect(changes.toSorted()).toEqual(['2-', '3+']);
    expect(ports.get(A)).toBe(kept);
    expect(store.generation).toBe(2);
    store.reload('monitor_cond', {});
    expect([ports.size, store.size, ports.find('name', 'a').length]).toEqual([0, 0, 0]);
  });

  it('keeps rows of a dump that nobody reads as texts, which changes nothing to who reads them', () => {
    const make = () => new ReplicaStore(ovnNorthbound, { Logical_Switch: true }, { Logical_Switch: [['name']] }, fail);
    const json = { initial: { name: 'a', other_config: ['map', [['k', 'v']]], ports: ['uuid', B] } };
    const feed = (store: ReplicaStore<OvnNorthbound>, following: boolean, update: Json = json): void => {
      const load = store.load('monitor_cond_since', following);
      const text = JSON.stringify(update);
      load.row('Logical_Switch', A, JSON.parse(text) as Json, text);
      store.commit(load, following);
    };
    for (const following of [false, true]) {
      const store = make();
      feed(store, following);
      const table = store.table('Logical_Switch');
      const [row] = table.find('name', 'a');
      expect([row?.name, row?.ports, row?.other_config, row?.acls]).toEqual(['a', [B], new Map([['k', 'v']]), []]);
      // Loaded again, it is the same row: by its text while it is folded, by its values after that.
      feed(store, false);
      expect(table.get(A)).toBe(row);
      const unread = make();
      feed(unread, following);
      feed(unread, false);
      unread.apply('monitor_cond', { Logical_Switch: { [A]: { modify: { name: 'b', ports: ['uuid', A] } } } });
      expect(unread.table('Logical_Switch').find('name', 'a')).toEqual([]);
      const [changed] = unread.table('Logical_Switch').find('name', 'b');
      expect([changed?.ports.toSorted(), changed?.other_config.get('k')]).toEqual([[A, B].toSorted(), 'v']);
      unread.apply('monitor_cond', { Logical_Switch: { [A]: { delete: null } } });
      expect([unread.size, unread.table('Logical_Switch').find('name', 'b')]).toEqual([0, []]);
    }
    const listened = make();
    const seen: unknown[] = [];
    listened.table('Logical_Switch').onChange((changes) => seen.push(...changes.map((each) => each.new?.name)));
    feed(listened, false);
    feed(listened, false, { initial: { name: 'c' } });
    expect(seen).toEqual(['a', 'c']);
    expect(JSON.stringify([...listened.table('Logical_Switch').rows()])).toContain('"name":"c"');
  });

  it('applies a bad message not at all, and says where it is bad', () => {
    const store = northbound();
    store.apply('monitor_cond', { Logical_Switch_Port: { [A]: { insert: { name: 'a' } } } });
    const good = { [B]: { insert: { name: 'b' } } };
    const bad: [Json, RegExp][] = [
      [
        { Logical_Switch_Port: { ...good, [A]: { modify: { tag: 'x' } } } },
        /the server sent "x" for a optional of integer/,
      ],
      [{ Logical_Switch_Port: { ...good, [C]: { modify: {} } } }, /change of a row that the replica does not have/],
      [{ Logical_Switch_Port: { ...good, [C]: { delete: null } } }, /change of a row that the replica does not have/],
      [{ Logical_Switch_Port: { ...good, [C]: {} } }, /change of a row|none of initial/],
      [{ Logical_Switch_Port: { ...good, nonsense: { insert: {} } } }, /"nonsense" is not a UUID/],
      [{ Logical_Switch_Port: good, Nonsense: {} }, /table Nonsense, which was not asked for/],
      [{ Logical_Switch_Port: [] }, /Logical_Switch_Port/],
      [null, /not an object/],
    ];
    for (const [message, expected] of bad) {
      expect(() => store.apply('monitor_cond', message)).toThrow(expected);
    }
    expect(store.size).toBe(1);
  });

  it('survives a listener that throws, and ends listeners one by one', () => {
    const errors: unknown[] = [];
    const store = new ReplicaStore(ovnNorthbound, { Logical_Switch: true }, {}, (error) => errors.push(error));
    let calls = 0;
    const count = (): void => {
      calls += 1;
    };
    store.onChange(() => fail(new Error('mine')));
    const stop = store.onChange(count);
    store.onChange(count);
    store.apply('monitor_cond', { Logical_Switch: { [A]: { insert: { name: 'a' } } } });
    expect([calls, errors.length]).toEqual([2, 1]);
    stop();
    store.apply('monitor_cond', { Logical_Switch: { [A]: { modify: { name: 'b' } } } });
    expect([calls, errors.length]).toEqual([3, 2]);
    store.apply('monitor_cond', {});
    expect(calls).toBe(3);
  });

  it('refuses a monitor or index that the schema does not have', () => {
    const make = (monitor: object, indexes: object) => () => new ReplicaStore(ovnNorthbound, monitor, indexes, fail);
    expect(make({ Nonsense: true }, {})).toThrow(/unknown_table: OVN_Northbound has no table Nonsense/);
    expect(make({ ACL: ['nonsense'] }, {})).toThrow(/unknown_column: table ACL has no column nonsense/);
    expect(make({ ACL: ['name'] }, { ACL: [['match']] })).toThrow(/not_monitored: index on ACL.match/);
    expect(make({ ACL: true }, { ACL: [['name:x']] })).toThrow(/index part "name:x" of table ACL must be/);
    expect(make({ ACL: true }, { ACL: [['options']] })).toThrow(/index part "options" of table ACL must be/);
    expect(make({}, { ACL: [['name']] })).toThrow(/not_monitored: index on table ACL/);
  });
});

/** A table with each kind of column, for the model. */
const anything = defineDatabase<AnyDatabase>('db', {
  t: { s: 'string', o: 'integer?', set: 'string*', refs: '(t)*', map: 'string->string*' },
});

interface ModelRow {
  readonly [column: string]: Value | undefined;
}

const modelRow: fc.Arbitrary<ModelRow> = fc.record({
  s: fc.constantFrom('', 'a', 'b'),
  o: fc.option(fc.nat(3), { nil: undefined }),
  set: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { maxLength: 7 }),
  refs: fc.uniqueArray(fc.constantFrom(A, B, C), { maxLength: 3 }),
  map: fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'))).map((pairs) => new Map(pairs)),
});

/** What a server sends for a row that changes: written from ovsdb-server(7), not from the code under test. */
function difference(old: ModelRow, after: ModelRow): Json {
  const out: Record<string, Json> = {};
  for (const spec of anything.tables.get('t')?.columns.values() ?? []) {
    const [from, to] = [old[spec.name], after[spec.name]];
    if (from instanceof Map && to instanceof Map) {
      const pairs: Json[] = [];
      for (const key of new Set([...from.keys(), ...to.keys()] as string[])) {
        if (from.get(key) !== to.get(key)) {
          pairs.push([key, (to.get(key) ?? from.get(key)) as string]);
        }
      }
      if (pairs.length > 0) {
        out[spec.name] = ['map', pairs];
      }
    } else if (Array.isArray(from) && Array.isArray(to)) {
      const [a, b] = [from as string[], to as string[]];
      const changed = [...a.filter((x) => !b.includes(x)), ...b.filter((x) => !a.includes(x))];
      if (changed.length > 0) {
        out[spec.name] = encodeValue(spec, changed);
      }
    } else if (from !== to) {
      out[spec.name] = encodeValue(spec, to ?? null);
    }
  }
  return out;
}

function whole(row: ModelRow): Json {
  const out: Record<string, Json> = {};
  for (const spec of anything.tables.get('t')?.columns.values() ?? []) {
    out[spec.name] = encodeValue(spec, row[spec.name] ?? null);
  }
  return out;
}

describe('a replica that follows random updates', () => {
  it('holds what the model holds, indexes too, however often rows are read in between', () => {
    const step = fc.record({
      rows: fc.dictionary(fc.constantFrom(A, B, C), fc.option(modelRow), { minKeys: 1 }),
      read: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const store = new ReplicaStore(anything, { t: true }, { t: [['s'], ['set'], ['map:a'], ['s', 'o']] }, fail);
        const model = new Map<string, ModelRow>();
        const table = store.table('t');
        for (const { rows, read } of steps) {
          const updates: Record<string, Json> = {};
          for (const [uuid, row] of Object.entries(rows)) {
            const old = model.get(uuid);
            if (row !== null) {
              updates[uuid] = old === undefined ? { insert: whole(row) } : { modify: difference(old, row) };
              model.set(uuid, row);
            } else if (old !== undefined) {
              updates[uuid] = { delete: null };
              model.delete(uuid);
            }
          }
          store.apply('monitor_cond', { t: updates });
          if (read) {
            JSON.stringify([...table.rows()]);
          }
        }
        expect([...table.rows()].map((row) => row._uuid as string).toSorted()).toEqual([...model.keys()].toSorted());
        for (const [uuid, expected] of model) {
          const row = table.get(uuid);
          for (const [column, value] of Object.entries(expected)) {
            expect([column, row?.[column], valuesEqual(row?.[column], value)]).toEqual([column, row?.[column], true]);
          }
        }
        const uuids = (predicate: (row: ModelRow) => boolean): string[] =>
          [...model]
            .filter(([, row]) => predicate(row))
            .map(([uuid]) => uuid)
            .toSorted();
        const found = (rows: readonly { readonly _uuid: string }[]): string[] =>
          rows.map((row) => row._uuid).toSorted();
        expect(found(table.find('s', 'a'))).toEqual(uuids((row) => row['s'] === 'a'));
        expect(found(table.find('set', 'b'))).toEqual(uuids((row) => (row['set'] as string[]).includes('b')));
        expect(found(table.find('map:a', '1'))).toEqual(
          uuids((row) => (row['map'] as Map<string, string>).get('a') === '1'),
        );
        expect(found(table.find(['s', 'o'], ['a', 2]))).toEqual(uuids((row) => row['s'] === 'a' && row['o'] === 2));
      }),
      seeded(1_000),
    );
  });
});
