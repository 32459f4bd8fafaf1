import { announcement, multus, type PodInterface } from '@ovenbird/crds';
import { describe, expect, test } from 'vitest';
import { makeIp, makePod, makeSubnet, World } from '../testing/world.ts';
import { interfacesAnnouncement } from './announcement.ts';
import type { NetworkAttachment } from './model.ts';

const definition = (name: string, provider: string, more: Partial<NetworkAttachment> = {}): NetworkAttachment => ({
  name,
  namespace: 'default',
  uid: name,
  created: '',
  deleting: false,
  provider,
  ...more,
});
const container = { nodeName: 'node-1', attachment: { interface: 'eth0', network: 'podman' } };
const portNames = (world: World): unknown[] =>
  world.sink
    .rows('Logical_Switch_Port')
    .flatMap(({ columns }) => (columns['type'] === undefined ? [columns['name']] : []));

describe('further interfaces of a pod', () => {
  const build = async (networks: string, annotations: Record<string, string> = {}): Promise<World> => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('blue', '10.20.0.0/24,fd00:20::/112', { provider: 'blue.default.ovn' }));
    world.set('NetworkAttachment', definition('blue', 'blue.default.ovn'));
    world.set(
      'Pod',
      makePod('default', 'a', 'node-1', { annotations: { [multus.networks]: networks, ...annotations } }),
    );
    await world.settle();
    return world;
  };
  const interfaces = (world: World): PodInterface[] => {
    const pod = world.state.get('Pod', 'default/a');
    const primary = world.state.get('PodAddress', 'default/a');
    if (pod === undefined || primary === undefined) throw new Error('no pod');
    const { wanted } = interfacesAnnouncement(world.state, pod, primary);
    return JSON.parse(wanted[announcement.interfaces] ?? '[]') as PodInterface[];
  };

  test('a restart leaves an interface on its network when the list names another under its name by now', async () => {
    const world = await build('missing,blue');
    world.set('NetworkAttachment', definition('lan', 'lan.default'));
    const pod = world.state.get('Pod', 'default/a');
    if (pod === undefined) throw new Error('no pod');
    world.set('Pod', { ...pod, annotations: { [multus.networks]: 'blue,lan' } });
    await world.settle();
    expect(portNames(world)).toContain('nic_a.default_net2');
    const restarted = await world.restarted();
    expect(restarted.sink.content()).toEqual(world.sink.content());
  });

  test('each is a port, an IP object and an announcement', async () => {
    const world = await build('blue,blue@data');
    expect(portNames(world)).toEqual(expect.arrayContaining(['a.default', 'nic_a.default_net1', 'nic_a.default_data']));
    expect(interfaces(world)).toMatchObject([
      {
        name: 'net1',
        provider: 'blue.default.ovn',
        subnet: 'blue',
        addresses: [{ address: '10.20.0.2' }, { address: 'fd00:20::2' }],
      },
      {
        name: 'data',
        port: 'nic_a.default_data',
        addresses: [{ address: '10.20.0.3', prefix: 24, gateway: '10.20.0.1' }, {}],
      },
    ]);
    expect(world.state.get('IpRecord', 'a.default.net1')).toMatchObject({
      v4: '10.20.0.2',
      podName: 'a',
      managed: true,
    });
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(portNames(world).filter((name) => String(name).includes('a.default'))).toEqual([]);
    expect(world.state.list('IpRecord').filter(({ podName }) => podName === 'a')).toEqual([]);
    expect(world.brain.allocator.usersOf('blue')).toBe(0);
  });

  test('addresses asked for: the selection before the annotation of the interface before that of the provider', async () => {
    const networks = JSON.stringify([{ name: 'blue', ips: ['10.20.0.50'] }, { name: 'blue' }, { name: 'blue' }]);
    const world = await build(networks, {
      'blue.default.ovn.kubernetes.io/ip_address': '10.20.0.60',
      'blue.default.ovn.kubernetes.io/ip_address.net2': '10.20.0.70',
      'blue.default.ovn.kubernetes.io/mac_address.net2': '0A:58:00:00:00:02',
    });
    expect(interfaces(world).map(({ addresses }) => addresses?.[0]?.address)).toEqual([
      '10.20.0.50',
      '10.20.0.70',
      '10.20.0.2',
    ]);
    expect(interfaces(world)[1]?.mac).toBe('0a:58:00:00:00:02');
  });

  test('a restart changes nothing, and a definition that goes away takes nothing', async () => {
    const world = await build('blue');
    const content = world.sink.content();
    const restarted = await world.restarted();
    expect(restarted.sink.content()).toEqual(content);
    restarted.delete('NetworkAttachment', 'default/blue');
    await restarted.settle();
    expect(restarted.sink.content()).toEqual(content);
    expect((await restarted.restarted()).sink.content()).toEqual(content);
  });

  test('what is missing is said, and tried again', async () => {
    const world = await build('green');
    expect(world.events.join()).toContain('interface net1: NetworkAttachmentDefinition default/green, asked for by');
    world.set('NetworkAttachment', definition('green', 'green.default.ovn'));
    await world.settle();
    expect(world.events.join()).toContain('no usable Subnet has spec.provider green.default.ovn');
    world.set('Subnet', makeSubnet('green', '10.21.0.0/24', { provider: 'green.default.ovn' }));
    await world.settle();
    expect(interfaces(world)[0]).toMatchObject({ name: 'net1', addresses: [{ address: '10.21.0.2' }] });
  });

  test('a namespace that a subnet does not list gets nothing of it', async () => {
    const world = await build('red');
    world.set('Subnet', makeSubnet('red', '10.22.0.0/24', { provider: 'red.default.ovn', namespaces: ['other'] }));
    world.set('NetworkAttachment', definition('red', 'red.default.ovn'));
    await world.settle();
    expect(world.events.join()).toContain('namespace "default" may not use subnet red');
    expect(interfaces(world)).toEqual([{ name: 'net1', provider: 'red.default.ovn' }]);
  });

  test('for another plugin there is an address and no row', async () => {
    const world = await build('lan');
    // Addresses of a network of its own may overlap anything in a Vpc.
    world.set('Subnet', makeSubnet('lan', '10.16.0.0/24', { provider: 'lan.default' }));
    world.set('NetworkAttachment', definition('lan', 'lan.default'));
    await world.settle();
    expect(interfaces(world)).toMatchObject([{ provider: 'lan.default', addresses: [{ address: '10.16.0.2' }] }]);
    expect(interfaces(world)[0]?.port).toBeUndefined();
    expect(portNames(world)).not.toContain('nic_a.default_net1');
    expect(world.sink.rows('Logical_Switch').map(({ key }) => key)).not.toContain('lan');
    const restarted = await world.restarted();
    restarted.brain.publishLoaded();
    await restarted.settle();
    expect(interfaces(restarted)).toEqual(interfaces(world));
  });
});

describe('containers outside of Kubernetes', () => {
  test('an IP object with an attachment is a port of its own', async () => {
    const world = World.standard();
    world.set('IpRecord', makeIp('attach-1', 'ovn-default', { ...container, v4: '10.16.7.7' }));
    await world.settle();
    expect(world.announced).toContain('attach-1');
    const port = world.sink
      .rows('Logical_Switch_Port')
      .find(({ columns }) => columns['name'] === 'attached_node-1_attach-1');
    expect(JSON.stringify(port?.columns['addresses'])).toContain('10.16.7.7 fd00:10:16::2');
    const content = world.sink.content();
    expect((await world.restarted()).sink.content()).toEqual(content);
    world.delete('IpRecord', 'attach-1');
    await world.settle();
    expect(portNames(world)).not.toContain('attached_node-1_attach-1');
    expect(world.brain.allocator.usersOf('ovn-default')).toBe(0);
  });

  test('what one publishes is a load balancer for each protocol, as long as it is there', async () => {
    const world = World.standard();
    const ports = [
      { hostPort: 18_090, containerPort: 80, protocol: 'TCP' },
      { hostPort: 18_053, containerPort: 53, protocol: 'UDP', hostIP: '127.0.0.1' },
    ] as const;
    const attachment = { ...container.attachment, ports };
    const object = makeIp('attach-1', 'ovn-default', {
      ...container,
      attachment,
      v4: '10.16.7.7',
      v6: 'fd00:10:16::7',
    });
    world.set('IpRecord', object);
    await world.settle();
    const [balancer, ...more] = world.sink.rows('Load_Balancer').map(({ columns }) => columns);
    expect(more).toEqual([]);
    expect(balancer).toMatchObject({ name: 'hostport_attached_node-1_attach-1_tcp', protocol: 'tcp' });
    const { addresses } = world.state.get('Node', 'node-1') ?? { addresses: [] };
    expect(addresses).not.toEqual([]);
    expect(balancer?.['vips']).toEqual(
      new Map(
        addresses.map((ip) =>
          ip.includes(':') ? [`[${ip}]:18090`, '[fd00:10:16::7]:80'] : [`${ip}:18090`, '10.16.7.7:80'],
        ),
      ),
    );
    const content = world.sink.content();
    expect((await world.restarted()).sink.content()).toEqual(content);
    world.delete('IpRecord', 'attach-1');
    await world.settle();
    expect(world.sink.rows('Load_Balancer')).toEqual([]);
  });

  test.each([
    ['a taken address', 'ovn-default', { v4: '10.16.0.9' }, 'AddressTaken'],
    ['an address outside', 'ovn-default', { v4: '10.99.0.9' }, 'AddressOutsideSubnet'],
    ['a subnet of somebody', 'mine', {}, 'SubnetForbidden'],
    ['the join subnet', 'join', {}, 'SubnetForbidden'],
    ['no subnet', 'nowhere', {}, 'SubnetNotUsable'],
  ])('%s is refused', async (_name, subnet, more, reason) => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('mine', '10.30.0.0/24', { namespaces: ['x'] }));
    world.set('IpRecord', makeIp('first', 'ovn-default', { ...container, v4: '10.16.0.9' }));
    world.set('IpRecord', makeIp('second', subnet, { ...container, ...more }));
    await world.settle();
    expect(world.events.join()).toContain(`second ${reason}`);
    expect(world.announced).not.toContain('second');
  });

  test('a node that is gone has none', async () => {
    const world = World.standard();
    world.set('IpRecord', makeIp('attach-1', 'ovn-default', container));
    await world.settle();
    world.delete('Node', 'node-1');
    await world.settle();
    expect(portNames(world)).not.toContain('attached_node-1_attach-1');
  });
});
