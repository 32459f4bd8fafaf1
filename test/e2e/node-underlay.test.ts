import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

/** What a node takes from its underlay: MTU and tunnel address, also when they change. */
describe('the underlay of a node', () => {
  let lab: TestLab;
  const ns = 'underlay';
  const node = 'node-2';

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      subnet('underlay', { cidrBlock: '10.48.0.0/24', mtu: 1300 }),
      pod(ns, 'plain', { node, annotations: { 'ovn.kubernetes.io/logical_switch': 'ovn-default' } }),
      pod(ns, 'fixed', { node, annotations: { 'ovn.kubernetes.io/logical_switch': 'underlay' } }),
      pod(ns, 'peer', { node: 'node-1', annotations: { 'ovn.kubernetes.io/logical_switch': 'ovn-default' } }),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
    await lab.kubectl(['delete', 'subnet', 'underlay', '--ignore-not-found', '--timeout=60s']);
  });

  const mtuOf = async (name: string): Promise<number> => {
    const netns = (await lab.podNamespaces()).get(`${ns}/${name}`) ?? '';
    return await linkMtu('eth0', 'nsenter', `--net=${netns}`);
  };
  const linkMtu = async (link: string, ...prefix: readonly string[]): Promise<number> => {
    const [shown] = JSON.parse(await lab.onNode(node, ...prefix, 'ip', '-json', 'link', 'show', 'dev', link)) as {
      mtu: number;
    }[];
    return shown?.mtu ?? 0;
  };
  const mtus = async (): Promise<string> =>
    `plain ${await mtuOf('plain')}, fixed ${await mtuOf('fixed')}, ovn0 ${await linkMtu('ovn0')}`;
  const reach = async (): Promise<void> => {
    const peer = await lab.get<PodObject>('pod', 'peer', '-n', ns);
    const from = [`${ns}/plain`, `${ns}/fixed`];
    await lab.waitFor(
      'pods reach each other across nodes',
      async () => (await lab.pingMatrix(from, addressesOf(peer).slice(0, 1))).join('\n') || true,
      30_000,
    );
  };

  it('gives pods its MTU less the overhead of the tunnel; running ones too, when it changes', async () => {
    const before = 'plain 1442, fixed 1300, ovn0 1442';
    expect(await mtus()).toBe(before);
    const set = async (mtu: string): Promise<void> => {
      await lab.onNode(node, 'ip', 'link', 'set', 'br-underlay', 'mtu', mtu);
    };
    onTestFinished(() => set('1500'));
    await set('1400');
    await lab.waitFor(
      'smaller',
      async () => ((now) => now === 'plain 1342, fixed 1300, ovn0 1342' || now)(await mtus()),
      20_000,
    );
    await lab.apply(pod(ns, 'new', { node, annotations: { 'ovn.kubernetes.io/logical_switch': 'ovn-default' } }));
    await lab.podsReady(ns, 60, 'new');
    expect(await mtuOf('new')).toBe(1342);
    await lab.kubectl(['patch', 'subnet', 'underlay', '--type=merge', '-p', '{"spec":{"mtu":1250}}']);
    await lab.waitFor(
      'the Subnet says so',
      async () => ((now) => now === 'plain 1342, fixed 1250, ovn0 1342' || now)(await mtus()),
      20_000,
    );
    await reach();
    await set('1500');
    await lab.waitFor(
      'as before',
      async () => ((now) => now === 'plain 1442, fixed 1250, ovn0 1442' || now)(await mtus()),
      20_000,
    );
  });

  /** Writes a Node's internal addresses, of which the first is its tunnels'. */
  const setAddresses = async (name: string, internal: readonly string[]): Promise<void> => {
    const addresses = [
      ...internal.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: name },
    ];
    const patch = JSON.stringify({ status: { addresses } });
    await lab.kubectl(['patch', 'node', name, '--subresource=status', '--type=merge', '-p', patch]);
  };

  it('carries pods over IPv6 as well, with the MTU that fits there', async () => {
    const addresses = lab.nodes.map((_, index) => [`172.30.1.${index + 1}`, `fd00:172:30::1:${index + 1}`] as const);
    const tunnels = async (family: RegExp): Promise<void> => {
      await lab.waitFor(
        `all tunnels end at addresses like ${family}`,
        async () => {
          const texts = await Promise.all(
            lab.nodes.map((name) => lab.vsctl(name, '--bare', '--columns=options', 'find', 'Interface', 'type=geneve')),
          );
          const ends = texts.flatMap((text) => [...text.matchAll(/remote_ip=(\S+)/g)].map(([, end]) => end ?? ''));
          return (ends.length === 6 && ends.every((end) => family.test(end))) || ends.join(' ');
        },
        30_000,
      );
    };
    const overIpv4 = async (): Promise<void> => {
      for (const [index, name] of lab.nodes.entries()) await setAddresses(name, addresses[index] ?? []);
      await tunnels(/^172\.30\.1\./);
    };
    onTestFinished(overIpv4);
    for (const [index, name] of lab.nodes.entries()) await setAddresses(name, [...(addresses[index] ?? [])].reverse());
    await tunnels(/^fd00:172:30:/);
    await lab.waitFor(
      'pods have the MTU of IPv6 tunnels',
      async () => ((now) => now.startsWith('plain 1422, ') || now)(await mtus()),
      20_000,
    );
    await reach();
    const peer = await lab.get<PodObject>('pod', 'peer', '-n', ns);
    // As large as fits, and not to be cut (ping(8), -M do).
    for (const [address, headers] of [
      [addressesOf(peer)[0], 28],
      [addressesOf(peer)[1], 48],
    ] as const)
      expect(
        await lab.exec(
          ns,
          'plain',
          'ping',
          '-n',
          '-c1',
          '-W5',
          '-M',
          'do',
          '-s',
          String(1422 - headers),
          address ?? '',
        ),
      ).toContain(' 0% packet loss');
    await overIpv4();
    await reach();
  });

  it('moves its tunnels to another address when the Node has another one', async () => {
    const [old, other] = ['172.30.1.2', '172.30.9.2'];
    const patch = (address: string): Promise<void> => setAddresses(node, [address, 'fd00:172:30::1:2']);
    const remote = async (address: string): Promise<void> => {
      await lab.waitFor(
        `node-1 has its tunnel to ${address}`,
        async () => {
          const text = await lab.vsctl('node-1', '--bare', '--columns=options', 'find', 'Interface', 'type=geneve');
          return text.includes(`remote_ip=${address}`) || text;
        },
        20_000,
      );
    };
    await lab.onNode(node, 'ip', 'address', 'add', `${other}/16`, 'dev', 'br-underlay');
    onTestFinished(async () => {
      await patch(old);
      await remote(old);
      await lab.onNode(node, 'ip', 'address', 'delete', `${other}/16`, 'dev', 'br-underlay');
    });
    await patch(other);
    await remote(other);
    await reach();
    const status = await lab.agentStatus<{ encapIp: string }>(node);
    expect(status.encapIp).toBe(other);
  });
});
