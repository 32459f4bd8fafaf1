import type { ClusterPolicyObject, ClusterPolicyPeer, LabelSelector, NamespacedPods } from '@ovenbird/kube';
import { inNetwork, npVerdict, type OraclePod, type OracleState, selected } from '../network-policy/oracle.ts';

/**
 * What policies of the whole cluster mean, written after the documentation of network-policy-api and sharing nothing with the
 * controller. Of policies with one priority, whose order the API leaves open, the first of the list comes first.
 */

type Labels = Readonly<Record<string, string>>;

export interface OracleNode {
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
}

/** A cluster with policies of all tiers. */
export interface TieredState extends OracleState {
  readonly nodes: readonly OracleNode[];
  /** Oldest first. */
  clusterPolicies: ClusterPolicyObject[];
}

/** One end of a connection: a pod, or whoever has an address (a pod in the node's network is the node). */
export type End = { readonly pod: OraclePod } | { readonly address: string };

export const endAddress = (end: End): string => ('pod' in end ? end.pod.address : end.address);

export type Tier = 'Admin' | 'Baseline';

const tierOf = ({ kind, spec }: ClusterPolicyObject): Tier =>
  kind === 'ClusterNetworkPolicy' ? (spec.tier as Tier) : kind === 'AdminNetworkPolicy' ? 'Admin' : 'Baseline';

/** A BaselineAdminNetworkPolicy has no priority: there is one of it, behind all others of the tier. */
const priorityOf = ({ kind, spec }: ClusterPolicyObject): number =>
  kind === 'BaselineAdminNetworkPolicy' ? Infinity : (spec.priority ?? 0);

type Groups = { readonly namespaces?: LabelSelector | undefined; readonly pods?: NamespacedPods | undefined };

function inGroup(state: TieredState, { namespaces, pods }: Groups, end: End): boolean {
  if (!('pod' in end)) return false;
  const own = state.namespaces.get(end.pod.namespace) ?? {};
  if (namespaces !== undefined) return selected(namespaces, own);
  if (pods === undefined) return false;
  return selected(pods.namespaceSelector ?? {}, own) && selected(pods.podSelector, end.pod.labels);
}

function isPeer(state: TieredState, peer: ClusterPolicyPeer, end: End): boolean {
  const address = endAddress(end);
  if (peer.networks !== undefined) return peer.networks.some((cidr) => inNetwork(address, cidr));
  const { nodes } = peer;
  if (nodes !== undefined)
    return state.nodes.some((node) => selected(nodes, node.labels) && node.addresses.includes(address));
  return inGroup(state, peer, end);
}

type Rule =
  | NonNullable<ClusterPolicyObject['spec']['ingress']>[number]
  | NonNullable<ClusterPolicyObject['spec']['egress']>[number];

/** @param protocol `TCP` ... or `ICMP` */
function isOnPort({ ports, protocols }: Rule, to: End, protocol: string, number: number): boolean {
  if ((ports ?? []).length === 0 && (protocols ?? []).length === 0) return true;
  const named = (name: string | undefined): boolean =>
    'pod' in to && to.pod.ports.some((own) => own.name === name && own.protocol === protocol && own.port === number);
  const old = (ports ?? []).some(({ portNumber, portRange, namedPort }) => {
    if (portNumber !== undefined) return portNumber.protocol === protocol && portNumber.port === number;
    if (portRange === undefined) return named(namedPort);
    return (portRange.protocol ?? 'TCP') === protocol && portRange.start <= number && number <= portRange.end;
  });
  return (
    old ||
    (protocols ?? []).some((match) => {
      if (match.destinationNamedPort !== undefined) return named(match.destinationNamedPort);
      const own = { TCP: match.tcp, UDP: match.udp, SCTP: match.sctp }[protocol];
      if (own === undefined) return false;
      const { number: single, range } = own.destinationPort ?? {};
      if (single !== undefined) return single === number;
      return range === undefined || (range.start <= number && number <= range.end);
    })
  );
}

/** What a tier says; undefined when none of its rules is for this. */
function tierVerdict(
  state: TieredState,
  tier: Tier,
  direction: 'Ingress' | 'Egress',
  [self, other]: readonly [End, End],
  [to, protocol, port]: readonly [End, string, number],
): string | undefined {
  const policies = state.clusterPolicies.filter((policy) => tierOf(policy) === tier);
  // The sort is stable: the list's order holds among equals.
  for (const { spec } of [...policies].sort((a, b) => priorityOf(a) - priorityOf(b))) {
    if (!inGroup(state, spec.subject, self)) continue;
    const rules =
      direction === 'Ingress'
        ? (spec.ingress ?? []).map((rule) => ({ rule, peers: rule.from }))
        : (spec.egress ?? []).map((rule) => ({ rule, peers: rule.to }));
    for (const { rule, peers } of rules)
      if (peers.some((peer) => isPeer(state, peer, other)) && isOnPort(rule, to, protocol, port)) return rule.action;
  }
  return undefined;
}

/** Whether the policies of one end let a new connection pass. */
function passesTiers(
  state: TieredState,
  direction: 'Ingress' | 'Egress',
  ends: readonly [End, End],
  asked: readonly [End, string, number],
): boolean {
  const [self, other] = ends;
  // Policies are for pods that have a network of their own.
  if (!('pod' in self)) return true;
  const admin = tierVerdict(state, 'Admin', direction, ends, asked);
  if (admin !== undefined && admin !== 'Pass') return admin !== 'Deny';
  const [to, protocol, port] = asked;
  const named = 'pod' in to ? to.pod : undefined;
  const peer = 'pod' in other ? other.pod : other;
  const network = npVerdict(state, direction, [self.pod, peer], named, [protocol, port]);
  if (network !== undefined) return network;
  return tierVerdict(state, 'Baseline', direction, ends, asked) !== 'Deny';
}

/** Whether a new connection may be opened. A pod always reaches itself. */
export function tieredAllowed(state: TieredState, from: End, to: End, protocol: string, port: number): boolean {
  if ('pod' in from && 'pod' in to && from.pod === to.pod) return true;
  const asked = [to, protocol, port] as const;
  return passesTiers(state, 'Egress', [from, to], asked) && passesTiers(state, 'Ingress', [to, from], asked);
}
