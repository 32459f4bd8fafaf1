import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubevirtDefinitions } from '../src/kubevirt.ts';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet, vpc } from '../src/objects.ts';

const asks = (keys: Record<string, string>): { annotations: Record<string, string> } => ({
  annotations: Object.fromEntries(Object.entries(keys).map(([key, value]) => [`ovn.kubernetes.io/${key}`, value])),
});
const ours = (kind: string, name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
  apiVersion: 'ovenbird.io/v1',
  kind,
  metadata: { name },
  spec,
});

interface IpObject {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly v4IpAddress?: string; readonly podName?: string; readonly nodeName?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly reason: string }[] };
}

/** How long addresses live, and what tenants cannot take. */
describe('addresses', () => {
  let lab: TestLab;
  const ns = 'keeping';
  const tenant = 'tenant';
  const neighbour = 'neighbour';
  const bystander = 'bystander';
  /** Namespaces with a subnet of few addresses and a larger one. IPv6 has no broadcast address to set aside. */
  const tiny = [
    { name: 'tiny-v4', room: 5, full: '10.132.2.0/29', next: '10.132.3.0/24', excludeIps: [] },
    { name: 'tiny-v6', room: 6, full: 'fd00:10:132:2::/125', next: 'fd00:10:132:3::/112', excludeIps: [] },
    {
      name: 'tiny-dual',
      room: 5,
      full: '10.132.5.0/29,fd00:10:132:5::/125',
      next: '10.132.6.0/24,fd00:10:132:6::/112',
      excludeIps: ['fd00:10:132:5::7'],
    },
  ] as const;
  const objects = [
    subnet('keeping', { cidrBlock: '10.132.0.0/24,fd00:10:132::/120', namespaces: [ns] }),
    subnet('tiny-two', { cidrBlock: '10.132.1.0/24', namespaces: [ns] }),
    ...tiny.flatMap(({ name, full, next, excludeIps }) => [
      subnet(name, { cidrBlock: full, excludeIps, namespaces: [name] }),
      subnet(`${name}-next`, { cidrBlock: next, namespaces: [name] }),
    ]),
    subnet('growing', { cidrBlock: '10.132.4.0/30,fd00:10:132:4::/126', gateway: '10.132.4.1,fd00:10:132:4::1' }),
    // What belongs to somebody else.
    vpc('neighbours'),
    subnet('neighbour', { cidrBlock: '10.133.0.0/24', namespaces: [neighbour] }),
    subnet('neighbour-vpc', { vpc: 'neighbours', cidrBlock: '10.134.0.0/24', namespaces: [neighbour] }),
    ours('IPPool', 'neighbour', { subnet: 'ovn-default', ips: ['10.16.205.0/28'], namespaces: [neighbour] }),
    ours('Vip', 'neighbour', { subnet: 'ovn-default', namespace: neighbour, v4ip: '10.16.206.1' }),
  ];
  const namespaces = [ns, tenant, neighbour, bystander, ...tiny.map(({ name }) => name)].map((name) => namespace(name));

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(...namespaces, ...objects, ...kubevirtDefinitions);
    await lab.kubectl([
      'wait',
      '--for=condition=Ready',
      '--timeout=20s',
      ...['keeping', 'tiny-two', 'growing', 'neighbour', 'neighbour-vpc'].map((name) => `subnet/${name}`),
      ...tiny.flatMap(({ name }) => [`subnet/${name}`, `subnet/${name}-next`]),
      'vip/neighbour',
      'ippool/neighbour',
    ]);
    await lab.apply(pod(bystander, 'victim', asks({ ip_address: '10.16.207.1', mac_address: '02:00:00:00:07:01' })));
    await lab.podsReady(bystander, 30, 'victim');
  });
  afterAll(async () => {
    await lab.delete([...namespaces, ...kubevirtDefinitions], '--wait=true', '--timeout=60s');
    await lab.delete(objects, '--wait=true', '--timeout=60s');
  });

  const addresses = async (name: string, of = ns): Promise<readonly string[]> =>
    addressesOf(await lab.get<PodObject>('pod', name, '-n', of));
  const event = async (of: string, name: string, reason: string): Promise<string> =>
    await lab
      .waitFor(
        `event ${reason} of ${name}`,
        async () => {
          const { items } = await lab.get<{ items: { reason: string; message: string }[] }>(
            'events',
            '-n',
            of,
            '--field-selector',
            `involvedObject.name=${name}`,
          );
          return items.find((item) => item.reason === reason) ?? items.map((item) => item.reason).join(' ');
        },
        15_000,
      )
      .then(({ message }) => message);
  const record = async (name: string): Promise<IpObject | undefined> => {
    const { stdout } = await lab.kubectlAny(['get', 'ip', name, '-o', 'json', '--ignore-not-found']);
    return stdout === '' ? undefined : (JSON.parse(stdout) as IpObject);
  };
  const recordIs = async (name: string, state: 'reserved' | 'in use' | 'gone'): Promise<void> => {
    await lab.waitFor(
      `IP ${name} is ${state}`,
      async () => {
        const found = await record(name);
        const reserved = found?.metadata.labels?.['ovn.kubernetes.io/ip_reserved'] === 'true';
        const now = found === undefined ? 'gone' : reserved ? 'reserved' : 'in use';
        const ready = found?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
        const said = { reserved: 'Reserved', 'in use': 'InUse', gone: undefined }[now];
        return (now === state && ready === said) || `${now}, condition ${ready}`;
      },
      30_000,
    );
  };

  describe('of StatefulSets', () => {
    const set = (replicas: number, annotations: Record<string, string> = {}, node?: string): Manifest => ({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { namespace: ns, name: 'db' },
      spec: {
        replicas,
        serviceName: 'db',
        selector: { matchLabels: { app: 'db' } },
        template: {
          metadata: { labels: { app: 'db' }, annotations },
          spec: {
            terminationGracePeriodSeconds: 0,
            ...(node === undefined ? {} : { nodeName: node }),
            containers: [{ name: 'main', image: 'lab' }],
          },
        },
      },
    });
    const scaled = async (replicas: number): Promise<void> => {
      await lab.kubectl(['scale', 'statefulset', 'db', '-n', ns, `--replicas=${replicas}`]);
      await lab.waitFor(
        `db has ${replicas} pods`,
        async () => {
          const { items } = await lab.get<{ items: PodObject[] }>('pods', '-n', ns, '-l', 'app=db');
          const up = items.filter((item) => addressesOf(item).length > 0);
          return (
            (items.length === replicas && up.length === replicas) || items.map(({ metadata }) => metadata.name).join()
          );
        },
        40_000,
      );
    };

    it('are kept over scale down and up, and for nobody else', async () => {
      await lab.apply(set(0));
      await scaled(2);
      const before = await addresses('db-1');
      await scaled(1);
      await recordIs(`db-1.${ns}`, 'reserved');
      await lab.apply(pod(ns, 'thief', asks({ ip_address: before[0] ?? '' })));
      expect(await event(ns, 'thief', 'AddressTaken')).toContain('held by Pod/keeping/db-1');
      await scaled(2);
      expect(await addresses('db-1')).toEqual(before);
      await recordIs(`db-1.${ns}`, 'in use');
      await lab.delete([pod(ns, 'thief')], '--wait=true');
    });

    it('are kept on another node, and answer there', async () => {
      const on = async (): Promise<string> =>
        (await lab.get<PodObject>('pod', 'db-0', '-n', ns)).spec.nodeName ?? 'none';
      const [before, first] = [await addresses('db-0'), await on()];
      const [other = '', third = ''] = lab.nodes.filter((name) => name !== first);
      await lab.apply(pod(ns, 'asks', { node: third }));
      await scaled(0);
      await recordIs(`db-0.${ns}`, 'reserved');
      await lab.apply(set(2, {}, other));
      await scaled(2);
      expect(await on()).toBe(other);
      expect(await addresses('db-0')).toEqual(before);
      await recordIs(`db-0.${ns}`, 'in use');
      expect((await record(`db-0.${ns}`))?.spec.nodeName).toBe(other);
      await lab.podsReady(ns, 30, 'asks');
      await lab.waitFor(
        'it answers on its other node',
        async () => (await lab.pingMatrix([`${ns}/asks`], before, 700)).join() || true,
        20_000,
      );
      await lab.delete([pod(ns, 'asks')], '--wait=true');
    });

    it('are released when the IP object is deleted', async () => {
      const before = await addresses('db-1');
      await scaled(1);
      await recordIs(`db-1.${ns}`, 'reserved');
      await lab.kubectl(['delete', 'ip', `db-1.${ns}`]);
      await lab.apply(pod(ns, 'heir', asks({ ip_address: before[0] ?? '' })));
      await lab.podsReady(ns, 30, 'heir');
      await scaled(2);
      expect((await addresses('db-1'))[0]).not.toBe(before[0]);
      await lab.delete([pod(ns, 'heir')], '--wait=true');
    });

    it('are released when the template asks for another subnet, and when the set is deleted', async () => {
      await scaled(1);
      await recordIs(`db-1.${ns}`, 'reserved');
      await lab.apply(set(1, { 'ovn.kubernetes.io/logical_switch': 'tiny-two' }));
      await recordIs(`db-1.${ns}`, 'gone');
      await lab.waitFor(
        'db-0 is in the other subnet',
        async () =>
          ((all) => all[0]?.startsWith('10.132.1.') === true || all.join())(await addresses('db-0').catch(() => [])),
        30_000,
      );
      await scaled(0);
      await recordIs(`db-0.${ns}`, 'reserved');
      await lab.delete([set(0)], '--wait=true');
      await recordIs(`db-0.${ns}`, 'gone');
    });
  });

  it('of virtual machines are kept over stops and other nodes, and released with the machine', async () => {
    const machine = (kind: string): Manifest => ({
      apiVersion: 'kubevirt.io/v1',
      kind,
      metadata: { namespace: ns, name: 'vm' },
      spec: {},
    });
    const run = async (name: string, node: string): Promise<readonly string[]> => {
      await lab.apply(machine('VirtualMachineInstance'));
      const { metadata } = await lab.get<{ metadata: { uid: string } }>('vmi', 'vm', '-n', ns);
      const launcher = pod(ns, name, { node }) as { metadata: object };
      const owner = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', name: 'vm', uid: metadata.uid };
      await lab.apply({
        ...launcher,
        metadata: { ...launcher.metadata, ownerReferences: [{ ...owner, controller: true }] },
      });
      await lab.podsReady(ns, 30, name);
      return await addresses(name);
    };
    const stop = async (name: string): Promise<void> => {
      await lab.delete([machine('VirtualMachineInstance'), pod(ns, name)], '--wait=true');
      await recordIs(`vm.${ns}`, 'reserved');
    };
    await lab.apply(machine('VirtualMachine'));
    const first = await run('virt-launcher-vm-aaaaa', 'node-1');
    expect((await record(`vm.${ns}`))?.spec).toMatchObject({ podName: 'virt-launcher-vm-aaaaa', nodeName: 'node-1' });
    await stop('virt-launcher-vm-aaaaa');
    expect(await run('virt-launcher-vm-bbbbb', 'node-2')).toEqual(first);
    await lab.apply(pod(ns, 'pinger', { node: 'node-3' }));
    await lab.podsReady(ns, 30, 'pinger');
    await lab.waitFor(
      'the machine answers on its other node',
      async () => (await lab.pingMatrix([`${ns}/pinger`], first, 700)).join() || true,
      20_000,
    );
    await stop('virt-launcher-vm-bbbbb');
    await lab.delete([machine('VirtualMachine')], '--wait=true');
    await recordIs(`vm.${ns}`, 'gone');
  });

  it.concurrent.each(tiny)(
    'of an exhausted subnet ($full) are waited for, and the next one takes what is freed',
    async (set) => {
      const { name, room, full, next } = set;
      const here = asks({ logical_switch: name });
      const available = async (status: string): Promise<void> => {
        await lab.kubectl(['wait', `--for=condition=AddressesAvailable=${status}`, '--timeout=20s', `subnet/${name}`]);
      };
      const all = Array.from({ length: room }, (_, index) => pod(name, `tiny-${index}`, here));
      await lab.apply(...all);
      await lab.podsReady(name, 40);
      await available('False');
      await lab.apply(pod(name, 'late', here));
      expect(await event(name, 'late', 'SubnetExhausted')).toContain(
        `no free ${full.includes('.') ? 'IPv4' : 'IPv6'} address left`,
      );
      // A namespace of two subnets gets the next one when the first is full.
      await lab.apply(pod(name, 'other'));
      await lab.podsReady(name, 30, 'other');
      const prefixes = next
        .split(',')
        .map((cidr) => cidr.slice(0, cidr.includes(':') ? -'/112'.length : -'0/24'.length));
      const others = await addresses('other', name);
      expect(others.map((address, at) => address.startsWith(prefixes[at] ?? '-'))).toEqual(prefixes.map(() => true));
      const freed = await addresses('tiny-3', name);
      expect(freed).toHaveLength(prefixes.length);
      await lab.delete([pod(name, 'tiny-3')], '--wait=true');
      await lab.podsReady(name, 30, 'late');
      expect(await addresses('late', name)).toEqual(freed);
      await lab.delete([pod(name, 'late')], '--wait=true');
      await available('True');
    },
  );

  it('of a subnet that grows go to the pod that waits, which reaches those from before', async () => {
    const on = { logical_switch: 'growing' };
    await lab.apply(pod(ns, 'old', { ...asks(on), node: 'node-1' }));
    await lab.podsReady(ns, 30, 'old');
    await lab.apply(pod(ns, 'new', { ...asks(on), node: 'node-2' }));
    expect(await event(ns, 'new', 'SubnetExhausted')).toContain('let its cidrBlock grow');
    const spec = { cidrBlock: '10.132.4.0/28,fd00:10:132:4::/120' };
    await lab.kubectl(['patch', 'subnet', 'growing', '--type=merge', '-p', JSON.stringify({ spec })]);
    await lab.podsReady(ns, 30, 'new');
    const ends = { old: await addresses('old'), new: await addresses('new') };
    expect(ends).toEqual({ old: ['10.132.4.2', 'fd00:10:132:4::2'], new: ['10.132.4.3', 'fd00:10:132:4::3'] });
    for (const [from, to] of [
      ['old', ends.new],
      ['new', ends.old],
    ] as const)
      await lab.waitFor(
        `${from} reaches the other`,
        async () =>
          (await lab.pingMatrix([`${ns}/${from}`], [...to, '10.132.4.1', 'fd00:10:132:4::1'], 700)).join() || true,
        20_000,
      );
    await lab.delete([pod(ns, 'old'), pod(ns, 'new')], '--wait=true');
  });

  it('of a list go to the pods of a Deployment, the first that is free to each, also to those that follow', async () => {
    const list = ['10.132.0.71,fd00:10:132::71', '10.132.0.72,fd00:10:132::72', '10.132.0.73,fd00:10:132::73'];
    const front = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace: ns, name: 'front' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'front' } },
        template: {
          metadata: { labels: { app: 'front' }, ...asks({ ip_pool: list.join(';') }) },
          spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image: 'lab' }] },
        },
      },
    };
    const held = async (replicas: number): Promise<readonly string[]> =>
      await lab
        .waitFor(
          `${replicas} pods with addresses`,
          async () => {
            const { items } = await lab.get<{ items: PodObject[] }>('pods', '-n', ns, '-l', 'app=front');
            const all = items.map((item) => addressesOf(item).join()).sort();
            return items.length === replicas && !all.includes('') ? { all } : all.join(' ');
          },
          40_000,
        )
        .then(({ all }) => all);
    await lab.apply(front);
    expect(await held(2)).toEqual(list.slice(0, 2));
    await lab.kubectl(['scale', 'deployment', 'front', '-n', ns, '--replicas=3']);
    expect(await held(3)).toEqual(list);
    await lab.kubectl(['delete', 'pods', '-n', ns, '-l', 'app=front', '--wait=true']);
    expect(await held(3)).toEqual(list);
    await lab.delete([front], '--wait=true');
  });

  it.concurrent.each([
    ['subnet', { logical_switch: 'neighbour' }, 'SubnetForbidden', 'may not use subnet "neighbour"'],
    ['vpc', { logical_switch: 'neighbour-vpc' }, 'SubnetForbidden', 'may not use subnet "neighbour-vpc"'],
    ['pool', { ip_pool: 'neighbour' }, 'PoolForbidden', 'may not use IPPool "neighbour"'],
    ['pool-address', { ip_address: '10.16.205.5' }, 'PoolForbidden', 'belongs to IPPool "neighbour"'],
    ['address', { ip_address: '10.16.207.1' }, 'AddressTaken', 'held by Pod/bystander/victim'],
    [
      'foreign-address',
      { ip_address: '10.133.0.5' },
      'AddressOutsideSubnet',
      'not a host address of subnet "ovn-default"',
    ],
    [
      'mac',
      { mac_address: '02:00:00:00:07:01' },
      'AddressTaken',
      'MAC 02:00:00:00:07:01 is held by Pod/bystander/victim',
    ],
    ['vip', { vip: 'neighbour' }, 'VipForbidden', 'is for namespace "neighbour"'],
    ['vip-address', { ip_address: '10.16.206.1' }, 'AddressTaken', 'held by Vip/neighbour'],
    ['join', { logical_switch: 'join' }, 'SubnetForbidden', 'connects the nodes and takes no pods'],
  ])('a tenant cannot take the %s of another namespace', async (what, keys, reason, text) => {
    const name = `takes-${what}`;
    await lab.apply(pod(tenant, name, asks(keys)));
    expect(await event(tenant, name, reason)).toContain(text);
    expect((await lab.get<PodObject>('pod', name, '-n', tenant)).status.phase).toBe('Pending');
    expect(await lab.nbctl('--bare', '--columns=name', 'find', 'Logical_Switch_Port', `name=${name}.${tenant}`)).toBe(
      '',
    );
    await lab.delete([pod(tenant, name)], '--wait=true');
  });

  it('a pod that is made together with its namespace has what the namespace asks for', async () => {
    for (let round = 0; round < 5; round += 1) {
      const name = `together-${round}`;
      const both = [namespace(name, { 'ovn.kubernetes.io/logical_switch': name }), pod(name, 'first')];
      const own = subnet(name, { cidrBlock: `10.135.${round}.0/24`, namespaces: [name] });
      await lab.apply(...both, own);
      await lab.podsReady(name, 30);
      expect((await addresses('first', name))[0]).toMatch(new RegExp(`^10\\.135\\.${round}\\.`));
      await lab.delete(both, '--wait=true');
      await lab.delete([own], '--wait=true', '--timeout=60s');
    }
  });
});
