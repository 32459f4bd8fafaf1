import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

/** The way of a pod, end to end: addresses, ports, reachability, records, and nothing left afterwards. */
describe('the way of a pod', () => {
  let lab: TestLab;
  const ns = 'path';
  const names = ['one', 'two', 'three'];
  const pods = new Map<string, PodObject>();

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), ...names.map((name, index) => pod(ns, name, { node: `node-${index + 1}` })));
    await lab.podsReady(ns);
    for (const name of names) pods.set(name, await lab.get<PodObject>('pod', name, '-n', ns));
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=30s');
  });

  const addresses = (name: string): readonly string[] => addressesOf(pods.get(name) as PodObject);
  const every = (): string[] => names.flatMap((name) => [...addresses(name)]);

  it('gives each pod an IPv4 and an IPv6 address of the default subnet, and says so', () => {
    expect(new Set(every()).size).toBe(names.length * 2);
    for (const name of names) {
      const annotations = pods.get(name)?.metadata.annotations ?? {};
      expect(annotations).toMatchObject({
        'ovn.kubernetes.io/allocated': 'true',
        'ovn.kubernetes.io/routed': 'true',
        'ovn.kubernetes.io/ip_address': addresses(name).join(','),
        'ovn.kubernetes.io/cidr': '10.16.0.0/16,fd00:10:16::/112',
        'ovn.kubernetes.io/gateway': '10.16.0.1,fd00:10:16::1',
        'ovn.kubernetes.io/logical_switch': 'ovn-default',
        'ovn.kubernetes.io/logical_router': 'ovn-cluster',
        'ovn.kubernetes.io/pod_nic_type': 'veth-pair',
        'ovenbird.io/announced-uid': pods.get(name)?.metadata.uid,
      });
      expect(annotations['ovn.kubernetes.io/mac_address']).toMatch(/^0a:58(:[0-9a-f]{2}){4}$/);
    }
  });

  it('lets every pod reach every pod, the gateways and every node, over both families', async () => {
    const gateways = ['10.16.0.1', 'fd00:10:16::1'];
    const nodes = lab.nodes.flatMap((_, index) => [`172.30.1.${index + 1}`, `fd00:172:30::1:${index + 1}`]);
    const from = names.map((name) => `${ns}/${name}`);
    await lab.waitFor(
      'all pings are answered',
      async () => (await lab.pingMatrix(from, [...every(), ...gateways, ...nodes])).join('\n') || true,
      30_000,
    );
  });

  it('carries TCP and UDP between pods of different nodes', async () => {
    const probes = addresses('three').flatMap((destination) =>
      (['tcp', 'udp'] as const).map((protocol) => ({
        from: `${ns}/one`,
        protocol,
        destination,
        port: 8080,
        timeoutMs: 2000,
      })),
    );
    await lab.waitFor(
      'TCP and UDP answer with the name of the pod',
      async () => {
        const results = await lab.probe(probes);
        return results.every((result) => result.verdict === 'open' && result.text.includes('three'))
          ? true
          : JSON.stringify(results);
      },
      20_000,
    );
  });

  it('lets each node reach each pod without NAT in either direction', async () => {
    for (const node of lab.nodes) {
      for (const address of every()) await lab.onNode(node, 'ping', '-c1', '-W2', '-n', address);
    }
  });

  it('writes an IP object for each pod and node', async () => {
    const list = await lab.waitFor(
      'IP objects',
      async () => {
        const { items } = await lab.get<{ items: { metadata: { name: string }; spec: Record<string, string> }[] }>(
          'ips',
        );
        const found = new Map(items.map((item) => [item.metadata.name, item.spec]));
        return names.every((name) => found.has(`${name}.${ns}`)) && lab.nodes.every((node) => found.has(`node-${node}`))
          ? found
          : `only ${[...found.keys()].join(' ')}`;
      },
      15_000,
    );
    const spec = list.get(`one.${ns}`);
    expect(spec).toMatchObject({ podName: 'one', namespace: ns, subnet: 'ovn-default', nodeName: 'node-1' });
    expect(spec?.['ipAddress']).toBe(addresses('one').join(','));
  });

  it('shows the network in ovn-nbctl under the names people look for', async () => {
    const shown = await lab.nbctl('show');
    for (const name of ['switch', 'ovn-default', 'join', 'router', 'ovn-cluster', `one.${ns}`, 'node_node-1'])
      expect(shown).toContain(name);
    const table = await lab.kubectl(['get', 'subnets']);
    expect(table).toMatch(/ovn-default/);
  });

  it('counts addresses in the status of the subnet', async () => {
    await lab.waitFor(
      'status of subnet ovn-default',
      async () => {
        const { status } = await lab.get<{
          status?: { v4usingIPs?: number; conditions?: { type: string; status: string }[] };
        }>('subnet', 'ovn-default');
        const ready = status?.conditions?.some(
          (condition) => condition.type === 'Ready' && condition.status === 'True',
        );
        return ready === true && (status?.v4usingIPs ?? 0) >= 3 ? true : JSON.stringify(status);
      },
      15_000,
    );
  });

  it('keeps a pod of an old name and a new one apart', async () => {
    const before = pods.get('two')?.metadata.uid;
    await lab.kubectl(['delete', 'pod', 'two', '-n', ns, '--wait=true']);
    await lab.apply(pod(ns, 'two', { node: 'node-3' }));
    await lab.podsReady(ns);
    const again = await lab.get<PodObject>('pod', 'two', '-n', ns);
    expect(again.metadata.uid).not.toBe(before);
    await lab.waitFor(
      'ping',
      async () => (await lab.pingMatrix([`${ns}/one`], addressesOf(again))).join() || true,
      15_000,
    );
  });

  it('leaves nothing of a deleted pod', async () => {
    await lab.kubectl(['delete', 'pod', ...names, '-n', ns, '--wait=true']);
    await lab.waitFor(
      'nothing of the pods is left',
      async () => {
        const left = await lab.leftovers();
        const ips = await lab.kubectl(['get', 'ips', '-o', 'name']);
        const mine = [
          ...left.logicalPorts.filter((name) => name.endsWith(`.${ns}`)),
          ...ips.split('\n').filter((name) => name.endsWith(`.${ns}`)),
        ];
        return mine.length === 0 ? true : mine.join(' ');
      },
      20_000,
    );
  });
});
