import { isCidr, parseCidr } from '@ovenbird/crds';
import type {
  AdminNetworkPolicyPort,
  ClusterNetworkPolicyProtocol,
  ClusterPolicyObject,
  ClusterPolicyPeer,
  LabelSelector,
  NamespacedPods,
} from '@ovenbird/kube';
import type { Meta } from '../store/meta.ts';
import type {
  ClusterPeer,
  ClusterPolicy,
  ClusterPolicyKind,
  ClusterPort,
  ClusterRule,
  PodSelection,
} from './cluster-model.ts';
import { allPorts, transports } from './port-set.ts';
import { parseSelector } from './selector.ts';

const actions: Readonly<Record<string, ClusterRule['action']>> = {
  Allow: 'Allow',
  Accept: 'Allow',
  Deny: 'Deny',
  Pass: 'Pass',
};

const nobody: PodSelection = {
  namespaces: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: [] }],
  pods: [],
};

/** Of an egress rule or an ingress rule, under one name. */
interface KubeRule {
  readonly name?: string | undefined;
  readonly action: string;
  readonly peers: readonly ClusterPolicyPeer[];
  readonly ports?: readonly AdminNetworkPolicyPort[] | null | undefined;
  readonly protocols?: readonly ClusterNetworkPolicyProtocol[] | null | undefined;
}

/**
 * What the controller keeps of a policy of any kind. What cannot be read fails closed, as the API asks of implementations:
 * such a peer of a rule that allows matches nothing, and a rule that denies or passes becomes one that denies everything
 * (network-policy-api, ClusterNetworkPolicyEgressPeer).
 */
export function parseClusterPolicy(
  kind: ClusterPolicyKind,
  { spec, metadata }: ClusterPolicyObject,
  meta: Meta,
): ClusterPolicy {
  const problems: string[] = [];
  const rules = (field: string, list: readonly KubeRule[]): readonly ClusterRule[] =>
    list.map((rule, index) => ruleOf(rule, `spec.${field}[${index}]`, problems));
  const { subject } = spec;
  const known = subject.namespaces !== undefined || subject.pods !== undefined;
  if (!known) problems.push('spec.subject: neither namespaces nor pods is set; the policy applies to no pod');
  const baseline =
    kind === 'BaselineAdminNetworkPolicy' || (kind === 'ClusterNetworkPolicy' && spec.tier === 'Baseline');
  return {
    ...meta,
    kind,
    tier: baseline ? 'Baseline' : 'Admin',
    ...(kind === 'BaselineAdminNetworkPolicy' ? {} : { priority: spec.priority ?? 0 }),
    subject: known ? selectionOf(subject.namespaces, subject.pods) : nobody,
    ingress: rules(
      'ingress',
      (spec.ingress ?? []).map(({ from, ...rule }) => ({ ...rule, peers: from })),
    ),
    egress: rules(
      'egress',
      (spec.egress ?? []).map(({ to, ...rule }) => ({ ...rule, peers: to })),
    ),
    problems,
    generation: metadata.generation ?? 0,
  };
}

function selectionOf(namespaces: LabelSelector | undefined, pods: NamespacedPods | undefined): PodSelection {
  if (namespaces !== undefined) return { namespaces: parseSelector(namespaces), pods: [] };
  return { namespaces: parseSelector(pods?.namespaceSelector ?? {}), pods: parseSelector(pods?.podSelector ?? {}) };
}

function ruleOf({ name, action, peers, ports, protocols }: KubeRule, where: string, problems: string[]): ClusterRule {
  const wrong: string[] = [];
  const own = name === undefined || name === '' ? {} : { name };
  const parsed = peers.flatMap((peer) => peerOf(peer, wrong));
  const parsedPorts = portsOf(ports ?? [], protocols ?? [], wrong);
  const known = actions[action];
  if (known === undefined) wrong.push(`action "${action.slice(0, 20)}" is not known`);
  const closed = wrong.length > 0 && known !== 'Allow';
  for (const text of wrong)
    problems.push(
      `${where}: ${text}; ${closed ? 'the rule denies everything' : 'that part of the rule matches nothing'}`,
    );
  if (closed) return { ...own, action: 'Deny', peers: [{ kind: 'networks', networks: ['0.0.0.0/0', '::/0'] }] };
  const all = (ports ?? []).length + (protocols ?? []).length === 0;
  return { ...own, action: known ?? 'Deny', peers: parsed, ...(all ? {} : { ports: parsedPorts }) };
}

function peerOf(
  { namespaces, pods, nodes, networks, domainNames }: ClusterPolicyPeer,
  wrong: string[],
): readonly ClusterPeer[] {
  if (namespaces !== undefined || pods !== undefined) return [{ kind: 'pods', pods: selectionOf(namespaces, pods) }];
  if (nodes !== undefined) return [{ kind: 'nodes', nodes: parseSelector(nodes) }];
  if (networks !== undefined) {
    const bad = networks.find((text) => !isCidr(text));
    if (bad === undefined) return [{ kind: 'networks', networks: networks.map((text) => parseCidr(text)) }];
    wrong.push(`"${bad.slice(0, 60)}" is not a CIDR such as 10.0.0.0/8 or fd00::/64`);
    return [];
  }
  wrong.push(
    domainNames === undefined
      ? 'a peer has no field that is known here'
      : 'domainNames are not supported: use networks',
  );
  return [];
}

function portsOf(
  ports: readonly AdminNetworkPolicyPort[],
  protocols: readonly ClusterNetworkPolicyProtocol[],
  wrong: string[],
): readonly ClusterPort[] {
  const parsed: ClusterPort[] = [];
  const range = (text: string, from: number, to: number): void => {
    const protocol = transports.find((one) => one === text.toLowerCase());
    if (protocol === undefined) wrong.push(`protocol "${text.slice(0, 20)}" is none of TCP, UDP, SCTP`);
    else if (from > to) wrong.push(`the port range ${from} to ${to} is empty`);
    else parsed.push({ protocol, from, to });
  };
  for (const { portNumber, portRange, namedPort } of ports) {
    if (portNumber !== undefined) range(portNumber.protocol, portNumber.port, portNumber.port);
    else if (portRange !== undefined) range(portRange.protocol ?? 'TCP', portRange.start, portRange.end);
    else if (namedPort !== undefined) parsed.push({ name: namedPort });
    else wrong.push('a port has no field that is known here');
  }
  for (const match of protocols) {
    if (match.destinationNamedPort !== undefined) {
      parsed.push({ name: match.destinationNamedPort });
      continue;
    }
    const protocol = transports.find((one) => match[one] !== undefined);
    if (protocol === undefined) {
      wrong.push('a protocol has no field that is known here');
      continue;
    }
    const port = match[protocol]?.destinationPort;
    const { number, range: span } = port ?? {};
    if (number !== undefined) range(protocol, number, number);
    else if (span !== undefined) range(protocol, span.start, span.end);
    else if (port === undefined) parsed.push({ protocol, ...allPorts });
    else wrong.push('a destinationPort has no field that is known here');
  }
  return parsed;
}
