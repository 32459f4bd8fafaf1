import { describe, expect, it } from 'vitest';
import { makeIp, makePod, makeStatefulSet, makeSubnet, World } from '../testing/world.ts';

const verdict = async (world: World, name: string): Promise<string | undefined> => {
  await world.settle();
  return world.reservations.get(name);
};

describe('the condition of a reservation', () => {
  it('follows the address: reserved, in use, reserved again', async () => {
    const world = World.standard();
    world.set('IpRecord', makeIp('web', 'ovn-default', { v4: '10.16.0.9', podName: 'web', namespace: 'default' }));
    expect(await verdict(world, 'web')).toBe('Reserved: kept for pod default/web');
    world.set('Pod', makePod('default', 'web', 'node-1'));
    expect(await verdict(world, 'web')).toBe('InUse: pod default/web has it');
    world.delete('Pod', 'default/web');
    expect(await verdict(world, 'web')).toBe('Reserved: kept for pod default/web');
  });

  it('of one family lets the pod of a StatefulSet start with both', async () => {
    const world = World.standard();
    world.set('StatefulSet', makeStatefulSet('default', 'db'));
    world.set('IpRecord', makeIp('db-0', 'ovn-default', { v4: '10.16.0.9', podName: 'db-0', namespace: 'default' }));
    world.set('Pod', makePod('default', 'db-0', 'node-1', { keepFor: 'StatefulSet/default/db' }));
    expect(await verdict(world, 'db-0')).toBe('InUse: pod default/db-0 has it');
    expect(world.announced).toContain('default/db-0');
  });

  it('says what is in the way, until it is not', async () => {
    const world = World.standard();
    world.set(
      'Pod',
      makePod('default', 'a', 'node-1', { annotations: { 'ovn.kubernetes.io/ip_address': '10.16.0.9' } }),
    );
    await world.settle();
    world.set('IpRecord', makeIp('printer', 'ovn-default', { v4: '10.16.0.9' }));
    world.set('IpRecord', makeIp('far', 'ovn-default', { v4: '10.99.0.9' }));
    world.set('IpRecord', makeIp('early', 'red', { v4: '10.50.0.9' }));
    world.set('IpRecord', makeIp('late', 'ovn-default', { v4: '10.16.0.10', podName: 'a', namespace: 'default' }));
    expect(await verdict(world, 'printer')).toBe(
      'AddressTaken: 10.16.0.9 is held by Pod/default/a; this object reserves it when it is freed',
    );
    expect(await verdict(world, 'far')).toContain('AddressOutsideSubnet: 10.99.0.9 is not a host address');
    expect(await verdict(world, 'early')).toContain('SubnetNotUsable: subnet "red" does not exist');
    expect(await verdict(world, 'late')).toContain('PodHasAnother: pod default/a runs with 10.16.0.9,');
    world.set('Subnet', makeSubnet('red', '10.50.0.0/24'));
    world.delete('Pod', 'default/a');
    expect(await verdict(world, 'printer')).toBe('Reserved: kept from everybody');
    expect(await verdict(world, 'early')).toBe('Reserved: kept from everybody');
    expect(await verdict(world, 'late')).toBe('Reserved: kept for pod default/a');
  });
});
