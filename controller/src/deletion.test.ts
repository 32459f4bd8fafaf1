import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { securityGroupStatus } from './api/security-group-status.ts';
import { subnetStatus } from './api/subnet-status.ts';
import type { GroupRule } from './security-group/model.ts';
import { collect } from './testing/random-cluster.ts';
import {
  makeGroup,
  makeIp,
  makePod,
  makePool,
  makeQosPolicy,
  makeStatefulSet,
  makeSubnet,
  makeVip,
  makeVpc,
  type Watched,
  World,
} from './testing/world.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const P = 'ovn.kubernetes.io/';
/** A rule about the pods of another group. */
const about = (group: string, more: Partial<GroupRule> = {}): GroupRule => ({
  ...{ family: 4, protocol: 'all', priority: 1, remote: { group }, policy: 'allow', log: false },
  ...more,
});
const inRed = { [`${P}logical_switch`]: 'red' };

/** Everything that holds an address, or is held by one; groups that rules and pods name, and a policy on what pods use. */
const objects: readonly (readonly [Watched, string])[] = [
  ['Vpc', 'island'],
  ['Subnet', 'red'],
  ['Subnet', 'shore'],
  ['IPPool', 'spare'],
  ['Vip', 'front'],
  ['Vip', 'own'],
  ['SecurityGroup', 'web'],
  ['SecurityGroup', 'data'],
  ['QoSPolicy', 'calm'],
  ['IpRecord', 'printer'],
  ['StatefulSet', 'default/db'],
  ['VirtualMachine', 'default/vm'],
  ['Pod', 'default/plain'],
  ['Pod', 'default/pooled'],
  ['Pod', 'default/sharing'],
  ['Pod', 'default/owner'],
  ['Pod', 'default/db-0'],
  ['Pod', 'default/launcher'],
  ['Pod', 'default/island'],
];

async function full(): Promise<World> {
  const world = World.standard();
  world.set('Vpc', makeVpc('island', { finalizers: ['ovenbird.io/controller'] }));
  const finalizers = ['ovenbird.io/controller'];
  world.set('Subnet', makeSubnet('red', '10.50.0.0/24,fd00:10:50::/120', { finalizers }));
  world.set('Subnet', makeSubnet('shore', '10.50.0.0/24', { vpc: 'island', namespaces: ['default'], finalizers }));
  world.set('IPPool', makePool('spare', 'red', ['10.50.0.16/28', 'fd00:10:50::10/124'], { addressSet: true }));
  world.set('Vip', makeVip('front', 'red', 'default'));
  world.set('Vip', makeVip('own', 'red', 'default'));
  world.set('IpRecord', makeIp('printer', 'red', { v4: '10.50.0.9' }));
  world.set('StatefulSet', makeStatefulSet('default', 'db', { template: inRed }));
  const machine = { name: 'vm', namespace: 'default', uid: 'vm', created: '', deleting: false };
  world.set('VirtualMachine', { ...machine, template: inRed });
  // They name each other, so that neither could go first if rules of a deleted one counted.
  const pass = about('', { priority: 2, remote: { cidr: '10.0.0.0/8' }, policy: 'pass' });
  world.set('SecurityGroup', makeGroup('web', { ingress: [about('data'), pass], finalizers }));
  world.set('SecurityGroup', makeGroup('data', { ingress: [about('web')], egress: [about('data')], finalizers }));
  const egress = [{ rateKbit: 1000, cidrs: [], localPorts: [], remotePorts: [] }];
  const targets = [{ pods: [], subnets: ['red'] }];
  world.set('QoSPolicy', makeQosPolicy('calm', { shared: true, targets, egress }));
  await world.settle();
  const pod = (name: string, annotations: Record<string, string>, keepFor?: string): void =>
    world.set(
      'Pod',
      makePod('default', name, 'node-1', { annotations, ...(keepFor === undefined ? {} : { keepFor }) }),
    );
  pod('plain', { ...inRed, [`${P}security_groups`]: 'web' });
  pod('pooled', { [`${P}ip_pool`]: 'spare' });
  pod('sharing', { ...inRed, [`${P}aaps`]: 'front' });
  pod('owner', { [`${P}vip`]: 'own' });
  pod('db-0', { ...inRed, [`${P}security_groups`]: 'web,data' }, 'StatefulSet/default/db');
  pod('launcher', inRed, 'VirtualMachine/default/vm');
  pod('island', { [`${P}logical_switch`]: 'shore' });
  await world.settle();
  expect([...world.state.keys('PodAddress')]).toHaveLength(7);
  const shown = world.sink.rows().map(({ table, key, owner }) => `${table} ${key} ${owner}`);
  for (const row of [/^Port_Group .* SecurityGroup\/web$/, /^ACL .* SecurityGroup\/data$/, /^QoS .* QoSPolicy\/calm$/])
    expect(shown).toContainEqual(expect.stringMatching(row));
  return world;
}

/** As the API server does it: what has a finalizer of ours is marked, and goes when that is taken off. */
async function remove(world: World, kind: Watched, key: string): Promise<void> {
  const [subnet, vpc] = [world.state.get('Subnet', key), world.state.get('Vpc', key)];
  const group = world.state.get('SecurityGroup', key);
  if (kind === 'Subnet') {
    if (subnet !== undefined) world.set('Subnet', { ...subnet, deleting: true });
  } else if (kind === 'Vpc') {
    if (vpc !== undefined) world.set('Vpc', { ...vpc, deleting: true });
  } else if (kind === 'SecurityGroup') {
    if (group !== undefined) world.set('SecurityGroup', { ...group, deleting: true });
  } else world.delete(kind, key);
  await collect(world);
}

describe('deleting', () => {
  it('a subnet waits for what somebody reserved in it, over a restart too', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24', { finalizers: ['ovenbird.io/controller'] }));
    world.set('IpRecord', makeIp('printer', 'red', { v4: '10.50.0.9' }));
    await world.settle();
    await remove(world, 'Subnet', 'red');
    const restarted = await world.restarted();
    expect(restarted.sink.content()).toEqual(world.sink.content());
    expect(restarted.finalized).toEqual(new Set());
    await remove(restarted, 'IpRecord', 'printer');
    expect(restarted.state.get('Subnet', 'red')).toBeUndefined();
  });

  it('in any order ends with nothing left, and what waits names who holds it', async () => {
    const empty = World.standard();
    await empty.settle();
    const order = fc.shuffledSubarray(
      objects.map((_, index) => index),
      { minLength: objects.length },
    );
    await fc.assert(
      fc.asyncProperty(order, fc.nat(objects.length), async (indexes, restart) => {
        let world = await full();
        for (const [step, index] of indexes.entries()) {
          if (step === restart) {
            world = await world.restarted();
            await collect(world);
          }
          const [kind, key] = objects[index] ?? ['Pod', ''];
          await remove(world, kind, key);
          for (const subnet of world.state.list('Subnet')) {
            if (!subnet.deleting) continue;
            const [ready] = subnetStatus(subnet, world.brain, world.state, () => undefined).conditions;
            expect(ready?.message, subnet.name).toMatch(
              /^waits for \d+ address(es)? in use: ((kept for )?pod|Vip|IP|VirtualMachine) /,
            );
          }
          for (const group of world.state.list('SecurityGroup')) {
            if (!group.deleting) continue;
            const { conditions } = securityGroupStatus(group, world.brain.groups, world.state, () => undefined);
            expect(conditions[0]?.message, group.name).toMatch(/^waits for (pod default|the rules of SecurityGroup )/);
          }
        }
        await collect(world);
        const left = objects.filter(([kind, key]) => world.state.get(kind, key) !== undefined);
        expect(left).toEqual([]);
        expect(world.state.list('IpRecord').filter(({ subnet }) => subnet !== 'join')).toEqual([]);
        expect([...world.state.keys('PodAddress')]).toEqual([]);
        const rows = (of: World): readonly string[] =>
          of.sink
            .rows()
            .map(({ table, key }) => `${table} ${key.replace(/@.*/, '')}`)
            .sort();
        expect(rows(world)).toEqual(rows(empty));
        expect(world.brain.allocator.usersOf('red') + world.brain.allocator.usersOf('shore')).toBe(0);
      }),
      { seed, numRuns: Number(process.env['RUNS'] ?? 25) },
    );
  });
});
