/** Debian's containerd, by CRI, with the configuration and the plugin that the agent installs. */
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { exec, until } from '../agent/exec.ts';
import { NodeUnderTest } from '../agent/node-under-test.ts';
import { leftovers, podObject, portCommands, type TestPod } from '../agent/pods.ts';
import { Containerd } from './containerd.ts';
import type { SandboxConfig } from './cri.ts';
import { IMAGE } from './image.ts';

const node = new NodeUnderTest();
const containerd = new Containerd(node);
const namespaces = (): string[] => readdirSync(containerd.netnsDir);

beforeAll(async () => {
  await node.start();
  containerd.prepare();
  await containerd.start();
  await containerd.importImage();
}, 90_000);
afterAll(async () => {
  await containerd.clean();
  await node.stop();
}, 60_000);

/** A pod that the API server and OVN know, and that has no sandbox yet. */
function makePod(index: number): TestPod {
  return {
    name: `p${index}`,
    uid: `uid-p${index}`,
    ip4: `10.16.9.${index}`,
    ip6: `fd00:10:16::9:${index}`,
    mac: `02:00:00:09:00:0${index}`,
    containerId: '',
    netns: '',
  };
}
async function declare(pod: TestPod): Promise<void> {
  await node.nbctl(...portCommands(pod));
  await node.put('Pod', podObject(pod, true));
}
const configOf = ({ name, uid }: TestPod, more: Partial<SandboxConfig> = {}): SandboxConfig => ({
  metadata: { name, uid, namespace: 'default' },
  hostname: name,
  ...more,
});

const one = makePod(1);
const two = makePod(2);
const web = configOf(two, { portMappings: [{ containerPort: 80, hostPort: 18_080 }] });
const ids = { one: '', two: '' };
const containers = { one: '', two: '' };

describe('containerd', () => {
  const showLogs = (): void => {
    onTestFailed(() => console.log(node.log('agent').slice(-3000), node.log('containerd').slice(-3000)));
  };
  const pings = async (address: string): Promise<true | string> => {
    const { code, output } = await containerd.cri.exec(containers.one, 'ping', '-c1', '-W2', address);
    if (code !== 0) throw new Error(output);
    return true;
  };
  const fetchWeb = async (): Promise<string> => {
    // Debian's static busybox crashes with `wget -T`.
    const fetch = ['timeout', '2', 'busybox', 'wget', '-qO-', 'http://172.31.0.1:18080/'];
    const { stdout, stderr } = await exec(['nsenter', `--net=/run/netns/${node.outside}`, ...fetch]);
    return stdout === '' ? `nothing: ${stderr}` : stdout;
  };
  const served = async (): Promise<true> => {
    const text = await fetchWeb();
    if (text !== 'served by busybox\n') throw new Error(text);
    return true;
  };

  test('the network becomes ready when the agent serves', async () => {
    showLogs();
    expect(await containerd.cri.networkReady()).toMatchObject({ status: false });
    await node.startAgent({ netnsDirs: [containerd.netnsDir] });
    await until('NetworkReady', async () => (await containerd.cri.networkReady()).status);
  });

  test('sandboxes have the announced addresses and reach each other', async () => {
    showLogs();
    await declare(one);
    await declare(two);
    ids.one = await containerd.cri.runSandbox(configOf(one));
    ids.two = await containerd.cri.runSandbox(web);
    expect(await containerd.cri.sandbox(ids.one)).toEqual({ ready: true, ips: [one.ip4, one.ip6] });
    expect(await containerd.cri.sandbox(ids.two)).toEqual({ ready: true, ips: [two.ip4, two.ip6] });
    containers.one = await containerd.cri.start(ids.one, configOf(one), IMAGE, ['/bin/sleep', '100000']);
    containers.two = await containerd.cri.start(ids.two, web, IMAGE, ['/bin/httpd', '-f', '-p', '80', '-h', '/www']);
    const link = await containerd.cri.exec(containers.one, 'ip', 'address', 'show', 'dev', 'eth0');
    expect(link.output).toContain(one.mac);
    for (const address of [two.ip4, two.ip6, '10.16.0.1'])
      await until(`one reaches ${address}`, () => pings(address).then(() => true));
  });

  test('a mapped port is reached from outside', async () => {
    showLogs();
    await until('the page', served);
  });

  test('a pod that is gone gets no sandbox, and nothing is left of the try', async () => {
    showLogs();
    const count = (await leftovers(node)).links.length;
    await expect(containerd.cri.runSandbox(configOf(makePod(3)))).rejects.toThrow('pod default/p3 does not exist');
    expect((await leftovers(node)).links).toHaveLength(count);
    expect(namespaces()).toHaveLength(2);
  });

  test('pods keep their network over restarts of containerd and of the agent', async () => {
    showLogs();
    await containerd.stop('SIGKILL');
    await node.kill('agent');
    await node.startAgent({ netnsDirs: [containerd.netnsDir] });
    await containerd.start();
    expect(await containerd.cri.sandbox(ids.one)).toEqual({ ready: true, ips: [one.ip4, one.ip6] });
    expect(await pings(two.ip4)).toBe(true);
    expect(await served()).toBe(true);
  });

  test('a removed sandbox leaves nothing, and its neighbour alone', async () => {
    showLogs();
    await containerd.cri.removeSandbox(ids.two);
    expect((await leftovers(node)).links).toHaveLength(1);
    expect(await fetchWeb()).toContain('nothing');
    expect(await pings('10.16.0.1')).toBe(true);
    // The same pod again, in a new sandbox.
    ids.two = await containerd.cri.runSandbox(web);
    await until('one reaches two again', () => pings(two.ip4).then(() => true));
    await containerd.cri.removeSandbox(ids.two);
    await containerd.cri.removeSandbox(ids.one);
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
    expect(namespaces()).toEqual([]);
    const rules = await exec(node.inNode('iptables-save', '-t', 'nat'));
    expect(rules.stdout).not.toContain('18080');
  });
});
