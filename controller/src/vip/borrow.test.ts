import { describe, expect, it } from 'vitest';
import { makeNamespace, makePod, makeStatefulSet, makeSubnet, makeVip, World } from '../testing/world.ts';

const P = 'ovn.kubernetes.io/';
const wants = (more: Record<string, string> = {}): { annotations: Record<string, string> } => ({
  annotations: { [`${P}vip`]: 'front', ...more },
});
const ports = (world: World): readonly string[] =>
  world.sink
    .rows('Logical_Switch_Port')
    .map(({ columns: { name } }) => (typeof name === 'string' ? name : ''))
    .filter((name) => name.startsWith('vip_') || name.includes('.default'))
    .sort();
const withVip = async (more: Parameters<typeof makeVip>[3] = {}): Promise<World> => {
  const world = World.standard();
  world.set('Vip', makeVip('front', 'ovn-default', 'default', { v4: '10.16.0.100', ...more }));
  await world.settle();
  return world;
};
const address = (world: World, pod: string): string | undefined => world.state.get('PodAddress', `default/${pod}`)?.v4;

describe('the annotation vip', () => {
  it('gives the pod the address and MAC of the Vip, which nobody shares meanwhile, and gives them back', async () => {
    const world = await withVip();
    expect(ports(world)).toEqual(['vip_front', 'vip_front_ip6']);
    const held = world.brain.allocator.held('Vip/front');
    world.set('Pod', makePod('default', 'a', 'node-1', wants()));
    world.set('Pod', makePod('default', 'b', 'node-2', { annotations: { [`${P}aaps`]: 'front' } }));
    await world.settle();
    expect(world.state.get('PodAddress', 'default/a')).toMatchObject({ v4: held?.v4, v6: held?.v6, mac: held?.mac });
    expect(ports(world)).toEqual(['a.default', 'b.default']);
    expect(world.announced).toContain('default/a');
    expect(world.state.get('IpRecord', 'front')).toMatchObject({ vip: 'front', podName: 'a', v4: '10.16.0.100' });
    expect(world.state.get('IpRecord', 'a.default')).toBeUndefined();
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(ports(world)).toEqual(['b.default', 'vip_front', 'vip_front_ip6']);
    expect(world.brain.allocator.held('Vip/front')).toEqual(held);
    expect(world.state.get('IpRecord', 'front')?.podName).toBeUndefined();
  });

  it('is for one pod at a time; the next one starts when the first is gone from the database', async () => {
    const world = await withVip();
    for (const name of ['a', 'b']) world.set('Pod', makePod('default', name, 'node-1', wants()));
    await world.settle();
    expect([address(world, 'a'), address(world, 'b')]).toEqual(['10.16.0.100', undefined]);
    expect(world.events.join()).toContain('b AddressTaken: Vip "front" is the address of Pod/default/a');
    world.sink.close();
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(address(world, 'b')).toBeUndefined();
    world.sink.open();
    await world.settle();
    expect(address(world, 'b')).toBe('10.16.0.100');
  });

  it('is refused to other namespaces, with an event, and waits for a Vip that is to come', async () => {
    const world = await withVip();
    world.set('Namespace', makeNamespace('other'));
    world.set('Pod', makePod('other', 'thief', 'node-1', wants()));
    world.set('Pod', makePod('default', 'early', 'node-1', { annotations: { [`${P}vip`]: 'later' } }));
    world.set('Pod', makePod('default', 'both', 'node-1', wants({ [`${P}ip_address`]: '10.16.0.9' })));
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.set('Pod', makePod('default', 'far', 'node-1', wants({ [`${P}logical_switch`]: 'red' })));
    await world.settle();
    const events = world.events.join('\n');
    expect(events).toContain(
      'thief VipForbidden: Vip "front", named by ovn.kubernetes.io/vip, is for namespace "default"',
    );
    expect(events).toContain('early VipForbidden: Vip "later", named by ovn.kubernetes.io/vip, does not exist');
    expect(events).toContain(
      'both InvalidAnnotation: annotations ovn.kubernetes.io/vip and ovn.kubernetes.io/ip_address',
    );
    expect(events).toContain('far InvalidAnnotation: Vip "front" is of subnet "ovn-default"');
    expect(world.state.get('PodAddress', 'other/thief')).toBeUndefined();
    world.set('Vip', makeVip('later', 'ovn-default', 'default', { v4: '10.16.0.101' }));
    await world.settle();
    expect(address(world, 'early')).toBe('10.16.0.101');
  });

  it('survives a restart, the loss of the database, and a successor of the same name', async () => {
    const world = await withVip();
    world.set('Pod', makePod('default', 'a', 'node-1', wants()));
    await world.settle();
    const before = world.state.get('PodAddress', 'default/a');
    const next = await world.restarted();
    expect(next.sink.content()).toEqual(world.sink.content());
    expect(next.brain.loans.userOf('Vip/front')).toBe('Pod/default/a');
    next.sink.units.clear();
    const rebuilt = await next.restarted();
    expect(rebuilt.state.get('PodAddress', 'default/a')).toEqual(before);
    rebuilt.set('Pod', makePod('default', 'a', 'node-2', wants()));
    await rebuilt.settle();
    expect(address(rebuilt, 'a')).toBe('10.16.0.100');
    rebuilt.set('Pod', makePod('default', 'a', 'node-2'));
    await rebuilt.settle();
    expect(address(rebuilt, 'a')).not.toBe('10.16.0.100');
    expect(ports(rebuilt)).toEqual(['a.default', 'vip_front', 'vip_front_ip6']);
    rebuilt.delete('Pod', 'default/a');
    rebuilt.delete('Vip', 'front');
    await rebuilt.settle();
    expect(rebuilt.brain.allocator.usage('ovn-default', 'v4')?.using).toBe(0);
    expect(rebuilt.state.list('IpRecord').filter(({ subnet }) => subnet === 'ovn-default')).toEqual([]);
  });

  it('stays with the pod while the Vip is changed, deleted or made again', async () => {
    const world = await withVip();
    world.set('Pod', makePod('default', 'a', 'node-1', wants()));
    await world.settle();
    const vip = world.state.get('Vip', 'front');
    if (vip === undefined) throw new Error('no Vip');
    world.set('Vip', { ...vip, v4: '10.16.0.200' });
    await world.settle();
    expect(address(world, 'a')).toBe('10.16.0.100');
    expect(world.brain.vips.problem('front')?.message).toContain('Pod/default/a has 10.16.0.100');
    world.delete('Vip', 'front');
    await world.settle();
    expect(world.brain.allocator.holder('ovn-default', '10.16.0.100')).toBe('Vip/front');
    world.set('Vip', makeVip('front', 'ovn-default', 'default', { v4: '10.16.0.200' }));
    await world.settle();
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.state.get('VipAddress', 'front')?.v4).toBe('10.16.0.200');
    expect(world.brain.allocator.holder('ovn-default', '10.16.0.100')).toBeUndefined();
  });

  it('on the template of a StatefulSet releases what its pod had', async () => {
    const world = await withVip();
    const keep = { keepFor: 'StatefulSet/default/db' };
    world.set('StatefulSet', makeStatefulSet('default', 'db'));
    world.set('Pod', makePod('default', 'db-0', 'node-1', keep));
    await world.settle();
    world.delete('Pod', 'default/db-0');
    await world.settle();
    expect(world.brain.allocator.held('Pod/default/db-0')).toBeDefined();
    world.set('Pod', makePod('default', 'db-0', 'node-1', { ...wants(), ...keep }));
    await world.settle();
    expect(address(world, 'db-0')).toBe('10.16.0.100');
    expect(world.brain.allocator.held('Pod/default/db-0')).toBeUndefined();
    const next = await world.restarted();
    next.delete('StatefulSet', 'default/db');
    await next.settle();
    expect(next.state.get('VipAddress', 'front')?.v4).toBe('10.16.0.100');
  });
});
