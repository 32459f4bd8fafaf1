import type { FlowFilter, FlowStats, PortStats } from '@ovenbird/openflow';
import { describe, expect, it } from 'vitest';
import type { Explainer, FlowMeaning } from './explainer.ts';
import { metricsText } from './metrics.ts';
import type { FlowSource } from './reader.ts';
import { nodeReport, podReport } from './report.ts';
import { FlowStatistics } from './statistics.ts';
import { flowOf, outAcl, ruleOf } from './testing.ts';

const port: PortStats = {
  port: 5,
  durationSec: 1,
  durationNsec: 0,
  rxPackets: 11n,
  txPackets: 22n,
  rxBytes: 110n,
  txBytes: 220n,
  rxDropped: 0n,
  txDropped: 3n,
  rxErrors: 0n,
  txErrors: 0xffff_ffff_ffff_ffffn,
  rxFrameErrors: 0n,
  rxOverErrors: 0n,
  rxCrcErrors: 0n,
  collisions: 0n,
  properties: [],
};

/** A switch with one pod on port 5, and a controller. */
class World {
  time = 1_000_000;
  packets = 7n;
  readonly asked: FlowFilter[] = [];
  readonly questions: string[][] = [];
  isControllerThere = true;
  readonly signal = new AbortController();
  readonly known = new Map<string, FlowMeaning>([
    ['c473b407.1', ruleOf('ingress/drop', 'drop')],
    ['68971284.1', { stage: 'ls_out_acl', datapath: 'net' }],
  ]);

  flows(): readonly FlowStats[] {
    return [
      flowOf('table=0,priority=100,in_port=5,actions=set_field:0x1->metadata,set_field:0x2->reg14,resubmit(,8)'),
      flowOf('cookie=0x68971284,table=46,priority=0,metadata=0x1,actions=resubmit(,47)'),
      flowOf('cookie=0xc473b407,table=46,priority=3000,ip,reg0=0x200/0x200,reg15=0x2,metadata=0x1,actions=drop', {
        packetCount: this.packets,
        byteCount: this.packets * 100n,
        durationSec: Math.floor(this.time / 1000),
      }),
      flowOf('cookie=0x1,table=20,priority=1,ip,actions=drop', { packetCount: 1000n }),
    ];
  }

  readonly source: FlowSource = {
    dumpFlows: async (filter = {}) => {
      this.asked.push(filter);
      return this.flows().filter(
        ({ tableId, cookie }) =>
          tableId === (filter.tableId ?? tableId) && (filter.cookieMask === undefined || cookie === filter.cookie),
      );
    },
    request: (async () => ({ type: 'port_stats_reply', ports: [port] })) as unknown as FlowSource['request'],
  };

  readonly explainer: Explainer = {
    stages: async () => {
      if (!this.isControllerThere) throw new Error('no controller');
      return [outAcl];
    },
    flows: async (keys) => {
      this.questions.push([...keys]);
      if (!this.isControllerThere) throw new Error('no controller');
      return new Map(keys.flatMap((key) => (this.known.has(key) ? [[key, this.known.get(key) as FlowMeaning]] : [])));
    },
  };

  readonly statistics = new FlowStatistics({
    source: this.source,
    explainer: this.explainer,
    intervalMs: 5000,
    now: () => this.time,
    sleep: async () => {
      this.signal.abort();
    },
    signal: this.signal.signal,
  });
}

describe('FlowStatistics', () => {
  it('reads the tables of stages and nothing else, and asks for each cookie once', async () => {
    const world = new World();
    await world.statistics.read();
    world.time += 5000;
    await world.statistics.read();
    const tables = world.asked.map(({ tableId, cookie }) => tableId ?? `cookie ${cookie?.toString(16)}`);
    expect(tables).toEqual([0, 'cookie 68971284', 46, 0, 46]);
    expect(world.questions).toEqual([['68971284.1', 'c473b407.1']]);
  });

  it('does not read again within the interval, however many ask', async () => {
    const world = new World();
    await Promise.all([world.statistics.read(), world.statistics.read()]);
    world.time += 4999;
    await world.statistics.read();
    expect(world.asked.filter(({ tableId }) => tableId === 46)).toHaveLength(1);
  });

  it('counts later what nobody could explain at first', async () => {
    const world = new World();
    world.known.delete('c473b407.1');
    expect((await world.statistics.read()).unexplained).toBe(1);
    world.known.set('c473b407.1', ruleOf('ingress/drop', 'drop'));
    world.time += 5000;
    const state = await world.statistics.read();
    expect(state.unexplained).toBe(0);
    expect(nodeReport(state, world.time).counters.map(({ packets }) => packets)).toContain(7);
  });

  it('goes on with what it knows while no controller answers, and says so', async () => {
    const world = new World();
    await world.statistics.read();
    world.isControllerThere = false;
    world.packets = 12n;
    world.time += 70_000;
    const state = await world.statistics.read();
    expect(state.problem).toBe('no controller');
    expect(nodeReport(state, world.time).counters.map(({ packets }) => packets)).toContain(12);
  });

  it('says what it does not know without a controller or a switch', async () => {
    const world = new World();
    const parts = {
      intervalMs: 5000,
      now: () => 0,
      sleep: async () => undefined,
      signal: new AbortController().signal,
    };
    const alone = new FlowStatistics({ ...parts, source: world.source, explainer: undefined });
    expect((await alone.read()).problem).toMatch(/no controller to ask/);
    const source: FlowSource = { ...world.source, dumpFlows: async () => await Promise.reject(new Error('gone')) };
    const blind = new FlowStatistics({ ...parts, source, explainer: world.explainer });
    expect(await blind.read()).toMatchObject({ problem: 'br-int: gone', readAt: undefined });
  });

  it('reports a pod: its own drops, in all and of the last minute', async () => {
    const world = new World();
    await world.statistics.attend();
    world.packets = 10n;
    world.time += 10_000;
    const report = podReport({ namespace: 'a', pod: 'x', ofport: 5 }, await world.statistics.read(), world.time);
    expect(report).toMatchObject({
      pod: 'a/x',
      windowSeconds: 10,
      traffic: { sent: { packets: 11 }, received: { packets: 22, bytes: 220, dropped: 3, errors: 0 } },
      shared: [],
      network: [],
    });
    expect(report.own.map(({ type, packets, recentPackets }) => [type, packets, recentPackets])).toEqual([
      ['rule', 10, 3],
      ['drop', 10, 3],
    ]);
    const other = podReport({ namespace: 'a', pod: 'y', ofport: 6 }, await world.statistics.read(), world.time);
    expect(other).toMatchObject({ own: [], shared: [], network: [] });
  });

  it('writes metrics with labels of Kubernetes, escaped', async () => {
    const world = new World();
    const metrics = metricsText(await world.statistics.read(), [{ namespace: 'a', pod: 'x"\\\n', ofport: 5 }]);
    expect(metrics).toContain(
      'ovenbird_agent_rule_packets_total{kind="NetworkPolicy",namespace="a",policy="p",subnet="",' +
        'rule="ingress/drop",direction="ingress",action="drop",state="new"} 7\n',
    );
    expect(metrics).toContain(
      'ovenbird_agent_dropped_bytes_total{reason="acl",network="net",direction="ingress"} 700\n',
    );
    expect(metrics).toContain('ovenbird_agent_pod_sent_packets_total{namespace="a",pod="x\\"\\\\\\n"} 11\n');
    const names = metrics.split('\n').flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? []);
    expect(new Set(names).size).toBe(names.length);
  });
});
