/** What of a real database the replica holds, in every dialect, and through slow and broken connections. */
import { rm } from 'node:fs/promises';
import {
  type Client,
  type ClientEvent,
  type ConnectOptions,
  connect,
  type OvnNorthbound,
  ovnNorthbound,
  Transaction,
  toUuid,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Proxy } from './proxy.ts';
import { makeDir, TestServer, until } from './server.ts';

let dir: string;
let server: TestServer;
let proxy: Proxy;
let events: ClientEvent[] = [];
const clients: Client<OvnNorthbound>[] = [];

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
  await server.start();
  proxy = await Proxy.open(server.socket);
  events = [];
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await proxy[Symbol.asyncDispose]();
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

async function open(options: Partial<ConnectOptions<OvnNorthbound>> = {}): Promise<Client<OvnNorthbound>> {
  const client = connect({
    remotes: [proxy.remote],
    database: ovnNorthbound,
    monitor: { Logical_Switch: ['name'], Logical_Switch_Port: true },
    onEvent: (event) => events.push(event),
    ...options,
  });
  clients.push(client);
  await client.synced();
  return client;
}

const names = (db: Client<OvnNorthbound>): string[] =>
  [...db.replica.table('Logical_Switch_Port').rows()].map((row) => row.name).toSorted();

/** Ports p0 to p4: tags absent, 1, 2, 3, 4; `enabled` absent, true, false, true, false. */
async function insertPorts(db: Client<OvnNorthbound>): Promise<void> {
  const t = new Transaction(ovnNorthbound);
  const ports = [0, 1, 2, 3, 4].map((i) =>
    t.insert('Logical_Switch_Port', {
      name: `p${i}`,
      ...(i > 0 && { tag: i, enabled: i % 2 === 1 }),
      options: new Map([[`k${i % 2}`, 'v']]),
      addresses: i === 0 ? [] : ['dynamic', `a${i}`],
    }),
  );
  t.insert('Logical_Switch', { name: 's', ports });
  await db.transact(t);
}

describe('dialects', () => {
  it.each([
    ['update3', []],
    ['update2', ['monitor_cond_since']],
    ['update', ['monitor_cond_since', 'monitor_cond', 'set_db_change_aware']],
  ] as const)('ends with the same rows by %s, over cut connections', async (_, refused) => {
    for (const method of refused) {
      proxy.refused.add(method);
    }
    const db = await open();
    await insertPorts(db);
    const seen: string[] = [];
    db.replica.table('Logical_Switch_Port').onChange((changes) => {
      // Within one update rows have no order.
      seen.push(...changes.map(({ old, new: after }) => `${old?.tag ?? '-'}>${after?.tag ?? '-'}`).toSorted());
    });
    const write = new Transaction(ovnNorthbound);
    write.update('Logical_Switch_Port', [['name', '==', 'p1']], { tag: null, addresses: ['unknown'] });
    await db.transact(write);
    const mutate = new Transaction(ovnNorthbound);
    mutate.mutate('Logical_Switch_Port', [['name', '==', 'p2']], 'addresses', 'insert', ['b', 'dynamic']);
    mutate.mutate('Logical_Switch_Port', [['name', '==', 'p2']], 'options', 'insert', new Map([['k1', 'w']]));
    await db.transact(mutate);
    proxy.cut();
    await until('the cut to be noticed', () => db.state !== 'synced');
    await server.transact([
      { op: 'update', table: 'Logical_Switch_Port', where: [['name', '==', 'p4']], row: { tag: 44 } },
    ]);
    await db.synced();
    const drop = new Transaction(ovnNorthbound);
    drop.update('Logical_Switch', [], { ports: [] });
    await db.transact(drop);
    expect(seen).toEqual(['1>-', '2>2', '4>44', ...['-', '-', '2', '3', '44'].map((tag) => `${tag}>-`).toSorted()]);
    expect(names(db)).toEqual([]);
    expect(db.server === undefined).toBe(refused.length === 3);
  });

  it('are refused where they cannot do what is asked', async () => {
    proxy.refused.add('monitor_cond_since').add('monitor_cond');
    const db = await open();
    await expect(db.setConditions('Logical_Switch_Port', [['name', '==', 'a']])).rejects.toMatchObject({
      code: 'unsuitable_server',
    });
    const waiting = connect({
      remotes: [proxy.remote],
      database: ovnNorthbound,
      monitor: { Logical_Switch: { where: [['name', '==', 'a']] } },
      onEvent: (event) => events.push(event),
    });
    clients.push(waiting);
    await until('a refusal', () =>
      events.some((event) => event.type === 'disconnected' && event.error.code === 'unsuitable_server'),
    );
    proxy.refused.clear();
    await waiting.synced();
  });
});

describe('conditions', () => {
  it.each([
    [[['tag', '<', 3]], ['p1', 'p2']],
    [[['tag', '>=', 3]], ['p3', 'p4']],
    [[['tag', '==', null]], ['p0']],
    [[['tag', '!=', null]], ['p1', 'p2', 'p3', 'p4']],
    [[['enabled', '==', true]], ['p1', 'p3']],
    [[['addresses', 'includes', ['a2']]], ['p2']],
    [[['addresses', 'excludes', ['dynamic']]], ['p0']],
    [[['options', 'includes', new Map([['k1', 'v']])]], ['p1', 'p3']],
    [
      [
        ['enabled', '==', false],
        ['tag', '>', 2],
      ],
      ['p4'],
    ],
    [[], ['p0', 'p1', 'p2', 'p3', 'p4']],
  ] as const)('%j', async (where, expected) => {
    const db = await open({ monitor: { Logical_Switch_Port: { where } } });
    await insertPorts(db);
    // A monitor's conditions are alternatives (ovsdb-server(7)), those of an operation all have to hold (RFC 7047 §5.2.2).
    const select = new Transaction(ovnNorthbound).select('Logical_Switch_Port', where, ['name']);
    const [selected] = await db.transact(select);
    expect((selected?.rows ?? []).map((row) => row['name'] as string).toSorted()).toEqual(expected);
    expect(names(db)).toEqual(where.length < 2 ? expected : ['p2', 'p3', 'p4']);
  });

  it('change while the monitor runs, and hold for later connections', async () => {
    const db = await open({
      monitor: { Logical_Switch_Port: { where: [['tag', '==', 1]] }, Logical_Switch: ['name'] },
    });
    await insertPorts(db);
    expect(names(db)).toEqual(['p1']);
    const gone: string[] = [];
    db.replica.table('Logical_Switch_Port').onChange((changes) => {
      gone.push(...changes.filter((change) => change.new === undefined).map((change) => change.old?.name ?? ''));
    });
    await db.setConditions('Logical_Switch_Port', [['tag', '>=', 2]]);
    expect([names(db), gone]).toEqual([['p2', 'p3', 'p4'], ['p1']]);
    await db.setConditions('Logical_Switch_Port', undefined);
    expect(names(db)).toEqual(['p0', 'p1', 'p2', 'p3', 'p4']);
    await db.setConditions('Logical_Switch', [['name', '==', 'nobody']]);
    expect(db.replica.table('Logical_Switch').size).toBe(0);
    // Asked for while there is no connection: what comes next begins with it.
    const generation = db.replica.generation;
    proxy.cut();
    await until('the cut to be noticed', () => db.state !== 'synced');
    await Promise.all([
      db.setConditions('Logical_Switch_Port', [['tag', '==', 3]]),
      db.setConditions('Logical_Switch_Port', [['tag', '==', 4]]),
    ]);
    expect(names(db)).toEqual(['p4']);
    expect(db.replica.table('Logical_Switch').size).toBe(0);
    expect(db.replica.generation).toBe(generation + 1);
    await expect(db.setConditions('ACL', [])).rejects.toMatchObject({ code: 'not_monitored' });
  });
});

describe('connections', () => {
  it('may be slower than the probes, as long as bytes flow', async () => {
    for (let s = 0; s < 20; s += 1) {
      await server.transact([
        ...Array.from({ length: 50 }, (_, p) => ({
          op: 'insert',
          table: 'Logical_Switch_Port',
          'uuid-name': `p${p}`,
          row: { name: `port-${s}-${p}`, addresses: `10.0.${s}.${p}` },
        })),
        {
          op: 'insert',
          table: 'Logical_Switch',
          row: { name: `s${s}`, ports: ['set', Array.from({ length: 50 }, (_, p) => ['named-uuid', `p${p}`])] },
        },
      ]);
    }
    proxy.pieceBytes = 1024;
    proxy.delayMs = 10;
    // The dump alone takes about ten times as long as a silent server would be given.
    const db = await open({ probeIntervalMs: 60 });
    expect([names(db).length, db.replica.table('Logical_Switch').size]).toEqual([1000, 20]);
    expect(events.map(({ type }) => type)).toEqual(['connecting', 'connected', 'synced']);
  });

  it('may be cut in the middle of the dump', async () => {
    const big = await open({ remotes: [server.remote] });
    const t = new Transaction(ovnNorthbound);
    const long = 'x'.repeat(2_000);
    t.insert('Logical_Switch', {
      name: 's',
      ports: Array.from({ length: 200 }, (_, i) =>
        t.insert('Logical_Switch_Port', { name: `p${i}`, addresses: [long] }),
      ),
    });
    await big.transact(t);
    let passed = 0;
    let cuts = 0;
    proxy.pieceBytes = 10_000;
    proxy.garble = (chunk) => {
      passed += chunk.length;
      // Well inside of the dump of 400 kB, which the schema's 25 kB precede.
      if (passed > 120_000 * (cuts + 1) && cuts < 3) {
        cuts += 1;
        passed = 0;
        proxy.cut();
      }
      return chunk;
    };
    const db = await open();
    expect([cuts, names(db).length, db.replica.generation]).toEqual([3, 200, 1]);
  });

  it('follow one another without a row too many or too few', async () => {
    const db = await open();
    const uuids = Array.from({ length: 60 }, () => toUuid(crypto.randomUUID()));
    for (const [i, uuid] of uuids.entries()) {
      await server.transact([{ op: 'insert', table: 'Logical_Switch', uuid, row: { name: `s${i}` } }]);
      if (i % 10 === 3) {
        proxy.cut();
      }
      if (i % 10 === 7) {
        await server.transact([{ op: 'delete', table: 'Logical_Switch', where: [['name', '==', `s${i - 5}`]] }]);
      }
    }
    const kept = uuids.filter((_, i) => i % 10 !== 2).map(String);
    await until('all rows', () => {
      const held = [...db.replica.table('Logical_Switch').rows()].map((row) => String(row._uuid));
      return held.toSorted().join() === kept.toSorted().join() || held.length;
    });
  });
});
