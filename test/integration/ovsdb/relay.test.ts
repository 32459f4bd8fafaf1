/** Reading and writing through a relay (ovsdb(7), "Relay Service Model"). */
import { rm } from 'node:fs/promises';
import { connect, type OvnNorthbound, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeDir, TestServer, until } from './server.ts';

let dir: string;
let source: TestServer;
let relay: TestServer;

beforeEach(async () => {
  dir = await makeDir();
  source = new TestServer(dir, 'nb');
  relay = new TestServer(dir, 'relay', [], `OVN_Northbound:${source.remote}`);
});

afterEach(async () => {
  await relay.stop('SIGKILL');
  await source.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

const insert = (name: string): Transaction<OvnNorthbound> => {
  const t = new Transaction(ovnNorthbound);
  t.insert('Logical_Switch', { name });
  return t;
};

it('is used while it has its source, and waited for while it has not', async () => {
  await source.create();
  await relay.start();
  const reasons: string[] = [];
  const db = connect({
    remotes: [relay.remote],
    database: ovnNorthbound,
    monitor: { Logical_Switch: ['name'] },
    leaderOnly: true,
    onEvent: (event) => {
      if (event.type === 'disconnected') {
        reasons.push(event.error.message);
      }
    },
  });
  try {
    await until('a refusal of the relay without source', () =>
      reasons.some((reason) => reason.includes('cut off') || reason.includes('no database')),
    );
    await source.start();
    await db.synced();
    expect(db.server).toMatchObject({ model: 'relay', connected: true });
    await db.transact(insert('by the relay'));
    expect([...db.replica.table('Logical_Switch').rows()].map(({ name }) => name)).toEqual(['by the relay']);
    expect(
      await source.transact([{ op: 'select', table: 'Logical_Switch', where: [], columns: ['name'] }]),
    ).toMatchObject([{ rows: [{ name: 'by the relay' }] }]);
    await source.transact([{ op: 'insert', table: 'Logical_Switch', row: { name: 'at the source' } }]);
    await until('the relay to pass it on', () => db.replica.table('Logical_Switch').size === 2);

    await source.stop('SIGKILL');
    // The relay calls itself connected for another 30 s (ovsdb/relay.c of OVS), and keeps what it is asked to write.
    const waiting = db.transact(insert('meanwhile'));
    await db.transact(new Transaction(ovnNorthbound).select('Logical_Switch', [], ['name']));
    await source.start();
    await waiting;
    await db.transact(insert('after'));
    expect([...db.replica.table('Logical_Switch').rows()].map(({ name }) => name).toSorted()).toEqual([
      'after',
      'at the source',
      'by the relay',
      'meanwhile',
    ]);
  } finally {
    await db.close();
  }
});
