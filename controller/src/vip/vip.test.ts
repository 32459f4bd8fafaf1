import { describe, expect, it } from 'vitest';
import { makeNamespace, makePod, makeSubnet, makeVip, World } from '../testing/world.ts';

const P = 'ovn.kubernetes.io/';
const port = (world: World, name: string): ReadonlyMap<string, unknown> | undefined =>
  world.sink.rows('Logical_Switch_Port').find((row) => row.columns['name'] === name)?.columns['options'] as
    | ReadonlyMap<string, unknown>
    | undefined;
const security = (world: World, name: string): string => {
  const row = world.sink.rows('Logical_Switch_Port').find((found) => found.columns['name'] === name);
  const entries = row?.columns['port_security'];
  return Array.isArray(entries) ? String(entries[0]) : '';
};
const withVip = (more: Parameters<typeof makeVip>[3] = {}): World => {
  const world = World.standard();
  world.set('Vip', makeVip('front', 'ovn-default', 'default', { v4: '10.16.0.100', ...more }));
  return world;
};

describe('Vip', () => {
  it('is a virtual port for each family, whose parents are the pods that name it or have its labels', async () => {
    const world = withVip({ selector: [['app', 'web']] });
    world.set('Pod', makePod('default', 'named', 'node-1', { annotations: { [`${P}aaps`]: 'front' } }));
    world.set('Pod', makePod('default', 'labelled', 'node-2', { labels: { app: 'web' } }));
    world.set('Pod', makePod('default', 'other', 'node-2', { labels: { app: 'db' } }));
    await world.settle();
    expect(port(world, 'vip_front')).toEqual(
      new Map([
        ['virtual-ip', '10.16.0.100'],
        ['virtual-parents', 'labelled.default,named.default'],
      ]),
    );
    expect(port(world, 'vip_front_ip6')?.get('virtual-ip')).toMatch(/^fd00:10:16::/);
    const six = world.state.get('VipAddress', 'front')?.v6 ?? '';
    expect(security(world, 'named.default').split(' ').slice(-2)).toEqual(['10.16.0.100', six]);
    expect(security(world, 'other.default')).not.toContain('10.16.0.100');
    world.set('Pod', {
      ...makePod('default', 'labelled', 'node-2'),
      uid: world.state.get('Pod', 'default/labelled')?.uid ?? '',
    });
    await world.settle();
    expect(port(world, 'vip_front')?.get('virtual-parents')).toBe('named.default');
    expect(security(world, 'labelled.default')).not.toContain('10.16.0.100');
  });

  it('is shared by the pods of a namespace that names it, but for those that name others', async () => {
    const world = World.standard();
    world.set('Vip', makeVip('front', 'ovn-default', 'default', { v4: '10.16.0.100' }));
    world.set('Pod', makePod('default', 'a', 'node-1'));
    world.set('Pod', makePod('default', 'b', 'node-1', { annotations: { 'ovn.kubernetes.io/aaps': '' } }));
    await world.settle();
    expect(security(world, 'a.default')).not.toContain('10.16.0.100');
    world.set('Namespace', makeNamespace('default', { 'ovn.kubernetes.io/aaps': 'front,absent' }));
    await world.settle();
    expect(security(world, 'a.default')).toContain('10.16.0.100');
    expect(security(world, 'b.default')).not.toContain('10.16.0.100');
    expect(world.events.join()).toContain('a VipForbidden: Vip "absent"');
    world.set('Namespace', makeNamespace('default'));
    await world.settle();
    expect(security(world, 'a.default')).not.toContain('10.16.0.100');
  });

  it('keeps its address from pods, also over a restart and over the loss of the database', async () => {
    const world = withVip();
    world.set('Pod', makePod('default', 'thief', 'node-1', { annotations: { [`${P}ip_address`]: '10.16.0.100' } }));
    await world.settle();
    expect(world.events.join()).toContain(
      'thief AddressTaken: address 10.16.0.100 of subnet "ovn-default" is held by Vip/front',
    );
    const next = await world.restarted();
    expect(next.sink.content()).toEqual(world.sink.content());
    const had = next.state.get('VipAddress', 'front');
    const vip = next.state.get('Vip', 'front');
    if (vip === undefined || had?.v6 === undefined) throw new Error('no address');
    // What its status says, and nothing else.
    next.state.set('Vip', 'front', { ...vip, had: { v6: had.v6 } });
    next.sink.units.clear();
    next.delete('Pod', 'default/thief');
    const rebuilt = await next.restarted();
    expect(rebuilt.state.get('VipAddress', 'front')).toEqual(had);
  });

  it('is for pods of its namespace and subnet only', async () => {
    const world = withVip();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('other', 'thief', 'node-1', { annotations: { [`${P}aaps`]: 'front' } }));
    const far = { [`${P}aaps`]: 'front', [`${P}logical_switch`]: 'red' };
    world.set('Pod', makePod('default', 'far', 'node-1', { annotations: far }));
    await world.settle();
    expect(world.events).toEqual([expect.stringContaining('thief VipForbidden: Vip "front"')]);
    expect(port(world, 'vip_front')?.get('virtual-parents')).toBe('');
  });

  it('waits while its address is taken, and goes with everything it had', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1', { annotations: { [`${P}ip_address`]: '10.16.0.100' } }));
    await world.settle();
    world.set('Vip', makeVip('front', 'ovn-default', 'default', { v4: '10.16.0.100' }));
    await world.settle();
    expect(world.brain.vips.problem('front')?.code).toBe('taken');
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.state.get('VipAddress', 'front')?.v4).toBe('10.16.0.100');
    world.delete('Vip', 'front');
    await world.settle();
    expect(world.brain.allocator.usage('ovn-default', 'v4')?.using).toBe(0);
    expect(port(world, 'vip_front')).toBeUndefined();
  });

  it('made again with a wish that cannot be met has nothing of its predecessor, and follows when it can', async () => {
    const world = withVip();
    await world.settle();
    world.delete('Vip', 'front');
    world.set('Vip', makeVip('front', 'red', 'default'));
    await world.settle();
    expect(world.brain.vips.problem('front')?.code).toBe('no-subnet');
    expect(world.state.get('VipAddress', 'front')).toBeUndefined();
    expect(port(world, 'vip_front')).toBeUndefined();
    expect(world.brain.allocator.usage('ovn-default', 'v4')?.using).toBe(0);
    expect(world.state.get('IpRecord', 'front')).toBeUndefined();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    await world.settle();
    expect(world.state.get('VipAddress', 'front')?.v4).toBe('10.50.0.2');
  });
});
