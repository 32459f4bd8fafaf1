/** Checks 16-27: ADD. Checks 31-35: DEL. */
import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { type Ended, exec, must, until } from '../agent/exec.ts';
import { NodeUnderTest } from '../agent/node-under-test.ts';
import { announcedPod, leftovers, podObject, sandbox, type TestPod } from '../agent/pods.ts';
import {
  expectError,
  expectSilent,
  inside,
  ipJson,
  plugin,
  type Result,
  reaches,
  resultOf,
  VERSIONS,
  variables,
} from './runtime.ts';

const node = new NodeUnderTest();
let pods = 0;
beforeAll(async () => {
  await node.start();
  await node.startAgent();
}, 90_000);
afterAll(() => node.stop());
beforeEach(() => onTestFailed(() => console.log(node.log('agent').slice(-4000))));

const nothing = { ports: [], links: [] };
const nextPod = (): Promise<TestPod> => {
  pods += 1;
  return announcedPod(node, pods);
};
/** A sandbox whose pod has neither object nor port. */
const nextSandbox = (): Promise<TestPod> => {
  pods += 1;
  return sandbox(node, pods);
};
const call = (
  command: string,
  pod: TestPod,
  options: { version?: string; ifname?: string; env?: NodeJS.ProcessEnv; config?: Record<string, unknown> } = {},
): Promise<Ended> =>
  plugin(
    { ...variables(node, command, pod, options.ifname), ...options.env },
    node.cniConfig(options.version ?? '1.0.0', options.config),
  );
const expectClean = async (): Promise<void> => expect(await leftovers(node)).toEqual(nothing);

interface Link {
  ifname: string;
  address: string;
  mtu: number;
  flags: string[];
  addr_info: { local: string; prefixlen: number; scope: string }[];
}
interface Route {
  dst: string;
  gateway?: string;
  dev: string;
}

describe('ADD', () => {
  test.each(['eth0', 'net1'])('16, 18, 21: the kernel has what the result says (%s)', async (ifname) => {
    const pod = await nextPod();
    const result = resultOf(await call('ADD', pod, { version: '1.1.0', ifname }));
    const [link] = await ipJson<Link>(pod.netns, 'address', 'show', 'dev', ifname);
    expect(link?.flags).toContain('UP');
    const own = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox === pod.netns);
    expect(result.interfaces[own]).toEqual({ name: ifname, mac: link?.address, sandbox: pod.netns, mtu: link?.mtu });
    const host = result.interfaces.filter(({ sandbox }) => sandbox === undefined);
    expect(host).toHaveLength(1);
    const [hostLink] = await ipJson<Link>(`/run/netns/${node.namespace}`, 'link', 'show', 'dev', host[0]?.name ?? '');
    expect(host[0]).toMatchObject({ mac: hostLink?.address, mtu: hostLink?.mtu });
    expect(result.ips).toHaveLength(2);
    for (const ip of result.ips) expect(ip.interface).toBe(own);
    const global = link?.addr_info.filter(({ scope }) => scope === 'global') ?? [];
    expect(result.ips.map(({ address }) => address)).toEqual(
      global.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    );
    expect(result.dns).toEqual({});
    expect(result.routes).toEqual(result.ips.map((ip) => ({ dst: expect.any(String) as string, gw: ip.gateway })));
    for (const { dst, gw } of result.routes ?? []) {
      const family = dst.includes(':') ? '-6' : '-4';
      const routes = await ipJson<Route>(pod.netns, family, 'route', 'show', 'default');
      expect(['0.0.0.0/0', '::/0']).toContain(dst);
      expect(routes).toMatchObject([{ dst: 'default', gateway: gw, dev: ifname }]);
      expect(await reaches(pod.netns, gw ?? '')).toBe(true);
    }
    expectSilent(await call('DEL', pod, { ifname }));
    await expectClean();
  });

  test('17: an interface that exists is left untouched', async () => {
    const pod = await nextPod();
    await must(['nsenter', `--net=${pod.netns}`, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other']);
    const before = await ipJson(pod.netns, 'address', 'show', 'dev', 'eth0');
    expectError(await call('ADD', pod), 102, 'eth0');
    expect(await ipJson(pod.netns, 'address', 'show', 'dev', 'eth0')).toEqual(before);
    expectSilent(await call('DEL', pod));
    expect(await ipJson(pod.netns, 'address', 'show', 'dev', 'eth0')).toEqual(before);
    await expectClean();
  });

  test.each(VERSIONS)('19, 20: the shape of version %s', async (version) => {
    const pod = await nextPod();
    const result = resultOf(await call('ADD', pod, { version }));
    expect(result.cniVersion).toBe(version);
    expect(result.ips.map((ip) => ip.version)).toEqual(version.startsWith('0.') ? ['4', '6'] : [undefined, undefined]);
    const later = version === '1.1.0' ? ['mtu'] : [];
    for (const one of result.interfaces) {
      const known = new Set(['name', 'mac', 'sandbox']);
      expect(Object.keys(one).filter((key) => !known.has(key))).toEqual(later);
    }
    for (const route of result.routes ?? []) expect(Object.keys(route).sort()).toEqual(['dst', 'gw']);
    expectSilent(await call('DEL', pod, { version }));
  });

  test.each([2, 20])('22: %i at once get distinct addresses and MACs', async (count) => {
    const some = await Promise.all(Array.from({ length: count }, nextPod));
    const results = (await Promise.all(some.map((pod) => call('ADD', pod)))).map(resultOf);
    expect(new Set(results.map(({ ips }) => ips[0]?.address)).size).toBe(count);
    expect(new Set(results.map(({ interfaces }) => interfaces[1]?.mac)).size).toBe(count);
    expect(new Set(results.map(({ interfaces }) => interfaces[0]?.name)).size).toBe(count);
    for (const ended of await Promise.all(some.map((pod) => call('DEL', pod)))) expectSilent(ended);
    await expectClean();
  });

  test('23: a second interface that the pod asks for is an attachment of its own', async () => {
    const pod = await nextPod();
    const object = podObject(pod, true);
    const further = {
      name: 'net1',
      provider: 'blue.default.ovn',
      port: `nic_${pod.name}.default_net1`,
      subnet: 'net',
      mac: '02:00:00:00:23:01',
      addresses: [{ address: '10.16.23.1', prefix: 16, gateway: '10.16.0.1' }],
    };
    Object.assign(object.metadata.annotations ?? {}, { 'ovenbird.io/interfaces': JSON.stringify([further]) });
    await node.nbctl(
      ['lsp-add', 'net', further.port],
      ['lsp-set-addresses', further.port, `${further.mac} 10.16.23.1`],
      ['lsp-set-options', further.port, `iface-id-ver=${pod.uid}`],
    );
    await node.put('Pod', object);
    const first = resultOf(await call('ADD', pod));
    const second = resultOf(await call('ADD', pod, { ifname: 'net1' }));
    expect(second.ips.map(({ address }) => address)).toEqual(['10.16.23.1/16']);
    expect(second.routes).toEqual([]);
    for (const [ifname, prevResult] of [
      ['eth0', first],
      ['net1', second],
    ] as const) {
      expectSilent(await call('CHECK', pod, { ifname, config: { prevResult } }));
    }
    expectSilent(await call('DEL', pod, { ifname: 'net1' }));
    expect((await inside(pod.netns, 'ip', 'link', 'show', 'net1')).status).not.toBe(0);
    expect(await reaches(pod.netns, '10.16.0.1')).toBe(true);
    resultOf(await call('ADD', pod, { ifname: 'net1' }));
    expectSilent(await call('DEL', pod));
    expect((await inside(pod.netns, 'ip', 'link', 'show', 'net1')).status).toBe(0);
    expectSilent(await call('DEL', pod, { ifname: 'net1' }));
    await expectClean();
  });

  test('23: one that the pod does not ask for is refused, and the first one keeps working', async () => {
    const pod = await nextPod();
    resultOf(await call('ADD', pod));
    expectError(await call('ADD', pod, { ifname: 'net1' }), 106, 'eth0');
    expect((await inside(pod.netns, 'ip', 'link', 'show', 'net1')).status).not.toBe(0);
    expectSilent(await call('DEL', pod, { ifname: 'net1' }));
    expect(await reaches(pod.netns, '10.16.0.1')).toBe(true);
    expectSilent(await call('DEL', pod));
    // What was refused before is the only one now.
    resultOf(await call('ADD', pod, { ifname: 'net1' }));
    expectSilent(await call('DEL', pod, { ifname: 'net1' }));
    await expectClean();
  });

  test('24: an ADD that fails late leaves nothing, before DEL and after it', async () => {
    const pod = await nextPod();
    const object = podObject(pod, true);
    Object.assign(object.metadata.annotations ?? {}, { 'ovn.kubernetes.io/gateway': '10.16.0.1,ff02::1' });
    await node.put('Pod', object);
    expectError(await call('ADD', pod), 103, 'ff02::1');
    await expectClean();
    expect(await ipJson(pod.netns, 'link', 'show')).toHaveLength(1);
    expectSilent(await call('DEL', pod));
    // The address is free for the next sandbox of the pod.
    await node.put('Pod', podObject(pod, true));
    resultOf(await call('ADD', pod));
    expectSilent(await call('DEL', pod));
    await expectClean();
  });

  test('25: an agent that is not there, or not ready, is code 11', async () => {
    const pod = await nextPod();
    expectError(await call('ADD', pod, { config: { socket: node.path('nobody.sock') } }), 11, 'nobody.sock');
    const closing = createServer((connection) => connection.destroy());
    await new Promise<void>((resolve) => closing.listen(node.path('closing.sock'), resolve));
    expectError(await call('ADD', pod, { config: { socket: node.path('closing.sock') } }), 11);
    closing.close();
  });

  test('25: an address or flows that do not come in time are code 11, naming the step', async () => {
    await node.kill('agent', 'SIGTERM');
    await node.startAgent({ announceTimeout: 300, installTimeout: 300 });
    const unannounced = await nextSandbox();
    await node.put('Pod', podObject(unannounced, false));
    expectError(await call('ADD', unannounced), 11, 'waited 0.3 s for the controller');
    const unbound = await nextSandbox();
    await node.put('Pod', podObject(unbound, true));
    expectError(await call('ADD', unbound), 11, 'waited 0.3 s for OVN');
    await expectClean();
    await node.kill('agent', 'SIGTERM');
    await node.startAgent();
  });

  test('26: ADD, DEL, ADD in the same namespace with the same container id', async () => {
    const pod = await nextPod();
    const first = resultOf(await call('ADD', pod));
    expectSilent(await call('DEL', pod));
    expect(resultOf(await call('ADD', pod))).toEqual(first);
    expect(await reaches(pod.netns, '10.16.0.1')).toBe(true);
    expectSilent(await call('DEL', pod));
  });

  test('27: lo may be down, or be set up at the same time', async () => {
    const pod = await nextPod();
    const [lo] = await ipJson<Link>(pod.netns, 'link', 'show', 'dev', 'lo');
    expect(lo?.flags).not.toContain('UP');
    const loopback = exec(['/usr/lib/cni/loopback'], {
      env: { ...variables(node, 'ADD', pod), CNI_IFNAME: 'lo' },
      input: JSON.stringify({ cniVersion: '1.0.0', name: 'lo', type: 'loopback' }),
    });
    const added = await call('ADD', pod);
    expect((await loopback).status).toBe(0);
    resultOf(added);
    expectSilent(await call('DEL', pod));
  });
});

describe('DEL', () => {
  test.each(VERSIONS)('31, 32, 33: removes everything, any number of times (%s)', async (version) => {
    const pod = await nextPod();
    resultOf(await call('ADD', pod, { version }));
    expect((await leftovers(node)).ports).toHaveLength(1);
    expectSilent(await call('DEL', pod, { version }));
    await expectClean();
    expect(await ipJson(pod.netns, 'link', 'show')).toHaveLength(1);
    expectSilent(await call('DEL', pod, { version }));
    expectSilent(await call('DEL', pod, { version, env: { CNI_NETNS: '' } }));
  });

  test('32: a container that never was; a namespace that is gone; no namespace', async () => {
    const never = await nextSandbox();
    expectSilent(await call('DEL', never));
    for (const CNI_NETNS of ['', undefined, '/run/netns/gone']) {
      const pod = await nextPod();
      resultOf(await call('ADD', pod));
      expectSilent(await call('DEL', pod, { env: { CNI_NETNS } }));
      await expectClean();
    }
    const pod = await nextPod();
    resultOf(await call('ADD', pod));
    await node.deleteNamespace(pod.netns);
    expectSilent(await call('DEL', pod));
    await until('nothing is left', async () => (await leftovers(node)).ports.length === 0);
  });

  test('33: a prevResult that contradicts reality frees nothing of somebody else', async () => {
    const [mine, other] = [await nextPod(), await nextPod()];
    const result = resultOf(await call('ADD', mine));
    const foreign = resultOf(await call('ADD', other));
    // The result of the other pod, and the port of the other pod by name.
    const prevResult: Result = { ...result, interfaces: foreign.interfaces, ips: foreign.ips };
    expectSilent(await call('DEL', mine, { config: { prevResult } }));
    expect((await leftovers(node)).ports).toEqual([foreign.interfaces[0]?.name]);
    expect(await reaches(other.netns, '10.16.0.1')).toBe(true);
    expectSilent(await call('DEL', other, { config: { prevResult: { ips: null, interfaces: null } } }));
    await expectClean();
  });

  test('34: DEL of one attachment leaves another of the same container alone', async () => {
    const pod = await nextPod();
    const elsewhere: TestPod = { ...(await nextPod()), containerId: pod.containerId, netns: pod.netns };
    const first = resultOf(await call('ADD', pod));
    // The runtime may give a container several interfaces; here the second one is that of another pod object.
    await must(['nsenter', `--net=${pod.netns}`, 'ip', 'route', 'delete', 'default']);
    await must(['nsenter', `--net=${pod.netns}`, 'ip', '-6', 'route', 'delete', 'default']);
    resultOf(await call('ADD', elsewhere, { ifname: 'net1' }));
    expect((await leftovers(node)).ports).toHaveLength(2);
    expectSilent(await call('DEL', elsewhere, { ifname: 'net1' }));
    expect((await leftovers(node)).ports).toEqual([first.interfaces[0]?.name]);
    expect(await reaches(pod.netns, '10.16.0.1')).toBe(true);
    expectSilent(await call('DEL', pod));
    await expectClean();
  });

  test('35: while the agent is down DEL is code 11, and a later one heals', async () => {
    const [deleted, vanished] = [await nextPod(), await nextPod()];
    resultOf(await call('ADD', deleted));
    resultOf(await call('ADD', vanished));
    await node.kill('agent');
    expectError(await call('DEL', deleted), 11, 'is it running on this node?');
    await node.deleteNamespace(vanished.netns);
    await node.startAgent();
    expectSilent(await call('DEL', deleted));
    await until('nothing is left', async () => {
      const { ports, links } = await leftovers(node);
      return ports.length + links.length === 0;
    });
  });
});
