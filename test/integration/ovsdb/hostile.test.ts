/** Servers that send what they should not: the client ends the connection, holds little, and recovers. */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Clock, connect, OvsdbError, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Proxy } from './proxy.ts';
import { makeDir, TestServer, until } from './server.ts';

/** The waits of the backoff pass fast: they are not what is tested. */
const fastClock: Clock = {
  now: () => performance.now() * 100,
  after(ms, task) {
    const timer = setTimeout(task, ms / 100);
    return () => clearTimeout(timer);
  },
};

let dir: string;
let server: TestServer;

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
  await server.start();
});

afterEach(async () => {
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

type Damage = 'flip' | 'drop' | 'repeat' | 'insert' | 'swap';

const FRAGMENTS = [
  '"',
  '{',
  '}',
  '[',
  ']',
  '\\',
  ',',
  'null',
  '{"id":1,"result":{},"error":null}',
  '\0',
  '\u00ff',
  '}}}]}',
];

/** Damages a chunk at a place given as a fraction of its length. */
function damage(chunk: Buffer, kind: Damage, place: number, amount: number): Buffer {
  const at = Math.floor(place * chunk.length);
  const end = Math.min(chunk.length, at + amount);
  const [before, part, after] = [chunk.subarray(0, at), chunk.subarray(at, end), chunk.subarray(end)];
  switch (kind) {
    case 'flip':
      return Buffer.concat([before, part.map((byte) => byte ^ (1 << (amount % 8))), after]);
    case 'drop':
      return Buffer.concat([before, after]);
    case 'repeat':
      return Buffer.concat([before, part, part, after]);
    case 'insert':
      return Buffer.concat([before, Buffer.from(FRAGMENTS[amount % FRAGMENTS.length] ?? ''), part, after]);
    case 'swap':
      return Buffer.concat([after, part, before]);
  }
}

const damages = fc.array(
  fc.record({
    chunk: fc.nat({ max: 8 }),
    kind: fc.constantFrom<Damage>('flip', 'drop', 'repeat', 'insert', 'swap'),
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    amount: fc.integer({ min: 1, max: 40 }),
  }),
  { minLength: 1, maxLength: 3 },
);

describe('a server whose bytes are damaged', () => {
  it('never brings the client down, leaves no call open, and is followed again afterwards', async () => {
    await using proxy = await Proxy.open(server.socket);
    const codes = new Set<string>();
    const db = connect({
      remotes: [proxy.remote],
      database: ovnNorthbound,
      monitor: { Logical_Switch: true, Logical_Switch_Port: ['name', 'tag', 'options'] },
      indexes: { Logical_Switch: [['name']] },
      limits: { maxBytes: 1_000_000, maxDumpBytes: 4_000_000, maxDepth: 50 },
      clock: fastClock,
      onEvent: (event) => event.type === 'disconnected' && codes.add(event.error.code),
    });
    let names = 0;
    const write = async (): Promise<void> => {
      names += 1;
      const t = new Transaction(ovnNorthbound);
      const port = t.insert('Logical_Switch_Port', {
        name: `p${names}`,
        tag: names % 4000,
        options: new Map([['k', `"${names}`]]),
      });
      t.insert('Logical_Switch', { name: `s${names}`, ports: [port], other_config: new Map([['a', 'é}']]) });
      t.update('Logical_Switch', [['name', '==', `s${names - 1}`]], { external_ids: new Map([['n', `${names}`]]) });
      await db.transact(t);
    };
    try {
      await db.synced();
      await fc.assert(
        fc.asyncProperty(damages, async (list) => {
          let chunks = 0;
          proxy.garble = (chunk) => {
            const hits = list.filter((each) => each.chunk === chunks);
            chunks += 1;
            return hits.reduce((bytes, { kind, place, amount }) => damage(bytes, kind, place, amount), chunk);
          };
          const calls: Promise<void>[] = [write(), write(), write()];
          const ends = Promise.allSettled(calls);
          await Promise.race([ends, until('the bytes to have passed', () => chunks > 4 || db.state !== 'synced')]);
          proxy.garble = undefined;
          const before = proxy.accepted;
          proxy.cut();
          // Every call has ended, with a result or with an error of the closed set.
          for (const end of await ends) {
            expect(end.status === 'fulfilled' || end.reason instanceof OvsdbError).toBe(true);
          }
          await until('a new connection', () => db.state === 'synced' && proxy.accepted > before);
          const t = new Transaction(ovnNorthbound).select('Logical_Switch', [], ['name', 'external_ids', 'ports']);
          const [selected] = await db.transact(t);
          const rows = selected?.rows ?? [];
          expect(db.replica.table('Logical_Switch').size).toBe(rows.length);
          for (const row of rows) {
            const held = db.replica.table('Logical_Switch').get(row._uuid ?? '');
            const { name, external_ids, ports } = row;
            expect({ name: held?.name, external_ids: held?.external_ids, ports: held?.ports }).toEqual({
              name,
              external_ids,
              ports,
            });
            expect(db.replica.table('Logical_Switch').find('name', name as string)).toEqual([held]);
          }
        }),
        { numRuns: 60, endOnFailure: true, ...(process.env['SEED'] && { seed: Number(process.env['SEED']) }) },
      );
      expect(codes).toContain('protocol_error');
    } finally {
      await db.close();
    }
  });
});

describe('a server that never ends', () => {
  const piece = 'x'.repeat(16_384);
  const row = (i: number): string =>
    `${i === 0 ? '' : ','}"${i.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000":{"initial":{"name":"${piece}"}}`;
  const status = { name: 'OVN_Northbound', model: 'standalone', connected: true, leader: true };
  const schema = { name: 'OVN_Northbound', tables: { Logical_Switch: { columns: { name: { type: 'string' } } } } };
  /** Replies to what the client asks before its dump. */
  const replies = [{ Database: { '00000000-0000-4000-8000-000000000001': { initial: status } } }, {}, schema].map(
    (result, i) => JSON.stringify({ id: i + 1, result, error: null }),
  );

  it.each<[string, readonly string[], string, (i: number) => string]>([
    ['a string', [], '{"id":1,"result":"', () => piece],
    ['a list', [], '{"id":1,"result":[', () => '{"a":1},'.repeat(2_000)],
    ['blanks', [], '', () => ' '.repeat(16_384)],
    ['nested lists', [], '{"id":1,"result":', () => '['.repeat(1_000)],
    ['requests whose answers it does not read', [], '', () => `{"id":1,"method":"echo","params":["${piece}"]}`],
    ['the rows of a dump', replies, '{"id":4,"result":[false,"a",{"Logical_Switch":{', row],
    ['a row of a dump', replies, '{"id":4,"result":[false,"a",{"Logical_Switch":{"', () => piece],
  ])('sending %s is left', async (_, answers, head, next) => {
    let sent = 0;
    const flood = (socket: Socket): void => {
      socket.pause();
      socket.write(head);
      let i = 0;
      const more = (): void => {
        while (!socket.destroyed) {
          const text = next(i);
          i += 1;
          sent += text.length;
          if (!socket.write(text)) {
            socket.once('drain', more);
            return;
          }
        }
      };
      more();
    };
    const hostile = createServer((socket) => {
      socket.on('error', () => undefined);
      let asked = 0;
      const answer = (): void => {
        if (asked === answers.length) {
          flood(socket);
        } else {
          socket.write(answers[asked] ?? '');
          asked += 1;
        }
      };
      // The client asks for one thing after the other, in one chunk each.
      socket.on('data', answer);
    }).listen(0, '127.0.0.1');
    await once(hostile, 'listening');
    const errors: OvsdbError[] = [];
    const db = connect({
      remotes: [`tcp:127.0.0.1:${(hostile.address() as AddressInfo).port}`],
      database: ovnNorthbound,
      monitor: { Logical_Switch: ['name'] },
      limits: { maxBytes: 500_000, maxDumpBytes: 1_000_000, maxDepth: 100 },
      onEvent: (event) => event.type === 'disconnected' && errors.push(event.error),
    });
    try {
      await until('the client to leave', () => errors.length > 0);
      expect(errors[0]?.code).toBe('protocol_error');
    } finally {
      await db.close();
      hostile.close();
    }
    // What the client held is bounded by what it let come; unread answers may be 16 MB.
    expect(sent).toBeLessThan(40 * 1024 * 1024);
  });
});
