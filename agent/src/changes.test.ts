import type { Subnet } from '@ovenbird/crds';
import type { Change, Pod } from '@ovenbird/kube';
import { describe, expect, test } from 'vitest';
import { concernedByPod, concernedByRow, concernedBySubnet, removedPort } from './changes.ts';
import type { InterfaceRow, OvsChange } from './ovs/database.ts';

const change = <T>(old: T | undefined, now: T | undefined): Change<T> => ({
  key: 'x',
  relist: false,
  ...(old === undefined ? {} : { old }),
  ...(now === undefined ? {} : { new: now }),
});

describe('a Subnet', () => {
  const subnet = (spec: Partial<Subnet['spec']> = {}, status: Subnet['status'] = {}): Subnet => ({
    metadata: { name: 'a' },
    spec: { cidrBlock: '10.0.0.0/24', ...spec },
    status,
  });
  const dual = subnet({ cidrBlock: '10.0.0.0/24,fd00::/112' });
  test.each<[string, Subnet | undefined, Subnet | undefined, readonly string[]]>([
    ['that comes', undefined, subnet(), ['ovn0', 'nat']],
    ['with IPv6 that comes asks something of the underlay', undefined, dual, ['bootstrap', 'ovn0', 'nat']],
    ['with IPv6 that goes', dual, undefined, ['bootstrap', 'ovn0', 'nat']],
    ['that grows', dual, subnet({ cidrBlock: '10.0.0.0/23,fd00::/112' }), ['ovn0', 'nat']],
    ['with another MTU', subnet(), subnet({ mtu: 1300 }), ['ovn0', 'nat', 'mtu']],
    ['whose free addresses were counted', subnet(), subnet({}, { v4availableIPs: 7 }), []],
  ])('%s', (_what, old, now, loops) => {
    expect(concernedBySubnet(change(old, now))).toEqual(loops);
  });
});

describe('a pod', () => {
  const pod = (annotations: Record<string, string>): Pod => ({
    metadata: { namespace: 'default', name: 'a', annotations },
    spec: {},
  });
  const at = (gateway: string): Pod => pod({ 'ovn.kubernetes.io/gateway': gateway });
  test.each<[string, Pod | undefined, Pod | undefined, readonly string[]]>([
    ['that comes', undefined, at('10.0.0.1'), []],
    ['that goes', at('10.0.0.1'), undefined, ['collect']],
    ['whose gateway moves', at('10.0.0.1'), at('10.0.0.254'), ['gateways']],
    ['that asks for delay', pod({}), pod({ 'ovn.kubernetes.io/latency': '10' }), ['netem']],
  ])('%s', (_what, old, now, loops) => {
    expect(concernedByPod(change(old, now))).toEqual(loops);
  });
});

describe('a row', () => {
  const row = (more: Partial<InterfaceRow>): InterfaceRow =>
    ({
      name: 'h1',
      external_ids: new Map([
        ['vendor', 'ovenbird'],
        ['container_id', 'c1'],
      ]),
      ...more,
    }) as InterfaceRow;
  const of = (old: InterfaceRow | undefined, now: InterfaceRow | undefined): OvsChange =>
    ({ table: 'Interface', uuid: 'x', old, new: now }) as unknown as OvsChange;
  test.each<[string, OvsChange, readonly string[], string | undefined]>([
    ['of a pod that is removed', of(row({}), undefined), ['netem'], 'h1'],
    ['of a pod whose link is gone', of(row({ ifindex: 7 }), row({ ifindex: 0 })), ['collect'], undefined],
    [
      'of the node',
      of(row({ name: 'ovn0', ofport: 1 }), row({ name: 'ovn0', ofport: 2 })),
      ['ovn0', 'bootstrap'],
      undefined,
    ],
    ['of somebody else that is removed', of(row({ external_ids: new Map() }), undefined), ['netem'], undefined],
  ])('%s', (_what, one, loops, removed) => {
    expect(concernedByRow(one)).toEqual(loops);
    expect(removedPort(one)).toBe(removed);
  });
});
