import { type Probe, probeAll } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

/** Nodes, and pods in the hosts' network, on either side of policies. */
describe('policies and nodes', () => {
  let lab: TestLab;
  const ns = 'policy-nodes';
  let target: readonly string[] = [];
  const nodeAddresses = new Map<string, readonly string[]>();

  const policy = (name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: ns, name },
    spec,
  });
  const single = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      policy('deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
      pod(ns, 'target', { node: 'node-1', labels: { app: 'target' } }),
      pod(ns, 'client', { node: 'node-2', labels: { app: 'client' } }),
      hostPod('host', 'node-2'),
    );
    await lab.podsReady(ns);
    target = addressesOf(await lab.get<PodObject>('pod', 'target', '-n', ns));
    for (const name of lab.nodes) {
      const node = await lab.get<{ status: { addresses: { type: string; address: string }[] } }>('node', name);
      const internal = node.status.addresses.filter(({ type }) => type === 'InternalIP');
      nodeAddresses.set(
        name,
        internal.map(({ address }) => address),
      );
    }
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  /** A pod that shares its node's network, and answers there. */
  function hostPod(name: string, node: string): Manifest {
    const plain = pod(ns, name, { node, port: 8099, labels: { app: 'host' } });
    return { ...plain, spec: { ...(plain['spec'] as object), hostNetwork: true } };
  }

  const netnsOf = (node: string): string =>
    `/run/netns/${lab.state.nodes.find(({ name }) => name === node)?.namespace ?? ''}`;

  /** Asks from a node (or pod, by its namespace) until each answer is as expected, then once more. */
  const expectReach = async (
    netns: string,
    addresses: readonly string[],
    port: number,
    open: boolean,
  ): Promise<void> => {
    const probes = addresses.flatMap((destination) =>
      (['tcp', 'udp'] as const).map((protocol): Probe => ({ netns, protocol, destination, port, timeoutMs: 700 })),
    );
    const look = async (): Promise<true | string> => {
      const answers = await probeAll(probes);
      const wrong = probes.flatMap(({ protocol, destination }, at) =>
        (answers[at]?.verdict === 'open') === open ? [] : [`${protocol} ${destination}: ${answers[at]?.verdict}`],
      );
      return wrong.length === 0 || wrong.join(', ');
    };
    const what = `${netns} -> ${addresses.join(',')}: ${open ? 'open' : 'blocked'}`;
    await lab.waitFor(what, look, 20_000);
    expect(await look(), what).toBe(true);
  };

  it('let a node reach its own pods, whatever they say, and no other node', async () => {
    await expectReach(netnsOf('node-1'), target, 8080, true);
    await expectReach(netnsOf('node-2'), target, 8080, false);
    // From each address of its own: the one on the join subnet, and those that it has as a node.
    const own = await lab.get<{ metadata: { annotations: Record<string, string> } }>('node', 'node-1');
    const join = (own.metadata.annotations['ovn.kubernetes.io/ip_address'] ?? '').split(',');
    for (const source of [...join, ...(nodeAddresses.get('node-1') ?? [])]) {
      const destination = target.find((address) => address.includes(':') === source.includes(':')) ?? '';
      const ping = await lab.onNode('node-1', 'ping', '-c1', '-W2', '-I', source, destination);
      expect(ping).toContain(' 0% packet loss');
    }
  });

  it('admit a node, and pods in its network, by a block that holds its address', async () => {
    const blocks = (nodeAddresses.get('node-2') ?? []).map((address) => ({ ipBlock: { cidr: single(address) } }));
    await lab.apply(policy('admit', { podSelector: { matchLabels: { app: 'target' } }, ingress: [{ from: blocks }] }));
    await expectReach(netnsOf('node-2'), target, 8080, true);
    await expectReach(netnsOf('node-3'), target, 8080, false);
    // A wide block without that node.
    const except = (family: 4 | 6): object => ({
      ipBlock: {
        cidr: family === 4 ? '0.0.0.0/0' : '::/0',
        except: (nodeAddresses.get('node-2') ?? [])
          .filter((address) => address.includes(':') === (family === 6))
          .map((address) => single(address)),
      },
    });
    await lab.apply(
      policy('admit', { podSelector: { matchLabels: { app: 'target' } }, ingress: [{ from: [except(4), except(6)] }] }),
    );
    await expectReach(netnsOf('node-3'), target, 8080, true);
    await expectReach(netnsOf('node-2'), target, 8080, false);
    await lab.kubectl(['delete', 'networkpolicy', 'admit', '-n', ns]);
    await expectReach(netnsOf('node-3'), target, 8080, false);
  });

  it('never take pods in the host network for pods: labels select neither them nor what they send', async () => {
    await lab.apply(
      policy('by-label', {
        podSelector: { matchLabels: { app: 'target' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'host' } } }] }],
      }),
      policy('host', { podSelector: { matchLabels: { app: 'host' } }, policyTypes: ['Ingress', 'Egress'] }),
    );
    await lab.nbctl('--wait=hv', 'sync');
    await expectReach(netnsOf('node-2'), target, 8080, false);
    await expectReach(netnsOf('node-3'), nodeAddresses.get('node-2') ?? [], 8099, true);
    await lab.kubectl(['delete', 'networkpolicy', 'by-label', 'host', '-n', ns]);
  });

  it('hold what pods send to nodes, and let through what a block names', async () => {
    const netns = (await lab.podNamespaces()).get(`${ns}/client`) ?? '';
    const node = nodeAddresses.get('node-2') ?? [];
    await expectReach(netns, node, 8099, false);
    await lab.apply(
      policy('to-node', {
        podSelector: { matchLabels: { app: 'client' } },
        policyTypes: ['Egress'],
        egress: [
          {
            to: node.map((address) => ({ ipBlock: { cidr: single(address) } })),
            ports: [
              { protocol: 'TCP', port: 8099 },
              { protocol: 'UDP', port: 8090, endPort: 8099 },
            ],
          },
        ],
      }),
    );
    await expectReach(netns, node, 8099, true);
    await expectReach(netns, target, 8080, false);
  });
});
