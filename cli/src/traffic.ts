import type { CountedSubject, NodeReport, PodReport } from '@ovenbird/agent';
import { table } from './table.ts';

type RuleCounter = Extract<CountedSubject, { type: 'rule' }>;

/** One rule's line: its flows for new and for established connections together. */
export interface RuleLine {
  readonly owner: string;
  readonly rule: string;
  readonly direction: string;
  readonly action: string;
  packets: number;
  bytes: number;
  recentPackets: number;
  /** Packets of connections that were there before, of `packets`. */
  established: number;
  secondsAgo: number | undefined;
}

/** Joins what was counted apart, and what several nodes counted; most packets in the last minute first. */
export function ruleLines(counters: readonly CountedSubject[]): readonly RuleLine[] {
  const lines = new Map<string, RuleLine>();
  for (const counter of counters) {
    if (counter.type !== 'rule') continue;
    const key = JSON.stringify(counter.rule);
    const line = lines.get(key) ?? emptyLine(counter);
    lines.set(key, line);
    line.packets += counter.packets;
    line.bytes += counter.bytes;
    line.recentPackets += counter.recentPackets;
    if (counter.state === 'established') line.established += counter.packets;
    if (counter.secondsAgo !== undefined)
      line.secondsAgo = Math.min(line.secondsAgo ?? Number.POSITIVE_INFINITY, counter.secondsAgo);
  }
  return [...lines.values()].sort((a, b) => b.recentPackets - a.recentPackets || b.packets - a.packets);
}

function emptyLine({ rule: { kind, namespace, name, rule, direction, action } }: RuleCounter): RuleLine {
  const owner = kind === '' ? 'not Ovenbird' : [kind, namespace, name].filter((part) => part !== '').join('/');
  const zero = { packets: 0, bytes: 0, recentPackets: 0, established: 0 };
  return { owner, rule, direction, action, ...zero, secondsAgo: undefined };
}

const columns = ['RECENT', 'ALL', 'ESTABLISHED', 'DIRECTION', 'ACTION', 'RULE'] as const;

/** Rules as a table. */
function rulesTable(lines: readonly RuleLine[]): string {
  return table(
    columns,
    lines.map(({ recentPackets, packets, established, direction, action, owner, rule }) => [
      String(recentPackets),
      String(packets),
      String(established),
      direction,
      action,
      `${owner} ${rule}`,
    ]),
  );
}

/** Drops that no rule made, and replies, as a table. */
function networkTable(counters: readonly CountedSubject[]): string {
  const rows = counters.flatMap((counter) => {
    if (counter.type === 'rule' || (counter.type === 'drop' && counter.reason === 'acl')) return [];
    const what = counter.type === 'drop' ? `dropped: ${counter.reason}` : 'established (replies)';
    return [[String(counter.recentPackets), String(counter.packets), counter.direction, counter.network, what]];
  });
  return table(['RECENT', 'ALL', 'DIRECTION', 'NETWORK', 'WHAT'], rows);
}

/** The window of the recent numbers: a minute, unless the agent has just begun to count or nobody has asked for long. */
const window = (seconds: number | undefined): string =>
  seconds === undefined || seconds < 5
    ? 'RECENT: counting begins now; ask again in a minute.\n'
    : `RECENT: the last ${seconds} s.\n`;

const problem = (text: string | undefined): string => (text === undefined ? '' : `INCOMPLETE: ${text}\n`);

/** What `ovenbird drops POD` prints. */
export function renderPod(report: PodReport): string {
  const { sent, received } = report.traffic;
  const met = ruleLines(report.own).filter(({ packets }) => packets > 0);
  const shared = ruleLines(report.shared).filter(({ packets }) => packets > 0);
  const quiet = ruleLines([...report.own, ...report.shared]).filter(({ packets }) => packets === 0).length;
  return [
    problem(report.problem),
    window(report.windowSeconds),
    `pod ${report.pod}: sent ${sent.packets} packets, received ${received.packets}, dropped at the port ${sent.dropped + received.dropped}\n`,
    "\nRules that this pod's packets met (counted at its own port):\n",
    met.length === 0 ? 'none\n' : rulesTable(met),
    shared.length === 0
      ? ''
      : `\nRules that are about this pod, counted together with the other pods of this node that they are about:\n${rulesTable(shared)}`,
    quiet === 0 ? '' : `\n${quiet} more rules are about this pod; none of them met a packet.\n`,
    '\nAll pods of its network on this node together:\n',
    networkTable(report.network),
  ].join('');
}

/** What `ovenbird top policies` prints. @param limit most lines */
export function renderTop(reports: readonly NodeReport[], limit: number): string {
  const lines = ruleLines(reports.flatMap(({ counters }) => counters));
  const windows = reports.map(({ windowSeconds }) => windowSeconds ?? 0);
  const problems = new Set(reports.flatMap((report) => (report.problem === undefined ? [] : [report.problem])));
  return [
    ...[...problems].map(problem),
    window(Math.min(...windows)),
    lines.length === 0 ? 'no rules on these nodes\n' : rulesTable(lines.slice(0, limit)),
    lines.length > limit ? `${lines.length - limit} more; --limit shows them\n` : '',
  ].join('');
}
