import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlPair } from '../src/control-pair.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod } from '../src/objects.ts';
import { PacketStreams, type StreamResult } from '../src/packet-stream.ts';
import { type Flow, podStreams } from '../src/pod-streams.ts';

/** Pods of one node keep their traffic while the node's daemons start again; the pair beside them is on other nodes. */
describe("traffic while a node's daemons restart", () => {
  let lab: TestLab;
  const ns = 'restarts';
  const nodeOf = { a: 'node-1', b: 'node-2', c: 'node-1', d: 'node-3' };

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), ...Object.entries(nodeOf).map(([name, node]) => pod(ns, name, { node })));
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  /** Those called `touched` have an end on node-1. */
  const flows: readonly Flow[] = [
    { name: 'touched-a-b', from: 'a', to: 'b', port: 9000 },
    { name: 'touched-b-a', from: 'b', to: 'a', port: 9001 },
    { name: 'touched-a-c', from: 'a', to: 'c', port: 9002 },
    { name: 'others-d-b', from: 'd', to: 'b', port: 9003 },
  ];

  const during = async (work: (sendMore: (count: number) => Promise<void>) => Promise<void>) => {
    await using pair = await ControlPair.create(lab, 1);
    await using running = await PacketStreams.start([...(await podStreams(lab, ns, flows)), ...pair.streams()]);
    await work((count) => running.more(count));
    const results = await running.stop();
    const named = (prefix: string): readonly StreamResult[] => results.filter(({ name }) => name.startsWith(prefix));
    const control = named('control');
    expect(control).toHaveLength(4);
    return {
      touched: named('touched'),
      others: named('others'),
      allowed: Math.max(...control.map(({ lost }) => lost.length)),
    };
  };

  it('loses nothing over restarts of ovn-controller, killed and in good order', async () => {
    const { touched, others, allowed } = await during(async (sendMore) => {
      await sendMore(100);
      await lab.killProcess('node-1.ovn-controller');
      await sendMore(100);
      await lab.startProcess('node-1.ovn-controller');
      await sendMore(300);
      await lab.restartProcess('node-1.ovn-controller');
      await sendMore(300);
    });
    for (const { name, sent, lost } of [...touched, ...others])
      expect(lost.length, `${name}: of ${sent}, packets ${lost.join(',')} were lost`).toBeLessThanOrEqual(allowed);
  });

  it('loses nothing while ovn-northd and the databases are away, nor when they come back', async () => {
    const { touched, others, allowed } = await during(async (sendMore) => {
      await sendMore(100);
      for (const name of ['northd', 'ovnsb', 'ovnnb']) {
        await lab.killProcess(name);
        await sendMore(100);
        await lab.startProcess(name);
        await sendMore(200);
      }
    });
    for (const { name, sent, lost } of [...touched, ...others])
      expect(lost.length, `${name}: of ${sent}, packets ${lost.join(',')} were lost`).toBeLessThanOrEqual(allowed);
  });

  it.each(['killed', 'restarted in good order'])('comes back by itself after ovs-vswitchd was %s', async (how) => {
    const { touched, others, allowed } = await during(async (sendMore) => {
      await sendMore(100);
      if (how === 'killed') {
        await lab.killProcess('node-1.vswitchd');
        await lab.startProcess('node-1.vswitchd');
      } else {
        await lab.restartProcess('node-1.vswitchd');
      }
      await sendMore(600);
    });
    for (const { name, sent, lost } of others)
      expect(lost.length, `${name}: of ${sent}, packets ${lost.join(',')} were lost`).toBeLessThanOrEqual(allowed);
    // About 1.5 s in the userspace datapath. Whatever it is: one gap, the same for all, and nothing lost after it.
    for (const { name, sent, lost } of touched) {
      const gap = lost.length === 0 ? 0 : (lost.at(-1) ?? 0) - (lost[0] ?? 0) + 1;
      expect(gap - lost.length, `${name} of ${sent} lost ${lost.join(',')}`).toBeLessThanOrEqual(allowed);
      expect(lost, `${name}: its last packets`).not.toContain(sent - 1);
    }
    process.stdout.write(`ovs-vswitchd ${how}: ${touched[0]?.lost.length} packets of 10 ms lost\n`);
  });
});
