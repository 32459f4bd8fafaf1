/** Role-based access control (ovn-architecture(7), "Role-Based Access Controls for the Southbound DB"). */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type OvnSouthbound, ovnSouthbound, Transaction } from '@ovenbird/ovsdb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makePki } from './pki.ts';
import { freePort, makeDir, TestServer, until } from './server.ts';

const SB_SCHEMA = fileURLToPath(new URL('../../../ovsdb/schemas/23.03/ovn-sb.ovsschema', import.meta.url));

let dir: string;
let server: TestServer;

beforeEach(async () => {
  dir = await makeDir();
});

afterEach(async () => {
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

/** A chassis with one tunnel endpoint. */
function chassis(name: string): Transaction<OvnSouthbound> {
  const t = new Transaction(ovnSouthbound);
  const encap = t.insert('Encap', { type: 'geneve', ip: `10.0.0.${name.slice(-1)}`, chassis_name: name });
  t.insert('Chassis', { name, encaps: [encap] });
  return t;
}

it('refuses what the role of the connection may not do', async () => {
  await makePki(dir, 'ca', ['server', 'chassis-1']);
  const file = (name: string): string => join(dir, name);
  const port = await freePort();
  server = new TestServer(dir, 'sb', [
    '--remote=db:OVN_Southbound,SB_Global,connections',
    `--private-key=${file('server.key')}`,
    `--certificate=${file('server.pem')}`,
    `--ca-cert=${file('ca.pem')}`,
  ]);
  await server.create(SB_SCHEMA);
  await server.start();

  const admin = connect({ remotes: [server.remote], database: ovnSouthbound, monitor: { Chassis: true } });
  await admin.synced();
  const setup = new Transaction(ovnSouthbound);
  const permit = (table: string, authorization: string, update: readonly string[]) =>
    setup.insert('RBAC_Permission', { table, authorization: [authorization], insert_delete: true, update });
  setup.insert('RBAC_Role', {
    name: 'ovn-controller',
    permissions: new Map([
      ['Chassis', permit('Chassis', 'name', ['hostname', 'encaps'])],
      ['Encap', permit('Encap', 'chassis_name', [])],
    ]),
  });
  const listener = setup.insert('Connection', { target: `pssl:${port}:127.0.0.1`, role: 'ovn-controller' });
  setup.insert('SB_Global', { connections: [listener] });
  await admin.transact(setup);
  await admin.transact(chassis('chassis-2'));
  const [other] = admin.replica.table('Chassis').rows();

  const node = connect({
    remotes: [`ssl:127.0.0.1:${port}`],
    database: ovnSouthbound,
    monitor: { Chassis: true },
    tls: { key: file('chassis-1.key'), cert: file('chassis-1.pem'), ca: file('ca.pem') },
  });
  try {
    await node.synced();
    const [, own] = await node.transact(chassis('chassis-1'));
    const ownUuid = own?.uuid ?? '';
    expect(node.replica.table('Chassis').get(ownUuid)?.name).toBe('chassis-1');
    const refused = async (op: number, table: string, build: (t: Transaction<OvnSouthbound>) => unknown) => {
      const t = new Transaction(ovnSouthbound);
      build(t);
      await expect(node.transact(t)).rejects.toMatchObject({
        code: 'permission_error',
        retryable: false,
        op,
        table,
        serverError: 'permission error',
      });
    };
    const where = (name: string) => [['name', '==', name]] as const;
    await refused(0, 'Chassis', (t) => t.update('Chassis', where('chassis-2'), { hostname: 'mine' }));
    await refused(0, 'Chassis', (t) => t.update('Chassis', where('chassis-1'), { nb_cfg: 7 }));
    await refused(1, 'Chassis', (t) => t.comment('not mine').delete('Chassis', where('chassis-2')));
    await refused(0, 'Encap', (t) => t.insert('Encap', { type: 'geneve', ip: '1.2.3.4', chassis_name: 'chassis-2' }));
    await refused(0, 'Logical_Flow', (t) => t.delete('Logical_Flow', []));
    await node.transact(new Transaction(ovnSouthbound).update('Chassis', where('chassis-1'), { hostname: 'n1' }));
    await until('the change', () => admin.replica.table('Chassis').get(ownUuid)?.hostname === 'n1');
    expect(admin.replica.table('Chassis').get(other?._uuid ?? '')).toBe(other);
  } finally {
    await node.close();
    await admin.close();
  }
});
