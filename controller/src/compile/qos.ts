import { ipFamily } from '@ovenbird/crds';
import { type BandwidthLimit, defaultBurst } from '../pod/bandwidth.ts';
import type { PortRange, QosPolicy, QosRule } from '../qos/model.ts';
import { bandwidthPriority, qosPriority } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { qosGroupName } from './names.ts';
import type { RowBuilder, RowRef } from './rows-builder.ts';

const directions = [
  ['ingress', 'to-lport'],
  ['egress', 'from-lport'],
] as const;

/** Both alternatives in OVN's match syntax, in parentheses where there are several. */
const either = (alternatives: readonly string[]): string =>
  alternatives.length === 1 ? (alternatives[0] ?? '') : `(${alternatives.join(' || ')})`;

const portsMatch = (field: string, ranges: readonly PortRange[]): string =>
  either(
    ranges.map(({ first, last }) =>
      first === last ? `${field} == ${first}` : `(${field} >= ${first} && ${field} <= ${last})`,
    ),
  );

function addressesMatch(cidrs: readonly string[], end: 'src' | 'dst'): string {
  const families = ([4, 6] as const).flatMap((family) => {
    const own = cidrs.filter((cidr) => ipFamily(cidr) === family);
    if (own.length === 0) return [];
    return [`ip${family}.${end} == ${own.length === 1 ? own[0] : `{${own.join(', ')}}`}`];
  });
  return either(families);
}

/** A rule as a match (ovn-sb(5), Logical_Flow, match), beside the port. */
function ruleMatch(rule: QosRule, direction: 'ingress' | 'egress'): readonly string[] {
  const { cidrs, protocol, localPorts, remotePorts } = rule;
  const [local, remote] = direction === 'egress' ? (['src', 'dst'] as const) : (['dst', 'src'] as const);
  const parts: string[] = [];
  if (cidrs.length > 0) parts.push(addressesMatch(cidrs, remote));
  if (protocol === 'icmp') parts.push('(icmp4 || icmp6)');
  else if (protocol !== undefined) {
    if (localPorts.length + remotePorts.length === 0) parts.push(protocol);
    if (localPorts.length > 0) parts.push(portsMatch(`${protocol}.${local}`, localPorts));
    if (remotePorts.length > 0) parts.push(portsMatch(`${protocol}.${remote}`, remotePorts));
  }
  return parts;
}

const bandwidthMap = (rateKbit: number, burstKbit: number): ReadonlyMap<string, number> =>
  new Map([
    ['rate', rateKbit],
    ['burst', burstKbit],
  ]);

/** The rows of a policy for one port or port group. */
export function policyRows(
  rows: RowBuilder,
  policy: QosPolicy,
  subject: { readonly port: string } | { readonly group: string },
  limits: readonly BandwidthLimit[] = [],
): readonly RowRef[] {
  const who = 'port' in subject ? `"${subject.port}"` : `@${subject.group}`;
  return directions.flatMap(([name, direction]) => {
    const asked = limits.find((limit) => limit.direction === direction);
    return policy[name].map((rule, index) => {
      const parts = ruleMatch(rule, name);
      const { rateKbit, dscp } = rule;
      const { burstKbit = defaultBurst(rateKbit ?? 0) } = rule;
      // Of all of its traffic a pod may ask for less than the policy lets it have.
      const lower = parts.length === 0 && asked !== undefined && asked.rateKbit < (rateKbit ?? 0) ? asked : undefined;
      const bandwidth =
        lower === undefined ? bandwidthMap(rateKbit ?? 0, burstKbit) : bandwidthMap(lower.rateKbit, lower.burstKbit);
      return rows.row(
        'QoS',
        `${policy.name}/${name}/${index}`,
        {
          direction,
          priority: qosPriority(policy.priority, index),
          match: [`${direction === 'from-lport' ? 'inport' : 'outport'} == ${who}`, ...parts].join(' && '),
          action: dscp === undefined ? new Map() : new Map([['dscp', dscp]]),
          bandwidth: rateKbit === undefined ? new Map() : bandwidth,
        },
        { policy: policy.name, rule: `${name}[${index}]` },
      );
    });
  });
}

/** The rows of a pod's bandwidth annotations. */
export function bandwidthRows(
  rows: RowBuilder,
  port: string,
  uid: string,
  limits: readonly BandwidthLimit[],
): readonly RowRef[] {
  return limits.map(({ direction, rateKbit, burstKbit }) =>
    rows.row(
      'QoS',
      direction,
      {
        direction,
        priority: bandwidthPriority,
        match: `${direction === 'from-lport' ? 'inport' : 'outport'} == "${port}"`,
        bandwidth: bandwidthMap(rateKbit, burstKbit),
      },
      { 'ovenbird/uid': uid },
    ),
  );
}

/**
 * A shared QoSPolicy → a Port_Group, whose members come from the pods' units, and its rows on the switches of these pods.
 * northd makes one logical flow of the rows, so the pods of a chassis share one meter. Other policies are rows of their pods.
 */
export function qosPolicyUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'QoSPolicy',
    rank: 2,
    lane: 'bulk',
    compile(name, reader) {
      const policy = reader.get('QoSPolicy', name);
      if (policy?.shared !== true) return [];
      const rows = context.builder('QoSPolicy', name);
      const group = qosGroupName(name);
      rows.row('Port_Group', group, { name: group }, { policy: name });
      const subnets = reader
        .index('QosUse', 'policy', name)
        .map(({ subnet }) => subnet)
        .filter((subnet) => reader.get('UsableSubnet', subnet) !== undefined)
        .sort();
      // A row that no switch refers to would be collected at once.
      if (subnets.length === 0) return rows.outputs;
      for (const { uuid } of policyRows(rows, policy, { group }))
        for (const subnet of subnets) rows.member(context.switch(subnet), 'qos_rules', uuid);
      return rows.outputs;
    },
  };
}
