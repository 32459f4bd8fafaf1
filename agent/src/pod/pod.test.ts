import { describe, expect, test } from 'vitest';
import type { NetlinkRequest } from '../netlink/message.ts';
import { type Announcement, checkRequestedAddress, readAnnouncement } from './announcement.ts';
import { KeyedLock } from './keyed-lock.ts';
import { isNetnsPath, openNetns } from './netns.ts';
import { type CniRequest, parseRequest, podIdentity } from './request.ts';
import { addResult } from './result.ts';
import { hostRequests, hostVethMac, hostVethName, isHostVethName, podRequests, type VethPlan } from './veth.ts';

const plan: VethPlan = {
  hostName: 'h0123456789ab',
  hostMac: 'fe:00:00:00:00:01',
  ifname: 'eth0',
  mac: '02:00:00:00:00:01',
  mtu: 1442,
  addresses: [
    { address: '10.16.0.10', prefix: 16, gateway: '10.16.0.1' },
    { address: 'fd00:10:16::a', prefix: 112, gateway: 'fd00:10:16::1' },
  ],
  defaultRoute: true,
  routes: [],
  disableOffload: true,
  ipv6: true,
};

describe('veth', () => {
  test('names are stable, valid and distinct', () => {
    expect(hostVethName('c1', 'eth0')).toMatch(/^h[0-9a-f]{12}$/);
    expect(
      ['h0123456789ab', hostVethName('c1', 'eth0'), 'h0123456789ag', 'h1', 'xh0123456789ab'].map(isHostVethName),
    ).toEqual([true, true, false, false, false]);
    expect(hostVethName('c1', 'eth0')).toBe(hostVethName('c1', 'eth0'));
    expect(new Set(['eth0', 'net1', 'eth01'].map((name) => hostVethName('c1', name))).size).toBe(3);
    expect(hostVethMac('c1', 'eth0')).toMatch(/^fe(:[0-9a-f]{2}){5}$/);
  });

  test('what is asked of the kernel, in the words of ip(8)', () => {
    const words = (requests: readonly NetlinkRequest[]): readonly string[] => requests.map(({ what }) => what);
    expect(words(hostRequests(plan, 9, 'ovenbird'))).toEqual([
      'ip link add h0123456789ab type veth peer eth0',
      'ip link set dev h0123456789ab alias ovenbird up',
    ]);
    expect(words(podRequests(plan, 2))).toEqual([
      'ip address add 10.16.0.10/16 dev eth0',
      'ip address add fd00:10:16::a/112 dev eth0 nodad',
      'ip link set dev eth0 up',
      'ip route add default via 10.16.0.1 dev eth0 onlink',
      'ip route add default via fd00:10:16::1 dev eth0 onlink',
    ]);
    const routes = [{ dst: '192.168.0.0/16', gateway: '10.16.0.9' }];
    expect(words(podRequests({ ...plan, routes }, 2))).toContain(
      'ip route add 192.168.0.0/16 via 10.16.0.9 dev eth0 onlink',
    );
    expect(words(podRequests({ ...plan, defaultRoute: false }, 2))).toHaveLength(3);
    expect(addResult('1.1.0', '/run/netns/x', { ...plan, routes }, undefined).routes.at(-1)).toEqual({
      dst: '192.168.0.0/16',
      gw: '10.16.0.9',
    });
  });
});

describe('result', () => {
  test.each(['0.3.1', '0.4.0', '1.0.0', '1.1.0'])('%s', (version) => {
    const result = addResult(version, '/run/netns/x', plan, { nameservers: ['10.96.0.10'] });
    expect(result.ips.map((ip) => ip['version'])).toEqual(
      version.startsWith('0.') ? ['4', '6'] : [undefined, undefined],
    );
    expect(result.interfaces.map((one) => one['mtu'])).toEqual(
      version === '1.1.0' ? [1442, 1442] : [undefined, undefined],
    );
    expect(result.interfaces[1]).toMatchObject({ name: 'eth0', sandbox: '/run/netns/x' });
    expect(result.interfaces[0]).not.toHaveProperty('sandbox');
    expect(result.dns).toEqual({ nameservers: ['10.96.0.10'] });
  });
});

const body = {
  command: 'ADD',
  containerId: 'c1',
  netns: '/run/netns/x',
  ifname: 'eth0',
  args: { K8S_POD_NAMESPACE: 'default', K8S_POD_NAME: 'a', K8S_POD_UID: 'u' },
  config: { cniVersion: '1.0.0', name: 'ovenbird' },
};

describe('request', () => {
  test('extra keys and null capabilities are tolerated', () => {
    const runtimeConfig = { 'io.kubernetes.cri.pod-annotations': null, portMappings: [{ HostPort: 1 }] };
    const config = { ...body.config, capabilities: { ips: true }, dns: {}, 'cni.dev/x': 1, runtimeConfig };
    expect(parseRequest({ ...body, config })).toMatchObject({ command: 'ADD', config: { name: 'ovenbird' } });
    expect(
      parseRequest({ ...body, config: { ...body.config, runtimeConfig: null } }).config.runtimeConfig,
    ).toBeUndefined();
  });

  test.each([
    [{ command: 'NO' }, 'decode'],
    [{ containerId: '' }, 'invalid-environment'],
    [{ containerId: 'a b' }, 'invalid-environment'],
    [{ ifname: '' }, 'invalid-environment'],
    [{ ifname: '.' }, 'invalid-environment'],
    [{ ifname: 'a"b' }, 'invalid-environment'],
    [{ ifname: 'a#b' }, 'invalid-environment'],
    [{ ifname: '-a' }, 'invalid-environment'],
    [{ netns: '' }, 'invalid-environment'],
    [{ args: { A: 1 } }, 'decode'],
    [{ config: [] }, 'decode'],
    [{ config: { cniVersion: '1.0.0' } }, 'invalid-config'],
    [{ config: { cniVersion: '0.2.0', name: 'x' } }, 'incompatible-version'],
    [{ command: 'CHECK', config: { cniVersion: '0.3.1', name: 'x' } }, 'incompatible-version'],
    [{ command: 'GC' }, 'incompatible-version'],
    [{ config: { ...body.config, runtimeConfig: { ips: 'x' } } }, 'invalid-config'],
  ])('%j is %s', (change, code) => {
    expect(() => parseRequest({ ...body, ...change })).toThrow(expect.objectContaining({ code }) as Error);
  });

  test('DEL needs no namespace; names of 1 and 15 characters work', () => {
    expect(parseRequest({ ...body, command: 'DEL', netns: '' }).netns).toBe('');
    expect(parseRequest({ ...body, ifname: 'abcdefghijklmno', containerId: 'a' }).ifname).toHaveLength(15);
  });

  test('the pod is named by CNI_ARGS', () => {
    expect(podIdentity(parseRequest(body))).toEqual({ namespace: 'default', name: 'a', uid: 'u' });
    expect(() => podIdentity(parseRequest({ ...body, args: { K8S_POD_NAME: 'a' } }))).toThrow('K8S_POD_NAMESPACE');
  });
});

describe('announcement', () => {
  const annotations = {
    'ovn.kubernetes.io/allocated': 'true',
    'ovn.kubernetes.io/routed': 'true',
    'ovn.kubernetes.io/ip_address': '10.16.0.10,fd00:10:16::a',
    'ovn.kubernetes.io/mac_address': '02:00:00:00:00:0A',
    'ovn.kubernetes.io/cidr': '10.16.0.0/16,fd00:10:16::/112',
    'ovn.kubernetes.io/gateway': '10.16.0.1,fd00:10:16::1',
    'ovn.kubernetes.io/logical_switch': 'net',
    'ovenbird.io/announced-uid': 'u',
  };
  const pod = (change: Record<string, string> = {}): Parameters<typeof readAnnouncement>[0] => ({
    metadata: { namespace: 'default', name: 'a', uid: 'u', annotations: { ...annotations, ...change } },
    spec: { nodeName: 'n1' },
  });

  test('is read whole', () => {
    expect(readAnnouncement(pod())).toEqual({
      label: 'pod default/a',
      portName: 'a.default',
      defaultRoute: true,
      namespace: 'default',
      name: 'a',
      uid: 'u',
      subnet: 'net',
      mac: '02:00:00:00:00:0a',
      addresses: plan.addresses,
      routes: [],
    });
    const routes = '[{"dst":"192.168.0.0/16","gw":"10.16.0.9"}]';
    expect(readAnnouncement(pod({ 'ovn.kubernetes.io/routes': routes }))?.routes).toEqual(JSON.parse(routes));
  });

  test('keys that a template brought along do not count', () => {
    expect(readAnnouncement(pod({ 'ovenbird.io/announced-uid': 'other' }))).toBeUndefined();
    expect(readAnnouncement(pod({ 'ovn.kubernetes.io/routed': 'false' }))).toBeUndefined();
  });

  test.each([
    ['ovn.kubernetes.io/ip_address', '10.16.0'],
    ['ovn.kubernetes.io/mac_address', 'x'],
    ['ovn.kubernetes.io/cidr', '10.16.0.0/16'],
    ['ovn.kubernetes.io/gateway', ''],
    ['ovn.kubernetes.io/logical_switch', ''],
  ])('a malformed %s is refused', (key, value) => {
    expect(() => readAnnouncement(pod({ [key]: value }))).toThrow(
      expect.objectContaining({ code: 'pod-refused' }) as Error,
    );
  });

  test('requested addresses must be the announced ones; the configuration wins over CNI_ARGS', () => {
    const announced = readAnnouncement(pod()) as Announcement;
    const ask = (config: object, args: Record<string, string>): CniRequest =>
      parseRequest({ ...body, args: { ...body.args, ...args }, config: { ...body.config, runtimeConfig: config } });
    checkRequestedAddress(announced, ask({ ips: ['10.16.0.10/16', 'fd00:10:16:0::a/112'] }, { IP: '1.2.3.4' }));
    checkRequestedAddress(announced, ask({}, { IP: '10.16.0.10', MAC: '02:00:00:00:00:0A' }));
    expect(() => checkRequestedAddress(announced, ask({ ips: ['10.16.0.11/16'] }, {}))).toThrow('10.16.0.11/16');
    expect(() => checkRequestedAddress(announced, ask({ ips: ['x'] }, {}))).toThrow('is not an IP address');
    expect(() => checkRequestedAddress(announced, ask({ mac: '02:00:00:00:00:0b' }, {}))).toThrow('02:00:00:00:00:0b');
  });
});

describe('network namespaces', () => {
  const dirs = ['/run/netns', '/var/run/netns'];
  test.each([
    ['/run/netns/a', true],
    ['/var/run/netns/cni-1', true],
    ['/run/netns/', false],
    ['/run/netns/../netns/a', false],
    ['/run/netns/a/b', false],
    ['/run/netnsx/a', false],
    ['/proc/1/ns/net', false],
    ['run/netns/a', false],
    ['', false],
  ])('%s: %s', (path, allowed) => {
    expect(isNetnsPath(path, dirs)).toBe(allowed);
  });

  test('/proc stands for the namespaces of processes only', () => {
    expect(isNetnsPath('/proc/12/ns/net', ['/proc'])).toBe(true);
    expect(isNetnsPath('/proc/12/ns/mnt', ['/proc'])).toBe(false);
    expect(isNetnsPath('/proc/self/ns/net', ['/proc'])).toBe(false);
  });

  test("a file is no namespace, and one's own is refused", async () => {
    await expect(openNetns('/etc/hostname', ['/etc'])).rejects.toThrow('is not a namespace');
    await expect(openNetns(`/proc/${process.pid}/ns/net`, ['/proc'])).rejects.toThrow("node's own");
    await expect(openNetns('/run/netns/does-not-exist', dirs)).rejects.toMatchObject({ code: 'invalid-netns' });
  });
});

test('a lock runs tasks of one key in order and others at once', async () => {
  const lock = new KeyedLock();
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = lock.run('a', async () => {
    await gate.promise;
    order.push('a1');
    throw new Error('a1 failed');
  });
  const second = lock.run('a', async () => order.push('a2'));
  await lock.run('b', async () => order.push('b'));
  expect(lock.size).toBe(1);
  gate.resolve();
  await expect(first).rejects.toThrow('a1 failed');
  await second;
  expect(order).toEqual(['b', 'a1', 'a2']);
  expect(lock.size).toBe(0);
});
