import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ClusterPolicyObject } from '@ovenbird/kube';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterPolicyKind } from '../../../controller/src/policy/cluster-model.ts';
import { projectClusterPolicy, projectNetworkPolicy } from '../../../controller/src/store/projections.ts';
import { makeNamespace, makePod, makeSubnet, World } from '../../../controller/src/testing/world.ts';
import { makeDir, TestServer } from '../ovsdb/server.ts';
import { TestWriter } from './writer.ts';

const schema = (release: string): string =>
  fileURLToPath(new URL(`../../../ovsdb/schemas/${release}/ovn-nb.ovsschema`, import.meta.url));

/** A cluster with a policy of each tier, and a private subnet. */
async function cluster(tiers: boolean): Promise<World> {
  const world = World.standard(tiers);
  world.set('Namespace', makeNamespace('x'));
  world.set('Subnet', makeSubnet('vault', '10.80.0.0/24', { private: true }));
  world.set('Pod', makePod('x', 'a', 'node-1', { labels: { app: 'web' } }));
  const everybody = { namespaces: {} };
  const put = (kind: ClusterPolicyKind, name: string, spec: object): void =>
    world.set(kind, projectClusterPolicy(kind, { metadata: { name }, spec } as ClusterPolicyObject));
  put('ClusterNetworkPolicy', 'guard', {
    tier: 'Admin',
    priority: 5,
    subject: everybody,
    egress: [
      { action: 'Pass', to: [{ nodes: {} }], protocols: [{ udp: { destinationPort: { number: 53 } } }] },
      { action: 'Deny', to: [{ networks: ['192.0.2.0/24'] }] },
    ],
  });
  put('AdminNetworkPolicy', 'open', {
    priority: 7,
    subject: everybody,
    ingress: [{ action: 'Allow', from: [everybody] }],
  });
  put('BaselineAdminNetworkPolicy', 'default', {
    subject: everybody,
    ingress: [{ action: 'Deny', from: [everybody] }],
  });
  world.set(
    'NetworkPolicy',
    projectNetworkPolicy({ metadata: { namespace: 'x', name: 'np' }, spec: { podSelector: {} } }),
  );
  await world.settle();
  return world;
}

describe('ACLs of policies on a real ovsdb-server', () => {
  let dir: string;
  let server: TestServer;
  let writer: TestWriter;

  beforeEach(async () => {
    dir = await makeDir();
    server = new TestServer(dir, 'nb');
  });
  afterEach(async () => {
    await writer.stop();
    await server.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  async function start(release: string): Promise<void> {
    await server.create(schema(release));
    await server.start();
    writer = new TestWriter(server, 'a');
  }

  /** `owner tier priority action` of each ACL. */
  const acls = (): readonly string[] =>
    [...writer.store.rows('ACL')]
      .map(([, row]) => {
        const owner = (row['external_ids'] as ReadonlyMap<string, string>).get('ovenbird/owner');
        const tier = writer.store.hasColumn('ACL', 'tier') ? Number(row['tier']) : '-';
        return [owner, tier, Number(row['priority']), row['action'] as string].join(' ');
      })
      .sort();

  it.each(['25.03', '26.03'])('stand in tiers with the schema of OVN %s', async (release) => {
    await start(release);
    const world = await cluster(true);
    await writer.run(world.sink.units);
    expect(writer.store.hasColumn('ACL', 'tier')).toBe(true);
    expect(acls()).toEqual(
      [
        'ClusterNetworkPolicy/guard 0 30874 pass',
        'ClusterNetworkPolicy/guard 0 30873 drop',
        'AdminNetworkPolicy/open 0 30824 allow-related',
        'BaselineAdminNetworkPolicy/default 3 1736 drop',
        'NetworkPolicy/x/np 2 2000 drop',
        ...[1, 2, 3].map((node) => `Node/node-${node} 0 31000 allow-related`),
        'Subnet/vault 2 3000 allow-related',
        'Subnet/vault 3 1001 allow-related',
        'Subnet/vault 3 1000 drop',
        ...['ovn-default', 'vault'].map((subnet) => `Subnet/${subnet} 3 0 allow-related`),
      ].sort(),
    );
  });

  it('stand in bands with the schema of OVN 23.03, where what is passed is taken out of the rules behind it', async () => {
    await start('23.03');
    const world = await cluster(false);
    await writer.run(world.sink.units);
    expect(writer.store.hasColumn('ACL', 'tier')).toBe(false);
    expect(acls()).toEqual(
      [
        'ClusterNetworkPolicy/guard - 30874 drop',
        'AdminNetworkPolicy/open - 30824 allow-related',
        'BaselineAdminNetworkPolicy/default - 1029 drop',
        'NetworkPolicy/x/np - 2000 drop',
        ...[1, 2, 3].map((node) => `Node/node-${node} - 31000 allow-related`),
        'Subnet/vault - 3000 allow-related',
        'Subnet/vault - 1001 allow-related',
        'Subnet/vault - 1000 drop',
        ...['ovn-default', 'vault'].map((subnet) => `Subnet/${subnet} - 0 allow-related`),
      ].sort(),
    );
  });
});
