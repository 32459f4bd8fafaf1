/** Raft clusters on the loopback. */
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Client,
  type ClientEvent,
  commitOnce,
  connect,
  type OvnNorthbound,
  ovnNorthbound,
  Transaction,
  toUuid,
  type Uuid,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Proxy } from './proxy.ts';
import { freePort, makeDir, startCluster, TestServer, until } from './server.ts';

const DB = 'OVN_Northbound';

let dir: string;
let servers: TestServer[] = [];
const clients: Client<OvnNorthbound>[] = [];

beforeEach(async () => {
  dir = await makeDir();
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop('SIGKILL')));
  await rm(dir, { recursive: true, force: true });
});

function open(
  remotes: readonly string[],
  onEvent: (event: ClientEvent) => void = () => undefined,
  leaderOnly = true,
): Client<OvnNorthbound> {
  const client = connect({
    remotes,
    database: ovnNorthbound,
    monitor: { Logical_Switch: ['name'] },
    indexes: { Logical_Switch: [['name']] },
    leaderOnly,
    onEvent,
  });
  clients.push(client);
  return client;
}

const insert = (name: string, uuid?: Uuid): Transaction<OvnNorthbound> => {
  const t = new Transaction(ovnNorthbound);
  t.insert('Logical_Switch', { name }, uuid === undefined ? {} : { uuid });
  return t;
};
const insertJson = (name: string): object => ({ op: 'insert', table: 'Logical_Switch', row: { name } });
const switches = (db: Client<OvnNorthbound>): string[] =>
  [...db.replica.table('Logical_Switch').rows()].map((row) => row.name).toSorted();

async function startOne(): Promise<TestServer> {
  const server = new TestServer(dir, 'nb');
  servers = [server];
  await server.createCluster(`tcp:127.0.0.1:${await freePort()}`);
  await server.start();
  return server;
}

describe('a cluster of one', () => {
  it('is resumed from the last transaction after a cut, and loaded anew when it is another database', async () => {
    const server = await startOne();
    await using proxy = await Proxy.open(server.socket);
    const synced: { reloaded: boolean; generation: number; newDatabase: boolean }[] = [];
    const db = open([proxy.remote], (event) => {
      if (event.type === 'synced') {
        const { reloaded, generation, newDatabase } = event;
        synced.push({ reloaded, generation, newDatabase });
      }
    });
    await db.synced();
    await db.transact(insert('a'));
    const seen: string[] = [];
    db.replica.onChange((changes) => seen.push(...changes.map((change) => change.uuid)));
    proxy.cut();
    await until('the cut to be noticed', () => db.state !== 'synced');
    await server.transact([insertJson('b')]);
    await until('what was written meanwhile', () => db.replica.table('Logical_Switch').find('name', 'b').length === 1);
    expect(synced).toEqual([
      { reloaded: true, generation: 1, newDatabase: false },
      { reloaded: false, generation: 1, newDatabase: false },
    ]);
    expect(seen).toEqual([db.replica.table('Logical_Switch').find('name', 'b')[0]?._uuid]);

    await server.stop('SIGKILL');
    await server.createCluster(`tcp:127.0.0.1:${await freePort()}`);
    await server.start();
    await until('the new database', () => db.state === 'synced' && db.replica.table('Logical_Switch').size === 0);
    expect(synced.at(-1)).toEqual({ reloaded: true, generation: 2, newDatabase: true });
    await db.transact(insert('c'));
    expect(db.replica.table('Logical_Switch').find('name', 'c')).toHaveLength(1);
  });

  it('is followed over compaction and restart, and when more happened than its history holds', async () => {
    const server = await startOne();
    await using proxy = await Proxy.open(server.socket);
    const db = open([proxy.remote]);
    await db.synced();
    await db.transact(insert('a'));
    const [a] = db.replica.table('Logical_Switch').rows();
    await server.appctl('ovsdb-server/compact', DB);
    await db.transact(insert('b'));
    expect([switches(db), db.replica.generation]).toEqual([['a', 'b'], 1]);
    const changes: string[] = [];
    db.replica.table('Logical_Switch').onChange((list) => {
      changes.push(...list.map(({ old, new: after }) => `${old?.name ?? ''}>${after?.name ?? ''}`));
    });
    // The server keeps about 100 transactions for those who come back (ovsdb/monitor.c of OVS).
    proxy.cut();
    await until('the cut to be noticed', () => db.state !== 'synced');
    const other = open([server.remote]);
    await other.synced();
    for (let i = 0; i < 150; i += 1) {
      await other.transact(insert(`c${i}`));
    }
    await until('all rows', () => db.state === 'synced' && db.replica.table('Logical_Switch').size === 152);
    // The differences are told, whether or not they were loaded from nothing.
    expect(changes.toSorted()).toEqual(Array.from({ length: 150 }, (_, i) => `>c${i}`).toSorted());
    expect(db.replica.table('Logical_Switch').find('name', 'a')).toEqual([a]);
    expect(db.replica.table('Logical_Switch').find('name', 'a')[0]).toBe(a);

    await server.appctl('ovsdb-server/compact', DB);
    await server.stop();
    await server.start();
    await until('the restarted server', () => db.state === 'synced');
    await db.transact(insert('d'));
    expect(db.replica.table('Logical_Switch').size).toBe(153);
    expect(changes.length).toBe(151);
  });

  it('is refused after its file was put back to an older state, until it has caught up', async () => {
    const server = await startOne();
    const refusals: string[] = [];
    const db = open([server.remote], (event) => {
      if (event.type === 'disconnected' && event.error.code === 'unsuitable_server') {
        refusals.push(event.error.message);
      }
    });
    await db.synced();
    await db.transact(insert('kept'));
    const backup = join(dir, 'backup');
    await copyFile(server.database, backup);
    for (let i = 0; i < 5; i += 1) {
      await db.transact(insert(`lost${i}`));
    }
    await server.stop('SIGKILL');
    await copyFile(backup, server.database);
    await server.start();
    await until('a refusal', () => refusals.some((message) => /is at index \d+, behind \d+/.test(message)));
    expect(db.replica.table('Logical_Switch').size).toBe(6);
    for (let i = 0; i < 8; i += 1) {
      await server.transact([insertJson(`new${i}`)]);
    }
    await until('the newer state', () => db.state === 'synced');
    expect(switches(db)).toEqual(['kept', ...Array.from({ length: 8 }, (_, i) => `new${i}`)]);
  });
});

describe('a cluster of three', () => {
  it('is used through its leader, also when that dies', async () => {
    servers = await startCluster(dir, DB);
    const refused: string[] = [];
    const db = open(
      servers.map((server) => server.remote),
      (event) => {
        if (event.type === 'disconnected') {
          refused.push(event.error.code);
        }
      },
    );
    const leads = async (server: TestServer | undefined): Promise<boolean> =>
      server !== undefined && (await server.appctl('cluster/status', DB)).includes('Role: leader');
    const connected = (): TestServer | undefined => servers.find((server) => server.remote === db.remote);
    await db.synced();
    expect(await leads(connected())).toBe(true);
    expect(db.server).toMatchObject({ model: 'clustered', leader: true, connected: true });
    await db.transact(insert('before'));
    // Any member will do for who only reads, or says so.
    const followers = servers.filter((server) => server !== connected());
    const reader = open(
      followers.map(({ remote }) => remote),
      undefined,
      false,
    );
    await reader.synced();
    expect([reader.server?.leader, reader.server?.cid]).toEqual([false, db.server?.cid]);
    await reader.transact(insert('by a follower'));
    expect(switches(reader)).toEqual(['before', 'by a follower']);

    const killed = connected();
    await killed?.stop('SIGKILL');
    await until('a new leader', () => db.state === 'synced' && db.remote !== killed?.remote, 40_000);
    expect(await leads(connected())).toBe(true);
    expect(switches(db)).toEqual(['before', 'by a follower']);
    await db.transact(insert('after'));
    expect(db.replica.table('Logical_Switch').size).toBe(3);
    expect(db.replica.generation).toBe(1);

    // A leader that hands over is left for its successor.
    const old = connected();
    await killed?.start();
    await old?.appctl('cluster/leave', DB);
    await until('the successor', () => db.state === 'synced' && db.remote !== old?.remote, 40_000);
    expect(refused).toContain('unsuitable_server');
    await db.transact(insert('third'));
    expect(db.replica.table('Logical_Switch').size).toBe(4);
  });

  it('loses nothing and does nothing twice when its leader is killed in a stream of transactions', async () => {
    servers = await startCluster(dir, DB);
    let unknown = 0;
    const db = open(servers.map((server) => server.remote));
    await db.synced();
    const leader = servers.find((server) => server.remote === db.remote);
    const total = 400;
    const uuids = Array.from({ length: total }, () => toUuid(crypto.randomUUID()));
    let done = 0;
    let killed: Promise<void> | undefined;
    const stream = uuids.map(async (uuid, i) => {
      let plans = 0;
      await commitOnce(db, (replica) => {
        plans += 1;
        return replica.table('Logical_Switch').get(uuid) === undefined ? insert(`s${i}`, uuid) : undefined;
      });
      unknown += plans > 1 ? 1 : 0;
      done += 1;
      if (done === total / 4) {
        killed = leader?.stop('SIGKILL');
      }
    });
    await Promise.all(stream);
    await killed;
    expect(db.remote).not.toBe(leader?.remote);
    // The kill hit transactions in flight, or it would prove nothing.
    expect(unknown).toBeGreaterThan(0);
    const [selected] = await db.transact(new Transaction(ovnNorthbound).select('Logical_Switch', [], ['name']));
    const names = (selected?.rows ?? []).map((row) => row['name'] as string);
    expect(names.toSorted()).toEqual(uuids.map((_, i) => `s${i}`).toSorted());
    expect(switches(db)).toEqual(names.toSorted());
  });
});
