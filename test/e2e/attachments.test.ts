import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkInterface } from '../src/check-interface.ts';
import { TestContainer } from '../src/containers.ts';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';
import { throughput } from '../src/throughput.ts';

const ns = 'attached';
const definition = (name: string, config: object): Manifest => ({
  apiVersion: 'k8s.cni.cncf.io/v1',
  kind: 'NetworkAttachmentDefinition',
  metadata: { namespace: ns, name },
  spec: { config: JSON.stringify({ cniVersion: '1.0.0', ...config }) },
});
const networks = (value: unknown, more: Record<string, string> = {}): { annotations: Record<string, string> } => ({
  annotations: { 'k8s.v1.cni.cncf.io/networks': typeof value === 'string' ? value : JSON.stringify(value), ...more },
});

interface Link {
  readonly ifname: string;
  readonly address: string;
  readonly addr_info: readonly { readonly local: string; readonly scope: string; readonly prefixlen: number }[];
}
interface Annotated {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}
interface Status {
  readonly name: string;
  readonly interface: string;
  readonly ips: readonly string[];
  readonly mac: string;
  readonly default?: boolean;
}

let lab: TestLab;
const subnets: readonly Manifest[] = [
  subnet('blue', { cidrBlock: '10.48.0.0/24,fd00:48::/112', provider: `blue.${ns}.ovn` }),
  subnet('lan', { cidrBlock: '192.168.48.0/24,fd00:49::/112', provider: `lan.${ns}` }),
  subnet('yard', { cidrBlock: '192.168.58.0/24,fd00:58::/112', provider: `yard.${ns}` }),
];
const bridge = 'attached-yard';
beforeAll(async () => {
  lab = await openLab();
  await lab.apply(
    namespace(ns),
    ...subnets,
    definition('blue', { type: 'ovenbird', capabilities: { ips: true, mac: true } }),
    definition('lan', { type: 'macvlan', master: 'eth0', mode: 'bridge', ipam: { type: 'ovenbird' } }),
    definition('yard', {
      plugins: [
        { type: 'bridge', bridge, isGateway: true, ipam: { type: 'ovenbird' } },
        { type: 'tuning', mtu: 1300 },
      ],
    }),
  );
});
afterAll(async () => {
  await lab.delete([namespace(ns), ...subnets], '--wait=true', '--timeout=60s');
  // The stock plugin leaves it.
  await lab.onNode('node-2', 'ip', 'link', 'delete', bridge);
});

const link = async (name: string, ifname: string): Promise<Link | undefined> =>
  (JSON.parse(await lab.exec(ns, name, 'ip', '-json', 'address', 'show', 'dev', ifname)) as Link[])[0];
const addresses = (one: Link | undefined): string[] =>
  (one?.addr_info ?? [])
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
const annotationsOf = async (name: string): Promise<Readonly<Record<string, string>>> =>
  (await lab.get<Annotated>('pod', name, '-n', ns)).metadata.annotations;
const statusOf = async (name: string): Promise<Status[]> =>
  JSON.parse((await annotationsOf(name))['k8s.v1.cni.cncf.io/network-status'] ?? '[]') as Status[];
const pings = async (from: string, ...targets: readonly string[]): Promise<void> => {
  for (const target of targets) {
    await lab.waitFor(
      `${from} reaches ${target}`,
      async () => {
        const result = await lab.kubectlAny(['exec', '-n', ns, from, '--', 'ping', '-c1', '-W2', target]);
        return result.code === 0 || `${result.stdout}${result.stderr}`;
      },
      20_000,
    );
  }
};

describe('several interfaces', () => {
  it('a pod gets a port on each network that it names, on one node and across two', async () => {
    await lab.apply(
      pod(ns, 'a', { node: 'node-1', ...networks('blue') }),
      pod(ns, 'b', {
        node: 'node-1',
        ...networks([
          { name: 'blue', ips: ['10.48.0.77', 'fd00:48::77'], mac: '02:00:00:00:48:77', interface: 'data' },
        ]),
      }),
    );
    await lab.podsReady(ns, 40, 'a', 'b');
    await lab.apply(
      pod(ns, 'c', {
        node: 'node-2',
        ...networks('blue', { [`blue.${ns}.ovn.kubernetes.io/ip_address`]: '10.48.0.99' }),
      }),
    );
    await lab.podsReady(ns, 40, 'c');
    expect(addresses(await link('a', 'net1'))).toEqual(['10.48.0.2/24', 'fd00:48::2/112']);
    const data = await link('b', 'data');
    expect(data?.address).toBe('02:00:00:00:48:77');
    expect(addresses(data)).toEqual(['10.48.0.77/24', 'fd00:48::77/112']);
    await pings('a', '10.48.0.77', 'fd00:48::77', '10.48.0.99');
    // The first interface keeps the default routes.
    const routes = await lab.exec(ns, 'b', 'ip', 'route', 'show', 'default');
    expect(routes).toContain('dev eth0');
    expect(routes).not.toContain('dev data');
  });

  it('tells what it did', async () => {
    const [first, second] = await statusOf('b');
    expect(first).toMatchObject({ interface: 'eth0', default: true });
    expect(second).toMatchObject({ name: `${ns}/blue`, interface: 'data', mac: '02:00:00:00:48:77' });
    expect(second?.ips).toEqual(['10.48.0.77', 'fd00:48::77']);
    expect((await annotationsOf('a'))[`blue.${ns}.ovn.kubernetes.io/ip_address`]).toBe('10.48.0.2,fd00:48::2');
    const ports = await lab.nbctl('lsp-list', 'blue');
    for (const name of [`nic_a.${ns}_net1`, `nic_b.${ns}_data`, `nic_c.${ns}_net1`]) expect(ports).toContain(name);
    await lab.waitFor(
      'IP objects of the interfaces',
      async () => {
        const text = await lab.kubectl(['get', 'ips']);
        return (text.includes(`a.${ns}.net1`) && text.includes(`b.${ns}.data`)) || text;
      },
      15_000,
    );
  });

  it('the default routes go where the pod says', async () => {
    await lab.apply(
      pod(ns, 'd', { node: 'node-3', ...networks([{ name: 'blue', 'default-route': ['10.48.0.1', 'fd00:48::1'] }]) }),
    );
    await lab.podsReady(ns, 40, 'd');
    expect(await lab.exec(ns, 'd', 'ip', 'route', 'show', 'default')).toMatch(/^default via 10\.48\.0\.1 dev net1/);
    expect(await lab.exec(ns, 'd', 'ip', '-6', 'route', 'show', 'default')).toContain('via fd00:48::1 dev net1');
    expect((await statusOf('d')).map(({ default: isDefault }) => isDefault)).toEqual([undefined, true]);
  });

  it('default routes follow the gateway of the Subnet, also those of a container outside of Kubernetes', async () => {
    await using container = await TestContainer.create(lab, 'node-1', 'routed');
    await container.add({ config: { subnet: 'blue' } });
    const { annotations } = networks('blue', { [`blue.${ns}.ovn.kubernetes.io/default_route`]: 'true' });
    await lab.apply(pod(ns, 'f', { node: 'node-2', annotations }));
    await lab.podsReady(ns, 40, 'f');
    const show = 'ip -4 route show default; ip -6 route show default';
    const leadTo = async (...gateways: readonly string[]): Promise<void> => {
      await lab.waitFor(
        `routes to ${gateways.join(' and ')}`,
        async () => {
          const found = [
            await lab.exec(ns, 'f', 'sh', '-c', show),
            (await container.inside('sh', '-c', show)).stdout,
          ].join('');
          const right = gateways.every((gateway) => found.split(` via ${gateway} `).length === 3);
          return (right && found.trim().split('\n').length === 4) || found;
        },
        20_000,
      );
    };
    const move = (gateway: string): Promise<string> =>
      lab.kubectl(['patch', 'subnet', 'blue', '--type=merge', '-p', JSON.stringify({ spec: { gateway } })]);
    await leadTo('10.48.0.1', 'fd00:48::1');
    await move('10.48.0.200,fd00:48::c8');
    await leadTo('10.48.0.200', 'fd00:48::c8');
    await pings('f', '10.48.0.200', 'fd00:48::c8');
    await move('10.48.0.1,fd00:48::1');
    await leadTo('10.48.0.1', 'fd00:48::1');
    await container.del();
  });

  it('interfaces stay over restarts of controller, agent and kubelet, which checks what it finds', async () => {
    await lab.restartProcess('controller');
    await lab.restartProcess('node-1.agent');
    const checked = (): string[] =>
      readFileSync(join(lab.layout.log, 'node-1.agent.log'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('"command":"CHECK"') && line.includes(`"pod":"${ns}/`));
    const before = checked().length;
    await lab.restartProcess('kubelet');
    await lab.waitFor('CHECK of a and b', () => checked().length - before >= 2 || checked().join('\n'), 15_000);
    for (const line of checked().slice(before)) expect(line).not.toContain('"reason"');
    await pings('a', '10.48.0.77', '10.48.0.99');
    const content = await lab.nbctl('lsp-list', 'blue');
    expect(content).toContain(`nic_a.${ns}_net1`);
  });

  it('SecurityGroups and limits hold on the interface that they are for, and change while it runs', async () => {
    const group = (ingressRules: readonly object[]): Manifest => ({
      apiVersion: 'ovenbird.io/v1',
      kind: 'SecurityGroup',
      metadata: { name: 'attached-blue' },
      spec: { namespaces: [ns], ingressRules },
    });
    const icmp = [
      { ipVersion: 'ipv4', remoteAddress: '10.48.0.0/24' },
      { ipVersion: 'ipv6', remoteAddress: 'fd00:48::/112' },
    ].map((rule) => ({ ...rule, protocol: 'icmp', priority: 1, remoteType: 'address', policy: 'allow' }));
    const iperf = icmp.flatMap((rule) => ['tcp', 'udp'].map((protocol) => ({ ...rule, protocol })));
    const key = `blue.${ns}.ovn.kubernetes.io`;
    const ips = ['10.48.0.66', 'fd00:48::66'];
    await lab.apply(
      group(iperf),
      pod(ns, 'guarded', {
        node: 'node-1',
        command: ['iperf3', '--server'],
        ...networks([{ name: 'blue', ips }], {
          [`${key}/security_groups`]: 'attached-blue',
          [`${key}/ingress_rate.net1`]: '20',
        }),
      }),
      pod(ns, 'probe', { node: 'node-2', ...networks('blue') }),
    );
    await lab.podsReady(ns, 40, 'guarded', 'probe');
    const reaches = async (target: string): Promise<boolean> =>
      (await lab.kubectlAny(['exec', '-n', ns, 'probe', '--', 'ping', '-c1', '-W1', target])).code === 0;
    const first = addressesOf(await lab.get<PodObject>('pod', 'guarded', '-n', ns));
    await pings('probe', ...first);
    for (const ip of ips) expect(await reaches(ip), ip).toBe(false);
    const rate = await throughput(lab, ns, {
      from: 'probe',
      to: 'guarded',
      address: ips[0] ?? '',
      udp: true,
      seconds: 3,
    });
    expect(rate).toBeGreaterThan(17);
    expect(rate).toBeLessThan(23);
    expect(await lab.nbctl('qos-list', 'blue')).toContain(`outport == "nic_guarded.${ns}_net1"`);
    await lab.apply(group([...iperf, ...icmp.map((rule) => ({ ...rule, priority: 2 }))]));
    await pings('probe', ...ips);
    // Taken out of the group, it is open; named in vain, it is closed, and the first interface is not.
    await lab.kubectl(['annotate', 'pod', 'guarded', '-n', ns, '--overwrite', `${key}/security_groups=missing`]);
    for (const ip of ips)
      await lab.waitFor(`${ip} is closed`, async () => !(await reaches(ip)) || 'it is open', 15_000);
    await pings('probe', ...first);
    await lab.kubectl(['annotate', 'pod', 'guarded', '-n', ns, `${key}/security_groups-`]);
    await pings('probe', ...ips);
    await lab.delete([group([])], '--wait=true', '--timeout=20s');
  });

  it('another plugin gets addresses, and nothing of it is in OVN', async () => {
    for (const [name, node] of [
      ['m1', 'node-1'],
      ['m2', 'node-2'],
    ] as const) {
      await lab.apply(pod(ns, name, { node, ...networks('lan') }));
      await lab.podsReady(ns, 40, name);
    }
    const own = await link('m2', 'net1');
    expect(addresses(own)).toEqual(['192.168.48.3/24', 'fd00:49::3/112']);
    expect((await statusOf('m1'))[1]).toMatchObject({ interface: 'net1', ips: ['192.168.48.2', 'fd00:49::2'] });
    await pings('m1', '192.168.48.3');
    expect(await lab.nbctl('ls-list')).not.toContain('(lan)');
  });

  it('so does the stock bridge, first in a chain and with the gateway of the Subnet as its own', async () => {
    await lab.apply(
      pod(ns, 'y1', { node: 'node-2', ...networks([{ name: 'yard', 'default-route': ['192.168.58.1'] }]) }),
      pod(ns, 'y2', { node: 'node-2', ...networks('yard@yard0') }),
    );
    await lab.podsReady(ns, 40, 'y1', 'y2');
    const [own, other] = [addresses(await link('y1', 'net1')), addresses(await link('y2', 'yard0'))];
    expect([...own, ...other].sort()).toEqual([
      '192.168.58.2/24',
      '192.168.58.3/24',
      'fd00:58::2/112',
      'fd00:58::3/112',
    ]);
    await pings('y2', '192.168.58.1', 'fd00:58::1', ...own.map((address) => address.replace(/\/.*/, '')));
    expect(await lab.exec(ns, 'y1', 'ip', 'route', 'show', 'default')).toMatch(/^default via 192\.168\.58\.1 dev net1/);
    expect((await statusOf('y2'))[1]).toMatchObject({ name: `${ns}/yard`, interface: 'yard0' });
    expect(await lab.nbctl('ls-list')).not.toContain('(yard)');
  });

  it('CHECK of every interface, also of those of other plugins, says whether it is as ADD made it', async () => {
    for (const [name, ifname] of [
      ['a', 'net1'],
      ['b', 'data'],
      ['d', 'eth0'],
      ['d', 'net1'],
      ['m1', 'net1'],
      ['y1', 'net1'],
      ['y2', 'yard0'],
    ] as const) {
      expect(await checkInterface(lab, ns, name, ifname), `${name} ${ifname}`).toBe('');
    }
    await lab.exec(ns, 'd', 'ip', '-6', 'route', 'delete', 'default');
    expect(await checkInterface(lab, ns, 'd', 'net1')).toContain('the default route via fd00:48::1 is missing');
    expect(await checkInterface(lab, ns, 'd', 'eth0')).toBe('');
    await lab.exec(ns, 'y2', 'ip', '-4', 'address', 'flush', 'dev', 'yard0');
    expect(await checkInterface(lab, ns, 'y2', 'yard0')).toContain('192.168.58.');
  });

  it('what is missing is said as an event', async () => {
    await lab.apply(pod(ns, 'e', { node: 'node-1', ...networks('nothing') }));
    await lab.waitFor(
      'an event',
      async () => {
        const text = await lab.kubectl(['get', 'events', '-n', ns, '--field-selector', 'involvedObject.name=e']);
        return text.includes(`NetworkAttachmentDefinition ${ns}/nothing, asked for by`) || text;
      },
      15_000,
    );
    await lab.kubectl(['delete', 'pod', '-n', ns, 'e', '--wait=true', '--timeout=60s']);
  });

  it('pods take their interfaces with them', async () => {
    await lab.kubectl(['delete', 'pods', '-n', ns, '--all', '--wait=true', '--timeout=60s']);
    await lab.waitFor(
      'nothing of blue is left',
      async () => {
        const ports = await lab.nbctl('lsp-list', 'blue');
        const ips = await lab.kubectl(['get', 'ips']);
        return (!ports.includes('nic_') && !ips.includes(`.${ns}.`)) || `${ports}\n${ips}`;
      },
      20_000,
    );
  });
});

describe('containers outside of Kubernetes', () => {
  it('two attachments of one container and its neighbours, each deletable (check 23)', async () => {
    await using one = await TestContainer.create(lab, 'node-1', 'one');
    await using two = await TestContainer.create(lab, 'node-2', 'two');
    const first = await one.add();
    const second = await one.add({ ifname: 'net1', config: { subnet: 'blue' } });
    const other = await two.add({ args: 'IP=10.16.201.7;MAC=02:00:00:00:02:07' });
    expect(first.ips?.map(({ gateway }) => gateway)).toEqual(['10.16.0.1', 'fd00:10:16::1']);
    expect(second.ips?.[0]?.address, second.msg).toMatch(/^10\.48\.0\./);
    expect(other.ips?.[0]?.address).toBe('10.16.201.7/16');
    expect(other.interfaces?.[1]?.mac).toBe('02:00:00:00:02:07');
    for (const target of ['10.16.201.7', '10.16.0.1']) {
      await lab.waitFor(
        `one reaches ${target}`,
        async () => {
          const { code, stdout } = await one.inside('ping', '-c1', '-W2', target);
          return code === 0 || stdout;
        },
        20_000,
      );
    }
    const check = await two.call('CHECK', {
      config: { cniVersion: '1.0.0', prevResult: { ...other, cniVersion: '1.0.0' } },
    });
    expect(check).toMatchObject({ code: 0, stdout: '' });
    // The first interface has the default routes; the second reaches its own network, until its DEL.
    expect((await one.inside('ip', 'route', 'show', 'default')).stdout).toMatch(
      /^default via 10\.16\.0\.1 dev eth0[^\n]*\n$/,
    );
    expect((await one.inside('ping', '-c1', '-W2', '-I', 'net1', '10.48.0.1')).code).toBe(0);
    await one.del({ ifname: 'net1' });
    expect((await one.inside('ip', 'link', 'show', 'net1')).code).not.toBe(0);
    expect((await one.inside('ping', '-c1', '-W2', '10.16.201.7')).code).toBe(0);
    await one.del();
    expect((await two.inside('ping', '-c1', '-W2', '10.16.0.1')).code).toBe(0);
    await two.del();
    await two.del();
    await nothingAttached();
  });

  it('an address that cannot be had is refused, and leaves nothing', async () => {
    await using one = await TestContainer.create(lab, 'node-1', 'one');
    await using two = await TestContainer.create(lab, 'node-2', 'two');
    const first = await one.add({ config: { runtimeConfig: { ips: ['10.16.201.9/16'] } } });
    expect(first.ips?.[0]?.address).toBe('10.16.201.9/16');
    const cases = [
      [{ config: { runtimeConfig: { ips: ['10.16.201.9/16'] } } }, 104, 'is held by'],
      [{ args: 'IP=192.0.2.1' }, 104, 'not a host address'],
      [{ args: 'MAC=01:00:00:00:00:01' }, 104, 'not a unicast MAC'],
      [{ config: { subnet: 'join' } }, 101, 'connects the nodes'],
      [{ config: { subnet: 'nowhere' } }, 11, 'does not exist'],
      [{ config: { subnet: 'No_Name' } }, 7, 'subnet'],
      [{ config: { subnet: undefined } }, 100, 'needs a "subnet"'],
    ] as const;
    for (const [options, code, word] of cases) {
      const answer = await two.add(options);
      expect(answer, JSON.stringify(options)).toMatchObject({ code });
      expect(answer.msg).toContain(word);
    }
    // The refused ones hold nothing: the address is the first one's alone.
    await one.del();
    await nothingAttached();
    expect((await two.add({ args: 'IP=10.16.201.9' })).ips?.[0]?.address).toBe('10.16.201.9/16');
    await two.del();
  });

  it('GC, the end of a namespace, and a start of the agent give addresses back', async () => {
    await using one = await TestContainer.create(lab, 'node-1', 'one');
    await using two = await TestContainer.create(lab, 'node-1', 'two');
    await using three = await TestContainer.create(lab, 'node-1', 'three');
    for (const container of [one, two, three]) expect((await container.add()).code).toBeUndefined();
    const gc = {
      cniVersion: '1.1.0',
      'cni.dev/valid-attachments': [one, two].map(({ name }) => ({ containerID: name, ifname: 'eth0' })),
    };
    expect(await one.call('GC', { config: gc })).toMatchObject({ code: 0, stdout: '' });
    await attached(2);
    expect((await one.inside('ping', '-c1', '-W2', '10.16.0.1')).code).toBe(0);
    await two[Symbol.asyncDispose]();
    await attached(1);
    await lab.stopProcess('node-1.agent');
    await one[Symbol.asyncDispose]();
    await lab.startProcess('node-1.agent');
    await nothingAttached();
  });

  it('addresses of a DEL without API server are given back once it is there, by GC at once', async () => {
    await using waits = await TestContainer.create(lab, 'node-1', 'one');
    await using runs = await TestContainer.create(lab, 'node-2', 'two');
    expect((await runs.add()).code).toBeUndefined();
    await lab.stopProcess('controller');
    try {
      const adding = waits.add();
      await lab.waitFor('both have an object', async () => (await objects()).length === 2 || objects(), 20_000);
      await lab.killProcess('apiserver');
      try {
        for (const container of [waits, runs]) {
          await container.del();
          expect((await container.inside('ip', 'link', 'show', 'eth0')).code).not.toBe(0);
        }
      } finally {
        await lab.startProcess('apiserver');
      }
      expect((await adding).msg).toContain('the runtime sent DEL');
      const gc = { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] };
      expect(await waits.call('GC', { config: gc })).toMatchObject({ code: 0, stdout: '' });
      expect((await objects()).filter((name) => name.endsWith('node-1'))).toEqual([]);
    } finally {
      await lab.startProcess('controller');
    }
    // The agent's tries may be as much as 15 s apart.
    await attached(0, 60_000);
  });
});

/** IP objects of containers outside of Kubernetes. */
async function objects(): Promise<readonly string[]> {
  const text = await lab.kubectl(['get', 'ips', '-l', 'ovenbird.io/attachment=true', '-o', 'name']);
  return text.split('\n').filter((name) => name !== '');
}
async function attached(count: number, deadline = 20_000): Promise<void> {
  await lab.waitFor(
    `${count} containers are attached`,
    async () => {
      const names = await objects();
      const ports = (await lab.nbctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port')).split('\n');
      return (
        (names.length === count && ports.filter((name) => name.startsWith('attached_')).length === count) ||
        `${names.join(' ')}\n${ports.join(' ')}`
      );
    },
    deadline,
  );
}
async function nothingAttached(): Promise<void> {
  await attached(0);
}
