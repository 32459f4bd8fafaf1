/** Rows that others delete while a transaction is on its way: what OVSDB takes for success, and the client does not. */
import { rm } from 'node:fs/promises';
import {
  type Client,
  commitOnce,
  connect,
  type OvnNorthbound,
  ovnNorthbound,
  type Ref,
  Transaction,
  toUuid,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeDir, TestServer, until } from './server.ts';

let dir: string;
let server: TestServer;
let db: Client<OvnNorthbound>;

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
  await server.start();
  db = connect({
    remotes: [server.remote],
    database: ovnNorthbound,
    monitor: { Logical_Switch: true, Logical_Switch_Port: ['name'], Port_Group: true },
  });
  await db.synced();
});

afterEach(async () => {
  await db.close();
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

async function makeSwitch(): Promise<Ref<'Logical_Switch'>> {
  const uuid = toUuid(crypto.randomUUID());
  const t = new Transaction(ovnNorthbound);
  const ref = t.insert('Logical_Switch', { name: 's' }, { uuid });
  await db.transact(t);
  return ref;
}

/** A port for a switch, and what else the operation says. */
function join(parent: Ref<'Logical_Switch'>, name: string): Transaction<OvnNorthbound> {
  const t = new Transaction(ovnNorthbound).comment('first');
  const port = t.insert('Logical_Switch_Port', { name });
  t.mutate('Logical_Switch', parent, 'ports', 'insert', [port]);
  return t;
}

it('refuses a child whose parent is gone, which the server alone would lose', async () => {
  const parent = await makeSwitch();
  const [, port] = await db.transact(join(parent, 'p1'));
  expect(db.replica.table('Logical_Switch').get(parent)?.ports).toEqual([port?.uuid]);
  await server.transact([{ op: 'delete', table: 'Logical_Switch', where: [] }]);
  // Without a guard it is success to the server, and the port is collected as garbage.
  const named = ['named-uuid', 'p'];
  const raw = await server.transact([
    { op: 'insert', table: 'Logical_Switch_Port', 'uuid-name': 'p', row: { name: 'p2' } },
    {
      op: 'mutate',
      table: 'Logical_Switch',
      where: [['_uuid', '==', ['uuid', parent]]],
      mutations: [['ports', 'insert', named]],
    },
  ]);
  expect(raw).toMatchObject([{ uuid: expect.anything() as unknown }, { count: 0 }]);
  await expect(db.transact(join(parent, 'p2'))).rejects.toMatchObject({
    code: 'wait_failed',
    op: 2,
    operation: 'mutate',
    table: 'Logical_Switch',
    row: parent,
  });
  expect(db.replica.table('Logical_Switch_Port').size).toBe(0);
});

it('checks the count of what is not guarded, after the commit', async () => {
  const parent = await makeSwitch();
  const twice = new Transaction(ovnNorthbound);
  twice.delete('Logical_Switch', parent, { expectCount: 1 });
  twice.update('Logical_Switch', [['name', '==', 's']], { name: 'x' }, { expectCount: 1 });
  await expect(db.transact(twice)).rejects.toMatchObject({ code: 'count_mismatch', op: 1, operation: 'update' });
  expect(db.replica.table('Logical_Switch').size).toBe(0);
});

it('takes insertions into what the same transaction makes, and several into one', async () => {
  const t = new Transaction(ovnNorthbound);
  const parent = t.insert('Logical_Switch', { name: 's' });
  const group = t.insert('Port_Group', { name: 'g' });
  for (const name of ['a', 'b', 'c']) {
    const port = t.insert('Logical_Switch_Port', { name });
    t.mutate('Logical_Switch', parent, 'ports', 'insert', [port]);
    t.mutate('Port_Group', group, 'ports', 'insert', [port]);
  }
  const results = await db.transact(t);
  expect(results).toHaveLength(t.size);
  expect(results.at(-1)).toEqual({ count: 1 });
  expect(db.replica.table('Port_Group').get(results[1]?.uuid ?? '')?.ports).toHaveLength(3);
});

it('makes plans anew until nothing is left to do', async () => {
  const parent = await makeSwitch();
  // Somebody else deletes the parent between the plan and the commit: refused; so it is no lost connection, it is told.
  await expect(
    commitOnce(db, () => {
      const t = join(parent, 'p1');
      const other = new Transaction(ovnNorthbound).delete('Logical_Switch', parent);
      void db.transact(other);
      return t;
    }),
  ).rejects.toMatchObject({ code: 'wait_failed' });
  // A server that dies with the plan's transaction unanswered: the plan is asked again.
  let plans = 0;
  const uuid = toUuid(crypto.randomUUID());
  const done = commitOnce(db, (replica) => {
    plans += 1;
    if (replica.table('Logical_Switch').get(uuid) !== undefined) {
      return undefined;
    }
    const t = new Transaction(ovnNorthbound);
    t.insert('Logical_Switch', { name: 'once' }, { uuid });
    if (plans === 1) {
      server.freeze();
    }
    return t;
  });
  await until('the first plan', () => plans === 1);
  await server.stop('SIGKILL');
  await server.start();
  await done;
  expect(plans).toBe(2);
  expect([...db.replica.table('Logical_Switch').rows()].map(({ name }) => name)).toEqual(['once']);
  expect(await commitOnce(db, () => undefined)).toBeUndefined();
  const plan = (): Transaction<OvnNorthbound> => new Transaction(ovnNorthbound).comment('too late');
  await expect(commitOnce(db, plan, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'closed' });
});
