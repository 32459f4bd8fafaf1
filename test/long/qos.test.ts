import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod, subnet } from '../src/objects.ts';
import { type Measurement, throughput } from '../src/throughput.ts';

const ns = 'qos-rates';
const rate = 20;
const seconds = 10;
const kinds = ['annotation', 'each', 'shared', 'subnet'] as const;
const directions = ['ingress', 'egress'] as const;
type Kind = (typeof kinds)[number];

/** What a pod of each kind is limited by, in one direction. */
const limited = (kind: Kind, direction: 'ingress' | 'egress', node: string): ReturnType<typeof pod> => {
  const name = `${kind}-${direction}`;
  const annotations =
    kind === 'annotation'
      ? { [`ovn.kubernetes.io/${direction}_rate`]: String(rate) }
      : kind === 'subnet'
        ? { 'ovn.kubernetes.io/logical_switch': `rate-${direction}` }
        : {};
  return pod(ns, name, { node, annotations, labels: { qos: name }, command: ['iperf3', '--server'] });
};
const policy = (name: string, spec: object) => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'QoSPolicy',
  metadata: { name: `rate-${name}` },
  spec,
});
const policies = directions.flatMap((direction) => [
  ...(['each', 'shared'] as const).map((kind) =>
    policy(`${kind}-${direction}`, {
      shared: kind === 'shared',
      appliesTo: [{ namespaces: [ns], podSelector: { matchLabels: { qos: `${kind}-${direction}` } } }],
      [direction]: [{ rate: `${rate}M` }],
    }),
  ),
  // Of a Subnet, for what goes to and comes from the default one.
  policy(`subnet-${direction}`, {
    appliesTo: [{ subnets: [`rate-${direction}`] }],
    [direction]: [{ rate: `${rate}M`, cidrs: ['10.16.0.0/16', 'fd00:10:16::/112'] }],
  }),
]);
const networks = [
  subnet('rate-ingress', { cidrBlock: '10.145.0.0/24,fd00:10:145::/112', namespaces: [ns] }),
  subnet('rate-egress', { cidrBlock: '10.146.0.0/24,fd00:10:146::/112', namespaces: [ns] }),
];

/** Every way to limit, both directions, TCP and UDP, IPv4 and IPv6, beside pods without limit in the same run. */
describe('rates over ten seconds', () => {
  let lab: TestLab;
  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns, { 'ovn.kubernetes.io/logical_switch': 'ovn-default' }),
      ...networks,
      ...policies,
      pod(ns, 'server', { node: 'node-1', command: ['iperf3', '--server'] }),
      pod(ns, 'free', { node: 'node-2' }),
      ...kinds.flatMap((kind) => [limited(kind, 'ingress', 'node-1'), limited(kind, 'egress', 'node-2')]),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns), ...policies, ...networks], '--wait=true', '--timeout=60s');
    await lab[Symbol.asyncDispose]();
  });

  const measure = async (what: Omit<Measurement, 'seconds'>): Promise<number> => {
    const measured = await throughput(lab, ns, { ...what, seconds });
    const { from, to, udp = false, ipv6 = false } = what;
    process.stdout.write(`${from} -> ${to} ${udp ? 'UDP' : 'TCP'} IPv${ipv6 ? 6 : 4}: ${measured.toFixed(2)} Mbit/s\n`);
    return measured;
  };

  const cells = [false, true].flatMap((udp) => [false, true].map((ipv6) => ({ udp, ipv6 })));

  describe.each(cells)('udp $udp, IPv6 $ipv6', (cell) => {
    it('without a limit there is more', async () => {
      expect(await measure({ from: 'free', to: 'server', ...cell })).toBeGreaterThan(2 * rate);
    });

    it.each(kinds)('%s: what a pod sends', async (kind) => {
      const measured = await measure({ from: `${kind}-egress`, to: 'server', ...cell });
      expect(Math.abs(measured - rate) / rate).toBeLessThan(0.1);
    });

    it.each(kinds)('%s: what a pod gets', async (kind) => {
      const measured = await measure({ from: 'free', to: `${kind}-ingress`, ...cell });
      expect(Math.abs(measured - rate) / rate).toBeLessThan(0.1);
    });
  });
});
