import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { exec, must, until } from './exec.ts';
import { NODE, NodeUnderTest, SHIM } from './node-under-test.ts';
import { announcedPod, cni, leftovers, podObject, portCommands, sandbox, type TestPod } from './pods.ts';

/** Nodes and pods with unusual settings of the kernel. */
const node = new NodeUnderTest();
const showLog = (): void => onTestFailed(() => console.log(node.log('agent').slice(-5000)));
const inside = (pod: TestPod, ...argv: readonly string[]): readonly string[] => [
  'nsenter',
  `--net=${pod.netns}`,
  ...argv,
];
const reach = (pod: TestPod, address: string): Promise<unknown> =>
  until(
    `${pod.name} reaches ${address}`,
    async () => (await exec(inside(pod, 'ping', '-c1', '-W1', address))).status === 0,
  );
const mtuOf = async (pod: TestPod): Promise<number | undefined> =>
  (JSON.parse(await must(inside(pod, 'ip', '-json', 'link', 'show', 'eth0'))) as { mtu: number }[])[0]?.mtu;
const subnet = (name: string, spec: Readonly<Record<string, unknown>>): never =>
  ({ apiVersion: 'ovenbird.io/v1', kind: 'Subnet', metadata: { name }, spec }) as never;

beforeAll(async () => {
  await node.start();
  // Of the node itself: what it has on its uplink stays out of it.
  await must(node.inNode('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1'));
  await node.startAgent();
});
afterAll(() => node.stop());

test('a node and a pod that have IPv6 switched off as such have their IPv6 addresses in the overlay', async () => {
  showLog();
  expect(await must(node.inNode('ip', '-6', 'address', 'show', 'dev', 'ovn0'))).toContain('fd00:100:64::2/112');
  const pod = await announcedPod(node, 1);
  for (const scope of ['all', 'default'])
    await must(inside(pod, 'sysctl', '-qw', `net.ipv6.conf.${scope}.disable_ipv6=1`));
  expect(await cni(node, 'ADD', pod)).toMatchObject({ status: 0 });
  for (const address of ['10.16.0.1', 'fd00:10:16::1', 'fd00:172::254']) await reach(pod, address);
  expect(await must(inside(pod, 'cat', '/proc/sys/net/ipv6/conf/default/disable_ipv6'))).toBe('1\n');
  expect((await cni(node, 'DEL', pod)).status).toBe(0);
});

test('an underlay too small for IPv6 costs no IPv6 address: pods keep 1280 and people are told', async () => {
  showLog();
  const pod = await announcedPod(node, 2);
  expect((await cni(node, 'ADD', pod)).status).toBe(0);
  await must(node.inNode('ip', 'link', 'set', 'uplink', 'mtu', '1300'));
  await until('the pod follows', async () => (await mtuOf(pod)) === 1280);
  const fragments = (): Promise<string> => node.vsctl('get', 'Open_vSwitch', '.', 'external_ids');
  await until('packets may be fragmented', async () => (await fragments()).includes('ovn-encap-df_default="false"'));
  await until('ovn0 follows', async () =>
    (await must(node.inNode('ip', 'link', 'show', 'ovn0'))).includes('mtu 1280 '),
  );
  for (const address of ['10.16.0.1', 'fd00:10:16::1']) await reach(pod, address);
  const late = await announcedPod(node, 3);
  expect((await cni(node, 'ADD', late)).status).toBe(0);
  await reach(late, 'fd00:10:16::1');
  await until('an Event names the link', async () =>
    JSON.stringify(await node.list('Event')).includes('the MTU of uplink (1300) leaves pods 1242 bytes'),
  );
  await must(node.inNode('ip', 'link', 'set', 'uplink', 'mtu', '1500'));
  for (const one of [pod, late]) {
    await until('the pod follows', async () => (await mtuOf(one)) === 1442);
    await reach(one, 'fd00:172::254');
    expect((await cni(node, 'DEL', one)).status).toBe(0);
  }
  await until('packets are whole again', async () => (await fragments()).includes('ovn-encap-df_default="true"'));
});

test('a Subnet of IPv4 alone may have an MTU that is too small for IPv6', async () => {
  showLog();
  await node.put('Subnet', subnet('small', { cidrBlock: '10.18.0.0/16', mtu: 1200 }));
  const pod = await sandbox(node, 4);
  const object = podObject(pod, true);
  await node.nbctl(...portCommands(pod));
  const annotations = {
    ...object.metadata.annotations,
    'ovn.kubernetes.io/ip_address': pod.ip4,
    'ovn.kubernetes.io/cidr': '10.16.0.0/16',
    'ovn.kubernetes.io/gateway': '10.16.0.1',
    'ovn.kubernetes.io/logical_switch': 'small',
  };
  await node.put('Pod', { ...object, metadata: { ...object.metadata, annotations } });
  expect(await cni(node, 'ADD', pod)).toMatchObject({ status: 0 });
  expect(await mtuOf(pod)).toBe(1200);
  await reach(pod, '10.16.0.1');
  expect((await cni(node, 'DEL', pod)).status).toBe(0);
  expect(await leftovers(node)).toEqual({ ports: [], links: [] });
});

test('the plugin comes back when somebody removes or cuts it', async () => {
  showLog();
  const [shim, { size }] = [node.path('bin/ovenbird'), statSync(SHIM)];
  const whole = async (): Promise<boolean> => existsSync(shim) && statSync(shim).size === size;
  expect(await whole()).toBe(true);
  rmSync(shim);
  await until('the plugin is back', whole);
  writeFileSync(shim, 'cut');
  await until('the plugin is whole', whole);
  expect(statSync(shim).mode & 0o777).toBe(0o755);
});

test('a hostPort that nothing serves is told; portmap is taken up when it comes', async () => {
  showLog();
  const asking = async (index: number): Promise<string> => {
    const object = podObject(await sandbox(node, index), false);
    const containers = [{ name: 'c', ports: [{ containerPort: 80, hostPort: 8080 }] }];
    await node.put('Pod', { ...object, spec: { nodeName: NODE, containers } } as never);
    return object.metadata.name;
  };
  const events = async (): Promise<readonly { reason: string; involvedObject: { name: string } }[]> =>
    ((await node.list('Event')) as never[]).filter(({ reason }) => reason === 'HostPortUnavailable');
  const first = await asking(6);
  await until('the pod is told', async () => (await events()).length > 0);
  symlinkSync('/usr/lib/cni/portmap', node.path('bin/portmap'));
  await until('portmap stands behind ours', async () =>
    readFileSync(node.path('net.d/10-ovenbird.conflist'), 'utf8').includes('portmap'),
  );
  const watched = async (): Promise<number> =>
    (JSON.parse((await node.query('/status')).body) as { watched: { pods: number } }).watched.pods;
  const before = await watched();
  await asking(7);
  await until('the agent has seen the next pod', async () => (await watched()) > before);
  rmSync(node.path('bin/portmap'));
  const last = await asking(8);
  await until('another pod is told', async () => (await events()).length > 1);
  expect((await events()).map(({ involvedObject }) => involvedObject.name)).toEqual([first, last]);
});

test('a cluster of IPv6 alone: ADD, the world, CHECK, DEL', async () => {
  showLog();
  await node.put('Subnet', subnet('net', { cidrBlock: 'fd00:10:16::/112', natOutgoing: true }));
  await node.put('Subnet', subnet('join', { cidrBlock: 'fd00:100:64::/112', natOutgoing: false }));
  const [object] = (await node.list('Node')) as [{ metadata: { annotations: Record<string, string> } }];
  const annotations = {
    ...object.metadata.annotations,
    'ovn.kubernetes.io/ip_address': 'fd00:100:64::2',
    'ovn.kubernetes.io/cidr': 'fd00:100:64::/112',
    'ovn.kubernetes.io/gateway': 'fd00:100:64::1',
  };
  const addresses = [{ type: 'InternalIP', address: 'fd00:172::1' }];
  await node.put('Node', { ...object, metadata: { name: NODE, annotations }, status: { addresses } } as never);
  await until('ovn0 has IPv6 alone', async () => {
    const shown = await must(node.inNode('ip', '-oneline', 'address', 'show', 'dev', 'ovn0'));
    return shown.includes('fd00:100:64::2/112') && !shown.includes('100.64.0.2');
  });
  const pod = await sandbox(node, 5);
  const pods = podObject(pod, true);
  const port = `${pod.name}.default`;
  await node.nbctl(...portCommands(pod), ['lsp-set-addresses', port, `${pod.mac} ${pod.ip6}`]);
  const announced = {
    ...pods.metadata.annotations,
    'ovn.kubernetes.io/ip_address': pod.ip6,
    'ovn.kubernetes.io/cidr': 'fd00:10:16::/112',
    'ovn.kubernetes.io/gateway': 'fd00:10:16::1',
  };
  await node.put('Pod', { ...pods, metadata: { ...pods.metadata, annotations: announced } });
  const added = await cni(node, 'ADD', pod);
  expect(added).toMatchObject({ status: 0 });
  expect(JSON.parse(added.stdout)).toMatchObject({
    ips: [{ address: `${pod.ip6}/112`, gateway: 'fd00:10:16::1' }],
    routes: [{ dst: '::/0', gw: 'fd00:10:16::1' }],
  });
  expect(await mtuOf(pod)).toBe(1500 - 78);
  await reach(pod, 'fd00:172::254');
  const config = node.cniConfig('1.0.0', { prevResult: JSON.parse(added.stdout) as unknown });
  expect(await cni(node, 'CHECK', pod, { config })).toMatchObject({ status: 0, stdout: '' });
  expect(await cni(node, 'DEL', pod)).toMatchObject({ status: 0, stdout: '' });
  expect(await leftovers(node)).toEqual({ ports: [], links: [] });
});
