import { describe, expect, it } from 'vitest';
import { parseSelector } from './policy/selector.ts';
import {
  makeIp,
  makeNamespace,
  makePod,
  makePool,
  makeStatefulSet,
  makeSubnet,
  makeVpc,
  World,
} from './testing/world.ts';

const v4 = (world: World, key: string): string | undefined => world.state.get('PodAddress', key)?.v4;
const on = (subnet: string, more: Record<string, string> = {}): { annotations: Record<string, string> } => ({
  annotations: { 'ovn.kubernetes.io/logical_switch': subnet, ...more },
});
const subnetOf = (world: World, name: string): ReturnType<typeof makeSubnet> => {
  const subnet = world.state.get('Subnet', name);
  if (subnet === undefined) throw new Error(`no subnet ${name}`);
  return subnet;
};

describe('what happens between two steps', () => {
  it('a pod seen before its namespace waits for it: the namespace may name the subnet', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('new', 'a', 'node-1'));
    await world.settle();
    expect(v4(world, 'new/a')).toBeUndefined();
    expect(world.events).toEqual([]);
    world.set('Namespace', makeNamespace('new', { 'ovn.kubernetes.io/logical_switch': 'red' }));
    await world.settle();
    expect(v4(world, 'new/a')).toBe('10.50.0.2');
  });

  it.each([
    ['an annotation of the namespace', 'Namespace', '10.50.0.2'],
    ['a label of the namespace that a subnet selects', 'Label', '10.51.0.2'],
    ['a subnet that lists the namespace', 'Subnet', '10.52.0.2'],
    ['a pool that lists the namespace', 'IPPool', '10.16.9.1'],
    ['the families that the namespace asks for', 'Family', '10.16.0.4'],
  ])('a pod seen before %s is decided anew, if it was not told its address', async (_, what, expected) => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set(
      'Subnet',
      makeSubnet('blue', '10.51.0.0/24', { namespaceSelectors: [parseSelector({ matchLabels: { team: 'blue' } })] }),
    );
    const namespace = makeNamespace('new');
    world.set('Namespace', namespace);
    world.set('Pod', makePod('new', 'told', 'node-1'));
    await world.settle();
    const before = v4(world, 'new/told');
    world.sink.close();
    world.set('Pod', makePod('new', 'a', 'node-1'));
    world.set('Pod', makePod('default', 'other', 'node-1'));
    await world.settle();
    expect(v4(world, 'new/a')).toBe('10.16.0.3');
    if (what === 'Namespace')
      world.set('Namespace', { ...namespace, annotations: { 'ovn.kubernetes.io/logical_switch': 'red' } });
    else if (what === 'Label') world.set('Namespace', { ...namespace, labels: { team: 'blue' } });
    else if (what === 'Subnet') world.set('Subnet', makeSubnet('late', '10.52.0.0/24', { namespaces: ['new'] }));
    else if (what === 'IPPool')
      world.set('IPPool', makePool('mine', 'ovn-default', ['10.16.9.1', 'fd00:10:16::91'], { namespaces: ['new'] }));
    else world.set('Namespace', { ...namespace, annotations: { 'ovn.kubernetes.io/ip_family': 'IPv4' } });
    await world.settle();
    // Its first port is on its way, and has the address until it is gone.
    expect(v4(world, 'new/a')).toBeUndefined();
    world.set(
      'Pod',
      makePod('default', 'thief', 'node-1', { annotations: { 'ovn.kubernetes.io/ip_address': '10.16.0.3' } }),
    );
    await world.settle();
    expect(v4(world, 'default/thief')).toBeUndefined();
    expect(world.announced.has('new/a')).toBe(false);
    world.sink.open();
    await world.settle();
    if (what !== 'Family') expect(v4(world, 'new/a')).toBe(expected);
    expect(world.state.get('PodAddress', 'new/a')?.v6 === undefined).toBe(what !== 'IPPool');
    expect(world.announced.has('new/a')).toBe(true);
    expect(v4(world, 'new/told')).toBe(before);
    expect(v4(world, 'default/other')).toBe('10.16.0.4');
    expect(world.sink.rows('Logical_Switch_Port').filter(({ columns }) => columns['name'] === 'a.new')).toHaveLength(1);
    expect(world.brain.allocator.held('Pod/new/a')?.v4).toBe(v4(world, 'new/a'));
    world.delete('Pod', 'new/a');
    await world.settle();
    expect(world.brain.allocator.held('Pod/new/a')).toBeUndefined();
  });

  it('a pod whose first port goes again may go itself meanwhile', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.sink.close();
    const pod = makePod('default', 'a', 'node-1');
    world.set('Pod', pod);
    await world.settle();
    world.set('Namespace', makeNamespace('default', { 'ovn.kubernetes.io/logical_switch': 'red' }));
    await world.settle();
    world.delete('Pod', 'default/a');
    await world.settle();
    world.set('Pod', { ...pod, uid: 'successor' });
    await world.settle();
    expect(v4(world, 'default/a')).toBeUndefined();
    world.sink.open();
    await world.settle();
    expect(world.state.get('PodAddress', 'default/a')).toMatchObject({ uid: 'successor', v4: '10.50.0.2' });
    expect(world.brain.allocator.usersOf('ovn-default')).toBe(0);
  });

  it('a change of the subnet announces nothing that the northbound database does not have', async () => {
    const world = World.standard();
    world.sink.close();
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    world.set('Subnet', { ...subnetOf(world, 'ovn-default'), gateway: '10.16.0.254,fd00:10:16::254' });
    await world.settle();
    expect(v4(world, 'default/a')).toBeDefined();
    expect([...world.announced]).toEqual([]);
    world.sink.open();
    await world.settle();
    expect([...world.announced]).toEqual(['default/a']);
  });

  it('ports that go because a list did not show their pods are marked so, also after alloc took the address back', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1'));
    world.set('Pod', makePod('default', 'b', 'node-1'));
    await world.settle();
    world.brain.engine.inferred(() => world.delete('Pod', 'default/a'));
    world.delete('Pod', 'default/b');
    await world.settle();
    expect([...world.sink.inferred]).toEqual(['Pod/default/a']);
  });

  it('a waiting pod goes on when a new subnet lists its namespace or holds its address', async () => {
    const world = World.standard();
    world.set(
      'Pod',
      makePod('default', 'a', 'node-1', { annotations: { 'ovn.kubernetes.io/ip_address': '10.70.0.9' } }),
    );
    await world.settle();
    expect(world.events.join()).toContain('AddressOutsideSubnet');
    world.set('Subnet', makeSubnet('late', '10.70.0.0/24', { namespaces: ['default'] }));
    await world.settle();
    expect(v4(world, 'default/a')).toBe('10.70.0.9');
  });

  it('a waiting pod goes on when the VPC lets its namespace in', async () => {
    const world = World.standard();
    const vpc = makeVpc('blue', { namespaces: ['other'] });
    world.set('Vpc', vpc);
    world.set('Subnet', makeSubnet('in-blue', '10.16.0.0/24', { vpc: 'blue', namespaces: ['default'] }));
    world.set('Pod', makePod('default', 'a', 'node-1', on('in-blue')));
    await world.settle();
    expect(world.events.join()).toContain('SubnetForbidden');
    world.set('Vpc', { ...vpc, namespaces: ['other', 'default'] });
    await world.settle();
    expect(v4(world, 'default/a')).toBe('10.16.0.2');
  });

  it('a pod of the same name in another subnet leaves nothing behind in the first', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('default', 'a', 'node-1', on('red', { 'ovn.kubernetes.io/ip_address': '10.50.0.9' })));
    await world.settle();
    world.set('Pod', makePod('default', 'b', 'node-2', on('red', { 'ovn.kubernetes.io/ip_address': '10.50.0.9' })));
    await world.settle();
    expect(v4(world, 'default/b')).toBeUndefined();
    // Deleted and created again between two batches of the watch.
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    expect(v4(world, 'default/b')).toBe('10.50.0.9');
    world.set('Subnet', { ...subnetOf(world, 'red'), deleting: true });
    world.set('Pod', makePod('default', 'b', 'node-2'));
    await world.settle();
    expect(world.finalized).toContain('Subnet/red');
  });

  it('a subnet deleted, made again and deleted again waits for its pods the second time too', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    await world.settle();
    world.set('Subnet', { ...subnetOf(world, 'red'), deleting: true });
    await world.settle();
    expect(world.brain.isFinished('Subnet', 'red')).toBe(true);
    world.delete('Subnet', 'red');
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('default', 'a', 'node-1', on('red')));
    await world.settle();
    world.set('Subnet', { ...subnetOf(world, 'red'), deleting: true });
    await world.settle();
    expect(world.brain.isFinished('Subnet', 'red')).toBe(false);
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.brain.isFinished('Subnet', 'red')).toBe(true);
  });

  it('a subnet made again over addresses in use takes over when the last one is back, also after a restart', async () => {
    let world = World.standard();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('default', 'a', 'node-1', on('red')));
    await world.settle();
    const before = world.sink.rows('Logical_Router_Port').find((row) => row.key === 'ovn-cluster_red')?.columns;
    // Somebody took the finalizer off by hand.
    world.delete('Subnet', 'red');
    world.set('Subnet', makeSubnet('red', '10.60.0.0/24'));
    await world.settle();
    for (let round = 0; round < 2; round += 1) {
      const now = world.sink.rows('Logical_Router_Port').find((row) => row.key === 'ovn-cluster_red')?.columns;
      expect(now).toEqual(before);
      expect(world.brain.subnets.verdict('red')?.reason).toBe('InUse');
      world = await world.restarted();
    }
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.state.get('UsableSubnet', 'red')).toMatchObject({ v4: { cidr: '10.60.0.0/24' }, deleting: false });
  });

  it('a gateway that a pod has is refused until the pod is gone, also after a restart', async () => {
    let world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    world.set('Subnet', { ...subnetOf(world, 'ovn-default'), gateway: '10.16.0.2,fd00:10:16::1' });
    await world.settle();
    world = await world.restarted();
    expect(world.brain.subnets.verdict('ovn-default')?.reason).toBe('GatewayTaken');
    expect(world.state.get('UsableSubnet', 'ovn-default')?.v4?.gateway).toBe('10.16.0.1');
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.state.get('UsableSubnet', 'ovn-default')?.v4?.gateway).toBe('10.16.0.2');
  });

  it('an address kept for a StatefulSet is not given away before its port is gone', async () => {
    const world = World.standard();
    world.set('StatefulSet', makeStatefulSet('default', 'db'));
    world.set('Pod', makePod('default', 'db-0', 'node-1', { keepFor: 'StatefulSet/default/db' }));
    await world.settle();
    world.sink.close();
    world.delete('Pod', 'default/db-0');
    world.delete('StatefulSet', 'default/db');
    await world.settle();
    expect(world.brain.allocator.held('Pod/default/db-0')).toBeDefined();
    world.sink.open();
    await world.settle();
    expect(world.brain.allocator.held('Pod/default/db-0')).toBeUndefined();
    expect([...world.state.keys('IpRecord')].filter((name) => name.startsWith('db'))).toEqual([]);
  });

  it('a node made again under its name keeps its address and gets it announced', async () => {
    const world = World.standard();
    await world.settle();
    const before = world.state.get('NodeAddress', 'node-1');
    const node = world.state.get('Node', 'node-1');
    if (before === undefined || node === undefined) throw new Error('no address');
    world.set('Node', { ...node, uid: 'second' });
    await world.settle();
    expect(world.state.get('NodeAddress', 'node-1')).toEqual({ ...before, uid: 'second' });
    expect(world.state.get('IpRecord', 'node-node-1')?.ownerUid).toBe('second');
  });
});

describe('IP objects', () => {
  it('one address, one object; an edit is put back, a deletion is made good', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    const record = world.state.get('IpRecord', 'a.default');
    if (record === undefined) throw new Error('no IP object');
    world.set('IpRecord', { ...record, v4: '10.16.9.9' });
    await world.settle();
    expect(world.state.get('IpRecord', 'a.default')?.v4).toBe(v4(world, 'default/a'));
    world.delete('IpRecord', 'a.default');
    await world.settle();
    expect(world.state.get('IpRecord', 'a.default')?.v4).toBe(v4(world, 'default/a'));
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.state.get('IpRecord', 'a.default')).toBeUndefined();
  });

  it('a reservation made before its subnet, or of a taken address, holds when it can', async () => {
    const world = World.standard();
    world.set('IpRecord', makeIp('early', 'red', { v4: '10.50.0.2' }));
    await world.settle();
    expect(world.events.join()).toContain('early SubnetNotUsable');
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('default', 'a', 'node-1', on('red')));
    await world.settle();
    expect(v4(world, 'default/a')).toBe('10.50.0.3');
    world.set('IpRecord', makeIp('taken', 'red', { v4: '10.50.0.3' }));
    await world.settle();
    expect(world.events.join()).toContain('taken AddressTaken');
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.brain.allocator.holder('red', '10.50.0.3')).toBe('IP/taken');
  });

  it('a reservation for a pod outlives the pod; one that makes no sense reserves nothing', async () => {
    const world = World.standard();
    world.set('IpRecord', makeIp('mine', 'ovn-default', { v4: '10.16.5.5', namespace: 'default', podName: 'a' }));
    world.set('IpRecord', makeIp('outside', 'ovn-default', { v4: '10.99.0.1' }));
    world.set('IpRecord', makeIp('gateway', 'ovn-default', { v4: '10.16.0.1' }));
    for (let round = 0; round < 2; round += 1) {
      world.set('Pod', makePod('default', 'a', 'node-1'));
      await world.settle();
      expect(v4(world, 'default/a')).toBe('10.16.5.5');
      world.delete('Pod', 'default/a');
      await world.settle();
      expect(world.brain.allocator.holder('ovn-default', '10.16.5.5')).toBe('Pod/default/a');
      expect(world.state.get('IpRecord', 'a.default')).toBeUndefined();
    }
    expect(world.events.filter((event) => event.includes('AddressOutsideSubnet'))).toHaveLength(2);
    const restarted = await world.restarted();
    expect(restarted.brain.allocator.usage('ovn-default', 'v4')?.using).toBe(1);
    restarted.delete('IpRecord', 'mine');
    await restarted.settle();
    expect(restarted.brain.allocator.usage('ovn-default', 'v4')?.using).toBe(0);
  });
});
