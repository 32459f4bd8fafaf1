import { announcement, type IP, type PodInterface } from '@ovenbird/crds';
import type { Pod } from '@ovenbird/kube';
import { describe, expect, test } from 'vitest';
import { publishedBy, readContainer } from './containers.ts';
import { isContainer, isIpam, parseRequest } from './request.ts';
import { interfaceOf } from './resolve.ts';
import { ipamResult } from './result.ts';

const request = (
  ifname: string,
  config: Record<string, unknown> = {},
  args: Record<string, string> = { K8S_POD_NAMESPACE: 'default', K8S_POD_NAME: 'a' },
): ReturnType<typeof parseRequest> =>
  parseRequest({
    command: 'ADD',
    containerId: 'c1',
    netns: '/run/netns/x',
    ifname,
    args,
    config: { cniVersion: '1.0.0', name: 'net', type: 'ovenbird', ...config },
  });
const net1: PodInterface = {
  name: 'net1',
  provider: 'blue.default.ovn',
  port: 'nic_a.default_net1',
  subnet: 'blue',
  mac: '02:00:00:00:00:01',
  addresses: [{ address: '10.20.0.2', prefix: 24, gateway: '10.20.0.1' }],
};
const pod = (interfaces?: readonly PodInterface[]): Pod => ({
  metadata: {
    namespace: 'default',
    name: 'a',
    uid: 'u',
    annotations: {
      'ovn.kubernetes.io/allocated': 'true',
      'ovn.kubernetes.io/routed': 'true',
      'ovn.kubernetes.io/ip_address': '10.16.0.10',
      'ovn.kubernetes.io/mac_address': '02:00:00:00:00:0a',
      'ovn.kubernetes.io/cidr': '10.16.0.0/16',
      'ovn.kubernetes.io/gateway': '10.16.0.1',
      'ovn.kubernetes.io/logical_switch': 'net',
      'ovenbird.io/announced-uid': 'u',
      ...(interfaces === undefined ? {} : { [announcement.interfaces]: JSON.stringify(interfaces) }),
    },
  },
  spec: {},
  status: {},
});

describe("a pod's interfaces", () => {
  test('the name decides; what is not listed is the first one', () => {
    expect(interfaceOf(pod([net1]), request('net1'))).toMatchObject({
      portName: 'nic_a.default_net1',
      subnet: 'blue',
      defaultRoute: false,
      addresses: net1.addresses,
    });
    expect(interfaceOf(pod([net1]), request('eth0'))).toMatchObject({ portName: 'a.default', defaultRoute: true });
    expect(interfaceOf(pod(), request('net1'))).toMatchObject({ portName: 'a.default' });
  });

  test('one that is named without an address, or of a network that is not seen yet, is waited for', () => {
    expect(interfaceOf(pod([{ name: 'net1', provider: net1.provider }]), request('net1'))).toBeUndefined();
    expect(interfaceOf(pod(), request('net1', { provider: 'blue.default.ovn' }))).toBeUndefined();
    expect(interfaceOf(pod(), request('net1', { type: 'macvlan', ipam: { type: 'ovenbird' } }))).toBeUndefined();
  });

  test('who has the default routes', () => {
    const routed = pod([{ ...net1, defaultRoute: true }]);
    expect(interfaceOf(routed, request('net1'))?.defaultRoute).toBe(true);
    expect(interfaceOf(routed, request('eth0'))?.defaultRoute).toBe(false);
  });

  test('addresses for another plugin come without interfaces, and not for a port of OVN', () => {
    const macvlan = request('net1', { type: 'macvlan', ipam: { type: 'ovenbird' } });
    expect(isIpam(macvlan)).toBe(true);
    const { port: _, ...alone } = net1;
    const found = interfaceOf(pod([alone]), macvlan);
    expect(found === undefined ? undefined : ipamResult('0.4.0', found, undefined)).toEqual({
      cniVersion: '0.4.0',
      interfaces: [],
      ips: [{ version: '4', address: '10.20.0.2/24', gateway: '10.20.0.1' }],
      routes: [],
      dns: {},
    });
    expect(() => interfaceOf(pod([net1]), macvlan)).toThrow('is a port of OVN');
    expect(() => interfaceOf(pod([alone]), request('net1'))).toThrow('is made by another plugin');
  });
});

describe('containers outside of Kubernetes', () => {
  test('are calls that name no pod, but a subnet', () => {
    expect(isContainer(request('eth0', { subnet: 'lab' }, {}))).toBe(true);
    expect(isContainer(request('eth0', { subnet: 'lab' }, { K8S_POD_NAME: 'p1' }))).toBe(true);
    expect(isContainer(request('eth0', { subnet: 'lab' }))).toBe(false);
    expect(isContainer(request('eth0', {}, {}))).toBe(false);
    expect(() => request('eth0', { subnet: 'No_Name' })).toThrow('must be the name of an object');
  });

  const object = (annotations: Record<string, string>, reason?: string): IP => ({
    apiVersion: 'ovenbird.io/v1',
    kind: 'IP',
    metadata: { name: 'attach-1', uid: 'u', annotations },
    spec: { subnet: 'net', containerID: 'c1', attachment: { interface: 'eth0', network: 'n' } },
    ...(reason === undefined
      ? {}
      : {
          status: { conditions: [{ type: 'Ready', status: 'False', reason, message: 'no', lastTransitionTime: '' }] },
        }),
  });

  test('read what the controller wrote about this object, and why it did not', () => {
    const { annotations = {} } = pod().metadata;
    const announced = { ...annotations, 'ovn.kubernetes.io/port_name': 'attached_n_attach-1' };
    expect(readContainer(object(announced))).toMatchObject({
      portName: 'attached_n_attach-1',
      object: 'attach-1',
      uid: 'u',
    });
    expect(readContainer(object({ ...announced, 'ovenbird.io/announced-uid': 'other' }))).toBeUndefined();
    expect(readContainer(object({}))).toBeUndefined();
    for (const [reason, code] of [
      ['AddressTaken', 'address-mismatch'],
      ['SubnetExhausted', 'try-again'],
      ['SubnetForbidden', 'pod-refused'],
    ] as const) {
      expect(() => readContainer(object({}, reason))).toThrow(expect.objectContaining({ code, message: 'no' }));
    }
  });
});

describe('what a container publishes', () => {
  const published = (portMappings: unknown) =>
    publishedBy(
      parseRequest({
        command: 'ADD',
        containerId: 'c1',
        netns: '/run/netns/x',
        ifname: 'eth0',
        config: { cniVersion: '1.0.0', name: 'ovn', subnet: 'ovn-default', runtimeConfig: { portMappings } },
      }),
    );

  test('is in its IP object, whatever the case of the keys; ports without one of the node are not', () => {
    expect(
      published([
        { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
        { HostPort: 8053, ContainerPort: 53, Protocol: 'UDP', HostIP: 'FD00::0:1' },
        { hostPort: 0, containerPort: 1 },
        { containerPort: 2 },
      ]),
    ).toEqual({
      ports: [
        { hostPort: 8080, containerPort: 80, protocol: 'TCP' },
        { hostPort: 8053, containerPort: 53, protocol: 'UDP', hostIP: 'fd00::1' },
      ],
    });
    for (const nothing of [undefined, null, [], [{ containerPort: 2 }]]) expect(published(nothing)).toEqual({});
  });

  test.each([
    [{ hostPort: 1, containerPort: 2, protocol: 'icmp' }, '"icmp" is not tcp, udp or sctp'],
    [{ hostPort: 1 }, 'port 1 of the node: containerPort is missing'],
    [{ hostPort: 1, containerPort: 2, hostIP: 'here' }, '"here" is no address'],
    [{ hostPort: 70_000, containerPort: 2 }, 'runtimeConfig.portMappings.0.hostPort'],
    ['8080:80', 'runtimeConfig.portMappings'],
  ])('%j is refused', (mapping, message) => {
    expect(() => published([mapping])).toThrow(message);
  });
});
