import type { CountedSubject, PodReport } from '@ovenbird/agent';
import { describe, expect, it } from 'vitest';
import { renderPod, renderTop, ruleLines } from './traffic.ts';

type State = 'new' | 'established';

function rule(name: string, state: State, packets: number, recentPackets: number, secondsAgo?: number): CountedSubject {
  return {
    type: 'rule',
    rule: { kind: 'NetworkPolicy', namespace: 'a', name: 'p', rule: name, direction: 'ingress', action: 'allow' },
    state,
    packets,
    bytes: packets * 10,
    recentPackets,
    recentBytes: recentPackets * 10,
    ...(secondsAgo === undefined ? {} : { secondsAgo }),
  };
}

const amount = { packets: 3, bytes: 30, dropped: 1, errors: 0 };
const report: PodReport = {
  pod: 'a/x',
  windowSeconds: 61,
  traffic: { sent: amount, received: amount },
  own: [rule('ingress/0', 'new', 4, 1), rule('ingress/0', 'established', 10, 2), rule('ingress/1', 'new', 0, 0)],
  shared: [rule('ingress/2', 'new', 8, 0)],
  network: [
    {
      type: 'drop',
      reason: 'port-security',
      network: 'net',
      direction: 'egress',
      packets: 2,
      bytes: 20,
      recentPackets: 0,
      recentBytes: 0,
    },
  ],
};

describe('rules', () => {
  it('are joined over states and nodes, those with most packets lately first', () => {
    const counters = [
      rule('ingress/0', 'new', 100, 1, 9),
      rule('ingress/1', 'new', 5, 4),
      rule('ingress/0', 'established', 7, 2, 3),
      rule('ingress/0', 'new', 1, 0),
    ];
    expect(ruleLines(counters).map((line) => [line.rule, line.packets, line.recentPackets, line.established])).toEqual([
      ['ingress/1', 5, 4, 0],
      ['ingress/0', 108, 3, 7],
    ]);
    expect(ruleLines(counters)[1]?.secondsAgo).toBe(3);
  });
});

describe('drops', () => {
  it('tells what is the own of a pod from what it shares', () => {
    const lines = renderPod(report).split('\n');
    expect(lines[0]).toBe('RECENT: the last 61 s.');
    expect(lines[1]).toBe('pod a/x: sent 3 packets, received 3, dropped at the port 2');
    expect(lines).toContain('3       14   10           ingress    allow   NetworkPolicy/a/p ingress/0');
    expect(lines).toContain('0       8    0            ingress    allow   NetworkPolicy/a/p ingress/2');
    expect(lines).toContain('1 more rules are about this pod; none of them met a packet.');
    expect(lines).toContain('0       2    egress     net      dropped: port-security');
  });

  it('says what is missing', () => {
    expect(renderPod({ ...report, windowSeconds: 0, problem: 'no controller' })).toMatch(
      /^INCOMPLETE: no controller\nRECENT: counting begins now/,
    );
  });
});

describe('top policies', () => {
  it('lists as many as were asked for', () => {
    const counters = [rule('ingress/0', 'new', 1, 1), rule('ingress/1', 'new', 2, 2)];
    const text = renderTop([{ windowSeconds: 60, counters }], 1);
    expect(text).toContain('ingress/1');
    expect(text).not.toContain('ingress/0');
    expect(text).toContain('1 more; --limit shows them');
    expect(renderTop([{ counters: [] }], 1)).toContain('no rules on these nodes');
  });
});
