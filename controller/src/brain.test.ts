import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { podAnnouncement } from './pod/announcement.ts';
import { named, type Step } from './testing/random-cluster.ts';
import {
  makeGroup,
  makeNamespace,
  makePod,
  makeQosPolicy,
  makeStatefulSet,
  makeSubnet,
  makeVpc,
  World,
} from './testing/world.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const address = (world: World, key: string): string | undefined => {
  const held = world.state.get('PodAddress', key);
  return held === undefined ? undefined : [held.v4, held.v6].filter((part) => part !== undefined).join(',');
};

describe('brain', () => {
  it('gives a pod a dual-stack address, a port and its memberships', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    expect(address(world, 'default/a')).toBe('10.16.0.2,fd00:10:16::2');
    expect(world.announced).toContain('default/a');
    const port = world.sink.rows('Logical_Switch_Port').find((row) => row.columns['name'] === 'a.default');
    expect(port?.columns['options']).toEqual(
      new Map([
        ['iface-id-ver', world.state.get('Pod', 'default/a')?.uid],
        ['requested-chassis', 'node-1'],
      ]),
    );
    const memberships = world.sink.members().filter((member) => member.endsWith(` ${port?.uuid}`));
    expect(memberships.map((member) => member.split(' ')[0] ?? '').sort()).toEqual(['Logical_Switch', 'Port_Group']);
  });

  it('refuses what a namespace may not use, and goes on when it may', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('secret', '10.50.0.0/24', { namespaces: ['other'] }));
    world.set(
      'Pod',
      makePod('default', 'a', 'node-1', { annotations: { 'ovn.kubernetes.io/logical_switch': 'secret' } }),
    );
    await world.settle();
    expect(world.events.join()).toContain('SubnetForbidden');
    expect(address(world, 'default/a')).toBeUndefined();
    const secret = world.state.get('Subnet', 'secret');
    if (secret === undefined) throw new Error('no subnet');
    world.set('Subnet', { ...secret, namespaces: ['other', 'default'] });
    await world.settle();
    expect(address(world, 'default/a')).toBe('10.50.0.2');
  });

  it('keeps a pod waiting for a taken static address until it is freed', async () => {
    const world = World.standard();
    const annotations = { 'ovn.kubernetes.io/ip_address': '10.16.9.9' };
    world.set('Pod', makePod('default', 'a', 'node-1', { annotations }));
    world.set('Pod', makePod('default', 'b', 'node-2', { annotations }));
    await world.settle();
    expect(address(world, 'default/a')).toContain('10.16.9.9');
    expect(world.events).toEqual([expect.stringContaining('b AddressTaken: address 10.16.9.9')]);
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(address(world, 'default/b')).toContain('10.16.9.9');
  });

  it('keeps the address of a StatefulSet pod over re-creation and gives it back with the set', async () => {
    const world = World.standard();
    world.set('StatefulSet', makeStatefulSet('default', 'db'));
    const pod = makePod('default', 'db-0', 'node-1', { keepFor: 'StatefulSet/default/db' });
    world.set('Pod', pod);
    await world.settle();
    const first = address(world, 'default/db-0');
    world.delete('Pod', 'default/db-0');
    await world.settle();
    world.set('Pod', makePod('default', 'other', 'node-1'));
    await world.settle();
    expect(address(world, 'default/other')).not.toBe(first);
    world.set('Pod', { ...pod, uid: 'second', node: 'node-3' });
    await world.settle();
    expect(address(world, 'default/db-0')).toBe(first);
    world.delete('Pod', 'default/db-0');
    await world.settle();
    world.delete('StatefulSet', 'default/db');
    await world.settle();
    expect(world.brain.allocator.held('Pod/default/db-0')).toBeUndefined();
  });

  it('lets a deleted subnet and VPC go when the last user is gone, in any order', async () => {
    const world = World.standard();
    world.set('Vpc', makeVpc('blue'));
    world.set('Subnet', makeSubnet('blue-a', '10.16.0.0/24', { vpc: 'blue', namespaces: ['default'] }));
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    expect(address(world, 'default/a')).toBe('10.16.0.2');
    const vpc = world.state.get('Vpc', 'blue');
    const subnet = world.state.get('Subnet', 'blue-a');
    if (vpc === undefined || subnet === undefined) throw new Error('missing');
    world.set('Vpc', { ...vpc, deleting: true });
    world.set('Subnet', { ...subnet, deleting: true });
    await world.settle();
    expect(world.finalized.size).toBe(0);
    expect(world.sink.rows('Logical_Switch').map((row) => row.columns['name'])).toContain('blue-a');
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.finalized).toContain('Subnet/blue-a');
    world.delete('Subnet', 'blue-a');
    await world.settle();
    expect(world.finalized).toContain('Vpc/blue');
    expect(world.sink.rows('Logical_Router').map((row) => row.columns['name'])).not.toContain('blue');
  });

  it('gives pods their addresses back when northbound database and IP objects are both lost', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('default', 'first', 'node-1'));
    world.set('Pod', makePod('default', 'a', 'node-1', { annotations: { 'ovn.kubernetes.io/logical_switch': 'red' } }));
    await world.settle();
    const before = world.state.get('PodAddress', 'default/a');
    const pod = world.state.get('Pod', 'default/a');
    const subnet = world.state.get('UsableSubnet', 'red');
    if (before === undefined || pod === undefined || subnet === undefined) throw new Error('not allocated');
    world.state.set('Pod', 'default/a', {
      ...pod,
      annotations: { ...pod.annotations, ...podAnnouncement(before, subnet) },
    });
    world.sink.units.clear();
    const next = await world.restarted();
    expect(next.state.get('PodAddress', 'default/a')).toEqual(before);
  });

  it('of two overlapping subnets the older one wins; the other follows when it is gone', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('late', '10.16.4.0/24', { created: '2027-01-01T00:00:00Z' }));
    await world.settle();
    expect(world.brain.subnets.verdict('late')).toMatchObject({
      ok: false,
      reason: 'Overlap',
      message: expect.stringContaining('subnet "ovn-default"') as string,
    });
    expect(world.state.get('UsableSubnet', 'late')).toBeUndefined();
  });

  it('incremental compilation equals compiling from nothing, and a restart changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const world = World.standard();
        for (const apply of steps) {
          apply(world);
          if (Math.abs(world.state.list('Pod').length) % 3 === 0) await world.settle();
        }
        await world.settle();
        const restarted = await world.restarted();
        expect(restarted.sink.content()).toEqual(world.sink.content());
        expect(new Map(restarted.state.entries('PodAddress'))).toEqual(new Map(world.state.entries('PodAddress')));
      }),
      { seed, numRuns: 60 },
    );
  });
});

const podNames = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5'];
const pick = fc.constantFrom(...podNames);
const node = fc.constantFrom('node-1', 'node-2', 'node-3', 'node-4');

/** One random change of the cluster; each prints itself when a property fails. */
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({
      name: pick,
      on: node,
      annotations: fc.constantFrom(
        {},
        { 'ovn.kubernetes.io/ip_address': '10.16.3.3' },
        { 'ovn.kubernetes.io/logical_switch': 'extra' },
        { 'ovn.kubernetes.io/egress_rate': '20' },
        { 'ovn.kubernetes.io/security_groups': 'g0,g1' },
        { 'ovn.kubernetes.io/security_groups': 'g1,nobody' },
        { 'ovn.kubernetes.io/ip_address': 'nonsense' },
      ),
    })
    .map(({ name, on, annotations }) =>
      named(`pod ${name} on ${on} ${JSON.stringify(annotations)}`, (world) => {
        if (world.state.get('Pod', `default/${name}`) === undefined)
          world.set('Pod', makePod('default', name, on, { annotations }));
      }),
    ),
  pick.map((name) => named(`delete pod ${name}`, (world) => world.delete('Pod', `default/${name}`))),
  pick.map((name) =>
    named(`recreate pod ${name}`, (world) => {
      const hostPorts = [{ protocol: 'tcp', hostPort: 8000 + podNames.indexOf(name), containerPort: 80 } as const];
      world.set('Pod', makePod('default', name, 'node-2', { hostPorts }));
    }),
  ),
  pick.map((name) =>
    named(`finish pod ${name}`, (world) => {
      const pod = world.state.get('Pod', `default/${name}`);
      if (pod !== undefined) world.set('Pod', { ...pod, finished: true });
    }),
  ),
  node.map((name) =>
    named(`toggle ${name}`, (world) => {
      if (world.state.get('Node', name) === undefined)
        world.set('Node', {
          name,
          uid: `n-${name}`,
          created: '',
          deleting: false,
          addresses: [`172.30.2.${name.at(-1)}`],
          externalAddresses: [],
          labels: {},
          annotations: {},
        });
      else world.delete('Node', name);
    }),
  ),
  fc.boolean().map((present) =>
    named(`subnet extra ${present}`, (world) => {
      const extra = world.state.get('Subnet', 'extra');
      if (extra === undefined && present)
        world.set('Subnet', makeSubnet('extra', '10.60.0.0/28', { private: true, allowSubnets: ['10.16.0.0/24'] }));
      else if (extra !== undefined && !present) world.set('Subnet', { ...extra, deleting: true });
    }),
  ),
  fc.record({ name: pick, rate: fc.constantFrom('', '30', 'much') }).map(({ name, rate }) =>
    named(`rate ${rate} of ${name}`, (world) => {
      const pod = world.state.get('Pod', `default/${name}`);
      if (pod === undefined) return;
      const annotations = { ...pod.annotations, 'ovn.kubernetes.io/egress_rate': rate };
      world.set('Pod', { ...pod, annotations });
    }),
  ),
  fc
    .record({ name: fc.constantFrom('q0', 'q1'), shared: fc.boolean(), subnet: fc.constantFrom('extra', undefined) })
    .map(({ name, shared, subnet }) =>
      named(`policy ${name} shared ${shared} subnet ${subnet}`, (world) => {
        if (world.state.get('QoSPolicy', name) !== undefined) {
          world.delete('QoSPolicy', name);
          return;
        }
        const target = { pods: [], ...(subnet === undefined ? {} : { subnets: [subnet] }) };
        const egress = [{ rateKbit: 1000, cidrs: [], localPorts: [], remotePorts: [] }];
        world.set('QoSPolicy', makeQosPolicy(name, { shared, egress, targets: [target] }));
      }),
    ),
  fc
    .record({
      name: fc.constantFrom('g0', 'g1'),
      tier: fc.constantFrom(0, 1),
      selects: fc.boolean(),
      gone: fc.boolean(),
    })
    .map(({ name, tier, selects, gone }) =>
      named(`group ${name} tier ${tier} selects ${selects} gone ${gone}`, (world) => {
        const group = world.state.get('SecurityGroup', name);
        if (gone && group !== undefined && world.finalized.has(`SecurityGroup/${name}`)) {
          world.finalized.delete(`SecurityGroup/${name}`);
          world.delete('SecurityGroup', name);
        } else if (gone && group !== undefined) world.set('SecurityGroup', { ...group, deleting: true });
        else if (group?.deleting !== true) {
          const remote = { group: name === 'g0' ? 'g1' : 'g0' };
          const rule = { family: 4, protocol: 'all', priority: 1, remote, policy: 'allow', log: selects } as const;
          const selectors = selects ? [{ namespaces: [], pods: [] }] : [];
          world.set('SecurityGroup', makeGroup(name, { tier: tier === 0 ? 0 : 1, selectors, ingress: [rule] }));
        }
      }),
    ),
  fc.constantFrom('extra', undefined).map((value) =>
    named(`namespace ${value}`, (world) => {
      world.set(
        'Namespace',
        makeNamespace('default', value === undefined ? {} : { 'ovn.kubernetes.io/logical_switch': value }),
      );
    }),
  ),
);
