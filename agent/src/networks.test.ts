import type { Subnet } from '@ovenbird/crds';
import { Store } from '@ovenbird/kube';
import { expect, test } from 'vitest';
import { hostNetworks } from './networks.ts';

test('the host has routes to what is in its VPC: not to other VPCs, and not to networks of other plugins', () => {
  const subnets = new Store<Subnet>();
  const subnet = (name: string, cidrBlock: string, more: Partial<Subnet['spec']> = {}): Subnet => ({
    metadata: { name },
    spec: { cidrBlock, natOutgoing: true, ...more },
  });
  subnets.replace([
    subnet('join', '100.64.0.0/16'),
    subnet('pods', '10.16.0.0/16,fd00:10:16::/112'),
    subnet('further', '10.48.0.0/24', { provider: 'blue.default.ovn' }),
    subnet('apart', '10.49.0.0/24', { vpc: 'other' }),
    subnet('lan', '192.168.48.0/24', { provider: 'lan.default' }),
  ]);
  const { cidrs, natOutgoing } = hostNetworks(subnets, 'join');
  expect(cidrs).toEqual(['10.16.0.0/16', '10.48.0.0/24', '100.64.0.0/16', 'fd00:10:16::/112']);
  expect(natOutgoing).toEqual(['10.16.0.0/16', '10.48.0.0/24', 'fd00:10:16::/112']);
});
