import { expect, it } from 'vitest';
import { projectNetworkPolicy } from '../store/projections.ts';
import { makeSubnet, makeVpc, World } from '../testing/world.ts';
import { aclName } from './names.ts';

it('allowEWTraffic lets packets within the subnet pass in both directions, below NetworkPolicies', async () => {
  const world = World.standard();
  world.set('Subnet', makeSubnet('red', '10.50.0.0/24,fd00:10:50::/112', { allowEastWest: true }));
  await world.settle();
  const acls = world.sink.rows('ACL').map(({ columns: { direction, priority, match, action } }) => ({
    direction,
    priority,
    match,
    action,
  }));
  const within = {
    4: 'ip4.src == 10.50.0.0/24 && ip4.dst == 10.50.0.0/24',
    6: 'ip6.src == fd00:10:50::/112 && ip6.dst == fd00:10:50::/112',
  };
  expect(acls).toEqual(
    [within[4], within[6]].flatMap((match) =>
      ['from-lport', 'to-lport'].map((direction) => ({ direction, priority: 1900, match, action: 'allow-related' })),
    ),
  );
});

it('connections are tracked in all subnets while some policy drops packets', async () => {
  const world = World.standard();
  world.set('Vpc', makeVpc('island'));
  world.set('Subnet', makeSubnet('beach', '10.50.0.0/24', { vpc: 'island' }));
  await world.settle();
  const tracking = (): readonly unknown[] =>
    world.sink
      .rows('ACL')
      .flatMap(({ owner, columns: { priority, match, action } }) => (match === '0' ? [[owner, priority, action]] : []));
  expect(tracking()).toEqual([]);
  const metadata = { namespace: 'default', name: 'quiet' };
  world.set('NetworkPolicy', projectNetworkPolicy({ metadata, spec: { podSelector: {}, policyTypes: ['Egress'] } }));
  await world.settle();
  const expected = ['beach', 'ovn-default'].map((name) => [`Subnet/${name}`, 0, 'allow-related']);
  expect(tracking()).toHaveLength(expected.length);
  expect(tracking()).toEqual(expect.arrayContaining(expected));
  world.delete('NetworkPolicy', 'default/quiet');
  await world.settle();
  expect(tracking()).toEqual([]);
});

it('DHCP clients reach their server, whatever policies drop', async () => {
  const world = World.standard();
  const dhcp = { v4: '', v6: '' };
  world.set('Subnet', makeSubnet('marina', '10.50.0.0/24,fd00:10:50::/112', { dhcp }));
  world.set(
    'NetworkPolicy',
    projectNetworkPolicy({ metadata: { namespace: 'default', name: 'np' }, spec: { podSelector: {} } }),
  );
  await world.settle();
  const rows = world.sink.rows('ACL').filter(({ key }) => key.startsWith('dhcp_'));
  expect(rows.map(({ owner, columns: { direction, priority, match } }) => [owner, direction, priority, match])).toEqual(
    [
      [
        'Subnet/marina',
        'from-lport',
        31_000,
        'ip4.dst == {255.255.255.255, 10.50.0.1} && udp.src == 68 && udp.dst == 67',
      ],
      ['Subnet/marina', 'from-lport', 31_000, 'ip6.dst == ff02::1:2 && udp.src == 546 && udp.dst == 547'],
    ],
  );
});

it('a logged entry names itself and shares the limit of its subnet', async () => {
  const world = World.standard();
  const entry = { direction: 'to-lport', priority: 5, match: 'ip4', action: 'drop' } as const;
  world.set('Subnet', makeSubnet('red', '10.50.0.0/24', { acls: [entry, { ...entry, log: true }], aclLogRate: 3 }));
  await world.settle();
  expect(world.sink.rows('ACL').map(({ columns }) => [columns['name'], columns['log'], columns['meter']])).toEqual([
    ['subnet/red/acl_0', undefined, undefined],
    ['subnet/red/acl_1', true, 'log_subnet_red'],
  ]);
  const [band] = world.sink.rows('Meter_Band');
  expect(world.sink.rows('Meter').map(({ columns }) => [columns['name'], columns['unit'], columns['bands']])).toEqual([
    ['log_subnet_red', 'pktps', [band?.uuid]],
  ]);
  expect(band?.columns).toMatchObject({ action: 'drop', rate: 3 });
});

it('names of ACLs fit OVN and stay apart', () => {
  expect(aclName('sg', 'web', 'ingress/0')).toBe('sg/web/ingress/0');
  const [one, two] = ['a', 'b'].map((end) => aclName('sg', `${'x'.repeat(62)}${end}`, 'ingress/199'));
  expect(one).toHaveLength(63);
  expect(one).toMatch(/^sg\/x{39}~[0-9a-f]{8}\/ingress\/199$/);
  expect(one).not.toBe(two);
});
