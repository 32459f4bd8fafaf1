import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { managerOf, run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startController } from '../src/interruption.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { allRows, type NorthboundRows, ourRows, settledRows } from '../src/northbound-rows.ts';
import { addressesOf, namespace, type PodObject, pod, subnet, vpc } from '../src/objects.ts';
import { ProcessLog } from '../src/process-log.ts';

/** A northbound database that lost everything gets the identical network back, from a controller that went on running. */
describe('a lost northbound database', () => {
  let lab: TestLab;
  let before: NorthboundRows;
  let controller: number | undefined;
  const ns = 'rebuild';
  const other = 'rebuild-other';
  const pods = new Map<string, readonly string[]>();
  const database = (): string => `unix:${lab.layout.central.northbound}`;
  const pid = (): number | undefined => managerOf(lab.state.directory).worker('controller')?.pid;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      namespace(other),
      vpc('rebuild-vpc'),
      subnet('rebuild', {
        cidrBlock: '10.60.0.0/24,fd00:10:60::/112',
        namespaces: [ns],
        acls: [
          { direction: 'to-lport', priority: 1100, match: 'udp.dst == 4444', action: 'drop' },
          { direction: 'from-lport', priority: 1200, match: 'ip', action: 'allow-related' },
        ],
      }),
      subnet('rebuild-other', { vpc: 'rebuild-vpc', cidrBlock: '10.60.0.0/24', namespaces: [other] }),
    );
    await lab.apply(
      pod(ns, 'a', { node: 'node-1', annotations: { 'ovn.kubernetes.io/ip_address': '10.60.0.77,fd00:10:60::77' } }),
      pod(ns, 'b', { node: 'node-2', annotations: { 'ovn.kubernetes.io/egress_rate': '50' } }),
      pod(ns, 'c', {
        node: 'node-3',
        hostPort: 18_070,
        annotations: { 'ovn.kubernetes.io/logical_switch': 'ovn-default' },
      }),
      pod(other, 'd', { node: 'node-1' }),
      pod(other, 'e', { node: 'node-3' }),
    );
    await Promise.all([lab.podsReady(ns), lab.podsReady(other)]);
    for (const [space, name] of [
      [ns, 'a'],
      [ns, 'b'],
      [ns, 'c'],
      [other, 'd'],
      [other, 'e'],
    ] as const)
      pods.set(`${space}/${name}`, addressesOf(await lab.get<PodObject>('pod', name, '-n', space)));
    before = await settledRows(lab);
    controller = pid();
  });
  afterAll(async () => {
    await lab.delete([namespace(ns), namespace(other)], '--wait=true', '--timeout=60s');
    await lab.kubectl(['delete', 'subnet', 'rebuild', 'rebuild-other', '--ignore-not-found', '--timeout=60s']);
    await lab.kubectl(['delete', 'vpc', 'rebuild-vpc', '--ignore-not-found', '--timeout=60s']);
  });

  const sameAgain = async (): Promise<void> => {
    await lab.waitFor(
      'the identical rows are back',
      async () => before.difference(await ourRows(lab)).join('\n') || true,
      60_000,
    );
  };

  const reachesAll = async (): Promise<void> => {
    await lab.waitFor(
      'all pings are answered',
      async () => {
        const lists = await Promise.all(
          [ns, other].map((space) => {
            const mine = [...pods].filter(([key]) => key.startsWith(`${space}/`));
            return lab.pingMatrix(
              mine.map(([key]) => key),
              mine.flatMap(([, addresses]) => addresses),
            );
          }),
        );
        return lists.flat().join('\n') || true;
      },
      60_000,
    );
  };

  it('has rows of every kind that this release writes', () => {
    expect(before.tables().toSorted()).toEqual([
      'ACL',
      'Address_Set',
      'Load_Balancer',
      'Load_Balancer_Group',
      'Logical_Router',
      'Logical_Router_Policy',
      'Logical_Router_Port',
      'Logical_Router_Static_Route',
      'Logical_Switch',
      'Logical_Switch_Port',
      'Port_Group',
      'QoS',
    ]);
  });

  /** Deletes every row of the network in one transaction, and those of more tables. */
  const destroyAll = async (...more: readonly string[]): Promise<void> => {
    const tables = [...(await allRows(lab)).tables(), ...more];
    await lab.nbctl(...tables.flatMap((table) => ['--', '--all', 'destroy', table]));
  };

  it('is rebuilt when all its rows are deleted at once', async () => {
    await reachesAll();
    const log = new ProcessLog(lab, 'controller');
    await destroyAll('NB_Global');
    await log.waitFor('lost its content: rebuilding');
    await sameAgain();
    await reachesAll();
    expect(pid()).toBe(controller);
  });

  it('is rebuilt when the row that knows the leader is all that stays', async () => {
    await destroyAll();
    await sameAgain();
    await reachesAll();
    expect(pid()).toBe(controller);
  });

  it('is rebuilt when the database itself is another, empty one', async () => {
    const log = new ProcessLog(lab, 'controller');
    const directory = mkdtempSync(join(tmpdir(), 'ovenbird-rebuild-'));
    try {
      const schema = join(directory, 'nb.ovsschema');
      writeFileSync(schema, await run(['ovsdb-client', '--timeout=10', 'get-schema', database(), 'OVN_Northbound']));
      await lab.stopProcess('ovnnb');
      rmSync(lab.layout.central.northboundFile);
      await run(['ovsdb-tool', 'create', lab.layout.central.northboundFile, schema]);
      await lab.startProcess('ovnnb');
    } finally {
      rmSync(directory, { recursive: true });
    }
    await log.waitFor('lost its content: rebuilding');
    await sameAgain();
    await reachesAll();
    expect(pid()).toBe(controller);
  });

  it('is rebuilt by a new controller from the IP objects', async () => {
    await lab.stopProcess('controller');
    await destroyAll('NB_Global');
    await startController(lab);
    await sameAgain();
    await reachesAll();
  });

  it('is rebuilt by a new controller from the announcements when the IP objects are lost too', async () => {
    await lab.stopProcess('controller');
    await destroyAll('NB_Global');
    await lab.kubectl(['delete', 'ips', '--all']);
    await startController(lab);
    await sameAgain();
    await reachesAll();
  });

  it('gives new pods addresses that nobody has', async () => {
    await lab.apply(pod(ns, 'new', { node: 'node-2' }));
    await lab.podsReady(ns, 30, 'new');
    const addresses = addressesOf(await lab.get<PodObject>('pod', 'new', '-n', ns));
    const taken = [...pods].flatMap(([key, list]) => (key.startsWith(`${ns}/`) ? list : []));
    expect(taken.filter((address) => addresses.includes(address))).toEqual([]);
    await lab.waitFor(
      'the new pod is reached',
      async () => (await lab.pingMatrix([`${ns}/a`], addresses)).join('\n') || true,
      30_000,
    );
  });
});
