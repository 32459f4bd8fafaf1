import type { Pod as KubePod } from '@ovenbird/kube';
import { describe, expect, test } from 'vitest';
import { makePod, makeSubnet, makeVpc, World } from '../testing/world.ts';
import { hostPortsOf, publishedAt } from './host-ports.ts';

describe('hostPortsOf', () => {
  const kubePod = (ports: readonly object[], sidecar: readonly object[] = []): KubePod =>
    ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a' },
      spec: {
        containers: [{ name: 'main', ports }],
        initContainers: [
          { name: 'side', restartPolicy: 'Always', ports: sidecar },
          { name: 'once', ports: [{ containerPort: 1, hostPort: 1 }] },
        ],
      },
    }) as KubePod;

  test('nothing published is nothing kept', () => {
    expect(hostPortsOf(kubePod([{ containerPort: 80 }, { containerPort: 81, hostPort: 0 }]))).toBeUndefined();
  });

  test('protocols, addresses, sidecars', () => {
    const ports = [
      { containerPort: 80, hostPort: 8080 },
      { containerPort: 53, hostPort: 53, protocol: 'UDP', hostIP: '0.0.0.0' },
      { containerPort: 9, hostPort: 9, protocol: 'SCTP', hostIP: 'fd00:0:0::1' },
      { containerPort: 7, hostPort: 7, hostIP: 'not an address' },
      { containerPort: 7, hostPort: 7, protocol: 'ICMP' },
    ];
    expect(hostPortsOf(kubePod(ports, [{ containerPort: 1, hostPort: 11, hostIP: '::' }]))).toEqual([
      { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
      { protocol: 'udp', hostPort: 53, containerPort: 53 },
      { protocol: 'sctp', hostIp: 'fd00::1', hostPort: 9, containerPort: 9 },
      { protocol: 'tcp', hostPort: 11, containerPort: 1 },
    ]);
  });
});

describe('publishedAt', () => {
  const tcp = { protocol: 'tcp', hostPort: 8080, containerPort: 80 } as const;
  const node = ['172.30.1.1', '172.31.1.1', 'fd00::1'];

  test('each address of the node, families apart', () => {
    expect([...(publishedAt([tcp], node, ['10.16.0.2', 'fd00:16::2']).get('tcp') ?? [])]).toEqual([
      ['172.30.1.1:8080', '10.16.0.2:80'],
      ['172.31.1.1:8080', '10.16.0.2:80'],
      ['[fd00::1]:8080', '[fd00:16::2]:80'],
    ]);
  });

  test('one address, or one that the node does not have', () => {
    const at = (hostIp: string): readonly string[] => [
      ...(publishedAt([{ ...tcp, hostIp }], node, ['10.16.0.2'])
        .get('tcp')
        ?.keys() ?? []),
    ];
    expect([at('172.31.1.1'), at('127.0.0.1'), at('fd00::1')]).toEqual([['172.31.1.1:8080'], [], []]);
  });
});

describe('load balancers', () => {
  const balancers = (world: World): readonly string[] =>
    world.sink
      .rows('Load_Balancer')
      .map(({ columns }) => {
        const vips = [...(columns['vips'] as ReadonlyMap<string, string>)].map((pair) => pair.join('='));
        return `${columns['name'] as string}: ${vips.join(' ')}`;
      })
      .sort();
  const hostPorts = [
    { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
    { protocol: 'udp', hostPort: 53, containerPort: 53 },
  ] as const;

  test('one for each protocol, in the group of every switch of the VPC; they follow pod and node', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'web', 'node-1', { hostPorts }));
    world.set('Pod', makePod('default', 'other', 'node-1'));
    await world.settle();
    expect(balancers(world)).toEqual([
      'hostport_web.default_tcp: 172.30.1.1:8080=10.16.0.2:80 [fd00:172:30::1:1]:8080=[fd00:10:16::2]:80',
      'hostport_web.default_udp: 172.30.1.1:53=10.16.0.2:53 [fd00:172:30::1:1]:53=[fd00:10:16::2]:53',
    ]);
    const group = world.sink
      .rows('Load_Balancer_Group')
      .find(({ columns }) => columns['name'] === 'ovenbird_ovn-cluster');
    const members = world.sink.members().filter((member) => member.startsWith(`Load_Balancer_Group ${group?.uuid}`));
    expect(members).toHaveLength(2);
    const switches = world.sink.members().filter((member) => member.endsWith(` ${group?.uuid}`));
    expect(switches).toHaveLength(world.sink.rows('Logical_Switch').length);

    const node = world.state.get('Node', 'node-1');
    if (node === undefined) throw new Error('no node');
    world.set('Node', { ...node, addresses: ['172.30.9.9'] });
    await world.settle();
    expect(balancers(world)[0]).toBe('hostport_web.default_tcp: 172.30.9.9:8080=10.16.0.2:80');

    world.delete('Pod', 'default/web');
    await world.settle();
    expect(balancers(world)).toEqual([]);
  });

  test('none in another VPC, from which no node is reached', async () => {
    const world = World.standard();
    world.set('Vpc', makeVpc('blue'));
    world.set('Subnet', makeSubnet('blue-a', '10.70.0.0/24', { vpc: 'blue', namespaces: ['default'] }));
    const annotations = { 'ovn.kubernetes.io/logical_switch': 'blue-a' };
    world.set('Pod', makePod('default', 'web', 'node-1', { annotations, hostPorts }));
    await world.settle();
    expect(world.sink.rows('Logical_Switch_Port').map(({ columns }) => columns['name'])).toContain('web.default');
    expect(balancers(world)).toEqual([]);
  });
});
