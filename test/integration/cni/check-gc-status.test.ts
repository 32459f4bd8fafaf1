/** Checks 36-39: CHECK. Checks 40-45: STATUS and GC. */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { type Ended, must, until } from '../agent/exec.ts';
import { NodeUnderTest } from '../agent/node-under-test.ts';
import { announcedPod, leftovers, type TestPod } from '../agent/pods.ts';
import { expectError, expectSilent, plugin, type Result, reaches, resultOf, variables } from './runtime.ts';

const node = new NodeUnderTest();
let pods = 0;
beforeAll(async () => {
  await node.start();
  await node.startAgent();
}, 90_000);
afterAll(() => node.stop());
beforeEach(() => onTestFailed(() => console.log(node.log('agent').slice(-4000))));

const nextPod = (): Promise<TestPod> => {
  pods += 1;
  return announcedPod(node, pods);
};
const call = (
  command: string,
  pod: TestPod,
  version = '1.1.0',
  config: Readonly<Record<string, unknown>> = {},
): Promise<Ended> => plugin(variables(node, command, pod), node.cniConfig(version, config));
const check = (pod: TestPod, prevResult: unknown, version = '1.1.0'): Promise<Ended> =>
  call('CHECK', pod, version, { prevResult });
const inPod = (pod: TestPod, ...argv: readonly string[]): Promise<string> =>
  must(['nsenter', `--net=${pod.netns}`, ...argv]);
const status = (version = '1.1.0'): Promise<Ended> =>
  plugin({ CNI_COMMAND: 'STATUS', CNI_PATH: '/opt/cni/bin' }, node.cniConfig(version));
const gc = (config: Readonly<Record<string, unknown>>, version = '1.1.0'): Promise<Ended> =>
  plugin({ CNI_COMMAND: 'GC', CNI_PATH: '/opt/cni/bin' }, node.cniConfig(version, config));
const hostLinkOf = (result: Result): string => result.interfaces[0]?.name ?? '';

describe('CHECK', () => {
  test.each(['0.4.0', '1.0.0', '1.1.0'])('36: succeeds after ADD (%s)', async (version) => {
    const pod = await nextPod();
    const result = resultOf(await call('ADD', pod, version));
    expectSilent(await check(pod, result, version));
    expectSilent(await call('DEL', pod, version, { prevResult: result }));
  });

  test('36: is no command of 0.3.1', async () => {
    const pod = await nextPod();
    const result = resultOf(await call('ADD', pod, '0.3.1'));
    expectError(await check(pod, result, '0.3.1'), 1, '0.3.1', '0.3.1');
    expectSilent(await call('DEL', pod, '0.3.1'));
  });

  const damages: [string, (pod: TestPod, host: string) => Promise<unknown>, string][] = [
    ['the interface', (pod) => inPod(pod, 'ip', 'link', 'delete', 'eth0'), ''],
    ['the IPv4 address', (pod) => inPod(pod, 'ip', '-4', 'address', 'flush', 'dev', 'eth0'), '10.16.'],
    ['the IPv6 address', (pod) => inPod(pod, 'ip', '-6', 'address', 'flush', 'dev', 'eth0'), 'fd00:'],
    ['the IPv4 default route', (pod) => inPod(pod, 'ip', 'route', 'delete', 'default'), 'default route'],
    ['the IPv6 default route', (pod) => inPod(pod, 'ip', '-6', 'route', 'delete', 'default'), 'default route'],
    ['the link (down)', (pod) => inPod(pod, 'ip', 'link', 'set', 'eth0', 'down'), 'down'],
    ['the MAC', (pod) => inPod(pod, 'ip', 'link', 'set', 'eth0', 'address', '02:ff:00:00:00:01'), '02:ff:00:00:00:01'],
    ['the host link (down)', (_, host) => must(node.inNode('ip', 'link', 'set', host, 'down')), 'down'],
    ['the host link (deleted)', (_, host) => must(node.inNode('ip', 'link', 'delete', host)), ''],
    // Of one that the agent knows for its own it makes the port anew (test/integration/agent/lost-ports.test.ts).
    [
      'the OVS port',
      async (_, host) => {
        await must(node.inNode('ip', 'link', 'set', host, 'alias', 'foreign'));
        await node.vsctl('del-port', 'br-int', host);
      },
      'br-int',
    ],
    [
      "OVN's flows",
      (_, host) => node.vsctl('remove', 'Interface', host, 'external_ids', 'iface-id'),
      'OVN has not installed',
    ],
  ];
  test.each(damages)('37: fails without %s', async (_name, damage, word) => {
    const pod = await nextPod();
    const result = resultOf(await call('ADD', pod));
    const host = hostLinkOf(result);
    await damage(pod, host);
    await until('CHECK notices', async () => (await check(pod, result)).status !== 0);
    expectError(await check(pod, result), [105, 11], word, '1.1.0');
    expectSilent(await call('DEL', pod));
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('38: needs prevResult; what later plugins changed and wrote there is right', async () => {
    const pod = await nextPod();
    const result = resultOf(await call('ADD', pod));
    expectError(await check(pod, undefined), 7, 'prevResult');
    expectError(await check(pod, { interfaces: 'none' }), 7, 'prevResult.interfaces');
    await inPod(pod, 'ip', 'route', 'add', '192.0.2.0/24', 'via', '10.16.0.1');
    await inPod(pod, 'ip', 'address', 'add', '198.51.100.1/32', 'dev', 'eth0');
    const mac = '02:FF:00:00:00:02';
    await inPod(pod, 'ip', 'link', 'set', 'eth0', 'address', mac);
    const changed: Result = {
      ...result,
      interfaces: result.interfaces.map((one) => (one.name === 'eth0' ? { ...one, mac } : one)),
      routes: [...(result.routes ?? []), { dst: '192.0.2.0/24', gw: '10.16.0.1' }],
    };
    expectSilent(await check(pod, changed));
    expectError(await check(pod, result), 105, 'MAC');
    // As Multus does where another interface gets the default route of a family.
    await inPod(pod, 'ip', '-6', 'route', 'delete', 'default');
    expectError(await check(pod, changed), 105, 'the default route via fd00:10:16::1 is missing');
    expectSilent(await check(pod, { ...changed, routes: changed.routes?.filter(({ dst }) => dst !== '::/0') }));
    expectSilent(await call('DEL', pod));
  });
});

describe('STATUS', () => {
  test('40: ready; before 1.1.0 no command', async () => {
    expectSilent(await status());
    for (const version of ['0.3.1', '0.4.0', '1.0.0']) expectError(await status(version), 1, version, version);
  });

  test('39, 40, 41: without ovs-vswitchd CHECK fails and STATUS is 51; DEL works; all heals', async () => {
    const [stays, goes] = [await nextPod(), await nextPod()];
    const result = resultOf(await call('ADD', stays));
    resultOf(await call('ADD', goes));
    await node.kill('vswitchd');
    expectError(await status(), 51, 'ovs-vswitchd', '1.1.0');
    expectError(await check(stays, result), 105, 'ovs-vswitchd');
    expect((await node.query('/readyz')).status).toBe(503);
    expectSilent(await call('DEL', goes));
    node.startSwitch();
    await until('STATUS succeeds again', async () => (await status()).status === 0);
    await until('CHECK succeeds again', async () => (await check(stays, result)).status === 0, 30_000);
    // ovn-controller fills the new switch after ovn-ofctrl-wait-before-clear.
    await until('the pod has network again', () => reaches(stays.netns, '10.16.0.1'), 30_000);
    expectSilent(await call('DEL', stays));
  });

  test('40, 41: without ovn-controller, or its database, STATUS is 50; ADD works once it is back', async () => {
    const [stays, waits] = [await nextPod(), await nextPod()];
    const result = resultOf(await call('ADD', stays));
    await node.kill('ovn-controller');
    expectError(await status(), 50, 'ovn-controller does not run', '1.1.0');
    // Flows outlive it.
    expectSilent(await check(stays, result));
    expect(await reaches(stays.netns, '10.16.0.1')).toBe(true);
    const adding = call('ADD', waits);
    await until('the new port waits', async () => (await leftovers(node)).ports.length === 2);
    node.startController();
    resultOf(await adding);
    await until('STATUS succeeds again', async () => (await status()).status === 0);
    await node.vsctl('set', 'Open_vSwitch', '.', 'external_ids:ovn-remote-probe-interval=1000');
    await node.kill('sb');
    await until('STATUS notices', async () => (await status()).status !== 0);
    expectError(await status(), 50, 'not connected to the southbound database', '1.1.0');
    node.startDatabase('sb');
    await until('STATUS succeeds again', async () => (await status()).status === 0, 30_000);
    for (const pod of [stays, waits]) expectSilent(await call('DEL', pod));
  });

  test('42, 41: with every Subnet full STATUS is 50, the node stays ready, and ADD is none the worse', async () => {
    const subnets = (await node.list('Subnet')) as { metadata: { name: string } }[];
    const net = subnets.find(({ metadata }) => metadata.name === 'net');
    if (net === undefined) throw new Error('the harness makes a Subnet net');
    await node.put('Subnet', { ...net, status: { v4availableIPs: 0, v6availableIPs: 9 } } as never);
    await until('STATUS notices', async () => (await status()).status !== 0);
    expectError(await status(), 50, 'no Subnet has a free address: net (', '1.1.0');
    expect((await node.query('/readyz')).status).toBe(200);
    const pod = await nextPod();
    resultOf(await call('ADD', pod));
    expectSilent(await call('DEL', pod));
    await node.put('Subnet', net);
    await until('STATUS succeeds again', async () => (await status()).status === 0);
  });
});

describe('GC', () => {
  test('43, 44: keeps what is listed, in its own network; [] means nothing is valid, no list means do not know', async () => {
    const [keep, drop, other] = [await nextPod(), await nextPod(), await nextPod()];
    const kept = hostLinkOf(resultOf(await call('ADD', keep)));
    resultOf(await call('ADD', drop));
    const elsewhere = hostLinkOf(resultOf(await call('ADD', other, '1.1.0', { name: 'elsewhere' })));
    const ports = async (): Promise<string[]> => (await leftovers(node)).ports.sort();
    const valid = [{ containerID: keep.containerId, ifname: 'eth0' }];
    for (const version of ['0.4.0', '1.0.0']) {
      expectError(await gc({ 'cni.dev/valid-attachments': valid }, version), 1, version, version);
    }
    for (const list of [{}, { 'cni.dev/valid-attachments': null }]) {
      expectSilent(await gc(list));
      expect(await ports()).toHaveLength(3);
    }
    expectSilent(await gc({ 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid }));
    expect(await ports()).toEqual([kept, elsewhere].sort());
    expect(await reaches(keep.netns, '10.16.0.1')).toBe(true);
    // Same container, another interface: not the one that is there.
    expectSilent(await gc({ 'cni.dev/valid-attachments': [{ containerID: keep.containerId, ifname: 'net1' }] }));
    expect(await ports()).toEqual([elsewhere]);
    expectSilent(await gc({ 'cni.dev/valid-attachments': [] }));
    expect(await ports()).toEqual([elsewhere]);
    expect(await reaches(other.netns, '10.16.0.1')).toBe(true);
    expectSilent(await gc({ 'cni.dev/valid-attachments': [], name: 'elsewhere' }));
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test.each([['none'], [[{ containerID: 5 }]], [[null]], [{}]])('44: the malformed list %j is named', async (list) => {
    expectError(await gc({ 'cni.dev/valid-attachments': list }), 7, 'cni.dev/valid-attachments');
  });

  test('45: goes on after an error and reports it; the next one heals', async () => {
    const [stuck, fine] = [await nextPod(), await nextPod()];
    const link = hostLinkOf(resultOf(await call('ADD', stuck)));
    resultOf(await call('ADD', fine));
    // A link of that name that cannot be deleted: the loopback.
    const swap = (from: string, to: string): readonly string[] => [
      `link set dev ${from} down`,
      `link set dev ${from} name ${to}`,
      `link set dev ${to} up`,
    ];
    const rename = (...lines: readonly string[]): Promise<string> =>
      must(node.inNode('ip', '-batch', '-'), { input: `${lines.join('\n')}\n` });
    await rename(...swap(link, 'aside'), ...swap('lo', link));
    const message = expectError(
      await gc({ 'cni.dev/valid-attachments': [] }),
      11,
      `ip link delete dev ${link}: operation not supported`,
      '1.1.0',
    );
    expect(message).toContain(stuck.containerId);
    expect(message).not.toContain(`${fine.containerId} `);
    expect(await leftovers(node)).toEqual({ ports: [], links: [link] });
    await rename(...swap(link, 'lo'), ...swap('aside', link));
    expectSilent(await gc({ 'cni.dev/valid-attachments': [] }));
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });
});
