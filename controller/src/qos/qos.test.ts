import { describe, expect, it } from 'vitest';
import { qosStatus } from '../api/qos-status.ts';
import type { Pod } from '../store/model.ts';
import { makeNamespace, makePod, makeQosPolicy, makeSubnet, World } from '../testing/world.ts';
import type { QosRule } from './model.ts';

const rule = (more: Partial<QosRule> = {}): QosRule => ({ cidrs: [], localPorts: [], remotePorts: [], ...more });
const everyPod = [{ pods: [] }];

/** Rows of table QoS, as `ovn-nbctl qos-list` prints them, and the switches that have each. */
function rows(world: World): readonly string[] {
  const switches = new Map(world.sink.rows('Logical_Switch').map((row) => [row.uuid, row.key]));
  const members = world.sink.members().map((member) => member.split(' '));
  return world.sink
    .rows('QoS')
    .map(({ uuid, columns }) => {
      const { direction, priority, match } = columns as Record<string, string | number>;
      const { action, bandwidth } = columns as Record<string, ReadonlyMap<string, number> | undefined>;
      const what = [...(bandwidth ?? []), ...(action ?? [])].map(([key, value]) => `${key}=${value}`).join(' ');
      const on = members
        .filter(([, , column, value]) => column === 'qos_rules' && value === uuid)
        .map(([, parent = '']) => switches.get(parent) ?? '')
        .toSorted((a, b) => (a < b ? -1 : 1));
      return `${on.join(',')} ${direction} ${priority} ${match} ${what}`;
    })
    .sort();
}

const annotate = (world: World, key: string, annotations: Record<string, string>): void => {
  const found = world.state.get('Pod', key);
  if (found === undefined) throw new Error(`no pod ${key}`);
  world.set('Pod', { ...found, annotations: { ...found.annotations, ...annotations } });
};

describe('QoSPolicy', () => {
  it('is one row of each rule and pod, with rules as matches', async () => {
    const world = World.standard();
    const egress = [
      rule({ dscp: 46, protocol: 'udp', remotePorts: [{ first: 5060, last: 5061 }] }),
      rule({ rateKbit: 5000, cidrs: ['10.0.0.0/8', '192.0.2.0/24', 'fd00::/8'], protocol: 'tcp' }),
      rule({ rateKbit: 9000, burstKbit: 1000 }),
    ];
    const ingress = [
      rule({ rateKbit: 7, protocol: 'icmp', cidrs: ['fd00::/8'] }),
      rule({
        dscp: 0,
        protocol: 'sctp',
        localPorts: [
          { first: 1, last: 1 },
          { first: 5, last: 9 },
        ],
      }),
    ];
    world.set('QoSPolicy', makeQosPolicy('web', { targets: everyPod, egress, ingress }));
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    expect(rows(world)).toEqual([
      'ovn-default from-lport 2613 inport == "a.default" rate=9000 burst=1000',
      'ovn-default from-lport 2614 inport == "a.default" && (ip4.dst == {10.0.0.0/8, 192.0.2.0/24} || ip6.dst == fd00::/8) && tcp rate=5000 burst=2500',
      'ovn-default from-lport 2615 inport == "a.default" && (udp.dst >= 5060 && udp.dst <= 5061) dscp=46',
      'ovn-default to-lport 2614 outport == "a.default" && (sctp.dst == 1 || (sctp.dst >= 5 && sctp.dst <= 9)) dscp=0',
      'ovn-default to-lport 2615 outport == "a.default" && ip6.src == fd00::/8 && (icmp4 || icmp6) rate=7 burst=4',
    ]);
    world.delete('QoSPolicy', 'web');
    await world.settle();
    expect(rows(world)).toEqual([]);
  });

  it('that is shared is one row, on the switches where its pods are', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('extra', '10.60.0.0/24', { namespaces: ['other'] }));
    world.set('Subnet', makeSubnet('unused', '10.61.0.0/24'));
    world.set('Namespace', makeNamespace('other'));
    const egress = [rule({ rateKbit: 1000 })];
    world.set('QoSPolicy', makeQosPolicy('all-of-us', { shared: true, targets: everyPod, egress }));
    await world.settle();
    expect(rows(world)).toEqual([]);
    world.set('Pod', makePod('default', 'a', 'node-1'));
    world.set('Pod', makePod('default', 'b', 'node-1'));
    world.set('Pod', makePod('other', 'c', 'node-1'));
    await world.settle();
    const row = 'from-lport 2615 inport == @qos_all_of_us rate=1000 burst=500';
    expect(rows(world)).toEqual([`extra,ovn-default ${row}`]);
    const [group] = world.sink.rows('Port_Group').filter(({ key }) => key === 'qos_all_of_us');
    expect(world.sink.members().filter((member) => member.includes(`${group?.uuid} ports`))).toHaveLength(3);
    expect(world.state.countIndex('PodQos', 'policy', 'all-of-us')).toBe(3);
    world.delete('Pod', 'default/a');
    world.delete('Pod', 'default/b');
    await world.settle();
    expect(rows(world)).toEqual([`extra ${row}`]);
  });

  it('chooses pods by namespace, labels and subnet, and lets them go', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('extra', '10.60.0.0/24', { namespaces: ['other'] }));
    world.set('Namespace', { ...makeNamespace('other'), labels: { team: 'red' } });
    world.set('Pod', makePod('default', 'a', 'node-1', { labels: { app: 'web' } }));
    world.set('Pod', makePod('default', 'b', 'node-1'));
    world.set('Pod', makePod('other', 'c', 'node-1', { labels: { app: 'web' } }));
    const policy = makeQosPolicy('p', { egress: [rule({ dscp: 1 })] });
    const web = [{ key: 'app', operator: 'In' as const, values: ['web'] }];
    const red = [{ key: 'team', operator: 'In' as const, values: ['red'] }];
    const who = async (...targets: typeof policy.targets): Promise<string> => {
      world.set('QoSPolicy', { ...policy, targets });
      await world.settle();
      return rows(world)
        .map((row) => /"(.)\./.exec(row)?.[1])
        .join('');
    };
    expect(await who({ pods: [] })).toBe('cab');
    expect(await who({ pods: web })).toBe('ca');
    expect(await who({ pods: web, namespaces: ['default'] })).toBe('a');
    expect(await who({ pods: [], namespaceSelector: red })).toBe('c');
    expect(await who({ pods: [], subnets: ['extra'] })).toBe('c');
    expect(await who({ pods: web, subnets: ['ovn-default'], namespaceSelector: red })).toBe('');
    expect(await who({ pods: [], namespaces: ['none'] }, { pods: [], namespaces: ['default'] })).toBe('ab');
    expect(await who({ pods: [], namespaceSelector: red })).toBe('c');
    world.set('Namespace', { ...makeNamespace('default'), labels: { team: 'red' } });
    await world.settle();
    expect(rows(world)).toHaveLength(3);
  });

  it('is had by name where it allows the namespace, else there is an event', async () => {
    const world = World.standard();
    const egress = [rule({ dscp: 1 })];
    world.set('QoSPolicy', makeQosPolicy('open', { allowedNamespaces: ['*'], egress, priority: 1 }));
    world.set('QoSPolicy', makeQosPolicy('theirs', { allowedNamespaces: ['other'], egress, priority: 2 }));
    const names = (text: string): Partial<Pod> => ({ annotations: { 'ovenbird.io/qos-policy': text } });
    world.set('Pod', makePod('default', 'a', 'node-1', names('open, theirs,none')));
    world.set('Pod', makePod('default', 'b', 'node-1'));
    await world.settle();
    expect(rows(world)).toEqual(['ovn-default from-lport 1031 inport == "a.default" dscp=1']);
    expect(world.events.join('\n')).toContain(
      '"theirs", named by ovenbird.io/qos-policy, is not for namespace "default"',
    );
    expect(world.events.join('\n')).toContain('"none", named by ovenbird.io/qos-policy, does not exist');
    world.set('Namespace', makeNamespace('default', { 'ovenbird.io/qos-policy': 'later' }));
    await world.settle();
    world.set('QoSPolicy', makeQosPolicy('later', { allowedNamespaces: ['default'], egress, priority: 3 }));
    await world.settle();
    expect(rows(world).map((row) => row.split(' ')[2])).toEqual(['1031', '1063']);
  });

  it('says which of its Subnets there is not', async () => {
    const world = World.standard();
    const targets = [
      { pods: [], subnets: ['ovn-default', 'gone'] },
      { pods: [], subnets: ['lost', 'gone'] },
    ];
    const policy = makeQosPolicy('p', { targets, egress: [rule({ rateKbit: 5 })] });
    const condition = (): string | undefined =>
      qosStatus(policy, world.state, () => undefined).conditions.map(
        ({ reason, message }) => `${reason}: ${message}`,
      )[0];
    world.set('QoSPolicy', policy);
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    const missing = (names: string): string =>
      `SubnetNotFound: spec.appliesTo names subnets that do not exist: ${names}; correct the names or create them. The rest is in force`;
    expect(condition()).toBe(missing('"gone", "lost"'));
    expect(rows(world)).toHaveLength(1);
    world.set('Subnet', makeSubnet('gone', '10.20.0.0/24'));
    await world.settle();
    expect(condition()).toBe(missing('"lost"'));
    world.set('Subnet', makeSubnet('lost', '10.21.0.0/24'));
    await world.settle();
    expect(condition()).toContain('Ready: ');
  });

  it('of two with equal priority the older holds', async () => {
    const world = World.standard();
    const old = { targets: everyPod, created: '2020-01-01T00:00:00Z' };
    world.set('QoSPolicy', makeQosPolicy('a', { targets: everyPod, egress: [rule({ rateKbit: 1 })] }));
    world.set('QoSPolicy', makeQosPolicy('b', { ...old, egress: [rule({ rateKbit: 2 })] }));
    world.set('QoSPolicy', makeQosPolicy('c', { targets: everyPod, priority: 101, egress: [rule({ dscp: 3 })] }));
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    expect(world.state.get('PodQos', 'default/a')?.policies).toEqual(['c', 'b']);
    world.delete('QoSPolicy', 'b');
    await world.settle();
    expect(world.state.get('PodQos', 'default/a')?.policies).toEqual(['c', 'a']);
  });
});

describe('bandwidth annotations', () => {
  const rate = 'ovn.kubernetes.io/egress_rate';
  const limits = (world: World): readonly string[] => rows(world).map((row) => row.split(' ').slice(-2).join(' '));

  it('can lower what a policy gives to all of the traffic, and not raise it', async () => {
    const world = World.standard();
    const egress = [rule({ rateKbit: 90_000, protocol: 'udp' }), rule({ rateKbit: 50_000 })];
    world.set('QoSPolicy', makeQosPolicy('p', { targets: everyPod, egress }));
    world.set('Pod', makePod('default', 'a', 'node-1', { annotations: { [rate]: '20' } }));
    await world.settle();
    expect(limits(world)).toEqual(['rate=20000 burst=10000', 'rate=20000 burst=10000', 'rate=90000 burst=45000']);
    annotate(world, 'default/a', { [rate]: '70' });
    await world.settle();
    expect(limits(world)).toEqual(['rate=70000 burst=35000', 'rate=50000 burst=25000', 'rate=90000 burst=45000']);
  });

  it('that make no sense keep a new pod waiting, and leave a running one its limit, over a restart as well', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1', { annotations: { [rate]: '20M' } }));
    await world.settle();
    expect(world.announced.size).toBe(0);
    expect(world.events.join()).toContain('InvalidAnnotation: annotation ovn.kubernetes.io/egress_rate: "20M"');
    annotate(world, 'default/a', { [rate]: '20' });
    await world.settle();
    expect(limits(world)).toEqual(['rate=20000 burst=10000']);
    annotate(world, 'default/a', { [rate]: 'many', 'ovn.kubernetes.io/ingress_rate': '5' });
    await world.settle();
    const kept = ['rate=20000 burst=10000', 'rate=5000 burst=2500'];
    expect(limits(world)).toEqual(kept);
    const next = await world.restarted();
    expect(limits(next)).toEqual(kept);
    annotate(next, 'default/a', { [rate]: '' });
    await next.settle();
    expect(limits(next)).toEqual(['rate=5000 burst=2500']);
    // Another pod of the same name has nothing of it.
    next.set('Pod', makePod('default', 'a', 'node-1'));
    await next.settle();
    expect(limits(next)).toEqual([]);
  });
});
