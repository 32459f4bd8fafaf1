/** Checks 1-15: the process protocol and VERSION. Checks 54-56: the installed configuration. */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { exec, must, until } from '../agent/exec.ts';
import { NodeUnderTest, SHIM } from '../agent/node-under-test.ts';
import { announcedPod, leftovers, type TestPod } from '../agent/pods.ts';
import { expectError, expectSilent, inside, plugin, resultOf, VERSIONS, variables } from './runtime.ts';

const node = new NodeUnderTest();
/** Everything that was seen in the runtime's configuration directory: name, and what it held under a name that counts. */
const seen: { name: string; content: string | undefined }[] = [];
let whileUndecided: readonly string[] = [];

beforeAll(async () => {
  await node.start();
  mkdirSync(node.path('net.d'));
  // As after a reboot: what the agent wrote before.
  writeFileSync(node.path('net.d/10-ovenbird.conflist'), '{ "name": "of before the boot", "plugins": [] }');
  utimesSync(node.path('net.d/10-ovenbird.conflist'), 1e9, 1e9);
  // As on a node with the package containernetworking-plugins.
  mkdirSync(node.path('bin'));
  symlinkSync('/usr/lib/cni/portmap', node.path('bin/portmap'));
  const watcher = watch(node.path('net.d'), (_, name) => {
    if (name === null) return;
    const read = (): string | undefined => {
      try {
        return readFileSync(node.path(`net.d/${name}`), 'utf8');
      } catch {
        return undefined;
      }
    };
    seen.push({ name, content: name.endsWith('.conflist') ? read() : undefined });
  });
  const [object] = (await node.list('Node')) as [{ metadata: { annotations: Record<string, string> } }];
  await node.put('Node', { ...object, metadata: { ...object.metadata, annotations: {} } } as never);
  const starting = node.startAgent();
  await until('the agent waits for the address of its node', async () =>
    (await node.query('/readyz')).body.includes('has not announced'),
  );
  whileUndecided = readdirSync(node.path('net.d'));
  expectError(await node.cni({ command: 'STATUS', config: node.cniConfig('1.1.0') }), 50, 'has not announced', '1.1.0');
  await node.put('Node', object as never);
  await starting;
  await until('the configuration is installed', async () =>
    seen.some(({ name, content }) => name === '10-ovenbird.conflist' && content !== undefined),
  );
  watcher.close();
}, 90_000);
afterAll(() => node.stop());

const showLog = (): void => onTestFailed(() => console.log(node.log('agent').slice(-4000)));
const nothing = { ports: [], links: [] };
const config = (change: Readonly<Record<string, unknown>> = {}): Record<string, unknown> =>
  node.cniConfig('1.0.0', change);
let pod: TestPod;
/** ADD for the pod, with other variables and configuration; `undefined` takes a variable away. */
const add = (change: NodeJS.ProcessEnv = {}, input: unknown = config()): ReturnType<typeof plugin> =>
  plugin({ ...variables(node, 'ADD', pod), ...change }, input);

describe('configuration file', () => {
  test('54: its version is one that containerd 1.6, 1.7 and podman understand', () => {
    const list = JSON.parse(readFileSync(node.path('net.d/10-ovenbird.conflist'), 'utf8')) as { cniVersion: string };
    expect(list).toEqual({
      cniVersion: '1.0.0',
      name: 'ovenbird',
      plugins: [
        { type: 'ovenbird', socket: node.path('cni/cni.sock'), capabilities: { bandwidth: true } },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
  });

  test('55: it appears whole, and only when the node is ready', () => {
    expect(whileUndecided).toEqual([]);
    const installed = seen.filter(({ content }) => content !== undefined);
    expect(installed.length).toBeGreaterThan(0);
    for (const { content } of installed) expect(JSON.parse(content ?? '')).toMatchObject({ name: 'ovenbird' });
  });

  test('56: its name sorts before those of others', () => {
    const names = ['87-podman-bridge.conflist', '10-ovenbird.conflist', '100-crio-bridge.conflist'];
    expect(names.sort()[1]).toBe('100-crio-bridge.conflist');
    expect(names[0]).toBe('10-ovenbird.conflist');
  });
});

describe('process protocol', () => {
  beforeAll(async () => {
    pod = await announcedPod(node, 1);
  });

  test.each(VERSIONS)('1, 13: ADD with a bare environment prints one JSON object (%s)', async (version) => {
    showLog();
    const directory = version === '0.3.1' ? '/' : '/proc/self';
    const input = JSON.stringify(node.cniConfig(version));
    const argv = ['/usr/bin/env', '-C', directory, SHIM];
    const added = await exec(argv, { env: variables(node, 'ADD', pod), input });
    expect(resultOf(added).cniVersion).toBe(version);
    expectSilent(await plugin(variables(node, 'DEL', pod), node.cniConfig(version)));
  });

  test('4: CNI_COMMAND unknown or missing', async () => {
    expectError(await add({ CNI_COMMAND: 'FOO' }), 4, 'CNI_COMMAND');
    expectError(await add({ CNI_COMMAND: undefined }), 4, 'CNI_COMMAND');
  });

  test.each(['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH'])('5: ADD without %s', async (name) => {
    expectError(await add({ [name]: undefined }), 4, name, '1.0.0');
  });

  test.each(['a/b', ' x', '-x', '', 'a\nb', 'ü'])('6: container id %j is refused', async (CNI_CONTAINERID) => {
    expectError(await add({ CNI_CONTAINERID }), 4, 'CNI_CONTAINERID');
  });

  test.each(['x', 'A.b_c-9', 'f'.repeat(64)])('6: container id %s is taken', async (CNI_CONTAINERID) => {
    resultOf(await add({ CNI_CONTAINERID }));
    expectSilent(await plugin({ ...variables(node, 'DEL', pod), CNI_CONTAINERID }, config()));
  });

  test.each(['abcdefghijklmnop', '.', '..', 'a/b', 'a:b', 'a b', 'a\tb', 'a\nb'])(
    '7: interface name %j is refused and leaves nothing',
    async (CNI_IFNAME) => {
      expectError(await add({ CNI_IFNAME }), 4, 'CNI_IFNAME');
      expect((await must(['nsenter', `--net=${pod.netns}`, 'ip', '-br', 'link'])).trim().split('\n')).toHaveLength(1);
      expect(await leftovers(node)).toEqual(nothing);
    },
  );

  test('7: 15 characters work', async () => {
    const CNI_IFNAME = 'abcdefghijklmno';
    resultOf(await add({ CNI_IFNAME }));
    expect((await inside(pod.netns, 'ip', 'link', 'show', CNI_IFNAME)).status).toBe(0);
    expectSilent(await plugin({ ...variables(node, 'DEL', pod), CNI_IFNAME }, config()));
  });

  test.each(['', 'hello', '{', '[]', 'null', '7'])('8: input %j', async (input) => {
    expectError(await add({}, input), 6);
  });

  test('8: input that cannot be read', async () => {
    expectError(await exec(['/bin/sh', '-c', `exec ${SHIM} < /`], { env: variables(node, 'ADD', pod) }), 5);
    expectError(await exec(['/bin/sh', '-c', `exec ${SHIM} <&-`], { env: variables(node, 'ADD', pod) }), [5, 6]);
  });

  test.each([[undefined], ['../x'], [''], ['a b'], [7]])('8: name %j', async (name) => {
    expectError(await add({}, config({ name })), 7, 'name', '1.0.0');
  });

  test.each(['9.9.9', '0.1.0', '0.2.0', undefined])('9: cniVersion %s', async (cniVersion) => {
    expectError(await add({}, config({ cniVersion })), 1, 'cniVersion', cniVersion ?? '0.1.0');
    expect(await leftovers(node)).toEqual(nothing);
  });

  test.each([
    [{ socket: 5 }, 'socket'],
    [{ socket: 'relative.sock' }, 'socket'],
    [{ dns: 'none' }, 'dns'],
    [{ runtimeConfig: 'x' }, 'runtimeConfig'],
    [{ runtimeConfig: { ips: '10.16.0.9' } }, 'ips'],
    [{ runtimeConfig: { mac: 7 } }, 'mac'],
  ])('10: the malformed field %j is named', async (change, word) => {
    expectError(await add({}, config(change)), 7, word, '1.0.0');
    expect(await leftovers(node)).toEqual(nothing);
  });

  test('11: keys we do not know are tolerated', async () => {
    const more = {
      args: { cni: { labels: [] } },
      capabilities: { ips: true, 'io.kubernetes.cri.pod-annotations': true },
      dns: { nameservers: ['10.96.0.10'], search: ['svc'] },
      'cni.dev/whatever': { a: 1 },
      cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
      mtu: 1400,
    };
    const result = resultOf(await add({}, config(more)));
    expect(result.dns).toEqual(more.dns);
    expectSilent(await plugin(variables(node, 'DEL', pod), config(more)));
  });

  test('12: no namespace, a file that is none, the namespace of the node', async () => {
    const own = `/run/netns/${node.namespace}`;
    const file = '/run/netns/../../etc/hostname';
    for (const CNI_NETNS of ['/run/netns/none', file, '/etc/hostname', own, '/proc/1/ns/net']) {
      expectError(await add({ CNI_NETNS }), 8, CNI_NETNS);
    }
    expect(await leftovers(node)).toEqual(nothing);
  });
});

describe('VERSION', () => {
  test.each([...VERSIONS, '9.9.9'])('14: asked in %s', async (cniVersion) => {
    const asked = await plugin({ CNI_COMMAND: 'VERSION' }, { cniVersion });
    expect(asked).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(asked.stdout)).toEqual({ cniVersion, supportedVersions: VERSIONS });
  });

  test('15: no other variable, no input, and an agent that hangs', async () => {
    const hung = createServer(() => {});
    const socket = node.path('hung.sock');
    await new Promise<void>((resolve) => hung.listen(socket, resolve));
    const env = {
      CNI_COMMAND: 'VERSION',
      CNI_CONTAINERID: '',
      CNI_IFNAME: 'dummy',
      CNI_NETNS: 'dummy',
      CNI_PATH: 'dummy',
    };
    for (const input of ['', 'hello', JSON.stringify({ cniVersion: '1.0.0', socket })]) {
      const asked = await plugin(env, input);
      expect(asked.status).toBe(0);
      expect(JSON.parse(asked.stdout)).toHaveProperty('supportedVersions', [...VERSIONS]);
    }
    hung.close();
    rmSync(socket, { force: true });
  });
});
