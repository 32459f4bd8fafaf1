import { describe, expect, it } from 'vitest';
import { makeNode, makePod, makeSubnet, World } from '../testing/world.ts';

const subnet = makeSubnet('blue', '10.50.0.0/24,fd00:10:50::/112', {
  mtu: 1400,
  dhcp: { v4: 'dns_server={10.0.0.1;10.0.0.2},lease_time=60', v6: '' },
  ra: 'address_mode=slaac,mtu=1300',
  multicastSnoop: true,
});
const onBlue = (name: string, annotations: Record<string, string> = {}): ReturnType<typeof makePod> =>
  makePod('default', name, 'node-1', { annotations: { 'ovn.kubernetes.io/logical_switch': 'blue', ...annotations } });

type Columns = Readonly<Record<string, unknown>>;
const columnsOf = (world: World, table: string, name: string): Columns | undefined =>
  world.sink.rows(table).find(({ columns }) => columns['name'] === name)?.columns;
const optionsOf = (world: World, reference: unknown): object | undefined => {
  const row = world.sink.rows('DHCP_Options').find(({ uuid }) => uuid === reference);
  return row === undefined ? undefined : Object.fromEntries(row.columns['options'] as ReadonlyMap<string, string>);
};

describe('DHCP and router advertisements of a Subnet', () => {
  it('are rows of the subnet, to which its ports refer', async () => {
    const world = World.standard();
    world.set('Subnet', subnet);
    world.set('Pod', onBlue('a'));
    world.set('Pod', onBlue('b', { 'ovn.kubernetes.io/ip_family': 'IPv6' }));
    world.set('Pod', makePod('default', 'elsewhere', 'node-1'));
    await world.settle();
    const a = columnsOf(world, 'Logical_Switch_Port', 'a.default');
    const mac = columnsOf(world, 'Logical_Router_Port', 'ovn-cluster_blue')?.['mac'];
    expect(optionsOf(world, a?.['dhcpv4_options'])).toEqual({
      dns_server: '{10.0.0.1,10.0.0.2}',
      lease_time: '60',
      mtu: '1400',
      router: '10.50.0.1',
      server_id: '10.50.0.1',
      server_mac: mac,
    });
    expect(optionsOf(world, a?.['dhcpv6_options'])).toEqual({ server_id: mac });
    const b = columnsOf(world, 'Logical_Switch_Port', 'b.default');
    expect(b).not.toHaveProperty('dhcpv4_options');
    expect(b?.['dhcpv6_options']).toBe(a?.['dhcpv6_options']);
    expect(columnsOf(world, 'Logical_Switch_Port', 'elsewhere.default')).not.toHaveProperty('dhcpv4_options');
    expect(columnsOf(world, 'Logical_Router_Port', 'ovn-cluster_blue')?.['ipv6_ra_configs']).toEqual(
      new Map([
        ['address_mode', 'slaac'],
        ['max_interval', '30'],
        ['min_interval', '5'],
        ['send_periodic', 'true'],
        ['mtu', '1300'],
      ]),
    );
    const config = columnsOf(world, 'Logical_Switch', 'blue')?.['other_config'] as ReadonlyMap<string, string>;
    expect(Object.fromEntries(config)).toEqual({
      mcast_snoop: 'true',
      mcast_querier: 'true',
      mcast_eth_src: mac,
      mcast_ip4_src: '10.50.0.1',
      mcast_ip6_src: expect.stringMatching(/^fe80::858:/) as string,
    });
    expect(world.sink.rows('DHCP_Options')).toHaveLength(2);
  });

  it('tell the MTU that the agents say, where the Subnet sets none: the smallest', async () => {
    const world = World.standard();
    const node = (name: string, mtu: string): ReturnType<typeof makeNode> => ({
      ...makeNode(name, ['172.30.9.9']),
      annotations: { 'ovenbird.io/mtu': mtu },
    });
    world.set('Subnet', subnet);
    world.set('Subnet', makeSubnet('red', '10.51.0.0/24,fd00:10:51::/64', { dhcp: { v4: '', v6: '' }, ra: '' }));
    world.set(
      'Pod',
      onBlue('a', { 'ovn.kubernetes.io/logical_switch': 'red', 'ovn.kubernetes.io/dhcp-v4-options': 'lease_time=5' }),
    );
    const told = async (): Promise<readonly unknown[]> => {
      await world.settle();
      const owner = world.sink.rows('DHCP_Options').filter(({ columns }) => columns['cidr'] === '10.51.0.0/24');
      const ra = columnsOf(world, 'Logical_Router_Port', 'ovn-cluster_red')?.['ipv6_ra_configs'];
      const maps = [...owner.map(({ columns }) => columns['options']), ra] as readonly ReadonlyMap<string, string>[];
      return [...new Set(maps.map((map) => map.get('mtu')))];
    };
    expect(await told()).toEqual([undefined]);
    world.set('Node', node('node-8', '1442'));
    expect(await told()).toEqual(['1442']);
    world.set('Node', node('node-9', '1392'));
    expect(await told()).toEqual(['1392']);
    world.set('Node', node('node-9', 'many'));
    expect(await told()).toEqual(['1442']);
    world.set('Node', node('node-9', '1392'));
    await told();
    world.delete('Node', 'node-9');
    expect(await told()).toEqual(['1442']);
    // A Subnet's own goes first.
    const a = world.sink.rows('DHCP_Options').find(({ columns }) => columns['cidr'] === '10.50.0.0/24');
    expect(a?.columns['options']).toContainEqual(['mtu', '1400']);
  });

  it('are a row of the pod that asks for other ones, unless nobody can read them', async () => {
    const world = World.standard();
    world.set('Subnet', subnet);
    const key = 'ovn.kubernetes.io/dhcp-v4-options';
    world.set('Pod', onBlue('a', { [key]: 'lease_time=5' }));
    world.set('Pod', onBlue('b', { [key]: 'lease_time=soon' }));
    await world.settle();
    const of = (name: string): object | undefined =>
      optionsOf(world, columnsOf(world, 'Logical_Switch_Port', name)?.['dhcpv4_options']);
    expect(of('a.default')).toMatchObject({ lease_time: '5', router: '10.50.0.1' });
    expect(of('a.default')).not.toHaveProperty('dns_server');
    expect(of('b.default')).toMatchObject({ lease_time: '60' });
    expect(world.events.join()).toContain('b InvalidAnnotation: annotation ovn.kubernetes.io/dhcp-v4-options');
    world.set('Subnet', { ...makeSubnet('blue', subnet.cidrBlock), uid: subnet.uid });
    await world.settle();
    expect(world.sink.rows('DHCP_Options')).toEqual([]);
    expect(columnsOf(world, 'Logical_Switch', 'blue')?.['other_config']).toEqual(new Map());
  });
});
