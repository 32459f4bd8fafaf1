/** Checks 46-53: capabilities and CNI_ARGS. And the requests recorded from real clients, replayed. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { Ended } from '../agent/exec.ts';
import { NodeUnderTest } from '../agent/node-under-test.ts';
import { announcedPod, argsOf, leftovers, podObject, portCommands, sandbox, type TestPod } from '../agent/pods.ts';
import { expectError, expectSilent, inside, plugin, reaches, resultOf, variables } from './runtime.ts';

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
/** ADD with a runtimeConfig and CNI_ARGS. */
const add = (pod: TestPod, runtimeConfig?: Record<string, unknown>, CNI_ARGS = argsOf(pod)): Promise<Ended> =>
  plugin(
    { ...variables(node, 'ADD', pod), CNI_ARGS },
    node.cniConfig('1.0.0', runtimeConfig === undefined ? {} : { runtimeConfig }),
  );
const del = (pod: TestPod): Promise<Ended> => plugin(variables(node, 'DEL', pod), node.cniConfig('1.0.0'));

describe('addresses', () => {
  test('46: an address that was asked for is given, or the ADD fails', async () => {
    const pod = await nextPod();
    const wrong: [Record<string, unknown> | undefined, string][] = [
      [{ ips: ['10.16.200.9/16'] }, ''],
      [{ ips: ['192.0.2.1/24'] }, ''],
      [{ ips: [`${pod.ip4}/16`, 'fd00::9/112'] }, ''],
      [{ ips: ['300.1.1.1'] }, ''],
      [{ ips: [''] }, ''],
      [undefined, ';IP=10.16.200.9'],
      [undefined, ';IP=x'],
      // The configuration's wins where both are given.
      [{ ips: ['10.16.200.9/16'] }, `;IP=${pod.ip4}`],
    ];
    for (const [runtimeConfig, args] of wrong) {
      expectError(await add(pod, runtimeConfig, `${argsOf(pod)}${args}`), 104, 'address');
    }
    expect(await leftovers(node)).toEqual(nothing);
    const right: typeof wrong = [
      [{ ips: [`${pod.ip4}/16`, `${pod.ip6}/112`] }, ''],
      [undefined, `;IP=${pod.ip4}`],
      [{ ips: [`${pod.ip4}/16`] }, ';IP=10.16.200.9'],
      [{ ips: [] }, ''],
      [{ ips: null }, ''],
    ];
    for (const [runtimeConfig, args] of right) {
      const result = resultOf(await add(pod, runtimeConfig, `${argsOf(pod)}${args}`));
      expect(result.ips.map(({ address }) => address)).toEqual([`${pod.ip4}/16`, `${pod.ip6}/112`]);
      expectSilent(await del(pod));
    }
  });

  test('47: a MAC that was asked for is given, or the ADD fails', async () => {
    const pod = await nextPod();
    for (const mac of ['02:ff:ff:ff:ff:ff', 'xx', '']) expectError(await add(pod, { mac }), 104, 'MAC');
    expectError(await add(pod, undefined, `${argsOf(pod)};MAC=02:ff:ff:ff:ff:ff`), 104, 'MAC');
    expect(await leftovers(node)).toEqual(nothing);
    for (const [runtimeConfig, args] of [
      [{ mac: pod.mac.toUpperCase() }, ''],
      [undefined, `;MAC=${pod.mac}`],
      [{ mac: null }, ''],
    ] as const) {
      const result = resultOf(await add(pod, runtimeConfig, `${argsOf(pod)}${args}`));
      expect(result.interfaces[1]?.mac).toBe(pod.mac);
      expectSilent(await del(pod));
    }
  });
});

describe('bandwidth', () => {
  const rates = (text: string): string[] => text.match(/qdisc tbf .*/g) ?? [];
  const limits = async (pod: TestPod, host: string): Promise<[string[], string[]]> => [
    rates((await inside(`/run/netns/${node.namespace}`, 'tc', 'qdisc', 'show', 'dev', host)).stdout),
    rates((await inside(pod.netns, 'tc', 'qdisc', 'show', 'dev', 'eth0')).stdout),
  ];

  test.each([
    [
      'as specified',
      { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 16e6, egressBurst: 16e5 },
      '100000b',
      '200000b',
    ],
    [
      'as containerd 1.6 writes it, with its burst without limit',
      { IngressRate: 8e6, IngressBurst: 4_294_967_295, EgressRate: 16e6, EgressBurst: 4_294_967_295 },
      '500000b',
      '1000000b',
    ],
  ])('48: %s', async (_name, bandwidth, toPod, fromPod) => {
    const pod = await nextPod();
    const host = resultOf(await add(pod, { bandwidth })).interfaces[0]?.name ?? '';
    const bytes = (text: string): number => {
      const [, number = '', unit = ''] = /burst (\d+)(b|Kb|Mb)/.exec(text) ?? [];
      return Number(number) * ({ b: 1, Kb: 1024, Mb: 1024 * 1024 }[unit] ?? Number.NaN);
    };
    const [[ingress = ''], [egress = '']] = await limits(pod, host);
    expect(ingress).toContain('rate 8Mbit');
    expect(egress).toContain('rate 16Mbit');
    // tc shows rounded numbers.
    expect(bytes(ingress) / Number.parseInt(toPod, 10)).toBeCloseTo(1, 1);
    expect(bytes(egress) / Number.parseInt(fromPod, 10)).toBeCloseTo(1, 1);
    expect(await reaches(pod.netns, '10.16.0.1')).toBe(true);
    expectSilent(await del(pod));
  });

  test('48: none, null, zero: no limit; nonsense is named', async () => {
    const pod = await nextPod();
    for (const bandwidth of [undefined, null, {}, { ingressRate: 0, egressRate: 0 }, { ingressRate: null }]) {
      const host = resultOf(await add(pod, { bandwidth })).interfaces[0]?.name ?? '';
      expect(await limits(pod, host)).toEqual([[], []]);
      expectSilent(await del(pod));
    }
    for (const ingressRate of [-1, 1.5, 'fast']) {
      expectError(await add(pod, { bandwidth: { ingressRate } }), 7, 'runtimeConfig.bandwidth.ingressRate');
    }
    expect(await leftovers(node)).toEqual(nothing);
  });
});

describe('CNI_ARGS', () => {
  test('50: any order, unknown keys', async () => {
    const pod = await nextPod();
    const keys = [...argsOf(pod).split(';'), 'X.y-z=a.b-c', 'EMPTY='];
    for (const order of [keys, keys.toReversed(), [...keys.slice(3), ...keys.slice(0, 3)]]) {
      resultOf(await add(pod, undefined, `${order.join(';')};`));
      expectSilent(await del(pod));
    }
  });

  test.each(['A', 'A=B=C', '=B', 'IgnoreUnknown=1;A'])('50: %s is malformed', async (args) => {
    expectError(await add(await nextPod(), undefined, args), 4, 'CNI_ARGS');
  });

  test.each([
    ['', 'K8S_POD_NAMESPACE'],
    ['IgnoreUnknown=1;K8S_POD_NAME=p1', 'K8S_POD_NAMESPACE'],
    ['K8S_POD_NAMESPACE=default', 'K8S_POD_NAME'],
  ])('51: %j names no pod', async (args, missing) => {
    expectError(await add(await nextPod(), undefined, args), 100, missing);
    expect(await leftovers(node)).toEqual(nothing);
  });

  test('52: what runtimes add and we do not use', async () => {
    const pod = await nextPod();
    for (const annotations of [null, { 'example.com/foo': 'bar' }]) {
      const more = {
        'io.kubernetes.cri.pod-annotations': annotations,
        dns: { Servers: ['10.96.0.10'] },
        ipRanges: [[{ subnet: '10.0.0.0/8' }]],
        aliases: { a: ['b'] },
        cgroupPath: '/kubepods/x',
        portMappings: null,
      };
      resultOf(await add(pod, more));
      expectSilent(await del(pod));
    }
  });

  test('53: the sandbox of a pod that was replaced takes nothing of the new one', async () => {
    const old = await nextPod();
    const fresh: TestPod = { ...old, uid: 'newer', containerId: 'fresh', netns: await node.podNamespace('fresh') };
    await node.nbctl(['lsp-del', `${old.name}.default`]);
    await node.nbctl(...portCommands(fresh));
    await node.remove('Pod', old.name, 'default');
    await node.put('Pod', podObject(fresh, true));
    resultOf(await add(fresh));
    expectError(await add(old), 11, 'newer');
    expectSilent(await del(old));
    expect(await reaches(fresh.netns, '10.16.0.1')).toBe(true);
    expectSilent(await del(fresh));
    expect(await leftovers(node)).toEqual(nothing);
  });
});

describe('requests of real clients', () => {
  const directory = new URL('../../conformance/data/cni/requests/', import.meta.url);
  interface Recorded {
    readonly client: string;
    readonly env: Readonly<Record<string, string>>;
    readonly stdin: Readonly<Record<string, unknown>>;
    readonly expect?: { readonly exit: number; readonly stdout?: string; readonly stdoutHas?: readonly string[] };
  }
  const recorded = new Map(
    readdirSync(directory)
      .filter((name) => name.endsWith('.json'))
      .map((name) => [name, JSON.parse(readFileSync(new URL(name, directory), 'utf8')) as Recorded]),
  );
  const replayed = new Set<string>();

  /** Executes a recorded request for a pod and holds the answer against what the client relies on. */
  async function replay(name: string, pod?: TestPod): Promise<Ended> {
    const request = recorded.get(name);
    if (request === undefined) throw new Error(`no request ${name}; there are ${[...recorded.keys()].join(', ')}`);
    replayed.add(name);
    const values: Readonly<Record<string, string>> = {
      NETNS: pod?.netns ?? '',
      CNI_PATH: '/opt/cni/bin',
      NETWORK: 'ovenbird',
      TYPE: 'ovenbird',
      FREE_IP: pod?.ip4 ?? '',
    };
    const filled = JSON.parse(
      JSON.stringify({ env: request.env, stdin: request.stdin }).replaceAll(
        /\$\{([A-Z_]+)\}/g,
        (_, key: string) => values[key] ?? '',
      ),
      (key, value: unknown) => (key.startsWith('${') ? undefined : value),
    ) as Pick<Recorded, 'env' | 'stdin'>;
    const ended = await plugin(filled.env, { ...filled.stdin, socket: node.path('cni/cni.sock') });
    if (request.expect !== undefined) {
      expect(ended.status, `${request.client}: ${ended.stdout}`).toBe(request.expect.exit);
      if (request.expect.stdout !== undefined) expect(ended.stdout).toBe(request.expect.stdout);
      for (const word of request.expect.stdoutHas ?? []) expect(ended.stdout).toContain(word);
    }
    return ended;
  }
  /** The pod that a recorded request is about, as the controller would have announced it. */
  async function podOf(name: string, uid: string, mac?: string): Promise<TestPod> {
    pods += 1;
    const made = await sandbox(node, pods, `recorded-${pods}`);
    const pod: TestPod = { ...made, name, namespace: 'x', uid, mac: mac ?? made.mac };
    await node.nbctl(['--if-exists', 'lsp-del', `${name}.x`]);
    await node.nbctl(...portCommands(pod));
    await node.put('Pod', podObject(pod, true));
    return pod;
  }

  test('containerd 1.6: ADD, DEL, DEL again without namespace, DEL after a failed ADD', async () => {
    const pod = await podOf('b', 'uid-x-b');
    const result = resultOf(await replay('containerd-1.6-add.json', pod));
    expect(result).toMatchObject({ cniVersion: '1.0.0', ips: [{ address: `${pod.ip4}/16` }, {}] });
    expect(await reaches(pod.netns, '10.16.0.1')).toBe(true);
    await replay('containerd-1.6-del.json', pod);
    expect(await leftovers(node)).toEqual(nothing);
    await replay('containerd-1.6-del-again-no-netns.json', pod);
    await replay('containerd-1.6-del-after-failed-add.json', pod);
  });

  test('containerd 2.1: STATUS', async () => {
    await replay('containerd-2.1-status.json');
  });

  test('libcni: ADD with ips and mac, GC without and with a list', async () => {
    const pod = await podOf('a', 'uid-x-a', '02:11:22:33:44:55');
    const result = resultOf(await replay('cnitool-add-ips-mac.json', pod));
    expect(result).toMatchObject({ cniVersion: '1.1.0', ips: [{ address: `${pod.ip4}/16` }, {}] });
    expect(result.interfaces[1]?.mac).toBe('02:11:22:33:44:55');
    await replay('libcni-1.3-gc-no-list.json');
    expect((await leftovers(node)).ports).toHaveLength(1);
    const listed = await podOf('b', 'uid-x-b');
    resultOf(await replay('containerd-1.6-add.json', listed));
    await replay('libcni-1.3-gc-list.json');
    expect((await leftovers(node)).ports).toHaveLength(1);
    expect(await reaches(listed.netns, '10.16.0.1')).toBe(true);
    await replay('containerd-1.6-del.json', listed);
    expect(await leftovers(node)).toEqual(nothing);
  });

  test('podman: VERSION; ADD without a Kubernetes pod says which key is missing; DEL', async () => {
    const pod = await nextPod();
    await replay('podman-4.3-version.json');
    expectError(await replay('podman-4.3-add.json', pod), 100, 'K8S_POD_NAMESPACE', '0.4.0');
    await replay('podman-4.3-del.json', pod);
    expect(await leftovers(node)).toEqual(nothing);
  });

  test('every recorded request was replayed', () => {
    expect([...replayed].sort()).toEqual([...recorded.keys()].sort());
  });
});
