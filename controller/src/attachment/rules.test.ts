import { multus } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { qosStatus } from '../api/qos-status.ts';
import { makeGroup, makePod, makeQosPolicy, makeSubnet, makeVpc, World } from '../testing/world.ts';

const provider = 'blue.default.ovn';
const groupsKey = `${provider}.kubernetes.io/security_groups`;
const qosKey = `${provider}.kubernetes.io/qos_policy`;

/** A cluster where pods may have interfaces `net1` and `net2` on the Subnet `blue`. */
function blueWorld(): World {
  const world = World.standard();
  world.set('Subnet', makeSubnet('blue', '10.20.0.0/24,fd00:20::/112', { provider }));
  world.set('NetworkAttachment', {
    ...{ name: 'blue', namespace: 'default', uid: 'blue', created: '', deleting: false },
    provider,
  });
  return world;
}
const withNetworks = (
  networks: string,
  annotations: Record<string, string> = {},
): { annotations: Record<string, string> } => ({
  annotations: { [multus.networks]: networks, ...annotations },
});

/** Ports of each Port_Group of SecurityGroups and QoSPolicies. */
function portGroups(world: World): Record<string, string[]> {
  const names = new Map(world.sink.rows('Logical_Switch_Port').map((row) => [row.uuid, row.columns['name'] as string]));
  const groups = new Map(world.sink.rows('Port_Group').map((row) => [row.uuid, row.columns['name'] as string]));
  const found: Record<string, string[]> = {};
  for (const member of world.sink.members()) {
    const [table = '', uuid = '', column = '', value = ''] = member.split(' ');
    const name = groups.get(uuid) ?? '';
    if (table !== 'Port_Group' || column !== 'ports' || !/^(sg|closed|qos|np)_/.test(name)) continue;
    found[name] = [...(found[name] ?? []), names.get(value) ?? value].sort();
  }
  return found;
}

/** Rows of table QoS, without the pods' first interfaces. */
const limits = (world: World): readonly string[] =>
  world.sink
    .rows('QoS')
    .map(({ columns }) => {
      const { direction, match, bandwidth } = columns as unknown as Record<string, string> & {
        bandwidth?: ReadonlyMap<string, number>;
      };
      return `${direction} ${match} ${bandwidth?.get('rate') ?? ''}`;
    })
    .filter((text) => text.includes('nic_'))
    .sort();

describe('SecurityGroups of further interfaces', () => {
  it('are those that select the pod, and those named for the interface or its provider', async () => {
    const world = blueWorld();
    world.set('SecurityGroup', makeGroup('all', { selectors: [{ namespaces: [], pods: [] }] }));
    for (const name of ['first', 'blue', 'second']) world.set('SecurityGroup', makeGroup(name));
    world.set(
      'Pod',
      makePod(
        ...(['default', 'a', 'node-1'] as const),
        withNetworks('blue,blue', {
          'ovn.kubernetes.io/security_groups': 'first',
          [groupsKey]: 'blue',
          [`${groupsKey}.net2`]: 'second',
        }),
      ),
    );
    await world.settle();
    const [first, net1, net2] = ['a.default', 'nic_a.default_net1', 'nic_a.default_net2'];
    expect(portGroups(world)).toEqual({
      sg_all: [first, net1, net2],
      sg_first: [first],
      sg_blue: [net1],
      sg_second: [net2],
    });
    // What a rule names as a remote is northd's address set of the group, and so has these interfaces' addresses too.
    const group = world.state.get('SecurityGroup', 'second');
    if (group === undefined) throw new Error('no group');
    expect(world.brain.groups.holders(group)).toEqual(['pod default/a']);
    world.set('SecurityGroup', { ...group, deleting: true });
    await world.settle();
    expect(world.finalized).not.toContain('SecurityGroup/second');
    const pod = world.state.get('Pod', 'default/a');
    if (pod === undefined) throw new Error('no pod');
    world.set('Pod', { ...pod, ...withNetworks('blue,blue') });
    await world.settle();
    expect(portGroups(world)).toEqual({ sg_all: [first, net1, net2] });
    expect(world.finalized).toContain('SecurityGroup/second');
    const restarted = await world.restarted();
    expect(restarted.sink.content()).toEqual(world.sink.content());
  });

  it('close the interface when named in vain, and that one alone', async () => {
    const world = blueWorld();
    world.set('Vpc', makeVpc('sea'));
    world.set('SecurityGroup', makeGroup('sea', { vpc: 'sea' }));
    world.set('Pod', makePod('default', 'a', 'node-1', withNetworks('blue', { [groupsKey]: 'none,sea' })));
    await world.settle();
    expect(portGroups(world)).toEqual({ closed_group: ['nic_a.default_net1'] });
    const events = world.events.join('\n');
    expect(events).toContain(
      `SecurityGroupRefused: SecurityGroup "none", named by ${groupsKey}, does not exist; correct the name or create it. Until then interface net1 is closed`,
    );
    expect(events).toContain(`SecurityGroup "sea", named by ${groupsKey}, is for pods of vpc "sea"`);
  });

  it('are not those of containers outside of Kubernetes, nor of addresses for other plugins', async () => {
    const world = blueWorld();
    world.set('SecurityGroup', makeGroup('all', { selectors: [{ namespaces: [], pods: [] }] }));
    world.set('Subnet', makeSubnet('lan', '192.168.9.0/24', { provider: 'lan.default' }));
    world.set('NetworkAttachment', {
      ...{ name: 'lan', namespace: 'default', uid: 'lan', created: '', deleting: false },
      provider: 'lan.default',
    });
    world.set(
      'Pod',
      makePod('default', 'a', 'node-1', withNetworks('lan', { 'lan.default.kubernetes.io/security_groups': 'x' })),
    );
    await world.settle();
    expect(portGroups(world)).toEqual({ sg_all: ['a.default'] });
    expect(world.events).toEqual([]);
  });
});

describe('QoS of further interfaces', () => {
  it('is by annotations of their own', async () => {
    const world = blueWorld();
    const policy = makeQosPolicy('named', { allowedNamespaces: ['default'], egress: [{ rateKbit: 7, ...all }] });
    world.set('QoSPolicy', policy);
    world.set(
      'Pod',
      makePod(
        ...(['default', 'a', 'node-1'] as const),
        withNetworks('blue,blue', {
          'ovn.kubernetes.io/ingress_rate': '9',
          [`${provider}.kubernetes.io/ingress_rate`]: '3',
          [`${provider}.kubernetes.io/ingress_rate.net2`]: '4',
          [qosKey]: 'named',
        }),
      ),
    );
    await world.settle();
    const expected = [
      'from-lport inport == "nic_a.default_net1" 7',
      'from-lport inport == "nic_a.default_net2" 7',
      'to-lport outport == "nic_a.default_net1" 3000',
      'to-lport outport == "nic_a.default_net2" 4000',
    ];
    expect(limits(world)).toEqual(expected);
    expect(qosStatus(policy, world.state, () => undefined).fields.pods).toBe(1);
    const pod = world.state.get('Pod', 'default/a');
    if (pod === undefined) throw new Error('no pod');
    // What makes no sense leaves an interface that is there its limit, over a restart as well.
    world.set('Pod', {
      ...pod,
      annotations: { ...pod.annotations, [`${provider}.kubernetes.io/ingress_rate.net2`]: 'much' },
    });
    await world.settle();
    expect(limits(world)).toEqual(expected);
    const restarted = await world.restarted();
    expect(limits(restarted)).toEqual(expected);
    expect(world.events.join()).toContain(
      `InvalidAnnotation: annotation ${provider}.kubernetes.io/ingress_rate.net2: "much" is not a whole number`,
    );
  });

  it('keeps a new interface waiting whose limit makes no sense', async () => {
    const world = blueWorld();
    const key = `${provider}.kubernetes.io/egress_rate`;
    world.set('Pod', makePod('default', 'a', 'node-1', withNetworks('blue', { [key]: '10M' })));
    await world.settle();
    expect(world.state.get('AttachmentAddress', 'default/a/net1')).toBeUndefined();
    expect(world.events.join()).toContain(`interface net1: annotation ${key}: "10M" is not a whole number of Mbit/s`);
    const pod = world.state.get('Pod', 'default/a');
    if (pod === undefined) throw new Error('no pod');
    world.set('Pod', { ...pod, ...withNetworks('blue', { [key]: '10' }) });
    await world.settle();
    expect(limits(world)).toEqual(['from-lport inport == "nic_a.default_net1" 10000']);
  });

  it('is that of policies that choose the pod, on the Subnets that they name', async () => {
    const world = blueWorld();
    const egress = (rateKbit: number): { egress: [{ rateKbit: number } & typeof all] } => ({
      egress: [{ rateKbit, ...all }],
    });
    const pods: readonly never[] = [];
    world.set(
      'QoSPolicy',
      makeQosPolicy('blue', { targets: [{ pods, subnets: ['blue'] }], ...egress(1), priority: 3 }),
    );
    world.set(
      'QoSPolicy',
      makeQosPolicy('here', { targets: [{ pods, subnets: ['ovn-default'] }], ...egress(2), priority: 2 }),
    );
    world.set('QoSPolicy', makeQosPolicy('all', { targets: [{ pods }], ...egress(3), priority: 1 }));
    world.set('QoSPolicy', makeQosPolicy('shared', { targets: [{ pods }], ...egress(4), shared: true }));
    world.set('Pod', makePod('default', 'a', 'node-1', withNetworks('blue')));
    await world.settle();
    expect(world.state.get('PodQos', 'default/a')?.policies).toEqual(['shared', 'here', 'all']);
    expect(world.state.get('PodQos', 'default/a/net1')?.policies).toEqual(['shared', 'blue', 'all']);
    expect(portGroups(world)).toEqual({ qos_shared: ['a.default', 'nic_a.default_net1'] });
    // One row on both switches.
    const uuid = world.sink
      .rows('QoS')
      .find(({ columns }) => (columns['match'] as string | undefined)?.includes('@qos_shared'))?.uuid;
    expect(world.sink.members().filter((member) => member.endsWith(`qos_rules ${uuid}`))).toHaveLength(2);
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.sink.rows('QoS')).toEqual([]);
    expect([...world.state.keys('PodQos')]).toEqual([]);
  });
});

const all = { cidrs: [], localPorts: [], remotePorts: [] };
