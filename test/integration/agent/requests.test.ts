import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { exec, must, until } from './exec.ts';
import { NodeUnderTest, SHIM } from './node-under-test.ts';
import { announcedPod, argsOf, cni, leftovers, podObject, portCommands, sandbox } from './pods.ts';

const node = new NodeUnderTest();
beforeAll(async () => {
  await node.start();
  await node.startAgent();
});
afterAll(() => node.stop());

const errorOf = (stdout: string): { code: number; msg: string; cniVersion: string } =>
  JSON.parse(stdout) as { code: number; msg: string; cniVersion: string };
const nothing = { ports: [], links: [] };

describe('VERSION and STATUS', () => {
  test('VERSION needs neither agent nor input', async () => {
    const asked = await exec([SHIM], { env: { CNI_COMMAND: 'VERSION' } });
    expect(asked.status).toBe(0);
    expect(JSON.parse(asked.stdout)).toMatchObject({ supportedVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] });
  });

  test('STATUS succeeds when ready; before 1.1.0 it is no command', async () => {
    expect(await node.cni({ command: 'STATUS', config: node.cniConfig('1.1.0') })).toMatchObject({
      status: 0,
      stdout: '',
    });
    const old = await node.cni({ command: 'STATUS', config: node.cniConfig('1.0.0') });
    expect(errorOf(old.stdout)).toMatchObject({ code: 1, cniVersion: '1.0.0' });
  });

  test('an absent agent is code 11', async () => {
    const away = { ...node.cniConfig('1.1.0'), socket: node.path('nobody.sock') };
    const asked = await node.cni({ command: 'STATUS', config: away });
    expect(asked.status).toBe(1);
    expect(errorOf(asked.stdout).code).toBe(11);
  });
});

describe('wrong requests', () => {
  const ipam = { ipam: { type: 'ovenbird' } };
  const base = {
    command: 'ADD',
    containerId: 'bad',
    netns: '/run/netns/none',
    args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=x',
  };
  test.each([
    ['unknown command', { command: 'FOO' }, 4, 'CNI_COMMAND'],
    ['missing container id', { command: 'ADD', netns: '/x' }, 4, 'CNI_CONTAINERID'],
    ['missing netns', { command: 'ADD', containerId: 'a' }, 4, 'CNI_NETNS'],
    ['container id with a slash', { ...base, containerId: 'a/b' }, 4, 'CNI_CONTAINERID'],
    ['container id that starts with a dash', { ...base, containerId: '-x' }, 4, 'CNI_CONTAINERID'],
    ['long interface name', { ...base, ifname: 'abcdefghijklmnop' }, 4, 'CNI_IFNAME'],
    ['interface name ..', { ...base, ifname: '..' }, 4, 'CNI_IFNAME'],
    ['interface name with a colon', { ...base, ifname: 'a:b' }, 4, 'CNI_IFNAME'],
    ['interface name with a space', { ...base, ifname: 'a b' }, 4, 'CNI_IFNAME'],
    ['malformed CNI_ARGS', { ...base, args: 'A' }, 4, 'CNI_ARGS'],
    ['pod not named', { ...base, args: 'K8S_POD_NAMESPACE=default' }, 100, 'K8S_POD_NAME'],
    [
      'addresses for another plugin, without a pod',
      { ...base, args: '', config: { ...node.cniConfig('1.0.0', ipam), type: 'macvlan', subnet: 'net' } },
      100,
      'pods only',
    ],
    ['empty input', { ...base, config: '' }, 6, 'JSON'],
    ['input that is not JSON', { ...base, config: 'hello' }, 6, 'JSON'],
    ['netns that does not exist', base, 8, '/run/netns/none'],
    ['netns outside the directories', { ...base, netns: '/proc/1/ns/net' }, 8, 'netnsDirs'],
    ['netns with ..', { ...base, netns: '/run/netns/../netns/x' }, 8, 'netnsDirs'],
  ])('%s', async (_name, call, code, word) => {
    const asked = await node.cni(call);
    expect(asked.status).toBe(1);
    const error = errorOf(asked.stdout);
    expect(error.code).toBe(code);
    expect(error.msg).toContain(word);
    expect(await leftovers(node)).toEqual(nothing);
  });

  test.each([
    ['cniVersion 9.9.9', { cniVersion: '9.9.9' }, 1],
    ['no cniVersion', { cniVersion: undefined }, 1],
    ['no name', { name: undefined }, 7],
    ['illegal name', { name: '../x' }, 7],
    ['socket of the wrong type', { socket: 5 }, 7],
    ['a prevResult that is none', { prevResult: { interfaces: 'x' } }, 7],
  ])('%s', async (_name, change, code) => {
    const pod = { ...base, config: { ...node.cniConfig('1.0.0'), ...change } };
    expect(errorOf((await node.cni(pod)).stdout).code).toBe(code);
  });

  test("the node's own namespace is refused", async () => {
    const asked = await node.cni({ ...base, netns: `/run/netns/${node.namespace}` });
    expect(errorOf(asked.stdout)).toMatchObject({ code: 8, msg: expect.stringContaining("node's own") as unknown });
  });

  test('an interface that exists is left untouched', async () => {
    const pod = await announcedPod(node, 1);
    await must(['nsenter', `--net=${pod.netns}`, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other']);
    const asked = await cni(node, 'ADD', pod);
    expect(errorOf(asked.stdout)).toMatchObject({ code: 102, msg: expect.stringContaining('eth0') as unknown });
    expect((await exec(['nsenter', `--net=${pod.netns}`, 'ip', 'link', 'show', 'eth0'])).status).toBe(0);
    expect(await leftovers(node)).toEqual(nothing);
  });

  test('another address or MAC than the announced one', async () => {
    const pod = await announcedPod(node, 2);
    const ip = await cni(node, 'ADD', pod, {
      config: node.cniConfig('1.1.0', { runtimeConfig: { ips: ['10.16.9.9/16'] } }),
    });
    expect(errorOf(ip.stdout)).toMatchObject({ code: 104, msg: expect.stringContaining(pod.ip4) as unknown });
    const mac = await cni(node, 'ADD', pod, { args: `${argsOf(pod)};MAC=02:ff:ff:ff:ff:ff` });
    expect(errorOf(mac.stdout).code).toBe(104);
    const right = node.cniConfig('1.1.0', {
      runtimeConfig: { ips: [`${pod.ip4}/16`], mac: pod.mac.toUpperCase(), 'io.kubernetes.cri.pod-annotations': null },
    });
    const added = await cni(node, 'ADD', pod, { config: right });
    expect(added.status).toBe(0);
    expect((JSON.parse(added.stdout) as { interfaces: { mtu?: number }[] }).interfaces[1]?.mtu).toBe(1442);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('pods that get no interface: ended, host network, another incarnation', async () => {
    const ended = await sandbox(node, 3);
    await node.put('Pod', podObject(ended, true, 'Succeeded'));
    expect(errorOf((await cni(node, 'ADD', ended)).stdout)).toMatchObject({ code: 101 });
    const host = await sandbox(node, 4);
    await node.put('Pod', { ...podObject(host, true), spec: { nodeName: 'n1', hostNetwork: true } } as never);
    expect(errorOf((await cni(node, 'ADD', host)).stdout)).toMatchObject({ code: 101 });
    const stale = await sandbox(node, 5);
    await node.put('Pod', podObject({ ...stale, uid: 'newer' }, true));
    expect(errorOf((await cni(node, 'ADD', stale)).stdout)).toMatchObject({
      code: 11,
      msg: expect.stringContaining('UID') as unknown,
    });
  });

  test('HTTP: other paths, broken JSON, too much', async () => {
    const post = (head: string, body: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(node.path('cni/cni.sock'));
        let text = '';
        socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        socket.on('end', () => resolve(text));
        socket.on('error', (error) => (text === '' ? reject(error) : resolve(text)));
        socket.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      });
    expect(await post('POST /other HTTP/1.0', '{}')).toMatch(/^HTTP\/1.1 400[^]*"code":6/);
    expect(await post('POST /cni HTTP/1.0', '{')).toMatch(/^HTTP\/1.1 400[^]*"code":6/);
    expect(await post('POST /cni HTTP/1.0', '[]')).toMatch(/^HTTP\/1.1 400[^]*"code":6/);
    expect(await post('POST /cni HTTP/1.0', 'x'.repeat(2 << 20))).toMatch(/^HTTP\/1.1 400[^]*larger than/);
    expect((await node.query('/nothing')).status).toBe(404);
  });

  test('sockets have the promised modes; shim and configuration are installed', async () => {
    await until('the node is in service', async () => existsSync(node.path('net.d/10-ovenbird.conflist')));
    expect(statSync(node.path('cni/cni.sock')).mode & 0o777).toBe(0o600);
    expect(statSync(node.path('cni')).mode & 0o777).toBe(0o700);
    expect(statSync(node.path('bin/ovenbird')).mode & 0o777).toBe(0o755);
    const list = JSON.parse(readFileSync(node.path('net.d/10-ovenbird.conflist'), 'utf8')) as unknown;
    expect(list).toEqual({
      cniVersion: '1.0.0',
      name: 'ovenbird',
      plugins: [{ type: 'ovenbird', socket: node.path('cni/cni.sock'), capabilities: { bandwidth: true } }],
    });
  });
});

describe('CHECK and GC', () => {
  test('CHECK names what is missing', async () => {
    onTestFailed(() => console.log(node.log('agent').slice(-4000)));
    const pod = await sandbox(node, 10);
    await node.nbctl(...portCommands(pod));
    const object = podObject(pod, true);
    const routes = { 'ovn.kubernetes.io/routes': JSON.stringify([{ dst: '198.51.100.0/24' }]) };
    const annotations = { ...object.metadata.annotations, ...routes };
    await node.put('Pod', { ...object, metadata: { ...object.metadata, annotations } });
    const inPod = (...argv: string[]): Promise<string> => must(['nsenter', `--net=${pod.netns}`, ...argv]);
    const added = JSON.parse((await cni(node, 'ADD', pod)).stdout) as { interfaces: { name: string }[] };
    const config = node.cniConfig('1.0.0', { prevResult: added });
    const check = async (): Promise<string> => {
      const asked = await cni(node, 'CHECK', pod, { config });
      return asked.status === 0 ? 'ok' : errorOf(asked.stdout).msg;
    };
    expect(await check()).toBe('ok');
    await inPod('ip', 'route', 'add', '192.0.2.0/24', 'via', '10.16.0.1');
    expect(await check()).toBe('ok');
    await inPod('ip', 'route', 'delete', 'default');
    expect(await check()).toContain('default route via 10.16.0.1');
    await inPod('ip', 'route', 'add', 'default', 'via', '10.16.0.1');
    await inPod('ip', 'address', 'delete', `${pod.ip6}/112`, 'dev', 'eth0');
    expect(await check()).toContain(pod.ip6);
    await inPod('ip', 'address', 'add', `${pod.ip6}/112`, 'dev', 'eth0', 'nodad');
    await inPod('ip', 'route', 'replace', 'default', 'via', 'fd00:10:16::1', 'dev', 'eth0');
    expect(await check()).toBe('ok');
    await inPod('ip', 'route', 'delete', '198.51.100.0/24');
    expect(await check()).toContain('route to 198.51.100.0/24 via 10.16.0.1');
    await inPod('ip', 'route', 'add', '198.51.100.0/24', 'via', '10.16.0.1');
    await inPod('ip', 'link', 'set', 'eth0', 'mtu', '1500');
    expect(await check()).toContain('MTU 1500');
    await inPod('ip', 'link', 'set', 'eth0', 'mtu', '1442');
    const other = node.cniConfig('1.0.0', { prevResult: { ...added, interfaces: added.interfaces.slice(0, 1) } });
    const unnamed = await cni(node, 'CHECK', pod, { config: other });
    expect(errorOf(unnamed.stdout)).toMatchObject({ code: 105, msg: expect.stringContaining('prevResult') as unknown });
    await inPod('ip', 'link', 'set', 'eth0', 'down');
    expect(await check()).toContain('down');
    const owner = async (id: string): Promise<string> =>
      await node.vsctl('set', 'Interface', added.interfaces[0]?.name ?? '', `external_ids:container_id=${id}`);
    await owner('another');
    // The agent reads it a moment later.
    await until('it is a port of another container', async () => (await check()).includes('not a port of br-int'));
    await owner(pod.containerId);
    await until('it is its port again', async () => !(await check()).includes('not a port of br-int'));
    const none = await cni(node, 'CHECK', pod);
    expect(errorOf(none.stdout)).toMatchObject({ code: 7, msg: expect.stringContaining('prevResult') as unknown });
    const old = await cni(node, 'CHECK', pod, { config: node.cniConfig('0.3.1', { prevResult: added }) });
    expect(errorOf(old.stdout).code).toBe(1);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('GC removes what is not listed, of this network only', async () => {
    const [keep, drop, other] = await Promise.all([11, 12, 13].map((index) => announcedPod(node, index)));
    if (keep === undefined || drop === undefined || other === undefined) throw new Error('three pods');
    expect((await cni(node, 'ADD', keep)).status).toBe(0);
    expect((await cni(node, 'ADD', drop)).status).toBe(0);
    expect((await cni(node, 'ADD', other, { config: { ...node.cniConfig('1.1.0'), name: 'elsewhere' } })).status).toBe(
      0,
    );
    const gc = (more: Record<string, unknown>): ReturnType<typeof node.cni> =>
      node.cni({ command: 'GC', config: node.cniConfig('1.1.0', more) });
    for (const more of [{}, { 'cni.dev/valid-attachments': null }]) {
      expect(await gc(more)).toMatchObject({ status: 0, stdout: '' });
      expect((await leftovers(node)).ports).toHaveLength(3);
    }
    const valid = [{ containerID: keep.containerId, ifname: 'eth0' }];
    expect((await gc({ 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid })).status).toBe(0);
    expect((await leftovers(node)).ports).toHaveLength(2);
    expect((await exec(['nsenter', `--net=${keep.netns}`, 'ping', '-c1', '-W2', '10.16.0.1'])).status).toBe(0);
    expect((await gc({ 'cni.dev/valid-attachments': [] })).status).toBe(0);
    expect((await leftovers(node)).ports).toHaveLength(1);
    expect((await cni(node, 'DEL', other)).status).toBe(0);
    expect(await leftovers(node)).toEqual(nothing);
  });

  test('every version has its own shape of result', async () => {
    const pod = await announcedPod(node, 14);
    for (const version of ['0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      const added = await cni(node, 'ADD', pod, { config: node.cniConfig(version) });
      const result = JSON.parse(added.stdout) as { cniVersion: string; ips: object[]; interfaces: object[] };
      expect(result.cniVersion).toBe(version);
      expect(result.ips.map((ip) => 'version' in ip)).toEqual(Array(2).fill(version.startsWith('0.')));
      expect(result.interfaces.map((one) => 'mtu' in one)).toEqual(Array(2).fill(version === '1.1.0'));
    }
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('a container that vanished without DEL is cleaned up', async () => {
    const pod = await announcedPod(node, 15);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    await node.deleteNamespace(pod.netns);
    await until('its port is gone', async () => {
      const { ports, links } = await leftovers(node);
      return ports.length === 0 && links.length === 0;
    });
  });

  test('a runtime that writes its input slowly', async () => {
    const pod = await announcedPod(node, 16);
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_PATH: '/',
      CNI_IFNAME: 'eth0',
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_ARGS: argsOf(pod),
    };
    const child = spawn(SHIM, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    const text = JSON.stringify(node.cniConfig('1.0.0'));
    await new Promise((resolve) => child.stdin.write(text.slice(0, 10), resolve));
    child.stdin.end(text.slice(10));
    const status = await new Promise((resolve) => child.on('exit', resolve));
    expect(status).toBe(0);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });
});
