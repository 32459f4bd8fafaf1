import { describe, expect, it } from 'vitest';
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

const P = 'ovn.kubernetes.io/';
const v4 = (world: World, key: string): string | undefined => world.state.get('PodAddress', key)?.v4;
const v6 = (world: World, key: string): string | undefined => world.state.get('PodAddress', key)?.v6;
const asks = (keys: Record<string, string>): { annotations: Record<string, string> } => ({
  annotations: Object.fromEntries(Object.entries(keys).map(([key, value]) => [`${P}${key}`, value])),
});

/** A world with the subnet `red` (10.50.0.0/24) that anybody of the default VPC may use. */
function withRed(more: Parameters<typeof makeSubnet>[2] = {}): World {
  const world = World.standard();
  world.set('Subnet', makeSubnet('red', '10.50.0.0/24,fd00:10:50::/120', more));
  return world;
}

describe('IPPools', () => {
  it('keep their addresses from pods that do not name them, and give them to those that do', async () => {
    const world = withRed();
    world.set('IPPool', makePool('low', 'red', ['10.50.0.2..10.50.0.5', 'fd00:10:50::2..fd00:10:50::5']));
    world.set('Pod', makePod('default', 'plain', 'node-1', asks({ logical_switch: 'red' })));
    world.set('Pod', makePod('default', 'pooled', 'node-1', asks({ ip_pool: 'low' })));
    await world.settle();
    expect([v4(world, 'default/plain'), v6(world, 'default/plain')]).toEqual(['10.50.0.6', 'fd00:10:50::6']);
    expect([v4(world, 'default/pooled'), v6(world, 'default/pooled')]).toEqual(['10.50.0.2', 'fd00:10:50::2']);
    expect(world.state.get('PodAddress', 'default/pooled')?.subnet).toBe('red');
    expect(world.brain.allocator.usage('red', 'v4', 'low')).toEqual({ using: 1, available: 3n });
    expect(world.brain.allocator.ranges('red', 'v4', 9, 'low')).toEqual({
      using: '10.50.0.2',
      available: '10.50.0.3-10.50.0.5',
    });
    expect(world.brain.allocator.ranges('red', 'v4', 9)).toEqual({
      using: '10.50.0.2,10.50.0.6',
      available: '10.50.0.3-10.50.0.5,10.50.0.7-10.50.0.254',
    });
    expect(world.brain.allocator.ranges('red', 'v4', 1)?.available).toBe('10.50.0.3-10.50.0.5,...');
  });

  it('when one is full the next one named is taken, and a waiting pod goes on when an address is freed', async () => {
    const world = withRed();
    world.set('IPPool', makePool('one', 'red', ['10.50.0.10', 'fd00:10:50::10']));
    world.set('IPPool', makePool('two', 'red', ['10.50.0.20', 'fd00:10:50::20']));
    for (const name of ['a', 'b', 'c']) {
      world.set('Pod', makePod('default', name, 'node-1', asks({ ip_pool: 'one,two' })));
      await world.settle();
    }
    expect(['a', 'b', 'c'].map((name) => v4(world, `default/${name}`))).toEqual([
      '10.50.0.10',
      '10.50.0.20',
      undefined,
    ]);
    expect(world.events.join()).toContain('PoolExhausted: IPPool "one" has no free IPv4 address left');
    world.delete('Pod', 'default/b');
    await world.settle();
    expect(v4(world, 'default/c')).toBe('10.50.0.20');
  });

  it('bound to a namespace give it their addresses and no others', async () => {
    const world = withRed();
    world.set('Namespace', makeNamespace('bound'));
    world.set(
      'IPPool',
      makePool('own', 'red', ['10.50.0.10..10.50.0.11', 'fd00:10:50::10'], { namespaces: ['bound'] }),
    );
    world.set('Pod', makePod('bound', 'a', 'node-1', asks({ ip_family: 'IPv4' })));
    world.set('Pod', makePod('bound', 'b', 'node-1', asks({ ip_address: '10.50.0.99' })));
    world.set('Pod', makePod('default', 'thief', 'node-1', asks({ ip_pool: 'own' })));
    world.set('Pod', makePod('default', 'thief2', 'node-1', asks({ logical_switch: 'red', ip_address: '10.50.0.11' })));
    await world.settle();
    expect(v4(world, 'bound/a')).toBe('10.50.0.10');
    expect(v6(world, 'bound/a')).toBeUndefined();
    const events = world.events.join('\n');
    expect(events).toContain('b AddressOutsideSubnet: address 10.50.0.99 is not in IPPool "own"');
    expect(events).toContain('thief PoolForbidden: namespace "default" may not use IPPool "own"');
    expect(events).toContain('thief2 PoolForbidden: address 10.50.0.11 belongs to IPPool "own"');
  });

  it('of two that overlap the older one is in force; deleted ones return their addresses', async () => {
    const world = withRed();
    world.set('IPPool', makePool('old', 'red', ['10.50.0.10..10.50.0.20'], { created: '2026-01-01T00:00:00Z' }));
    world.set('IPPool', makePool('new', 'red', ['10.50.0.0/28'], { created: '2026-01-02T00:00:00Z' }));
    await world.settle();
    expect(world.brain.pools.verdict('new')).toEqual({
      reason: 'Overlap',
      message:
        '10.50.0.0/28 and 10.50.0.10..10.50.0.20 of IPPool "old" both hold 10.50.0.10; take it out of one of them',
    });
    const total = world.brain.allocator.usage('red', 'v4', '')?.available;
    expect(total).toBe(253n - 11n);
    world.delete('IPPool', 'old');
    await world.settle();
    expect(world.brain.pools.verdict('new')?.reason).toBe('Usable');
    world.delete('IPPool', 'new');
    await world.settle();
    expect(world.brain.allocator.usage('red', 'v4', '')?.available).toBe(253n);
  });

  it('outside their subnet, or without one, say so', async () => {
    const world = withRed();
    world.set('IPPool', makePool('far', 'red', ['10.51.0.1']));
    world.set('IPPool', makePool('lost', 'blue', ['10.51.0.1']));
    await world.settle();
    expect(world.brain.pools.verdict('far')?.reason).toBe('OutsideSubnet');
    expect(world.brain.pools.verdict('lost')?.reason).toBe('SubnetMissing');
    world.set('Subnet', makeSubnet('blue', '10.51.0.0/24'));
    await world.settle();
    expect(world.brain.pools.verdict('lost')?.reason).toBe('Usable');
  });

  it('have an address set when they ask for one', async () => {
    const world = withRed();
    world.set('IPPool', makePool('my-set', 'red', ['10.50.0.4..10.50.0.7', '10.50.0.9'], { addressSet: true }));
    await world.settle();
    const [set] = world.sink.rows('Address_Set').filter(({ key }) => key.startsWith('ippool_'));
    expect(set?.columns['name']).toBe('ippool_my_set_ip4');
    const members = world.sink.members().filter((member) => member.includes(set?.uuid ?? '-'));
    expect(members.map((member) => member.split(' ').at(-1))).toEqual(['10.50.0.4/30', '10.50.0.9']);
  });

  it('and what pods hold of them survive a restart', async () => {
    const world = withRed();
    world.set('IPPool', makePool('low', 'red', ['10.50.0.2..10.50.0.5', 'fd00:10:50::2']));
    world.set('Pod', makePod('default', 'a', 'node-1', asks({ ip_pool: 'low' })));
    await world.settle();
    const next = await world.restarted();
    expect(next.brain.allocator.usage('red', 'v4', 'low')).toEqual({ using: 1, available: 3n });
    expect(next.sink.content()).toEqual(world.sink.content());
  });
});

describe('the annotation ip_pool', () => {
  it('with addresses: the first free one, for pods that are not of a StatefulSet', async () => {
    const world = withRed();
    const list = asks({ logical_switch: 'red', ip_pool: '10.50.0.7,fd00:10:50::7;10.50.0.8,fd00:10:50::8' });
    for (const name of ['a', 'b', 'c']) world.set('Pod', makePod('default', name, 'node-1', list));
    await world.settle();
    expect(['a', 'b'].map((name) => v6(world, `default/${name}`))).toEqual(['fd00:10:50::7', 'fd00:10:50::8']);
    expect(world.events.join()).toContain('c AddressTaken: none of the 2 addresses');
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(v4(world, 'default/c')).toBe('10.50.0.7');
  });

  it('with addresses: that of the ordinal for pods of a StatefulSet, counted from its first', async () => {
    const world = withRed();
    const template = asks({ logical_switch: 'red', ip_pool: '10.50.0.30,10.50.0.31,10.50.0.32' }).annotations;
    const pod = (ordinal: number): ReturnType<typeof makePod> =>
      makePod('default', `db-${ordinal}`, 'node-1', { annotations: template, keepFor: 'StatefulSet/default/db' });
    world.set('Pod', pod(6));
    await world.settle();
    expect(v4(world, 'default/db-6')).toBeUndefined();
    expect(world.events).toEqual([]);
    world.set('StatefulSet', makeStatefulSet('default', 'db', { firstOrdinal: 5, template }));
    world.set('Pod', pod(5));
    world.set('Pod', pod(8));
    await world.settle();
    expect(v4(world, 'default/db-6')).toBe('10.50.0.31');
    expect(v4(world, 'default/db-5')).toBe('10.50.0.30');
    expect(world.events.join()).toContain(
      'db-8 InvalidAnnotation: annotation ovn.kubernetes.io/ip_pool lists 3 addresses',
    );
  });
});

describe('families and routes', () => {
  it.each([
    ['IPv4', '10.50.0.2', undefined],
    ['IPv6', undefined, 'fd00:10:50::2'],
    ['Dual', '10.50.0.2', 'fd00:10:50::2'],
  ])('ip_family %s', async (family, four, six) => {
    const world = withRed();
    world.set('Pod', makePod('default', 'a', 'node-1', asks({ logical_switch: 'red', ip_family: family })));
    await world.settle();
    expect([v4(world, 'default/a'), v6(world, 'default/a')]).toEqual([four, six]);
  });

  it('refuses a family that the subnet does not have', async () => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('four', '10.51.0.0/24'));
    for (const family of ['IPv6', 'Dual'])
      world.set(
        'Pod',
        makePod('default', family.toLowerCase(), 'node-1', asks({ logical_switch: 'four', ip_family: family })),
      );
    await world.settle();
    expect(world.events.filter((event) => event.includes('FamilyNotInSubnet'))).toHaveLength(2);
  });

  it.each([
    ['[{"dst":"10.9.0.0/16","gw":"10.60.0.1"}]', '10.60.0.1 is not in 10.51.0.0/24'],
    ['[{"dst":"fd01::/64"}]', 'the pod has no IPv6 address'],
    ['nonsense', 'is not a list of routes'],
  ])('refuses the routes %s', async (routes, message) => {
    const world = World.standard();
    world.set('Subnet', makeSubnet('four', '10.51.0.0/24'));
    world.set('Pod', makePod('default', 'a', 'node-1', asks({ logical_switch: 'four', routes })));
    await world.settle();
    expect(world.events.join()).toContain('InvalidAnnotation');
    expect(world.events.join()).toContain(message);
  });
});

describe('which subnet', () => {
  it('those that select the namespace by label, and the next one when one is full', async () => {
    const world = World.standard();
    const selector = [{ key: 'team', operator: 'In' as const, values: ['birds'] }];
    world.set('Subnet', makeSubnet('tiny', '10.52.0.0/30', { namespaceSelectors: [selector] }));
    world.set(
      'Subnet',
      makeSubnet('more', '10.53.0.0/24', { namespaces: ['aviary'], created: '2030-01-01T00:00:00Z' }),
    );
    world.set('Namespace', { ...makeNamespace('aviary'), labels: { team: 'birds' } });
    world.set('Pod', makePod('default', 'stranger', 'node-1', asks({ logical_switch: 'tiny' })));
    for (const name of ['a', 'b']) {
      world.set('Pod', makePod('aviary', name, 'node-1'));
      await world.settle();
    }
    expect([v4(world, 'aviary/a'), v4(world, 'aviary/b')]).toEqual(['10.52.0.2', '10.53.0.2']);
    expect(world.events).toEqual([expect.stringContaining('stranger SubnetForbidden')]);
    world.set('Namespace', { ...makeNamespace('default'), labels: { team: 'birds' } });
    world.delete('Pod', 'aviary/a');
    await world.settle();
    expect(v4(world, 'default/stranger')).toBe('10.52.0.2');
  });

  it('the default one is whichever asks to be it first, and back when it no longer does', async () => {
    const world = World.standard();
    const mine = makeSubnet('mine', '10.54.0.0/24', { isDefault: true });
    world.set('Subnet', mine);
    world.set('Subnet', makeSubnet('late', '10.55.0.0/24', { isDefault: true, created: '2030-01-01T00:00:00Z' }));
    world.set('Vpc', makeVpc('blue'));
    world.set(
      'Subnet',
      makeSubnet('other', '10.56.0.0/24', { vpc: 'blue', isDefault: true, created: '2020-01-01T00:00:00Z' }),
    );
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    expect(v4(world, 'default/a')).toBe('10.54.0.2');
    world.set('Subnet', { ...mine, isDefault: false });
    world.set('Pod', makePod('default', 'b', 'node-1'));
    await world.settle();
    expect(v4(world, 'default/b')).toBe('10.55.0.2');
  });

  it('nobody takes an address, pool, subnet or VPC that was not given', async () => {
    const world = withRed({ namespaces: ['owner'] });
    world.set('Vpc', makeVpc('blue', { namespaces: ['owner'] }));
    world.set('Subnet', makeSubnet('deep', '10.57.0.0/24', { vpc: 'blue', namespaces: ['owner', 'default'] }));
    world.set('IPPool', makePool('open', 'red', ['10.50.0.9']));
    world.set('IpRecord', makeIp('kept', 'ovn-default', { v4: '10.16.0.77', podName: 'x', namespace: 'owner' }));
    const attempts = {
      subnet: { logical_switch: 'red' },
      address: { logical_switch: 'red', ip_address: '10.50.0.40' },
      pool: { ip_pool: 'open' },
      vpc: { logical_switch: 'deep' },
      join: { logical_switch: 'join' },
      reserved: { ip_address: '10.16.0.77' },
    };
    for (const [name, keys] of Object.entries(attempts))
      world.set('Pod', makePod('default', name, 'node-1', asks(keys)));
    await world.settle();
    const said = Object.keys(attempts).map((name) => world.events.find((event) => event.startsWith(`${name} `)));
    expect(said.map((event) => event?.split(':', 1)[0])).toEqual([
      'subnet SubnetForbidden',
      'address SubnetForbidden',
      'pool SubnetForbidden',
      'vpc SubnetForbidden',
      'join SubnetForbidden',
      'reserved AddressTaken',
    ]);
    expect(world.state.list('PodAddress')).toEqual([]);
  });
});

describe('addresses kept for a StatefulSet', () => {
  const keepFor = 'StatefulSet/default/db';

  /** A StatefulSet whose pod had an address of `red` and is scaled away. */
  async function scaledAway(template: Record<string, string>): Promise<{ world: World; address: string | undefined }> {
    const world = withRed();
    world.set('IPPool', makePool('low', 'red', ['10.50.0.2..10.50.0.9', 'fd00:10:50::2']));
    world.set('StatefulSet', makeStatefulSet('default', 'db', { template }));
    world.set('Pod', makePod('default', 'db-0', 'node-1', { annotations: template, keepFor }));
    await world.settle();
    const address = v4(world, 'default/db-0');
    world.delete('Pod', 'default/db-0');
    await world.settle();
    return { world, address };
  }
  const change = (world: World, more: Partial<ReturnType<typeof makeStatefulSet>>): void => {
    const set = world.state.get('StatefulSet', 'default/db');
    if (set === undefined) throw new Error('no set');
    world.set('StatefulSet', { ...set, ...more });
  };
  const held = (world: World): string | undefined => world.brain.allocator.held('Pod/default/db-0')?.v4;

  it('stay over scale down and up, a restart between, and an unrelated change of the template', async () => {
    const { world, address } = await scaledAway(asks({ ip_pool: 'low' }).annotations);
    expect(held(world)).toBe(address);
    expect(world.state.get('IpRecord', 'db-0.default')?.reserved).toBe(true);
    const next = await world.restarted();
    change(next, { template: asks({ ip_pool: 'low', egress_rate: '5' }).annotations });
    await next.settle();
    expect(held(next)).toBe(address);
    next.set('Pod', makePod('default', 'db-0', 'node-3', { ...asks({ ip_pool: 'low' }), keepFor }));
    await next.settle();
    expect(v4(next, 'default/db-0')).toBe(address);
  });

  it.each([
    ['the set is deleted', (world: World) => world.delete('StatefulSet', 'default/db')],
    ['the set is made again', (world: World) => change(world, { uid: 'another' })],
    ['its IP object is deleted', (world: World) => world.delete('IpRecord', 'db-0.default')],
    ['the template asks for no pool', (world: World) => change(world, { template: {} })],
    [
      'the template asks for another subnet',
      (world: World) => change(world, { template: asks({ logical_switch: 'ovn-default' }).annotations }),
    ],
    [
      'the template asks for another address',
      (world: World) => change(world, { template: asks({ logical_switch: 'red', ip_pool: '10.50.0.80' }).annotations }),
    ],
  ])('are released when %s', async (_what, act) => {
    const { world } = await scaledAway(asks({ ip_pool: 'low' }).annotations);
    expect(held(world)).toBeDefined();
    act(world);
    await world.settle();
    expect(held(world)).toBeUndefined();
    expect(world.state.get('IpRecord', 'db-0.default')).toBeUndefined();
    expect(world.brain.allocator.usage('red', 'v4')?.using).toBe(0);
  });

  it('stay when what the template asks for cannot be had now', async () => {
    const { world, address } = await scaledAway(asks({ ip_pool: 'low' }).annotations);
    world.delete('IPPool', 'low');
    change(world, { firstOrdinal: 1 });
    await world.settle();
    expect(held(world)).toBe(address);
  });

  it('stay marked as kept while the next pod waits for another one, before and after a restart', async () => {
    const { world, address } = await scaledAway(asks({ ip_pool: 'low' }).annotations);
    world.set('Pod', makePod('default', 'db-0', 'node-3', { ...asks({ logical_switch: 'nowhere' }), keepFor }));
    await world.settle();
    expect(v4(world, 'default/db-0')).toBeUndefined();
    for (const now of [world, await world.restarted()]) {
      expect(held(now)).toBe(address);
      expect(now.state.get('IpRecord', 'db-0.default')).toMatchObject({ reserved: true, v4: address });
    }
  });
});
