import type { Series } from './accumulator.ts';
import type { Subject } from './count.ts';
import { type PodPort, trafficOf } from './report.ts';
import type { StatisticsState } from './statistics.ts';

type Labels = Readonly<Record<string, string>>;
type Point = readonly [labels: Labels, value: number];

/** Prometheus' text exposition format, version 0.0.4: escapes of label values. */
const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

/** One metric as text. The counters are kept elsewhere and only grow, so a registry would hold them a second time. */
function metric(name: string, type: 'counter' | 'gauge', help: string, points: readonly Point[]): string {
  if (points.length === 0) return '';
  const lines = points.map(([labels, value]) => {
    const list = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    return `${name}${list.length === 0 ? '' : `{${list.join(',')}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelsOf(subject: Subject): Labels {
  if (subject.type !== 'rule') {
    const { network, direction } = subject;
    return subject.type === 'drop' ? { reason: subject.reason, network, direction } : { network, direction };
  }
  const { kind, namespace, name, rule, direction, action } = subject.rule;
  const isSubnet = kind === 'Subnet';
  return {
    kind,
    namespace,
    policy: isSubnet ? '' : name,
    subnet: isSubnet ? name : '',
    rule,
    direction,
    action,
    state: subject.state,
  };
}

/** Counters of one type of subject, packets and bytes. */
function counters(state: StatisticsState, type: Subject['type'], name: string, help: string): string {
  const series = state.series.filter(({ subject }) => subject.type === type);
  const points = (value: (one: Series) => number): readonly Point[] =>
    series.map((one) => [labelsOf(one.subject), value(one)] as const);
  return (
    metric(
      `ovenbird_agent_${name}_packets_total`,
      'counter',
      `Packets ${help}`,
      points(({ packets }) => packets),
    ) +
    metric(
      `ovenbird_agent_${name}_bytes_total`,
      'counter',
      `Bytes of packets ${help}`,
      points(({ bytes }) => bytes),
    )
  );
}

/** The agent's statistics for Prometheus. */
export function metricsText(state: StatisticsState, pods: readonly PodPort[]): string {
  const byPort = new Map(state.counters.map((stats) => [stats.port, stats]));
  const traffic = pods.map(({ namespace, pod, ofport }) => ({
    labels: { namespace, pod },
    ...trafficOf(byPort.get(ofport)),
  }));
  const ports = (['received', 'sent'] as const).flatMap((side) =>
    (['packets', 'bytes', 'dropped', 'errors'] as const).map((what) => {
      const help = what === 'packets' || what === 'bytes' ? what : `packets that the port counted as ${what}`;
      return metric(
        `ovenbird_agent_pod_${side}_${what}_total`,
        'counter',
        `What a pod ${side}, as its port on br-int counts: ${help}.`,
        traffic.map((one) => [one.labels, one[side][what]]),
      );
    }),
  );
  return [
    counters(state, 'rule', 'rule', 'that met a rule, in its own direction, on this node.'),
    counters(state, 'drop', 'dropped', 'dropped on this node, by reason.'),
    counters(state, 'established', 'established', 'of replies of established connections, which meet no rule.'),
    ...ports,
    metric(
      'ovenbird_agent_statistics_unexplained_flows',
      'gauge',
      'Flows that count and that no controller could explain yet.',
      [[{}, state.unexplained]],
    ),
    metric('ovenbird_agent_statistics_duration_seconds', 'gauge', 'How long the last reading of the counters took.', [
      [{}, state.durationMs / 1000],
    ]),
    metric('ovenbird_agent_statistics_ok', 'gauge', 'Whether the last reading was complete.', [
      [{}, state.problem === undefined ? 1 : 0],
    ]),
  ].join('');
}
