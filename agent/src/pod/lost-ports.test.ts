import { announcement, type IP, type PodInterface } from '@ovenbird/crds';
import { type Pod, Store } from '@ovenbird/kube';
import { describe, expect, test } from 'vitest';
import type { Ovs } from '../ovs/database.ts';
import { linkAlias } from './link-note.ts';
import { judge, type Verdict } from './lost-ports.ts';

const result = {
  'ovn.kubernetes.io/allocated': 'true',
  'ovn.kubernetes.io/routed': 'true',
  'ovn.kubernetes.io/ip_address': '10.16.0.10',
  'ovn.kubernetes.io/mac_address': '02:00:00:00:00:0a',
  'ovn.kubernetes.io/cidr': '10.16.0.0/16',
  'ovn.kubernetes.io/gateway': '10.16.0.1',
  'ovn.kubernetes.io/logical_switch': 'net',
};
const net1: PodInterface = {
  name: 'net1',
  provider: 'blue.default.ovn',
  port: 'nic_a.default_net1',
  subnet: 'blue',
  mac: '02:00:00:00:00:01',
  addresses: [{ address: '10.20.0.2', prefix: 24, gateway: '10.20.0.1' }],
};
const pod = (annotations: Readonly<Record<string, string>> = {}, phase?: 'Running' | 'Succeeded'): Pod => ({
  metadata: {
    namespace: 'default',
    name: 'a',
    uid: 'u',
    annotations: {
      ...result,
      'ovenbird.io/announced-uid': 'u',
      [announcement.interfaces]: JSON.stringify([net1]),
      ...annotations,
    },
  },
  spec: {},
  status: phase === undefined ? {} : { phase },
});
const container: IP = {
  apiVersion: 'ovenbird.io/v1',
  kind: 'IP',
  metadata: {
    name: 'attach-1',
    uid: 'o',
    annotations: { ...result, 'ovenbird.io/announced-uid': 'o', [announcement.portName]: 'attach-1' },
  },
  spec: { subnet: 'net' },
};
const attachment = { containerId: 'c', ifname: 'eth0', network: 'net', netns: '/run/netns/x' };
const alias = (uid: string, portName: string, defaultRoute = true): string =>
  linkAlias({ uid, portName, defaultRoute }, attachment);

interface World {
  readonly pods?: readonly Pod[];
  readonly containers?: readonly IP[];
  /** Logical switch ports that have a row. */
  readonly ports?: readonly string[];
}

/** The verdict about a pair whose other end is in a container; `pods` and `containers` that are absent are not listed yet. */
function verdict(ifalias: string, { pods, containers, ports = [] }: World, peerElsewhere?: true): Verdict {
  const find = (_column: string, port: string): readonly string[] => ports.filter((one) => one === port);
  const ovs = { replica: { table: () => ({ find }) } } as unknown as Ovs;
  const known = new Store<Pod>();
  if (pods !== undefined) known.replace([...pods]);
  const objects = new Store<IP>();
  if (containers !== undefined) objects.replace([...containers]);
  const link = { ifname: 'h0123456789ab', ifalias, ...(peerElsewhere === undefined ? {} : { peerElsewhere }) };
  return judge({ ovs, pods: known, containers: { objects } }, link);
}
const first = alias('u', 'a.default');

describe('a pair without a row', () => {
  test.each<[string, string, World, Verdict]>([
    ['of a pod that is gone', first, { pods: [], containers: [] }, 'leftover'],
    ['of a pod whose next sandbox has its port', first, { pods: [pod()], ports: ['a.default'] }, 'leftover'],
    ['of a pod that has ended', first, { pods: [pod({}, 'Succeeded')] }, 'later'],
    ['before the pods are listed', first, { containers: [container] }, 'unlisted'],
    ['before the containers are listed', alias('o', 'attach-1'), { pods: [] }, 'unlisted'],
  ])('%s', (_what, ifalias, world, wanted) => {
    expect(verdict(ifalias, world, true)).toBe(wanted);
  });

  test('whose other end never came into a container is a leftover, whoever was to have it', () => {
    expect(verdict(first, { pods: [pod()] })).toBe('leftover');
  });

  test.each<[string, string, World, object]>([
    ['of a running pod', first, { pods: [pod()] }, { portName: 'a.default', subnet: 'net', defaultRoute: true }],
    [
      'of its further interface, with the default route that ADD decided',
      alias('u', 'nic_a.default_net1'),
      { pods: [pod({}, 'Running')] },
      { portName: 'nic_a.default_net1', subnet: 'blue', defaultRoute: true },
    ],
    [
      'of a container outside of Kubernetes',
      alias('o', 'attach-1', false),
      { pods: [pod()], containers: [container] },
      { portName: 'attach-1', object: 'attach-1', defaultRoute: false },
    ],
  ])('%s is connected again', (_what, ifalias, world, now) => {
    expect(verdict(ifalias, world, true)).toMatchObject({ now, note: attachment });
  });

  test.each<[string, string, World, string]>([
    ['an alias of an older agent', 'ovenbird', { pods: [pod()] }, 'its alias does not name it'],
    ['an interface that the pod has no more', alias('u', 'nic_a.default_net2'), { pods: [pod()] }, 'no address'],
    ['what cannot be read', first, { pods: [pod({ 'ovn.kubernetes.io/cidr': 'x' })] }, 'cannot read what the'],
  ])('%s: nobody knows what to connect', (_what, ifalias, world, why) => {
    expect(verdict(ifalias, world, true)).toMatchObject({ unknown: expect.stringContaining(why) as unknown });
  });
});
