import type { PodSelection } from './cluster-model.ts';
import type { NamedContainerPort } from './model.ts';
import {
  common,
  everywhere,
  families,
  isNowhere,
  isWithin,
  type Networks,
  networks,
  union,
  without,
} from './networks.ts';
import { isNoPort, type PortSet, portsMeet, portsWithout } from './port-set.ts';
import { both, isContradictory, isNarrower, type Labels, type Selector, selects } from './selector.ts';

/**
 * Differences of what rules match, written positively: sets of pods and nodes are told apart by selectors, networks by
 * CIDRs, ports by ranges. A match such as `ip4.dst != $set` would multiply out to more flows with every address
 * (ovn-sb(5), expressions).
 */

/** Pods that the selection chooses, that have the container ports, and that are in none of `not`. */
export interface PodRegion {
  readonly pods: PodSelection;
  readonly ports: readonly NamedContainerPort[];
  readonly not: readonly { readonly pods: PodSelection; readonly ports: readonly NamedContainerPort[] }[];
}

/** One peer; `within` = only those with an address in these networks. */
export type Term =
  | ({ readonly kind: 'pods'; readonly within?: Networks } & PodRegion)
  | { readonly kind: 'nodes'; readonly nodes: Selector; readonly not: readonly Selector[]; readonly within?: Networks }
  | { readonly kind: 'networks'; readonly networks: Networks };

type PodTerm = Extract<Term, { kind: 'pods' }>;
type NodeTerm = Extract<Term, { kind: 'nodes' }>;

/** What one ACL matches: packets between the subjects and any of the peers. */
export interface Region {
  readonly subjects: PodRegion;
  readonly peers: readonly Term[];
  /** Absent = everything. */
  readonly ports?: PortSet;
}

/** Where pods and nodes have addresses, in one VPC. */
export interface Surroundings {
  /** The subnets' CIDRs. */
  readonly pods: Networks;
  /** Addresses in them that are the routers'. */
  readonly gateways: Networks;
  readonly nodes: readonly { readonly labels: Labels; readonly addresses: readonly string[] }[];
}

const allPods: PodRegion = { pods: { namespaces: [], pods: [] }, ports: [], not: [] };

const samePort = (a: NamedContainerPort, b: NamedContainerPort): boolean =>
  a.name === b.name && a.protocol === b.protocol && a.number === b.number;

const bothSelections = (a: PodSelection, b: PodSelection): PodSelection => ({
  namespaces: both(a.namespaces, b.namespaces),
  pods: both(a.pods, b.pods),
});

/** Whether `a` is surely part of `b`, which excludes nothing. */
const isPodsWithin = (a: Pick<PodRegion, 'pods' | 'ports'>, b: Pick<PodRegion, 'pods' | 'ports'>): boolean =>
  isNarrower(a.pods.namespaces, b.pods.namespaces) &&
  isNarrower(a.pods.pods, b.pods.pods) &&
  b.ports.every((port) => a.ports.some((own) => samePort(own, port)));

/** Pods in both; undefined when there can be none. `b` excludes nothing. */
function commonPods(a: PodRegion, b: PodRegion): PodRegion | undefined {
  if (isPodsWithin(a, b)) return a;
  const pods = bothSelections(a.pods, b.pods);
  const ports = [...a.ports, ...b.ports.filter((port) => !a.ports.some((own) => samePort(own, port)))];
  const region = { pods, ports, not: a.not };
  const none = isContradictory(pods.namespaces) || isContradictory(pods.pods);
  return none || region.not.some((excluded) => isPodsWithin(region, excluded)) ? undefined : region;
}

/** Pods of `a` that are not in `b`, which excludes nothing; undefined when there can be none. */
function podsWithout(a: PodRegion, b: PodRegion): PodRegion | undefined {
  if (isPodsWithin(a, b)) return undefined;
  return commonPods(a, b) === undefined ? a : { ...a, not: [...a.not, { pods: b.pods, ports: b.ports }] };
}

/** A term restricted to networks; undefined when nothing of it can be there. */
function restricted<T extends PodTerm | NodeTerm>(term: T, within: Networks, known: Networks): T | undefined {
  const { within: before, ...rest } = term;
  const now = common(before ?? known, within);
  if (isNowhere(common(now, known))) return undefined;
  return isWithin(known, now) ? ({ ...rest } as T) : { ...term, within: now };
}

const nodeAddresses = ({ nodes }: Surroundings, selector: Selector): Networks =>
  networks(nodes.filter(({ labels }) => selects(selector, labels)).flatMap(({ addresses }) => addresses));

/** What a term has in common with a peer of a rule; undefined when nothing. */
function commonTerm(a: Term, b: Term, around: Surroundings): Term | undefined {
  if (a.kind === 'networks') {
    if (b.kind === 'pods') return restricted(b, a.networks, around.pods);
    if (b.kind === 'nodes') return restricted(b, a.networks, nodeAddresses(around, b.nodes));
    const shared = common(a.networks, b.networks);
    return isNowhere(shared) ? undefined : { kind: 'networks', networks: shared };
  }
  if (a.kind === 'pods') {
    if (b.kind === 'networks') return restricted(a, b.networks, around.pods);
    if (b.kind === 'nodes') return undefined;
    const shared = commonPods(a, b);
    return shared === undefined ? undefined : { ...a, ...shared };
  }
  if (b.kind === 'networks') return restricted(a, b.networks, nodeAddresses(around, a.nodes));
  if (b.kind === 'pods') return undefined;
  const nodes = both(a.nodes, b.nodes);
  return isContradictory(nodes) || a.not.some((not) => isNarrower(nodes, not)) ? undefined : { ...a, nodes };
}

/** What of a term is not a peer of a rule. */
function termWithout(a: Term, b: Term, around: Surroundings): readonly Term[] {
  if (commonTerm(a, b, around) === undefined) return [a];
  const some = (term: Term | undefined): readonly Term[] => (term === undefined ? [] : [term]);
  if (a.kind === 'networks') {
    if (b.kind === 'networks') return networkTerm(without(a.networks, b.networks));
    if (b.kind === 'nodes') return networkTerm(without(a.networks, nodeAddresses(around, b.nodes)));
    // Addresses of the subnets are pods' or the routers': those that nobody has are left to nobody.
    const outside = union(without(a.networks, around.pods), common(a.networks, around.gateways));
    const pods = podsWithout(allPods, b);
    const inside: Term | undefined = pods && restricted({ kind: 'pods', ...pods }, a.networks, around.pods);
    return [...networkTerm(outside), ...some(inside)];
  }
  if (b.kind === 'networks') return some(restricted(a, without(everywhere, b.networks), everywhereOf(a, around)));
  if (a.kind === 'pods') {
    const left = b.kind === 'pods' ? podsWithout(a, b) : a;
    return some(left && { ...a, ...left });
  }
  const narrower = b.kind === 'nodes' && isNarrower(a.nodes, b.nodes);
  return b.kind !== 'nodes' ? [a] : narrower ? [] : [{ ...a, not: [...a.not, b.nodes] }];
}

const networkTerm = (left: Networks): readonly Term[] =>
  isNowhere(left) ? [] : [{ kind: 'networks', networks: left }];

const everywhereOf = (term: PodTerm | NodeTerm, around: Surroundings): Networks =>
  term.kind === 'pods' ? around.pods : nodeAddresses(around, term.nodes);

/**
 * What of a region is not in another, as regions: other pods, else other peers, else other ports. They may overlap.
 * @param b of a rule as written, so that none of its terms excludes anything
 */
export function regionWithout(a: Region, b: Region, around: Surroundings): readonly Region[] {
  const subjects = commonPods(a.subjects, b.subjects);
  if (subjects === undefined || !portsMeet(a.ports, b.ports)) return [a];
  const shared = a.peers.flatMap((peer) =>
    b.peers.map((other) => commonTerm(peer, other, around)).filter((term) => term !== undefined),
  );
  if (shared.length === 0) return [a];
  const regions: Region[] = [];
  const others = podsWithout(a.subjects, b.subjects);
  if (others !== undefined) regions.push({ ...a, subjects: others });
  const peers = b.peers.reduce<readonly Term[]>(
    (left, peer) => left.flatMap((term) => termWithout(term, peer, around)),
    a.peers,
  );
  if (peers.length > 0) regions.push({ ...a, subjects, peers });
  const ports = portsWithout(a.ports, b.ports);
  if (!isNoPort(ports)) regions.push({ subjects, peers: shared, ports });
  return regions;
}

/** How many CIDRs a region is written with. */
export const cidrsOf = ({ peers }: Region): number =>
  peers
    .map((peer) => (peer.kind === 'networks' ? peer.networks : (peer.within ?? { 4: [], 6: [] })))
    .reduce((sum, own) => sum + families.reduce((count, family) => count + own[family].length, 0), 0);
