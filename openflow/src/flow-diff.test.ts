import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseActions } from './action-text.ts';
import { diffFlows, type Flow, flowKey, sameActions } from './flow-diff.ts';
import { type FlowChange, formatFlow, parseFlow } from './flow-text.ts';
import { match } from './match.ts';
import { matchIncludes } from './match-includes.ts';
import { SEED } from './test-support.ts';
import { OF13, OF15 } from './version.ts';

const flows = (...texts: readonly string[]): Flow[] => texts.map((text) => parseFlow(text));
const commands = (changes: readonly FlowChange[]): readonly string[] =>
  changes.map((change) => `${change.command} ${formatFlow(change)}`);

describe('the identity of a flow', () => {
  it('is table, priority and match, however that is written', () => {
    const [a, b] = flows('table=1,tcp,tp_dst=80,nw_src=10.0.0.0/8,actions=drop', 'table=1,actions=drop');
    const same = match({ tcp_dst: 80, ip_src: '10.1.2.3/8', eth_type: 0x800 });
    expect(flowKey({ tableId: 1, match: same })).toBe(flowKey(a ?? { match: [] }));
    expect(flowKey({ tableId: 1, match: same })).not.toBe(flowKey(b ?? { match: [] }));
    expect(flowKey({ match: match({ xreg0: 0x1_0000_0002n }) })).toBe(flowKey({ match: match({ reg0: 1, reg1: 2 }) }));
    expect(flowKey({ match: [], priority: 1 })).not.toBe(flowKey({ match: [], priority: 2 }));
  });
});

describe('the difference', () => {
  it('is empty for the same flows, however their actions are written', () => {
    const here = flows('table=1,ip,actions=set_field:1->reg0,output:1', 'priority=0,actions=drop');
    const there = flows('priority=0,actions=', 'table=1,ip,actions=load:1->NXM_NX_REG0[],output:1');
    expect(commands(diffFlows(here, there))).toEqual([]);
    expect(sameActions(parseActions('load:1->NXM_NX_REG0[0..3]'), parseActions('set_field:1/0xf->reg0'), OF15)).toBe(
      true,
    );
    expect(sameActions(parseActions('output:1,output:2'), parseActions('output:2,output:1'), OF15)).toBe(false);
  });

  it('adds, modifies when only the actions differ, and deletes just the flow of this cookie', () => {
    const here = flows('cookie=7,tcp,actions=output:1', 'cookie=8,udp,actions=drop', 'arp,actions=output:3');
    const there = flows('cookie=7,tcp,actions=output:2', 'arp,idle_timeout=5,actions=output:3', 'icmp,actions=drop');
    expect(commands(diffFlows(here, there))).toEqual([
      'modify_strict table=0, tcp actions=output:2',
      'add cookie=0x0, table=0, idle_timeout=5, arp actions=output:3',
      'add cookie=0x0, table=0, icmp actions=drop',
      'delete_strict cookie=0x8/0xffffffffffffffff, table=0, udp',
    ]);
  });

  it('compares what a flow keeps, and of the cookie what it is told to', () => {
    const [here] = flows('cookie=0x100000007,tcp,send_flow_rem,actions=drop');
    const [there] = flows('cookie=0x200000007,tcp,check_overlap,reset_counts,send_flow_rem,actions=drop');
    if (here === undefined || there === undefined) throw new Error('two flows');
    expect(diffFlows([here], [there])).toHaveLength(1);
    expect(diffFlows([here], [there], { cookieMask: 0xffff_ffffn })).toEqual([]);
    expect(diffFlows([here], [{ ...there, importance: 3 }], { cookieMask: 0xffff_ffffn })).toHaveLength(1);
    // 1.3 cannot say how important a flow is.
    expect(diffFlows([here], [{ ...there, importance: 3 }], { cookieMask: 1n, version: OF13 })).toEqual([]);
  });

  it('refuses two wanted flows of one identity', () => {
    expect(() => diffFlows([], flows('tcp,actions=drop', 'ip,nw_proto=6,actions=output:1'))).toThrow(
      /same table, priority and match: .*tcp/,
    );
  });

  it(`applied to the flows that there are gives those that should be (SEED=${SEED})`, () => {
    const flow = fc.record({
      tableId: fc.nat(1),
      priority: fc.nat(2),
      match: fc.nat(3).map((reg0) => match({ reg0 })),
      cookie: fc.nat(1).map(BigInt),
      actions: fc.nat(2).map((port) => parseActions(`output:${port}`)),
    });
    const table = fc.uniqueArray(flow, { selector: flowKey });
    fc.assert(
      fc.property(table, table, (here, there) => {
        const state = new Map(here.map((entry) => [flowKey(entry), entry as Flow]));
        for (const change of diffFlows(here, there)) {
          const key = flowKey(change);
          const old = state.get(key);
          if (change.command === 'delete_strict') {
            expect(old?.cookie).toBe(change.cookie);
            state.delete(key);
          } else if (change.command === 'modify_strict') {
            state.set(key, { ...(old ?? change), actions: change.actions });
          } else state.set(key, change);
        }
        const keep = ({ cookie, actions }: Flow): unknown => ({ cookie, actions });
        expect(new Map([...state].map(([key, entry]) => [key, keep(entry)]))).toEqual(
          new Map(there.map((entry) => [flowKey(entry), keep(entry)])),
        );
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe('inclusion of matches', () => {
  it('is a matter of the bits that both have', () => {
    const net = match({ eth_type: 0x800, ip_src: '10.0.0.0/8' });
    expect(matchIncludes([], net)).toBe(true);
    expect(matchIncludes(net, match({ eth_type: 0x800, ip_src: '10.1.0.0/16', nw_proto: 6 }))).toBe(true);
    expect(matchIncludes(net, match({ eth_type: 0x800 }))).toBe(false);
    expect(matchIncludes(net, match({ eth_type: 0x800, ip_src: '11.0.0.1' }))).toBe(false);
    expect(matchIncludes(net, match({ eth_type: 0x800, ip_src: '10.0.0.0/7' }))).toBe(false);
  });
});
