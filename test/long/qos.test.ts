import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod } from '../src/objects.ts';
import { type Measurement, throughput } from '../src/throughput.ts';

const ns = 'qos-rates';
const rate = 20;
const seconds = 10;
const kinds = ['annotation', 'each', 'shared'] as const;
type Kind = (typeof kinds)[number];

/** What a pod of each kind is limited by, in one direction. */
const limited = (kind: Kind, direction: 'ingress' | 'egress', node: string): ReturnType<typeof pod> => {
  const name = `${kind}-${direction}`;
  const annotations = kind === 'annotation' ? { [`ovn.kubernetes.io/${direction}_rate`]: String(rate) } : {};
  return pod(ns, name, { node, annotations, labels: { qos: name }, command: ['iperf3', '--server'] });
};
const policies = (['each', 'shared'] as const).flatMap((kind) =>
  (['ingress', 'egress'] as const).map((direction) => ({
    apiVersion: 'ovenbird.io/v1',
    kind: 'QoSPolicy',
    metadata: { name: `rate-${kind}-${direction}` },
    spec: {
      shared: kind === 'shared',
      appliesTo: [{ namespaces: [ns], podSelector: { matchLabels: { qos: `${kind}-${direction}` } } }],
      [direction]: [{ rate: `${rate}M` }],
    },
  })),
);

/** Every way to limit, both directions, TCP and UDP, IPv4 and IPv6, beside pods without limit in the same run. */
describe('rates over ten seconds', () => {
  let lab: TestLab;
  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      ...policies,
      pod(ns, 'server', { node: 'node-1', command: ['iperf3', '--server'] }),
      pod(ns, 'free', { node: 'node-2' }),
      ...kinds.flatMap((kind) => [limited(kind, 'ingress', 'node-1'), limited(kind, 'egress', 'node-2')]),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns), ...policies], '--wait=true', '--timeout=60s');
    await lab[Symbol.asyncDispose]();
  });

  const measure = async (what: Omit<Measurement, 'seconds'>): Promise<number> => {
    const measured = await throughput(lab, ns, { ...what, seconds });
    const { from, to, udp = false, ipv6 = false } = what;
    process.stdout.write(`${from} -> ${to} ${udp ? 'UDP' : 'TCP'} IPv${ipv6 ? 6 : 4}: ${measured.toFixed(2)} Mbit/s\n`);
    return measured;
  };

  /**
   * Within a tenth of the rate. A machine that is busy with something else for a moment makes it less, and nothing but a wrong
   * limit makes it more: none of up to three measurements may be above, and one has to reach it.
   */
  const expectRate = async (what: Omit<Measurement, 'seconds'>): Promise<void> => {
    let best = 0;
    for (let attempt = 0; attempt < 3 && best < 0.9 * rate; attempt += 1) {
      const measured = await measure(what);
      expect(measured).toBeLessThan(1.1 * rate);
      best = Math.max(best, measured);
    }
    expect(best).toBeGreaterThan(0.9 * rate);
  };

  const cells = [false, true].flatMap((udp) => [false, true].map((ipv6) => ({ udp, ipv6 })));

  describe.each(cells)('udp $udp, IPv6 $ipv6', (cell) => {
    it('without a limit there is more', async () => {
      let most = 0;
      for (let attempt = 0; attempt < 3 && most <= 2 * rate; attempt += 1)
        most = Math.max(most, await measure({ from: 'free', to: 'server', ...cell }));
      expect(most).toBeGreaterThan(2 * rate);
    });

    it.each(kinds)('%s: what a pod sends', async (kind) => {
      await expectRate({ from: `${kind}-egress`, to: 'server', ...cell });
    });

    it.each(kinds)('%s: what a pod gets', async (kind) => {
      await expectRate({ from: 'free', to: `${kind}-ingress`, ...cell });
    });
  });
});
