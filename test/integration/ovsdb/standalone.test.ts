import { rm } from 'node:fs/promises';
import {
  type Client,
  type ClientEvent,
  connect,
  type OvnNorthbound,
  ovnNorthbound,
  Transaction,
  toUuid,
  type Uuid,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeDir, TestServer, until } from './server.ts';

const newUuid = (): Uuid => toUuid(crypto.randomUUID());

let dir: string;
let server: TestServer;
const clients: Client<OvnNorthbound>[] = [];

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

function open(onEvent?: (event: ClientEvent) => void, probeIntervalMs = 10_000): Client<OvnNorthbound> {
  const client = connect({
    remotes: [server.remote],
    database: ovnNorthbound,
    monitor: {
      NB_Global: true,
      Logical_Switch: true,
      Logical_Switch_Port: ['name', 'addresses', 'external_ids'],
      ACL: true,
    },
    indexes: { Logical_Switch: [['name']], Logical_Switch_Port: [['name'], ['external_ids:owner']] },
    leaderOnly: true,
    probeIntervalMs,
    ...(onEvent !== undefined && { onEvent }),
  });
  clients.push(client);
  return client;
}

describe('a standalone server', () => {
  it('is waited for while it is absent', async () => {
    const events: string[] = [];
    const db = open((event) => events.push(event.type));
    await until('a failed attempt', () => events.includes('disconnected'));
    await expect(db.transact(new Transaction(ovnNorthbound).comment('x'))).rejects.toMatchObject({
      code: 'disconnected',
      retryable: true,
    });
    await server.start();
    await db.synced();
    expect([db.state, db.replica.generation, db.schemaVersion]).toEqual(['synced', 1, '7.0.0']);
    expect(events.slice(-2)).toEqual(['connected', 'synced']);
    expect([db.hasTable('ACL'), db.hasTable('Chassis_Template_Var'), db.hasTable('Nonsense')]).toEqual([
      true,
      true,
      false,
    ]);
    expect([db.hasColumn('ACL', 'match'), db.hasColumn('ACL', 'tier')]).toEqual([true, false]);
  });

  it('shows what a transaction wrote as soon as it resolves', async () => {
    await server.start();
    const db = open();
    await db.synced();
    for (let i = 0; i < 50; i += 1) {
      const t = new Transaction(ovnNorthbound);
      const port = t.insert('Logical_Switch_Port', { name: `p${i}`, external_ids: new Map([['owner', `o${i % 5}`]]) });
      t.insert('Logical_Switch', { name: `s${i}`, ports: [port] });
      const [portResult, switchResult] = await db.transact(t);
      const row = db.replica.table('Logical_Switch').get(switchResult?.uuid ?? '');
      expect([row?.name, row?.ports]).toEqual([`s${i}`, [portResult?.uuid]]);
      expect(db.replica.table('Logical_Switch_Port').find('name', `p${i}`)[0]?._uuid).toBe(portResult?.uuid);
    }
    expect(db.replica.table('Logical_Switch_Port').find('external_ids:owner', 'o3')).toHaveLength(10);
    expect(db.replica.table('Logical_Switch').size).toBe(50);
  });

  it('keeps explicit uuids, and refuses one twice', async () => {
    await server.start();
    const db = open();
    await db.synced();
    const [a, b] = [newUuid(), newUuid()];
    const t = new Transaction(ovnNorthbound);
    const port = t.insert('Logical_Switch_Port', { name: 'p' }, { uuid: b });
    t.insert('Logical_Switch', { name: 's', ports: [port] }, { uuid: a, name: 'sw' });
    const [first, second] = await db.transact(t);
    expect([first?.uuid, second?.uuid]).toEqual([b, a]);
    expect(db.replica.table('Logical_Switch').get(a)?.ports).toEqual([b]);
    await expect(db.transact(t)).rejects.toMatchObject({
      code: 'duplicate_uuid',
      op: 0,
      table: 'Logical_Switch_Port',
      row: b,
    });
  });

  it('refuses a transaction whose guard does not hold', async () => {
    await server.start();
    const db = open();
    await db.synced();
    const uuid = newUuid();
    const epoch = (value: string): Transaction<OvnNorthbound> =>
      new Transaction(ovnNorthbound).wait({
        table: 'NB_Global',
        where: [['external_ids', 'includes', new Map([['epoch', value]])]],
        columns: ['name'],
        until: '==',
        rows: [{ name: 'mine' }],
      });
    const init = new Transaction(ovnNorthbound);
    init.insert('NB_Global', { name: 'mine', external_ids: new Map([['epoch', '7']]) });
    await db.transact(init);
    const stale = epoch('6');
    stale.insert('Logical_Switch', { name: 's' }, { uuid });
    await expect(db.transact(stale)).rejects.toMatchObject({
      code: 'wait_failed',
      op: 0,
      operation: 'wait',
      table: 'NB_Global',
    });
    expect(db.replica.table('Logical_Switch').size).toBe(0);
    const fresh = epoch('7');
    fresh.insert('Logical_Switch', { name: 's' }, { uuid });
    await db.transact(fresh);

    const lost = new Transaction(ovnNorthbound);
    lost.waitForRow('Logical_Switch', uuid);
    lost.waitForRow('Logical_Switch', newUuid());
    lost.update('Logical_Switch', uuid, { name: 'changed' });
    await expect(db.transact(lost)).rejects.toMatchObject({ code: 'wait_failed', op: 1 });
    await db.transact(new Transaction(ovnNorthbound).waitForRow('Logical_Switch', uuid));
    expect(db.replica.table('Logical_Switch').get(uuid)?.name).toBe('s');
  });

  it('decodes what it refuses, and where', async () => {
    await server.start();
    const db = open();
    await db.synced();
    const [a, port] = [newUuid(), newUuid()];
    const init = new Transaction(ovnNorthbound);
    const ref = init.insert('Logical_Switch_Port', { name: 'p' }, { uuid: port });
    init.insert('Logical_Switch', { name: 's', ports: [ref] }, { uuid: a });
    await db.transact(init);

    const twin = new Transaction(ovnNorthbound);
    twin.comment('a name that exists');
    const second = twin.insert('Logical_Switch_Port', { name: 'p' });
    twin.mutate('Logical_Switch', a, 'ports', 'insert', [second]);
    await expect(db.transact(twin)).rejects.toMatchObject({
      code: 'constraint_violation',
      op: 1,
      operation: 'insert',
      table: 'Logical_Switch_Port',
      column: 'name',
      retryable: false,
    });
    const outOfRange = new Transaction(ovnNorthbound);
    expect(() => outOfRange.insert('ACL', { action: 'drop', priority: 40_000 })).toThrow(/integer in 0\.\.32767/);
    const noMember = new Transaction(ovnNorthbound);
    noMember.insert('ACL', { action: 'pass', direction: 'to-lport', match: '1', priority: 1 });
    await expect(db.transact(noMember)).rejects.toMatchObject({
      code: 'invalid_value',
      op: 0,
      table: 'ACL',
      column: 'action',
      message: expect.stringContaining('does not know "pass"') as string,
    });
    const dangling = new Transaction(ovnNorthbound);
    dangling.delete('Logical_Switch_Port', port);
    await expect(db.transact(dangling)).rejects.toMatchObject({
      code: 'referential_integrity_violation',
      table: 'Logical_Switch_Port',
      row: port,
    });
    const newer = new Transaction(ovnNorthbound);
    newer.insert('ACL', { action: 'drop', tier: 1 });
    await expect(db.transact(newer)).rejects.toMatchObject({
      code: 'unknown_column',
      op: 0,
      table: 'ACL',
      column: 'tier',
    });
    const nobody = new Transaction(ovnNorthbound);
    nobody.update('Logical_Switch', newUuid(), { name: 'x' }, { expectCount: 1 });
    await expect(db.transact(nobody)).rejects.toMatchObject({ code: 'count_mismatch', op: 0 });
    await expect(db.transact(new Transaction(ovnNorthbound).assert('lock'))).rejects.toMatchObject({
      code: 'not_owner',
    });
    await expect(db.transact(new Transaction(ovnNorthbound).abort())).rejects.toMatchObject({ code: 'aborted' });
    const long = new Transaction(ovnNorthbound);
    long.wait({ table: 'Logical_Switch', where: a, until: '==', rows: [{ name: 'never' }], timeout: 60_000 });
    const abort = new AbortController();
    const waiting = db.transact(long, { signal: abort.signal });
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
    expect(db.replica.table('Logical_Switch').get(a)?.ports).toEqual([port]);
  });

  it('reads by select, defaults included', async () => {
    await server.start();
    const db = open();
    await db.synced();
    const t = new Transaction(ovnNorthbound);
    t.insert('Logical_Router', { name: 'r', enabled: false, options: new Map([['k', 'v']]) });
    t.select('Logical_Router', [['name', '==', 'r']], ['name', 'enabled', 'options', 'ports']);
    const [inserted, selected] = await db.transact(t);
    expect(selected?.rows).toEqual([
      { _uuid: inserted?.uuid, name: 'r', enabled: false, options: new Map([['k', 'v']]), ports: [] },
    ]);
  });

  it('tells of what others write', async () => {
    await server.start();
    const db = open();
    await db.synced();
    const seen: string[] = [];
    db.replica.onChange((changes) => {
      for (const change of changes) {
        if (change.table === 'Logical_Switch') {
          seen.push(`${change.old?.name ?? ''}>${change.new?.name ?? ''}`);
        }
      }
    });
    const ofTables: string[] = [];
    const end = db.replica.table('Logical_Switch').onChange((changes) => {
      ofTables.push(...changes.map((change) => `switch ${change.new?.name ?? ''}`));
    });
    db.replica.table('NB_Global').onChange((changes) => {
      ofTables.push(...changes.map((change) => `global ${change.new?.name ?? ''}`));
    });
    await server.transact([
      { op: 'insert', table: 'Logical_Switch', row: { name: 'a' } },
      { op: 'insert', table: 'NB_Global', row: { name: 'g' } },
    ]);
    await until('the first change', () => seen.length === 1);
    end();
    await server.transact([{ op: 'update', table: 'Logical_Switch', where: [], row: { name: 'b' } }]);
    await server.transact([{ op: 'delete', table: 'Logical_Switch', where: [] }]);
    await until('three changes', () => seen.length === 3 || seen);
    expect(seen).toEqual(['>a', 'a>b', 'b>']);
    expect(ofTables.toSorted()).toEqual(['global g', 'switch a']);
  });

  it('monitors the rows that meet conditions', async () => {
    await server.start();
    const db = connect({
      remotes: [server.remote],
      database: ovnNorthbound,
      monitor: { Logical_Switch: { columns: ['name'], where: [['name', '==', 'a']] } },
    });
    clients.push(db);
    await db.synced();
    const t = new Transaction(ovnNorthbound);
    const uuid = newUuid();
    t.insert('Logical_Switch', { name: 'a' }, { uuid });
    t.insert('Logical_Switch', { name: 'b' });
    await db.transact(t);
    expect([...db.replica.table('Logical_Switch').rows()].map((row) => row.name)).toEqual(['a']);
    await db.transact(new Transaction(ovnNorthbound).update('Logical_Switch', uuid, { name: 'c' }));
    expect(db.replica.table('Logical_Switch').size).toBe(0);
  });

  it('comes back after kill -9 with nothing lost and nothing reported that did not change', async () => {
    await server.start();
    const events: ClientEvent[] = [];
    const db = open((event) => events.push(event));
    await db.synced();
    const t = new Transaction(ovnNorthbound);
    t.insert('Logical_Switch', {
      name: 'kept',
      external_ids: new Map([
        ['a', 'b'],
        ['c', 'd'],
      ]),
    });
    t.insert('Logical_Switch', { name: 'dropped' });
    await db.transact(t);
    const [kept] = db.replica.table('Logical_Switch').find('name', 'kept');
    const changes: string[] = [];
    db.replica.onChange((list) =>
      changes.push(...list.map(({ table, old, new: after }) => `${table}${old ? '-' : ''}${after ? '+' : ''}`)),
    );

    const stuck = new Transaction(ovnNorthbound);
    stuck.wait({ table: 'Logical_Switch', where: [], until: '==', rows: [{ name: 'never' }], timeout: 60_000 });
    const outcome = db.transact(stuck);
    outcome.catch(() => undefined);
    await db.transact(new Transaction(ovnNorthbound).comment('the one before is in flight'));
    await server.stop('SIGKILL');
    await expect(outcome).rejects.toMatchObject({ code: 'outcome_unknown', retryable: false });
    await until('the loss to be noticed', () => db.state !== 'synced');
    expect(db.replica.table('Logical_Switch').size).toBe(2);

    await server.start();
    await server.transact([{ op: 'delete', table: 'Logical_Switch', where: [['name', '==', 'dropped']] }]);
    await db.synced();
    await until('the deletion', () => db.replica.table('Logical_Switch').size === 1);
    expect(changes).toEqual(['Logical_Switch-']);
    expect(db.replica.table('Logical_Switch').find('name', 'kept')[0]).toBe(kept);
    await db.transact(new Transaction(ovnNorthbound).comment('works'));
    expect(events.some((event) => event.type === 'disconnected')).toBe(true);
  });

  it('is loaded anew when its history is gone', async () => {
    await server.start();
    const db = open();
    await db.synced();
    const before = db.replica.generation;
    const t = new Transaction(ovnNorthbound);
    t.insert('Logical_Switch', { name: 'old' });
    await db.transact(t);
    const changes: string[] = [];
    db.replica.onChange((list) => {
      for (const change of list) {
        if (change.table === 'Logical_Switch') {
          changes.push(`${change.old?.name ?? ''}>${change.new?.name ?? ''}`);
        }
      }
    });
    await server.stop('SIGKILL');
    await server.create();
    await server.start();
    await server.transact([{ op: 'insert', table: 'Logical_Switch', row: { name: 'new' } }]);
    await until('the new content', () => db.replica.table('Logical_Switch').find('name', 'new').length === 1);
    expect(changes.toSorted()).toEqual(['>new', 'old>']);
    expect(db.replica.generation).toBeGreaterThan(before);
    expect(db.replica.table('Logical_Switch').size).toBe(1);
  });

  it('is given up when it is silent, and used again when it speaks', async () => {
    await server.start();
    const codes: string[] = [];
    const db = open((event) => {
      if (event.type === 'disconnected') {
        codes.push(event.error.code);
      }
    }, 500);
    await db.synced();
    server.freeze();
    try {
      await until('the silence to be noticed', () => codes.includes('inactive') || codes);
    } finally {
      server.thaw();
    }
    await db.synced();
    await db.transact(new Transaction(ovnNorthbound).comment('works'));
  });

  it('has calls wait while it does not read, and none of those sent when it dies', async () => {
    await server.start();
    const db = open();
    await db.synced();
    server.freeze();
    const long = 'x'.repeat(20_000);
    const calls = Array.from({ length: 200 }, (_, i) => {
      const t = new Transaction(ovnNorthbound);
      t.insert('Logical_Switch', { name: `s${i}`, external_ids: new Map([['long', long]]) });
      return db.transact(t);
    });
    server.thaw();
    await Promise.all(calls);
    expect(db.replica.table('Logical_Switch').size).toBe(200);
    server.freeze();
    const more = Array.from({ length: 200 }, async (_, i) => {
      const t = new Transaction(ovnNorthbound);
      t.insert('Logical_Switch', { name: `t${i}`, external_ids: new Map([['long', long]]) });
      await db.transact(t);
    });
    const ends = Promise.allSettled(more);
    await server.stop('SIGKILL');
    const codes = (await ends).map((end) => (end.status === 'rejected' ? (end.reason as { code: string }).code : ''));
    // The first fill what the kernel holds; the others have not left, so they may be made again.
    expect(new Set(codes)).toEqual(new Set(['outcome_unknown', 'disconnected']));
    expect(codes.lastIndexOf('outcome_unknown')).toBeLessThan(codes.indexOf('disconnected'));
    await server.start();
    await db.synced();
    expect(db.replica.table('Logical_Switch').size).toBe(200);
  });

  it('closes', async () => {
    await server.start();
    const abort = new AbortController();
    const db = connect({ remotes: [server.remote], database: ovnNorthbound, signal: abort.signal });
    await db.synced();
    const stuck = new Transaction(ovnNorthbound);
    stuck.wait({ table: 'NB_Global', where: [], until: '==', rows: [{ name: 'never' }], timeout: 60_000 });
    const outcome = db.transact(stuck);
    abort.abort();
    await expect(outcome).rejects.toMatchObject({ code: 'outcome_unknown' });
    await db.close();
    expect(db.state).toBe('closed');
    await expect(db.synced()).rejects.toMatchObject({ code: 'closed' });
    await expect(db.transact(stuck)).rejects.toMatchObject({ code: 'closed' });
  });
});
