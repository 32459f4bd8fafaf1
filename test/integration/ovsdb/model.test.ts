/** The replica against the server's own answers, after random transactions over a connection that breaks bytes up. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AnyDatabase,
  type Atom,
  type Client,
  type Clock,
  connect,
  defineDatabase,
  Transaction,
  valuesEqual,
} from '@ovenbird/ovsdb';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Proxy } from './proxy.ts';
import { makeDir, TestServer, until } from './server.ts';

const string = { type: 'string' };
const SCHEMA = {
  name: 'Model',
  version: '1.0.0',
  tables: {
    Thing: {
      isRoot: true,
      indexes: [['name']],
      columns: {
        name: { type: 'string' },
        number: { type: { key: 'integer', min: 0, max: 1 } },
        flag: { type: 'boolean' },
        words: { type: { key: string, min: 0, max: 'unlimited' } },
        weights: { type: { key: string, value: 'real', min: 0, max: 'unlimited' } },
        friend: { type: { key: { type: 'uuid', refTable: 'Thing', refType: 'weak' }, min: 0, max: 1 } },
        friends: { type: { key: { type: 'uuid', refTable: 'Thing', refType: 'weak' }, min: 0, max: 'unlimited' } },
      },
    },
  },
};
const MODEL = defineDatabase<AnyDatabase>('Model', {
  Thing: {
    name: 'string',
    number: 'integer?',
    flag: 'boolean',
    words: 'string*',
    weights: 'string->real*',
    friend: '(Thing)?',
    friends: '(Thing)*',
  },
});

let dir: string;
let server: TestServer;
let proxy: Proxy;
let db: Client<AnyDatabase>;

beforeAll(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'model');
  const path = join(dir, 'model.ovsschema');
  await writeFile(path, JSON.stringify(SCHEMA));
  await server.create(path);
  await server.start();
  proxy = await Proxy.open(server.socket);
  db = connect({
    remotes: [proxy.remote],
    database: MODEL,
    probeIntervalMs: 0,
    // The waits of the backoff pass fast: they are not what is tested, and cuts follow one another.
    clock: fastClock,
    monitor: { Thing: true },
    indexes: { Thing: [['name'], ['words'], ['friends'], ['weights:a']] },
    onEvent: (event) => {
      if (event.type === 'disconnected') {
        drops += 1;
      }
    },
  });
  await db.synced();
});

afterAll(async () => {
  await db.close();
  await proxy[Symbol.asyncDispose]();
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

type Step =
  | { readonly kind: 'insert' | 'update'; readonly row: Record<string, never>; readonly pick: number }
  | { readonly kind: 'delete' | 'cut'; readonly pick: number }
  | { readonly kind: 'mutate'; readonly pick: number; readonly words: string[]; readonly keys: string[] };

const words = fc.uniqueArray(fc.constantFrom('a', 'b', '}"\\', 'é', 'uuid', 'set'), { maxLength: 4 });
const row = fc.record(
  {
    number: fc.option(fc.integer({ min: -5, max: 5 })),
    flag: fc.boolean(),
    words,
    weights: fc
      .array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom(0, 0.5, -2.25)))
      .map((pairs) => new Map(pairs)),
  },
  { requiredKeys: [] },
);
const pick = fc.nat();
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('insert'), row, pick }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('update'), row, pick }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('mutate'), pick, words, keys: words }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut'), pick }) },
) as unknown as fc.Arbitrary<Step>;

const fastClock: Clock = {
  now: () => performance.now() * 100,
  after(ms, task) {
    const timer = setTimeout(task, ms / 100);
    return () => clearTimeout(timer);
  },
};

let names = 0;
/** Transactions so far. */
let runs = 0;
/** Connections lost so far. */
let drops = 0;

async function perform(steps: readonly Step[]): Promise<void> {
  const table = db.replica.table('Thing');
  const t = new Transaction(MODEL);
  for (const each of steps) {
    const present = [...table.rows()];
    const target = present[each.pick % Math.max(1, present.length)]?._uuid;
    if (each.kind === 'insert') {
      names += 1;
      const refs =
        target === undefined
          ? {}
          : { friend: target, friends: present.slice(0, each.pick % 4).map(({ _uuid }) => _uuid) };
      t.insert('Thing', { ...each.row, ...refs, name: `t${names}` });
    } else if (each.kind === 'cut') {
      const before = drops;
      proxy.cut();
      await until('the cut to be noticed', () => drops > before);
      await db.synced();
    } else if (target !== undefined) {
      if (each.kind === 'update') {
        t.update('Thing', target, each.row);
      } else if (each.kind === 'delete') {
        t.delete('Thing', target);
      } else if (each.kind === 'mutate') {
        t.mutate('Thing', target, 'words', each.pick % 2 === 0 ? 'insert' : 'delete', each.words);
        t.mutate('Thing', target, 'weights', 'delete', each.keys);
      }
    }
  }
  await db.transact(t);
}

async function compare(): Promise<void> {
  const table = db.replica.table('Thing');
  const [result] = await db.transact(new Transaction(MODEL).select('Thing', []));
  const rows = result?.rows ?? [];
  expect([...table.rows()].map((each) => each._uuid as string).toSorted()).toEqual(
    rows.map((each) => each._uuid as string).toSorted(),
  );
  for (const expected of rows) {
    const actual = table.get(expected._uuid ?? '');
    for (const column of MODEL.tables.get('Thing')?.columns.keys() ?? []) {
      expect({ column, same: valuesEqual(actual?.[column], expected[column]) }).toEqual({ column, same: true });
    }
    expect(table.find('name', expected['name'] as string)).toEqual([actual]);
  }
  const having = (predicate: (each: (typeof rows)[number]) => boolean): number => rows.filter(predicate).length;
  expect(table.find('words', 'set').length).toBe(having((each) => (each['words'] as Atom[]).includes('set')));
  expect(table.find('weights:a', 0.5).length).toBe(
    having((each) => (each['weights'] as Map<Atom, Atom>).get('a') === 0.5),
  );
}

it('equals the server after random transactions, weak references and cut connections included', async () => {
  const seed = process.env['SEED'];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { maxLength: 5 }), { minLength: 1, maxLength: 6 }),
      async (transactions) => {
        for (const steps of transactions) {
          runs += 1;
          // Split anywhere, a message or two a chunk, or as they come.
          proxy.pieceBytes = [7, 256, Infinity][runs % 3] ?? 7;
          await perform(steps);
        }
        await compare();
      },
    ),
    { numRuns: 80, endOnFailure: true, ...(seed !== undefined && { seed: Number(seed) }) },
  );
});
