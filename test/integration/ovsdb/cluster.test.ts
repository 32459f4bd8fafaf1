import { rm } from 'node:fs/promises';
import {
  type Client,
  type ClientEvent,
  connect,
  type OvnNorthbound,
  ovnNorthbound,
  Transaction,
} from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Proxy } from './proxy.ts';
import { freePort, makeDir, TestServer, until } from './server.ts';

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

function open(remotes: readonly string[], onEvent: (event: ClientEvent) => void): Client<OvnNorthbound> {
  const client = connect({
    remotes,
    database: ovnNorthbound,
    monitor: { Logical_Switch: ['name'] },
    indexes: { Logical_Switch: [['name']] },
    leaderOnly: true,
    onEvent,
  });
  clients.push(client);
  return client;
}

const insert = (name: string): Transaction<OvnNorthbound> => {
  const t = new Transaction(ovnNorthbound);
  t.insert('Logical_Switch', { name });
  return t;
};

describe('a cluster of one', () => {
  it('is resumed from the last transaction after a cut, and loaded anew when it is another database', async () => {
    const server = new TestServer(dir, 'nb');
    servers = [server];
    await server.createCluster(`tcp:127.0.0.1:${await freePort()}`);
    await server.start();
    await using proxy = await Proxy.open(server.socket);
    const synced: { reloaded: boolean; generation: number }[] = [];
    const db = open([proxy.remote], (event) => {
      if (event.type === 'synced') {
        synced.push({ reloaded: event.reloaded, generation: event.generation });
      }
    });
    await db.synced();
    await db.transact(insert('a'));
    const seen: string[] = [];
    db.replica.onChange((changes) => seen.push(...changes.map((change) => change.uuid)));
    proxy.cut();
    await until('the cut to be noticed', () => db.state !== 'synced');
    await server.transact([{ op: 'insert', table: 'Logical_Switch', row: { name: 'b' } }]);
    await until('what was written meanwhile', () => db.replica.table('Logical_Switch').find('name', 'b').length === 1);
    expect(synced).toEqual([
      { reloaded: true, generation: 1 },
      { reloaded: false, generation: 1 },
    ]);
    expect(seen).toEqual([db.replica.table('Logical_Switch').find('name', 'b')[0]?._uuid]);

    await server.stop('SIGKILL');
    await server.createCluster(`tcp:127.0.0.1:${await freePort()}`);
    await server.start();
    await until('the new database', () => db.state === 'synced' && db.replica.table('Logical_Switch').size === 0);
    expect(db.replica.generation).toBe(2);
    await db.transact(insert('c'));
    expect(db.replica.table('Logical_Switch').find('name', 'c')).toHaveLength(1);
  });
});

describe('a cluster of three', () => {
  it('is used through its leader, also when that dies', async () => {
    const addresses: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      addresses.push(`tcp:127.0.0.1:${await freePort()}`);
    }
    const [first = '', ...others] = addresses;
    servers = [1, 2, 3].map((i) => new TestServer(dir, `nb${i}`));
    const [leader] = servers;
    await leader?.createCluster(first);
    await leader?.start();
    for (const [i, own] of others.entries()) {
      const server = servers[i + 1];
      await server?.joinCluster('OVN_Northbound', own, first);
      await server?.start();
    }
    for (const server of servers) {
      await until(`${server.name} to join`, async () =>
        (await server.appctl('cluster/status', 'OVN_Northbound')).includes('Status: cluster member'),
      );
    }
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
      server !== undefined && (await server.appctl('cluster/status', 'OVN_Northbound')).includes('Role: leader');
    const connected = (): TestServer | undefined => servers.find((server) => server.remote === db.remote);
    await db.synced();
    expect(await leads(connected())).toBe(true);
    await db.transact(insert('before'));

    const killed = connected();
    await killed?.stop('SIGKILL');
    await until('a new leader', () => db.state === 'synced' && db.remote !== killed?.remote, 40_000);
    expect(await leads(connected())).toBe(true);
    expect(db.replica.table('Logical_Switch').find('name', 'before')).toHaveLength(1);
    await db.transact(insert('after'));
    expect(db.replica.table('Logical_Switch').size).toBe(2);
    expect(db.replica.generation).toBe(1);

    // A leader that hands over is left for its successor.
    const old = connected();
    await killed?.start();
    await old?.appctl('cluster/leave', 'OVN_Northbound');
    await until('the successor', () => db.state === 'synced' && db.remote !== old?.remote, 40_000);
    expect(refused).toContain('unsuitable_server');
    await db.transact(insert('third'));
    expect(db.replica.table('Logical_Switch').size).toBe(3);
  });
});
