import { announcement, type IP, type PodInterface } from '@ovenbird/crds';
import { type Pod, Store } from '@ovenbird/kube';
import { expect, test } from 'vitest';
import type { Ovs } from '../ovs/database.ts';
import { movedGateways } from './gateway.ts';

const announced = (gateway: string, more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => ({
  'ovn.kubernetes.io/allocated': 'true',
  'ovn.kubernetes.io/routed': 'true',
  'ovn.kubernetes.io/ip_address': '10.16.0.10',
  'ovn.kubernetes.io/mac_address': '02:00:00:00:00:0a',
  'ovn.kubernetes.io/cidr': '10.16.0.0/16',
  'ovn.kubernetes.io/gateway': gateway,
  'ovn.kubernetes.io/logical_switch': 'net',
  'ovenbird.io/announced-uid': 'u',
  ...more,
});
const further = (gateway: string): PodInterface => ({
  name: 'net1',
  provider: 'blue.default.ovn',
  port: 'nic_a.default_net1',
  defaultRoute: true,
  subnet: 'blue',
  mac: '02:00:00:00:00:01',
  addresses: [{ address: '10.20.0.2', prefix: 24, gateway }],
});
const row = (name: string, ids: Readonly<Record<string, string>>): unknown => ({
  name,
  external_ids: new Map(
    Object.entries({ vendor: 'ovenbird', container_id: 'c', 'iface-id-ver': 'u', pod_netns: '/run/netns/x', ...ids }),
  ),
});
const ofPod = { pod_name: 'a', pod_namespace: 'default' };

/** Host ends that have to follow, with the gateways of their default routes. */
function moved(annotations: Readonly<Record<string, string>>, rows: readonly unknown[]): readonly string[] {
  const ovs = { replica: { table: () => ({ find: () => rows }) } } as unknown as Ovs;
  const metadata = { uid: 'u', resourceVersion: '1', annotations };
  const pods = new Store<Pod>();
  pods.replace([{ metadata: { ...metadata, namespace: 'default', name: 'a' }, spec: {}, status: {} }]);
  const objects = new Store<IP>();
  const container = { metadata: { ...metadata, name: 'attach-1' }, spec: { subnet: 'net' } };
  objects.replace([{ apiVersion: 'ovenbird.io/v1', kind: 'IP', ...container }]);
  return movedGateways({ ovs, pods, containers: { objects } }).map(
    ({ hostName, now }) => `${hostName} ${now.defaultRoute ? now.addresses.map(({ gateway }) => gateway).join() : '-'}`,
  );
}

test('first and further interfaces follow, each the gateway of its own Subnet', () => {
  const rows = [
    row('h1', { ...ofPod, 'iface-id': 'a.default', gateways: '10.16.0.1/16' }),
    row('h2', { ...ofPod, 'iface-id': 'nic_a.default_net1', gateways: '10.20.0.1/24' }),
  ];
  const both = (first: string, second: string): Readonly<Record<string, string>> =>
    announced(first, { [announcement.interfaces]: JSON.stringify([further(second)]) });
  expect(moved(both('10.16.0.1', '10.20.0.1'), rows)).toEqual([]);
  expect(moved(both('10.16.0.9', '10.20.0.1'), rows)).toEqual(['h1 -']);
  expect(moved(both('10.16.0.1', '10.20.0.9'), rows)).toEqual(['h2 10.20.0.9']);
  // The Subnet has grown.
  expect(moved({ ...both('10.16.0.1', '10.20.0.1'), [announcement.cidr]: '10.16.0.0/15' }, rows)).toEqual(['h1 -']);
});

test('containers outside of Kubernetes too, through the interface that ADD gave the default routes', () => {
  const ids = { ip_object: 'attach-1', 'iface-id': 'attached_n_attach-1', gateways: '10.16.0.1/16' };
  const annotations = announced('10.16.0.9', { 'ovn.kubernetes.io/port_name': 'attached_n_attach-1' });
  expect(moved(annotations, [row('h3', ids), row('h4', { ...ids, default_route: 'false' })])).toEqual([
    'h3 10.16.0.9',
    'h4 -',
  ]);
});

test('what belongs to an earlier pod, or cannot be read, is left alone', () => {
  const ids = { ...ofPod, 'iface-id': 'a.default', gateways: '10.16.0.1/16' };
  expect(moved(announced('10.16.0.9'), [row('h1', { ...ids, 'iface-id-ver': 'before' })])).toEqual([]);
  expect(moved(announced('nonsense'), [row('h1', ids)])).toEqual([]);
  expect(moved({}, [row('h1', ids)])).toEqual([]);
});
