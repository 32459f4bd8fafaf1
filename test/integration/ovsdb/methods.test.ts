/** The methods of RFC 7047 and ovsdb-server(7) one by one, and locks, on a real server. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  appctl,
  type Client,
  type ConnectOptions,
  connect,
  type Json,
  type Lock,
  type OvnNorthbound,
  OvsdbError,
  ovnNorthbound,
  protocol,
  type Session,
  Transaction,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Proxy } from './proxy.ts';
import { makeDir, TestServer, until } from './server.ts';

const DB = 'OVN_Northbound';

let dir: string;
let server: TestServer;
const clients: Client<OvnNorthbound>[] = [];
const sessions: Session[] = [];

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
  await server.start();
});

afterEach(async () => {
  for (const session of sessions.splice(0)) {
    session.close(new OvsdbError('closed', 'the test is over'));
  }
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

async function open(options: Partial<ConnectOptions<OvnNorthbound>> = {}): Promise<Client<OvnNorthbound>> {
  const client = connect({ remotes: [server.remote], database: ovnNorthbound, ...options });
  clients.push(client);
  await client.synced();
  return client;
}

async function openSession(onNotification?: (method: string, params: Json) => void): Promise<Session> {
  const session = await protocol.openSession(server.remote, onNotification === undefined ? {} : { onNotification });
  sessions.push(session);
  return session;
}

const insertSwitch = (name: string): Json => ({ op: 'insert', table: 'Logical_Switch', row: { name } });

describe('one method at a time', () => {
  it('lists databases, names the server, gives the schema, echoes', async () => {
    const session = await openSession();
    expect((await protocol.listDatabases(session)).toSorted()).toEqual([DB, '_Server']);
    expect(await protocol.getSchema(session, DB)).toMatchObject({ name: DB, version: '7.0.0' });
    await expect(protocol.getSchema(session, 'Nonsense')).rejects.toMatchObject({ code: 'unknown_database' });
    expect(await protocol.echo(session, ['a', { b: [1] }])).toEqual(['a', { b: [1] }]);
    await expect(session.call('nonsense', [])).rejects.toMatchObject({
      code: 'server_error',
      serverError: 'unknown method',
    });
    const db = await open();
    expect(await db.listDatabases()).toContain(DB);
    const id = await db.serverId();
    expect(await protocol.getServerId(session)).toBe(id);
    await server.stop();
    await server.start();
    await until('the restarted server', () => db.state === 'synced');
    expect(await db.serverId()).not.toBe(id);
  });

  it.each([
    ['monitor', 'update', (params: readonly Json[]) => params[1], 'new', undefined],
    ['monitor_cond', 'update2', (params: readonly Json[]) => params[1], 'insert', undefined],
    ['monitor_cond_since', 'update3', (params: readonly Json[]) => params[2], 'insert', protocol.NO_TRANSACTION],
  ] as const)('monitors by %s until that is cancelled', async (method, notification, updates, key, since) => {
    const notified: [string, readonly Json[]][] = [];
    const session = await openSession((name, params) => notified.push([name, params as readonly Json[]]));
    const requests = { Logical_Switch: [{ columns: ['name'] }] };
    await protocol.monitorRaw(session, method, DB, ['any', 'json'], requests, since);
    await protocol.transactRaw(session, DB, [insertSwitch('a')]);
    expect(notified.map(([name, params]) => [name, params[0]])).toEqual([[notification, ['any', 'json']]]);
    const tables = updates(notified[0]?.[1] ?? []) as Record<string, Record<string, Record<string, Json>>>;
    expect(Object.values(tables['Logical_Switch'] ?? {})).toEqual([{ [key]: { name: 'a' } }]);
    await protocol.monitorCancel(session, ['any', 'json']);
    await protocol.transactRaw(session, DB, [insertSwitch('b')]);
    expect(notified).toHaveLength(1);
    await expect(protocol.monitorCancel(session, ['any', 'json'])).rejects.toMatchObject({
      serverError: 'unknown monitor',
    });
  });

  it('controls daemons by the appctl dialect', async () => {
    expect(await appctl(server.control, 'version')).toContain('ovsdb-server');
    expect((await appctl(server.control, 'ovsdb-server/list-dbs')).trim().split('\n')).toContain(DB);
    const nonsense = appctl(server.control, 'nonsense', ['a']);
    await expect(nonsense).rejects.toMatchObject({ code: 'server_error' });
    await expect(nonsense).rejects.toThrow(/"nonsense" is not a valid command/);
    await expect(appctl(join(dir, 'nobody.ctl'), 'version')).rejects.toMatchObject({ code: 'connect_failed' });
    await expect(appctl('nobody', 'version', [], { rundir: dir })).rejects.toThrow(/nobody\.pid cannot be read/);
    server.freeze();
    try {
      const abort = new AbortController();
      const silent = appctl(server.control, 'version', [], { signal: abort.signal });
      abort.abort();
      await expect(silent).rejects.toMatchObject({ code: 'closed' });
    } finally {
      server.thaw();
    }
  });
});

describe('locks', () => {
  const history = (lock: Lock): boolean[] => {
    const seen: boolean[] = [];
    lock.onChange((held) => seen.push(held));
    return seen;
  };
  const guarded = (name: string): Transaction<OvnNorthbound> => {
    const t = new Transaction(ovnNorthbound).assert(name);
    t.insert('Logical_Switch', { name: 'guarded' });
    return t;
  };

  it('are held by one, go to the next, and guard transactions', async () => {
    const [a, b] = [await open(), await open()];
    const first = a.lock('controller');
    await first.acquired();
    const second = b.lock('controller');
    const seen = history(second);
    await a.transact(guarded('controller'));
    await expect(b.transact(guarded('controller'))).rejects.toMatchObject({ code: 'not_owner', op: 0 });
    expect([first.held, second.held]).toEqual([true, false]);
    await first.release();
    await second.acquired();
    await b.transact(guarded('controller'));
    await expect(a.transact(guarded('controller'))).rejects.toMatchObject({ code: 'not_owner' });
    expect(seen).toEqual([true]);
    await expect(first.acquired()).rejects.toMatchObject({ code: 'closed' });
    expect(() => b.lock('controller')).toThrow(/already asked for/);
    // Asked for again on the same connection, right behind the release.
    const third = a.lock('controller');
    await second.release();
    await third.acquired();
    const fourth = b.lock('controller');
    await b.transact(new Transaction(ovnNorthbound).comment('the request for the lock was before this'));
    expect([third.held, fourth.held]).toEqual([true, false]);
  });

  it('can be stolen, and come back when the thief lets go', async () => {
    const [a, b] = [await open(), await open()];
    const first = a.lock('controller');
    await first.acquired();
    const seen = history(first);
    const second = b.lock('controller', { steal: true });
    await second.acquired();
    await until('the theft to be told', () => !first.held);
    await expect(a.transact(guarded('controller'))).rejects.toMatchObject({ code: 'not_owner' });
    await second.release();
    await first.acquired();
    expect(seen).toEqual([false, true]);
  });

  it('are lost with the connection and asked for again on the next one, without stealing', async () => {
    await using proxy = await Proxy.open(server.socket);
    const [a, b] = [await open({ remotes: [proxy.remote] }), await open()];
    const first = a.lock('controller', { steal: true });
    await first.acquired();
    const seen = history(first);
    const second = b.lock('controller');
    proxy.cut();
    await second.acquired();
    await until('the connection to be back', () => a.state === 'synced');
    await a.transact(new Transaction(ovnNorthbound).comment('behind the request for the lock'));
    expect([first.held, second.held]).toEqual([false, true]);
    await b.close();
    await first.acquired();
    expect(seen).toEqual([false, true]);
    const waiting = a.lock('other');
    await a.close();
    await expect(waiting.acquired()).rejects.toMatchObject({ code: 'closed' });
    expect(() => a.lock('third')).toThrow(/closed/);
  });

  it('survive a listener that throws', async () => {
    const errors: unknown[] = [];
    const db = await open({ onEvent: (event) => event.type === 'listener_error' && errors.push(event.error) });
    const lock = db.lock('controller');
    lock.onChange(() => {
      throw new Error('a mistake');
    });
    await lock.acquired();
    await lock.release();
    expect([db.state, errors.length]).toEqual(['synced', 2]);
  });
});
