/** Schemas that change under the client (ovsdb-server(7), "Convert"), and servers with other schemas than ours. */
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  type Client,
  type ClientEvent,
  connect,
  type Json,
  type OvnNorthbound,
  ovnNorthbound,
  Transaction,
  toUuid,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeDir, TestServer, until } from './server.ts';

const run = promisify(execFile);
const schemaPath = (release: string): string =>
  fileURLToPath(new URL(`../../../ovsdb/schemas/${release}/ovn-nb.ovsschema`, import.meta.url));
const readSchema = async (release: string): Promise<Json> =>
  JSON.parse(await readFile(schemaPath(release), 'utf8')) as Json;

let dir: string;
let server: TestServer;
let db: Client<OvnNorthbound>;
let events: ClientEvent[] = [];

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  events = [];
});

afterEach(async () => {
  await db.close();
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

function open(): Client<OvnNorthbound> {
  db = connect({
    remotes: [server.remote],
    database: ovnNorthbound,
    monitor: { ACL: true, Logical_Switch: true, Logical_Router_Static_Route: true, Sample: true },
    onEvent: (event) => events.push(event),
  });
  return db;
}

const missing = (): readonly string[] =>
  events.flatMap((event) => (event.type === 'connected' ? [event.missing] : [])).at(-1) ?? [];

it('takes up what a newer schema brings, on the same connection, with rows and locks kept', async () => {
  await server.create(schemaPath('23.03'));
  await server.start();
  open();
  await db.synced();
  const lock = db.lock('controller');
  await lock.acquired();
  const acl = toUuid(crypto.randomUUID());
  const t = new Transaction(ovnNorthbound);
  const ref = t.insert('ACL', { action: 'drop', direction: 'to-lport', match: '1', priority: 7 }, { uuid: acl });
  t.insert('Logical_Switch', { name: 's', acls: [ref] });
  await db.transact(t);
  const [before] = db.replica.table('Logical_Switch').rows();
  expect([db.schemaVersion, db.hasColumn('ACL', 'tier'), db.hasTable('Sample')]).toEqual(['7.0.0', false, false]);
  expect(missing()).toContain('ACL.tier');
  expect(db.replica.table('ACL').get(acl)?.tier).toBe(0);
  const tiered = new Transaction(ovnNorthbound).assert('controller').update('ACL', acl, { tier: 2, action: 'pass' });
  await expect(db.transact(tiered)).rejects.toMatchObject({ code: 'unknown_column', column: 'tier', op: 1 });

  await db.convert(await readSchema('25.03'));
  await until('the new schema', () => db.state === 'synced' && db.hasColumn('ACL', 'tier'));
  await db.transact(tiered);
  expect(db.replica.table('ACL').get(acl)).toMatchObject({ tier: 2, action: 'pass', priority: 7 });
  expect(db.replica.table('Logical_Switch').get(before?._uuid ?? '')).toBe(before);
  expect([db.hasTable('Sample'), missing().includes('Sample')]).toEqual([true, false]);
  expect(events.map(({ type }) => type)).not.toContain('disconnected');
  expect(lock.held).toBe(true);
});

it('goes back with a downgrade by others, and tells what was lost', async () => {
  await server.create(schemaPath('25.03'));
  await server.start();
  open();
  await db.synced();
  const acl = toUuid(crypto.randomUUID());
  const t = new Transaction(ovnNorthbound);
  const ref = t.insert(
    'ACL',
    { action: 'drop', direction: 'to-lport', match: '1', priority: 7, tier: 3 },
    { uuid: acl },
  );
  t.insert('Logical_Switch', { name: 's', acls: [ref] });
  await db.transact(t);
  const lost: (number | undefined)[] = [];
  db.replica.table('ACL').onChange((changes) => lost.push(...changes.map((change) => change.new?.tier)));
  await run('ovsdb-client', ['convert', server.remote, schemaPath('23.03')]);
  await until('the old schema', () => db.state === 'synced' && !db.hasColumn('ACL', 'tier'));
  expect([db.replica.table('ACL').get(acl)?.tier, lost]).toEqual([0, [0]]);
  expect(db.replica.table('ACL').get(acl)?.priority).toBe(7);
});

it('leaves out a column whose type does not fit, rather than losing part of it', async () => {
  const schema = (await readSchema('23.03')) as {
    tables: Record<string, { columns: Record<string, { type: Json }> }>;
  };
  const acl = schema.tables['ACL']?.columns ?? {};
  acl['name'] = { type: { key: 'string', min: 0, max: 'unlimited' } };
  acl['priority'] = { type: 'string' };
  const path = join(dir, 'odd.ovsschema');
  await writeFile(path, JSON.stringify(schema));
  await server.create(path);
  await server.start();
  open();
  await db.synced();
  expect(missing()).toEqual(expect.arrayContaining(['ACL.name', 'ACL.priority']));
  expect(['name', 'priority', 'match'].map((column) => db.hasColumn('ACL', column))).toEqual([false, false, true]);
});

it('waits for a database that is taken away until it is back', async () => {
  await server.create();
  await server.start();
  open();
  await db.synced();
  const t = new Transaction(ovnNorthbound);
  t.insert('Logical_Switch', { name: 's' });
  await db.transact(t);
  await server.appctl('ovsdb-server/remove-db', 'OVN_Northbound');
  await until('the loss to be noticed', () => db.state !== 'synced');
  expect(db.replica.table('Logical_Switch').size).toBe(1);
  await server.appctl('ovsdb-server/add-db', server.database);
  await db.synced();
  expect(db.replica.table('Logical_Switch').size).toBe(1);
  expect(events).toContainEqual(
    expect.objectContaining({
      type: 'disconnected',
      error: expect.objectContaining({ message: expect.stringMatching(/database/) as string }) as Error,
    }) as ClientEvent,
  );
});
