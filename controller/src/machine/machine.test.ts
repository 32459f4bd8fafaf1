import { describe, expect, it } from 'vitest';
import { makeIp, makePod, makeSubnet, World } from '../testing/world.ts';

const P = 'ovn.kubernetes.io/';
const machine = { keepFor: 'VirtualMachine/default/vm' };
let created = 0;
const object = (): { name: string; namespace: string; uid: string; created: string; deleting: boolean } => {
  created += 1;
  return { name: 'vm', namespace: 'default', uid: `machine-${created}`, created: '', deleting: false };
};
const run = (world: World, name: string, node: string, annotations: Record<string, string> = {}): void => {
  world.set('VirtualMachineInstance', object());
  world.set('Pod', makePod('default', name, node, { ...machine, annotations }));
};
const stop = (world: World, name: string): void => {
  world.delete('VirtualMachineInstance', 'default/vm');
  world.delete('Pod', `default/${name}`);
};
const address = (world: World, pod: string): string | undefined => world.state.get('PodAddress', `default/${pod}`)?.v4;
const withMachine = async (): Promise<World> => {
  const world = World.standard();
  world.set('VirtualMachine', { ...object(), template: {} });
  run(world, 'virt-launcher-vm-aaaaa', 'node-1');
  await world.settle();
  return world;
};

describe('pods of virtual machines', () => {
  it('have the address and MAC of their machine over stops, other pods and other nodes', async () => {
    const world = await withMachine();
    const first = world.state.get('PodAddress', 'default/virt-launcher-vm-aaaaa');
    expect(first?.via).toBe('VirtualMachine/default/vm');
    expect(world.announced).toContain('default/virt-launcher-vm-aaaaa');
    expect(world.state.list('IpRecord').map(({ name, podName }) => [name, podName])).toContainEqual([
      'vm.default',
      'virt-launcher-vm-aaaaa',
    ]);
    stop(world, 'virt-launcher-vm-aaaaa');
    await world.settle();
    expect(world.state.get('IpRecord', 'vm.default')).toMatchObject({ reserved: true, v4: first?.v4 });
    world.set('Pod', makePod('default', 'other', 'node-1', { annotations: { [`${P}ip_address`]: first?.v4 ?? '' } }));
    run(world, 'virt-launcher-vm-bbbbb', 'node-2');
    await world.settle();
    const second = world.state.get('PodAddress', 'default/virt-launcher-vm-bbbbb');
    expect([second?.v4, second?.v6, second?.mac]).toEqual([first?.v4, first?.v6, first?.mac]);
    expect(world.state.get('IpRecord', 'vm.default')).toMatchObject({ reserved: false, nodeName: 'node-2' });
    expect(world.events.join()).toContain('other AddressTaken');
  });

  it('keep it over a restart with and without the database', async () => {
    const world = await withMachine();
    const had = address(world, 'virt-launcher-vm-aaaaa');
    const next = await world.restarted();
    expect(next.sink.content()).toEqual(world.sink.content());
    stop(next, 'virt-launcher-vm-aaaaa');
    await next.settle();
    next.sink.units.clear();
    const rebuilt = await next.restarted();
    run(rebuilt, 'virt-launcher-vm-bbbbb', 'node-2');
    await rebuilt.settle();
    expect(address(rebuilt, 'virt-launcher-vm-bbbbb')).toBe(had);
  });

  it('give it back when the machine, or its IP object, is deleted, and it asks for another subnet', async () => {
    const world = await withMachine();
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    const { allocator } = world.brain;
    const held = (): string | undefined => allocator.held('VirtualMachine/default/vm')?.v4;
    stop(world, 'virt-launcher-vm-aaaaa');
    await world.settle();
    world.delete('IpRecord', 'vm.default');
    await world.settle();
    expect(held()).toBeUndefined();
    run(world, 'virt-launcher-vm-bbbbb', 'node-1');
    await world.settle();
    world.delete('IpRecord', 'vm.default');
    await world.settle();
    expect(world.state.get('IpRecord', 'vm.default')?.podName).toBe('virt-launcher-vm-bbbbb');
    stop(world, 'virt-launcher-vm-bbbbb');
    await world.settle();
    expect(held()).toBeDefined();
    world.set('VirtualMachine', { ...object(), template: { [`${P}logical_switch`]: 'red' } });
    await world.settle();
    expect(held()).toBeUndefined();
    run(world, 'virt-launcher-vm-ccccc', 'node-1', { [`${P}logical_switch`]: 'red' });
    await world.settle();
    expect(held()).toBe('10.50.0.2');
    world.delete('VirtualMachine', 'default/vm');
    stop(world, 'virt-launcher-vm-ccccc');
    await world.settle();
    expect(held()).toBeUndefined();
    expect(world.state.get('IpRecord', 'vm.default')).toBeUndefined();
    expect(allocator.usage('red', 'v4')?.using).toBe(0);
  });

  it('take the one that somebody reserved for their machine', async () => {
    const world = World.standard();
    const reservation = { podName: 'vm', namespace: 'default', ofMachine: true, v4: '10.16.0.77' } as const;
    world.set('IpRecord', makeIp('vm.default', 'ovn-default', reservation));
    await world.settle();
    expect(world.reservations.get('vm.default')).toBe('Reserved: kept for VirtualMachine default/vm');
    world.set('VirtualMachine', { ...object(), template: {} });
    run(world, 'virt-launcher-vm-aaaaa', 'node-1');
    await world.settle();
    expect(address(world, 'virt-launcher-vm-aaaaa')).toBe('10.16.0.77');
    expect(world.announced).toContain('default/virt-launcher-vm-aaaaa');
    expect(world.reservations.get('vm.default')).toBe('InUse: pod default/virt-launcher-vm-aaaaa has it');
    const next = await world.restarted();
    expect(next.sink.content()).toEqual(world.sink.content());
  });

  it('have it one at a time', async () => {
    const world = await withMachine();
    world.set('Pod', makePod('default', 'virt-launcher-vm-bbbbb', 'node-2', machine));
    await world.settle();
    expect(world.events.join()).toContain(
      'virt-launcher-vm-bbbbb AddressTaken: the address of VirtualMachine/default/vm',
    );
    const had = address(world, 'virt-launcher-vm-aaaaa');
    world.delete('Pod', 'default/virt-launcher-vm-aaaaa');
    await world.settle();
    expect(address(world, 'virt-launcher-vm-bbbbb')).toBe(had);
  });

  it('without a VirtualMachine keep it as long as the instance is there', async () => {
    const world = World.standard();
    run(world, 'virt-launcher-vm-aaaaa', 'node-1');
    await world.settle();
    const had = address(world, 'virt-launcher-vm-aaaaa');
    world.delete('Pod', 'default/virt-launcher-vm-aaaaa');
    world.set('Pod', makePod('default', 'virt-launcher-vm-bbbbb', 'node-2', machine));
    await world.settle();
    expect(address(world, 'virt-launcher-vm-bbbbb')).toBe(had);
    stop(world, 'virt-launcher-vm-bbbbb');
    await world.settle();
    expect(world.brain.allocator.usage('ovn-default', 'v4')?.using).toBe(0);
  });
});
