import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';
import { throughput } from '../src/throughput.ts';

/** Pod bandwidth by NB QoS rows. A rate is a property of the data, not a duration: the bounds are those of the meter. */
describe('bandwidth', () => {
  let lab: TestLab;
  const ns = 'bandwidth';
  const rate = { 'ovn.kubernetes.io/ingress_rate': '20', 'ovn.kubernetes.io/egress_rate': '20' };

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      pod(ns, 'server', { node: 'node-1', command: ['iperf3', '--server'] }),
      pod(ns, 'slow-server', {
        node: 'node-1',
        command: ['iperf3', '--server'],
        annotations: { 'ovn.kubernetes.io/ingress_rate': '20' },
      }),
      pod(ns, 'free', { node: 'node-2' }),
      pod(ns, 'limited', { node: 'node-2', annotations: rate }),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const measure = (from: string, to: string, udp = false): Promise<number> =>
    throughput(lab, ns, { from, to, udp, seconds: 4 });

  it('limits TCP that a pod sends and gets, and leaves its neighbour alone', async () => {
    const both = await Promise.all([measure('limited', 'server'), measure('free', 'slow-server')]);
    for (const limited of both) {
      expect(limited).toBeGreaterThan(12);
      expect(limited).toBeLessThan(25);
    }
    expect(await throughput(lab, ns, { from: 'free', to: 'server', seconds: 1 })).toBeGreaterThan(60);
  });

  it('limits UDP as well', async () => {
    const limited = await measure('limited', 'server', true);
    expect(limited).toBeGreaterThan(15);
    expect(limited).toBeLessThan(25);
  });

  it('takes a change of the annotation, and its removal', async () => {
    const bandwidth = async (): Promise<string> =>
      await lab.nbctl(
        '--bare',
        '--columns=bandwidth',
        'find',
        'QoS',
        'external_ids:ovenbird/owner="Pod/bandwidth/limited"',
        'direction=from-lport',
      );
    await lab.kubectl(['annotate', 'pod', 'limited', '-n', ns, '--overwrite', 'ovn.kubernetes.io/egress_rate=50']);
    await lab.waitFor(
      'the new rate',
      async () => ((text) => text.includes('rate=50000') || text)(await bandwidth()),
      10_000,
    );
    // Nonsense changes nothing, and there is an event.
    await lab.kubectl(['annotate', 'pod', 'limited', '-n', ns, '--overwrite', 'ovn.kubernetes.io/egress_rate=50M']);
    await lab.waitFor(
      'an event',
      async () => (await lab.kubectl(['get', 'events', '-n', ns])).includes('egress_rate: "50M"') || 'none',
      10_000,
    );
    expect(await bandwidth()).toContain('rate=50000');
    await lab.kubectl(['annotate', 'pod', 'limited', '-n', ns, 'ovn.kubernetes.io/egress_rate-']);
    await lab.waitFor('no limit', async () => ((text) => text.trim() === '' || text)(await bandwidth()), 10_000);
  });

  it('delays packets where the kernel can, and says so where it cannot', async () => {
    const milliseconds = async (): Promise<number> => {
      const [address = ''] = addressesOf(await lab.get<PodObject>('pod', 'server', '-n', ns));
      const answer = await lab.exec(ns, 'free', 'ping', '-c', '1', '-W', '2', '-n', address);
      return Number(/time=([0-9.]+)/.exec(answer)?.[1]);
    };
    /** Status and reason of the node's condition. */
    const emulation = async (): Promise<string> => {
      const { status } = await lab.get<{ status: { conditions: { type: string; status: string; reason: string }[] } }>(
        ...['node', 'node-2'],
      );
      const found = status.conditions.find(({ type }) => type === 'ovenbird.io/NetworkEmulation');
      return found === undefined ? 'none' : `${found.status} ${found.reason}`;
    };
    await lab.kubectl(['annotate', 'pod', 'free', '-n', ns, 'ovn.kubernetes.io/latency=300']);
    const outcome = await lab.waitFor(
      'a delay, or an event',
      async () => {
        const lacks = (await lab.kubectl(['get', 'events', '-n', ns])).includes('NetemUnavailable');
        if (lacks) return { lacks };
        return (await milliseconds()) >= 300 ? { lacks } : 'neither';
      },
      15_000,
    );
    if (outcome.lacks)
      await lab.waitFor(
        'the condition of the node',
        async () => ((text) => text === 'False KernelWithoutNetem' || text)(await emulation()),
        10_000,
      );
    await lab.kubectl(['annotate', 'pod', 'free', '-n', ns, 'ovn.kubernetes.io/latency-']);
    await lab.waitFor(
      'neither delay nor complaint',
      async () =>
        (outcome.lacks ? (await emulation()) === 'True NothingLacks' : (await milliseconds()) < 300) || 'still',
      10_000,
    );
  });
});
