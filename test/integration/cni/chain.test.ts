/** Checks 28-30 and 49: the plugin in chains, with the stock plugins of containernetworking/plugins 1.1.1. */
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { exec, must, until } from '../agent/exec.ts';
import { NodeUnderTest } from '../agent/node-under-test.ts';
import { announcedPod, leftovers, type TestPod } from '../agent/pods.ts';
import {
  Chain,
  expectError,
  expectSilent,
  ipJson,
  type PluginConfig,
  plugin,
  resultOf,
  VERSIONS,
  variables,
} from './runtime.ts';

const node = new NodeUnderTest();
let pods = 0;
beforeAll(async () => {
  await node.start();
  mkdirSync(node.path('bin'));
  symlinkSync('/usr/lib/cni/portmap', node.path('bin/portmap'));
  await node.startAgent();
  await must(node.inNode('ip', 'link', 'set', 'lo', 'up'));
}, 90_000);
afterAll(() => node.stop());
beforeEach(() => onTestFailed(() => console.log(node.log('agent').slice(-4000))));

const nextPod = (): Promise<TestPod> => {
  pods += 1;
  return announcedPod(node, pods);
};
const own = (): Record<string, unknown> & { type: string } => ({
  type: 'ovenbird',
  socket: node.path('cni/cni.sock'),
});
/** Answers each TCP connection with the pod's name. */
function serve(pod: TestPod, port: number): void {
  const script = `require('net').createServer((s) => s.on('error', () => {}).end('${pod.name}')).listen(${port}, "::")`;
  node.daemon(`server-${pod.name}`, ['nsenter', `--net=${pod.netns}`, process.execPath, '-e', script]);
}
/** What a TCP server says to a client in a namespace. */
async function ask(netns: string, address: string, port: number): Promise<string> {
  const script = `const s = require('net').connect(${port}, '${address}'); s.setTimeout(1000, () => s.destroy()); s.on('error', () => {}).pipe(process.stdout)`;
  return (await exec(['nsenter', `--net=${netns}`, process.execPath, '-e', script])).stdout;
}
const outside = (): string => `/run/netns/${node.outside}`;
const qdiscs = async (link: string): Promise<string> => must(node.inNode('tc', 'qdisc', 'show', 'dev', link));
const hostLinks = async (): Promise<string[]> =>
  (await ipJson<{ ifname: string }>(`/run/netns/${node.namespace}`, 'link', 'show')).map(({ ifname }) => ifname);

describe('first, with stock portmap and bandwidth behind it', () => {
  const mapped = { hostPort: 18_080, containerPort: 8080, protocol: 'tcp' };
  const limits = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 };
  test.each(['0.3.1', '0.4.0', '1.0.0'])('29, 30, 49: ADD, CHECK, DEL (%s)', async (version) => {
    const pod = await nextPod();
    serve(pod, mapped.containerPort);
    const before = await hostLinks();
    const chain = new Chain(
      node,
      version,
      [
        own(),
        { type: 'portmap', capabilities: { portMappings: true } },
        { type: 'bandwidth', capabilities: { bandwidth: true } },
      ],
      { portMappings: [mapped], bandwidth: limits },
    );
    const result = await chain.add(pod);
    expect(result.cniVersion).toBe(version);
    const host = result.interfaces[0]?.name ?? '';
    expect(result.interfaces[1]).toMatchObject({ name: 'eth0', sandbox: pod.netns, mac: pod.mac });
    expect(result.ips[0]).toMatchObject({ address: `${pod.ip4}/16`, interface: 1 });
    expect(await qdiscs(host)).toContain('qdisc tbf');
    // bandwidth added the ifb device through which it limits what the pod sends.
    expect(result.interfaces).toHaveLength(3);
    await until('the world reaches the mapped port', async () =>
      (await ask(outside(), '172.31.0.1', mapped.hostPort)).includes(pod.name),
    );
    // CHECK of portmap 1.1.1 looks for the rules of IPv4 in IPv6's table and fails for every container of a dual-stack node.
    if (version !== '0.3.1') await chain.check(pod, ['portmap']);
    await chain.delete(pod);
    expect(await ask(outside(), '172.31.0.1', mapped.hostPort)).toBe('');
    expect((await hostLinks()).sort()).toEqual(before.sort());
    expect(await must(node.inNode('iptables', '-t', 'nat', '-S'))).not.toContain(pod.ip4);
    await chain.delete(pod);
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('29: limits outlive other changes of the switch', async () => {
    const [pod, other] = [await nextPod(), await nextPod()];
    const chain = new Chain(node, '1.0.0', [own(), { type: 'bandwidth', ...limits }]);
    const host = (await chain.add(pod)).interfaces[0]?.name ?? '';
    const config = node.cniConfig('1.0.0');
    resultOf(await plugin(variables(node, 'ADD', other), config));
    expectSilent(await plugin(variables(node, 'DEL', other), config));
    expect(await qdiscs(host)).toContain('qdisc tbf');
    await node.kill('vswitchd');
    node.startSwitch();
    resultOf(await plugin(variables(node, 'ADD', other), config));
    expectSilent(await plugin(variables(node, 'DEL', other), config));
    expect(await qdiscs(host)).toContain('qdisc tbf');
    await chain.delete(pod);
  });
});

test('49, 54: the installed configuration maps ports of both families and limits bandwidth', async () => {
  const pod = await nextPod();
  serve(pod, 8080);
  const path = node.path('net.d/10-ovenbird.conflist');
  await until('it is installed', async () => existsSync(path));
  const list = JSON.parse(readFileSync(path, 'utf8')) as { cniVersion: string; plugins: PluginConfig[] };
  const chain = new Chain(node, list.cniVersion, list.plugins, {
    portMappings: [{ hostPort: 18_081, containerPort: 8080, protocol: 'tcp' }],
    bandwidth: { ingressRate: 80_000_000, egressRate: 80_000_000 },
  });
  const result = await chain.add(pod);
  expect(result.interfaces).toHaveLength(2);
  expect(await qdiscs(result.interfaces[0]?.name ?? '')).toContain('rate 80Mbit');
  for (const address of ['172.31.0.1', 'fd00:172::1']) {
    await until(`the world reaches port 18081 of ${address}`, async () =>
      (await ask(outside(), address, 18_081)).includes(pod.name),
    );
  }
  await chain.delete(pod);
  expect(await ask(outside(), '172.31.0.1', 18_081)).toBe('');
  expect(await leftovers(node)).toEqual({ ports: [], links: [] });
});

describe('second', () => {
  test.each(VERSIONS)('28, 30: its result holds that of the plugin before it (%s)', async (version) => {
    const pod = await nextPod();
    const legacy = version.startsWith('0.');
    const prevResult = {
      cniVersion: version,
      interfaces: [
        { name: 'lo', mac: '00:00:00:00:00:00', sandbox: pod.netns },
        { name: 'vlan7', mac: '02:00:00:00:00:99' },
      ],
      ips: [{ address: '127.0.0.1/8', interface: 0, ...(legacy ? { version: '4' } : {}) }],
      routes: [{ dst: '192.0.2.0/24' }],
      dns: { nameservers: ['192.0.2.53'] },
    };
    const config = { ...node.cniConfig(version), prevResult };
    const result = resultOf(await plugin(variables(node, 'ADD', pod), config));
    expect(result.cniVersion).toBe(version);
    expect(result.interfaces.slice(0, 2)).toEqual(prevResult.interfaces);
    expect(result.interfaces[3]).toMatchObject({ name: 'eth0', mac: pod.mac, sandbox: pod.netns });
    expect(result.ips[0]).toEqual(prevResult.ips[0]);
    expect(result.ips.slice(1)).toMatchObject([{ interface: 3 }, { interface: 3 }]);
    expect(result.ips.map((ip) => ip.version)).toEqual(legacy ? ['4', '4', '6'] : [undefined, undefined, undefined]);
    expect(result.routes?.map(({ dst }) => dst)).toEqual(['192.0.2.0/24', '0.0.0.0/0', '::/0']);
    expect(result.dns).toEqual(prevResult.dns);
    const last = { ...node.cniConfig(version), prevResult: result };
    if (version !== '0.3.1') expectSilent(await plugin(variables(node, 'CHECK', pod), last));
    expectSilent(await plugin(variables(node, 'DEL', pod), last));
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('28: behind a plugin that has made the interface already it refuses, and the chain can be deleted', async () => {
    const pod = await nextPod();
    const plugins = [
      { type: 'ptp', ipam: { type: 'static', addresses: [{ address: '192.0.2.2/29', gateway: '192.0.2.1' }] } },
      own(),
      { type: 'tuning', mtu: 1300 },
    ];
    const chain = new Chain(node, '1.0.0', plugins);
    await expect(chain.add(pod)).rejects.toThrow('already has an interface named eth0');
    await chain.delete(pod);
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('28: a prevResult that cannot be read is named', async () => {
    const pod = await nextPod();
    for (const [prevResult, word] of [
      ['none', 'prevResult'],
      [{ interfaces: [{}] }, 'prevResult.interfaces.0.name'],
      [{ ips: [{ address: '10.0.0.1/8', interface: -1 }] }, 'prevResult.ips.0.interface'],
    ] as const) {
      expectError(await plugin(variables(node, 'ADD', pod), node.cniConfig('1.0.0', { prevResult })), 7, word);
    }
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('28: a default route of an earlier plugin is not replaced', async () => {
    const pod = await nextPod();
    const inPod = (...argv: string[]): Promise<string> => must(['nsenter', `--net=${pod.netns}`, ...argv]);
    await inPod('ip', 'link', 'add', 'first0', 'type', 'veth', 'peer', 'name', 'peer0');
    await inPod('ip', 'link', 'set', 'first0', 'up');
    await inPod('ip', 'route', 'add', 'default', 'dev', 'first0');
    const prevResult = { cniVersion: '1.0.0', interfaces: [{ name: 'first0', sandbox: pod.netns }] };
    const config = node.cniConfig('1.0.0', { prevResult });
    expectError(await plugin(variables(node, 'ADD', pod), config), 103, 'default');
    expect(await inPod('ip', 'route', 'show', 'default')).toContain('first0');
    expectSilent(await plugin(variables(node, 'DEL', pod), config));
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });
});
