import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlPair } from '../src/control-pair.ts';
import { killOurs, startOurs, stopOurs } from '../src/interruption.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';
import { PacketStreams, type Stream } from '../src/packet-stream.ts';

/** Pods keep their traffic whatever happens to the controller and the agents. */
describe('traffic while controller and agents are away', () => {
  let lab: TestLab;
  const ns = 'recovery';
  const nodeOf = { a: 'node-1', b: 'node-2', c: 'node-1' };
  const pods = new Map<string, PodObject>();

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), ...Object.entries(nodeOf).map(([name, node]) => pod(ns, name, { node })));
    await lab.podsReady(ns);
    for (const name of Object.keys(nodeOf)) pods.set(name, await lab.get<PodObject>('pod', name, '-n', ns));
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  /** Streams over both families between pods of two nodes, of one node, and from a node to a pod of another. */
  const streams = async (): Promise<readonly Stream[]> => {
    const netns = await lab.podNamespaces();
    const pathOf = (name: string): string => netns.get(`${ns}/${name}`) ?? '';
    const node3 = `/run/netns/${lab.state.nodes[2]?.namespace}`;
    const pairs = [
      { label: 'a-b', from: pathOf('a'), to: 'b' },
      { label: 'b-a', from: pathOf('b'), to: 'a' },
      { label: 'a-c', from: pathOf('a'), to: 'c' },
      { label: 'node3-c', from: node3, to: 'c' },
    ];
    return pairs.flatMap(({ label, from, to }, index) =>
      addressesOf(pods.get(to) as PodObject).map((address) => ({
        name: `${label}-${address.includes(':') ? 'ipv6' : 'ipv4'}`,
        from,
        to: pathOf(to),
        address,
        port: 9000 + index,
      })),
    );
  };

  it('loses no more packets than a pair that nobody touches', async () => {
    await using pair = await ControlPair.create(lab);
    await using running = await PacketStreams.start([...(await streams()), ...pair.streams()]);
    const sendMore = async (count: number): Promise<void> => {
      const until = running.sent + count;
      await lab.waitFor(`packet ${until}`, () => running.sent >= until || `${running.sent} sent`, 60_000);
    };
    await sendMore(100);
    await killOurs(lab);
    await sendMore(300);
    await startOurs(lab);
    await sendMore(100);
    await stopOurs(lab);
    await sendMore(100);
    await startOurs(lab);
    await sendMore(300);
    const results = await running.stop();
    const [control, mine] = [true, false].map((isControl) =>
      results.filter(({ name }) => name.startsWith('control') === isControl),
    );
    expect(mine).toHaveLength(8);
    const allowed = Math.max(...(control ?? []).map(({ lost }) => lost.length));
    for (const { name, sent, lost } of mine ?? []) {
      expect(sent).toBeGreaterThanOrEqual(900);
      expect(lost.length, `${name}: of ${sent}, packets ${lost.join(',')} were lost`).toBeLessThanOrEqual(allowed);
    }
  });
});
