import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';
import { throughput } from '../src/throughput.ts';

const ns = 'qos';

const policy = (name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'QoSPolicy',
  metadata: { name: `qos-${name}` },
  spec,
});

/** Servers that measure at the same time. */
const servers = ['iperf3 --server --port 5201', 'iperf3 --server --port 5202', 'exec iperf3 --server --port 5203'];
const server = ['sh', '-c', servers.join(' & ')];

/** QoSPolicies on the wire. What is measured here for seconds is measured longer, and in all combinations, in test/long. */
describe('QoSPolicy', () => {
  let lab: TestLab;
  const policies = [
    policy('each', {
      appliesTo: [{ namespaces: [ns], podSelector: { matchLabels: { each: 'yes' } } }],
      egress: [{ dscp: 46, protocol: 'udp', remotePorts: [{ port: 5060 }] }, { rate: '20M' }],
    }),
    policy('shared', {
      shared: true,
      appliesTo: [{ namespaces: [ns], podSelector: { matchLabels: { shared: 'yes' } } }],
      ingress: [{ rate: '20M', protocol: 'tcp', localPorts: [{ port: 5201, endPort: 5202 }] }],
    }),
    policy('named', { priority: 200, allowedNamespaces: [ns], egress: [{ dscp: 10 }] }),
    // Of a Subnet, for what goes to IPv4 addresses of the default one.
    policy('subnet', { appliesTo: [{ subnets: ['qos'] }], egress: [{ dscp: 20, cidrs: ['10.16.0.0/16'] }] }),
    policy('foreign', { priority: 300, allowedNamespaces: ['other'], egress: [{ dscp: 12 }] }),
  ];
  const network = subnet('qos', { cidrBlock: '10.147.0.0/24,fd00:10:147::/112', namespaces: [ns] });
  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns, { 'ovn.kubernetes.io/logical_switch': 'ovn-default' }),
      network,
      ...policies,
      pod(ns, 'server', { node: 'node-1', command: server }),
      ...['one', 'two'].map((name) => pod(ns, name, { node: 'node-1', labels: { shared: 'yes' }, command: server })),
      pod(ns, 'free', { node: 'node-2' }),
      ...['slow-1', 'slow-2'].map((name) => pod(ns, name, { node: 'node-2', labels: { each: 'yes' } })),
      pod(ns, 'inside', { node: 'node-3', annotations: { 'ovn.kubernetes.io/logical_switch': 'qos' } }),
      pod(ns, 'marked', { node: 'node-3', annotations: { 'ovenbird.io/qos-policy': 'qos-named,qos-foreign' } }),
    );
    await lab.kubectl(['wait', '--for=condition=Ready', '--timeout=20s', 'qospolicy', '--all']);
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns), ...policies, network], '--wait=true', '--timeout=60s');
  });

  it('limits each pod on its own, or all of them together, and nobody else', async () => {
    const seconds = 4;
    const [udp, tcp] = await Promise.all([
      throughput(lab, ns, { from: 'slow-1', to: 'server', udp: true, seconds }),
      throughput(lab, ns, { from: 'slow-2', to: 'server', port: 5202, seconds }),
    ]);
    expect(udp).toBeGreaterThan(18);
    expect(udp).toBeLessThan(22);
    expect(tcp).toBeGreaterThan(12);
    expect(tcp).toBeLessThan(25);
    const together = await Promise.all([
      throughput(lab, ns, { from: 'free', to: 'one', seconds }),
      throughput(lab, ns, { from: 'free', to: 'two', port: 5202, seconds, ipv6: true }),
    ]);
    const sum = together.reduce((a, b) => a + b);
    expect(sum).toBeGreaterThan(12);
    expect(sum).toBeLessThan(25);
    // A port that the rule does not have.
    expect(await throughput(lab, ns, { from: 'free', to: 'one', port: 5203, seconds: 1 })).toBeGreaterThan(60);
  });

  /** `tos` or `class` of a packet that `from` sends to `port` of the server, as the server's pod sees it. */
  async function seen(from: string, port: number, ipv6 = false): Promise<string> {
    const addresses = addressesOf(await lab.get<PodObject>('pod', 'server', '-n', ns));
    const to = addresses.find((text) => text.includes(':') === ipv6) ?? '';
    const capture = lab.exec(
      ...[ns, 'server', 'timeout', '20', 'tcpdump', '-n', '-v', '-c', '1', '-i', 'eth0'],
      ...['udp', 'and', 'dst', 'port', String(port)],
    );
    let done = false;
    const ended = capture.finally(() => {
      done = true;
    });
    await lab.waitFor(
      `a packet from ${from} in a capture`,
      async () => {
        await lab.exec(ns, from, 'bash', '-c', `echo x > /dev/udp/${to}/${port}`);
        return done || 'not yet';
      },
      20_000,
    );
    return (
      /tos (0x[0-9a-f]+)|class (0x[0-9a-f]+)/
        .exec(await ended)
        ?.slice(1)
        .join('') ?? 'no mark'
    );
  }

  it('marks packets, seen in a capture', async () => {
    // RFC 2474: the code point is the upper six bits of the field.
    const marks = await Promise.all([
      seen('slow-1', 5060),
      seen('slow-1', 5062, true),
      seen('marked', 5063),
      seen('marked', 5064, true),
      seen('inside', 5065),
      seen('inside', 5066, true),
    ]);
    expect(marks).toEqual(['0xb8', 'no mark', '0x28', '0x28', '0x50', 'no mark']);
  });

  it('counts its pods, and says who may not have it', async () => {
    await lab.waitFor(
      'the status counts pods',
      async () => {
        const { items } = await lab.get<{ items: { metadata: { name: string }; status?: { pods?: number } }[] }>(
          'qospolicy',
        );
        const counts = items
          .filter(({ metadata }) => metadata.name.startsWith('qos-'))
          .map(({ metadata, status }) => `${metadata.name}=${status?.pods}`);
        return counts.join() === 'qos-each=2,qos-foreign=0,qos-named=1,qos-shared=2,qos-subnet=1' || counts.join();
      },
      10_000,
    );
    const { items } = await lab.get<{ items: { reason: string; message: string }[] }>(
      ...['events', '-n', ns, '--field-selector', 'involvedObject.name=marked'],
    );
    const refusals = items.filter(({ reason }) => reason === 'QoSPolicyForbidden').map(({ message }) => message);
    expect(refusals).toEqual([expect.stringContaining('spec.allowedNamespaces has to list it')]);
  });
});
