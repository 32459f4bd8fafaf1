import type { Subnet, Vpc } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { lasting, projectSubnet, projectVpc } from '../store/projections.ts';
import { makePod, rules, World } from '../testing/world.ts';
import { subnetStatus, vpcStatus } from './subnet-status.ts';

const metadata = (name: string): Subnet['metadata'] => ({
  name,
  uid: `${name}-uid`,
  creationTimestamp: '2026-01-01T00:00:00Z',
  deletionTimestamp: '2026-01-02T00:00:00Z',
  finalizers: ['ovenbird.io/controller'],
});
const subnet = (name: string, cidrBlock: string): Subnet => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'Subnet',
  metadata: metadata(name),
  spec: { cidrBlock },
});
const vpc: Vpc = { apiVersion: 'ovenbird.io/v1', kind: 'Vpc', metadata: metadata(rules.defaultVpc), spec: {} };

describe('what the cluster cannot be without', () => {
  it('stays in force when it is deleted, and says so; other subnets go', async () => {
    const world = World.standard();
    const names = [rules.defaultSubnet, rules.joinSubnet];
    world.set('Vpc', lasting(projectVpc(vpc), [rules.defaultVpc]));
    for (const [name, cidr] of [
      ['ovn-default', '10.16.0.0/16'],
      ['join', '100.64.0.0/16'],
      ['red', '10.50.0.0/24'],
    ] as const)
      world.set('Subnet', lasting(projectSubnet(subnet(name, cidr), rules.defaultVpc), names));
    world.set('Pod', makePod('default', 'late', 'node-1'));
    await world.settle();
    expect(world.state.get('PodAddress', 'default/late')?.subnet).toBe('ovn-default');
    expect([...world.finalized]).toEqual(['Subnet/red']);
    const held = (): undefined => undefined;
    for (const name of names) {
      const stored = world.state.get('Subnet', name);
      if (stored === undefined) throw new Error('no subnet');
      const [ready] = subnetStatus(stored, world.brain, world.state, held).conditions;
      expect(ready).toMatchObject({ status: 'True', reason: 'DeletionIgnored' });
    }
    const [ready] = vpcStatus(rules.defaultVpc, rules.defaultVpc, world.state, held).conditions;
    expect(ready).toMatchObject({ status: 'True', reason: 'DeletionIgnored' });
    const next = await world.restarted();
    expect(next.sink.content()).toEqual(world.sink.content());
  });
});
