import { contentId } from '../content-id.ts';
import type { Reader } from '../store/state.ts';
import type { Ladder } from './cluster-ladder.ts';
import {
  type ClusterPlan,
  type ClusterPolicy,
  type ClusterRule,
  clusterPolicyKey,
  type NodeSet,
  type PlannedAcl,
  type PlannedPeers,
} from './cluster-model.ts';
import type { NamedContainerPort, PodSet } from './model.ts';
import { isNowhere, type Networks, networks, noNetworks, union } from './networks.ts';
import { portSet, transports } from './port-set.ts';
import { cidrsOf, type PodRegion, type Region, regionWithout, type Surroundings, type Term } from './region.ts';

/** ACLs and CIDRs into which one rule may fall apart for the Pass rules before it; more does not fit. */
const maxParts = 64;
const maxCidrs = 1024;

const directions = ['ingress', 'egress'] as const;
type Direction = (typeof directions)[number];

/** A VPC in which policies are in force; `vpc` absent = the default one. */
export interface PolicyVpc extends Surroundings {
  readonly vpc?: string;
}

export interface PlanInput {
  /** Policies of all tiers. */
  readonly policies: readonly ClusterPolicy[];
  readonly ladder: Ladder;
  readonly vpcs: readonly PolicyVpc[];
  /** For names of container ports. */
  readonly reader: Reader;
}

/** Names of container ports that a policy's rules use, as values of the index `name` of PortName. */
export function clusterPortNames(policy: ClusterPolicy): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { ports } of [...policy.ingress, ...policy.egress])
    for (const port of ports ?? [])
      if ('name' in port) for (const protocol of transports) names.add(`*\0${protocol}\0${port.name}`);
  return names;
}

/**
 * Plans all cluster policies together: in the order of their tier each gets priorities below the one before, and where OVN
 * cannot pass, what one passes is taken out of those behind it.
 */
export function planClusterPolicies(input: PlanInput): readonly ClusterPlan[] {
  const { policies, ladder } = input;
  return (['Admin', 'Baseline'] as const).flatMap((tier) => {
    const planner = new TierPlanner(input);
    return policies
      .filter((policy) => policy.tier === tier)
      .sort((a, b) => inOrder(a, b))
      .map((policy) => planner.plan(policy, ladder));
  });
}

const unfit = ({ tiers }: Ladder, message: string): NonNullable<ClusterPlan['unfit']> => ({
  reason: tiers ? 'DoesNotFit' : 'NeedsNewerOVN',
  message,
});

/** The tier's order; of two policies with one priority, which the API leaves open, the older comes first. */
function inOrder(a: ClusterPolicy, b: ClusterPolicy): number {
  const [first, second] = [a.priority ?? Infinity, b.priority ?? Infinity];
  if (first !== second) return first - second;
  const ages = ({ created, kind, name }: ClusterPolicy): string => `${created}\0${kind}\0${name}`;
  return ages(a) < ages(b) ? -1 : 1;
}

/** What was planned of a tier so far; policies come in order. */
class TierPlanner {
  readonly #input: PlanInput;
  /** By direction and VPC, what earlier rules pass on. */
  readonly #passed = new Map<string, Region[]>();
  /** Levels in use, by priority and direction. */
  readonly #levels = new Map<string, number>();

  constructor(input: PlanInput) {
    this.#input = input;
  }

  plan(policy: ClusterPolicy, ladder: Ladder): ClusterPlan {
    const { kind, name, tier, priority } = policy;
    const subjects: PodSet = {
      id: `policy/${clusterPolicyKey(policy)}`,
      holds: 'policy',
      group: { owner: clusterPolicyKey(policy), name: groupName(policy) },
      namespaces: policy.subject.namespaces,
      pods: policy.subject.pods,
    };
    const plan = { kind, name, tier, subjects };
    const acls: PlannedAcl[] = [];
    const passes: [string, Region][] = [];
    const levels = new Map<string, number>();
    for (const direction of directions) {
      const place = `${direction}/${priority}`;
      let level = this.#levels.get(place) ?? -1;
      let last: string | undefined;
      for (const [index, rule] of policy[direction].entries()) {
        const removed = rule.action === 'Pass' && !ladder.canPass(tier);
        if (!removed && rule.action !== last) {
          last = rule.action;
          level += 1;
        }
        const number = removed ? 0 : ladder.priority(tier, priority, level);
        if (number === undefined) return { ...plan, acls: [], unfit: unfit(ladder, ladder.whyNot(tier, priority)) };
        for (const around of this.#input.vpcs) {
          const passedOn = `${direction}/${around.vpc ?? ''}`;
          const written = this.#regions(policy, direction, rule);
          if (removed) {
            passes.push(...written.map(({ region }): [string, Region] => [passedOn, region]));
            continue;
          }
          const earlier = [
            ...(this.#passed.get(passedOn) ?? []),
            ...passes.filter(([at]) => at === passedOn).map(([, region]) => region),
          ];
          for (const { key, region: whole } of written) {
            const parts = remainder(whole, earlier, around);
            if (parts === undefined)
              return {
                ...plan,
                acls: [],
                unfit: unfit(
                  ladder,
                  `spec.${direction}[${index}] falls into more than ${maxParts} parts for the Pass rules before it`,
                ),
              };
            for (const [at, region] of parts.entries())
              acls.push(this.#acl(policy, { direction, index, number, part: `${key}_${at}`, rule, around, region }));
          }
        }
      }
      levels.set(place, level);
    }
    for (const [place, level] of levels) this.#levels.set(place, level);
    for (const [at, region] of passes) this.#passed.set(at, [...(this.#passed.get(at) ?? []), region]);
    return { ...plan, acls };
  }

  /** A rule as regions: one for its numbered ports, and one for each number that a name stands for. */
  #regions(policy: ClusterPolicy, direction: Direction, { peers, ports }: ClusterRule): readonly WrittenRegion[] {
    const subjects: PodRegion = { pods: policy.subject, ports: [], not: [] };
    const terms = termsOf(peers);
    if (terms.length === 0) return [];
    if (ports === undefined) return [{ key: 'all', region: { subjects, peers: terms } }];
    const numbered = ports.flatMap((port) => ('name' in port ? [] : [port]));
    const regions: WrittenRegion[] = [];
    if (numbered.length > 0) regions.push({ key: 'all', region: { subjects, peers: terms, ports: portSet(numbered) } });
    for (const name of new Set(ports.flatMap((port) => ('name' in port ? [port.name] : [])))) {
      for (const named of this.#named(name)) {
        const { protocol, number } = named;
        const key = [name, protocol, number].join('_');
        const own = portSet([{ protocol, from: number, to: number }]);
        // A named port belongs to whoever is connected to, and nodes and networks have none (the API's own validation).
        const pods = terms.filter((term) => term.kind === 'pods');
        if (direction === 'ingress')
          regions.push({ key, region: { subjects: { ...subjects, ports: [named] }, peers: terms, ports: own } });
        else if (pods.length > 0)
          regions.push({
            key,
            region: { subjects, peers: pods.map((term) => ({ ...term, ports: [named] })), ports: own },
          });
      }
    }
    return regions;
  }

  #named(name: string): readonly NamedContainerPort[] {
    return transports.flatMap((protocol) => {
      const found = this.#input.reader.index('PortName', 'name', `*\0${protocol}\0${name}`);
      const numbers = [...new Set(found.map(({ number }) => number))].sort((a, b) => a - b);
      return numbers.map((number) => ({ name, protocol, number }));
    });
  }

  #acl(policy: ClusterPolicy, planned: Planned): PlannedAcl {
    const { direction, index, number, part, rule, around, region } = planned;
    const { vpc } = around;
    const { subjects, peers, ports } = region;
    const whole =
      this.#input.vpcs.length === 1 &&
      subjects.ports.length === 0 &&
      subjects.not.length === 0 &&
      subjects.pods === policy.subject;
    const actions = { Allow: 'allow-related', Deny: 'drop', Pass: 'pass' } as const;
    return {
      direction,
      index,
      part,
      action: actions[rule.action],
      priority: number,
      ...(whole ? {} : { subjects: subjectSet(policy, subjects, vpc) }),
      peers: plannedPeers(peers, vpc),
      ...(ports === undefined ? {} : { ports }),
      ...(vpc === undefined ? {} : { vpc }),
      ...(rule.name === undefined ? {} : { rule: rule.name }),
    };
  }
}

/** A part of a rule as written, with a key that stays when other parts come and go. */
interface WrittenRegion {
  readonly key: string;
  readonly region: Region;
}

interface Planned {
  readonly direction: Direction;
  readonly index: number;
  readonly number: number;
  readonly part: string;
  readonly rule: ClusterRule;
  readonly around: PolicyVpc;
  readonly region: Region;
}

/** A region without what earlier rules pass on; undefined when that is too many parts. */
function remainder(region: Region, passed: readonly Region[], around: Surroundings): readonly Region[] | undefined {
  let parts: readonly Region[] = [region];
  for (const pass of passed) {
    parts = parts.flatMap((part) => regionWithout(part, pass, around));
    if (parts.length > maxParts || parts.some((part) => cidrsOf(part) > maxCidrs)) return undefined;
  }
  return parts;
}

function termsOf(peers: ClusterRule['peers']): readonly Term[] {
  return peers.map((peer): Term => {
    switch (peer.kind) {
      case 'pods':
        return { kind: 'pods', pods: peer.pods, ports: [], not: [] };
      case 'nodes':
        return { kind: 'nodes', nodes: peer.nodes, not: [] };
      case 'networks':
        return { kind: 'networks', networks: networks(peer.networks) };
    }
  });
}

const groupPrefix = {
  AdminNetworkPolicy: 'anp',
  BaselineAdminNetworkPolicy: 'banp',
  ClusterNetworkPolicy: 'cnp',
} as const;

/** Name of the Port_Group of a policy's pods: a cluster-scoped name may hold dots, and no `_`. */
const groupName = ({ kind, name }: ClusterPolicy): string => `${groupPrefix[kind]}_${name.replaceAll('-', '_')}`;

/** Members of a region, for a set. */
const contentOf = ({ pods, ports, not }: PodRegion, vpc: string | undefined): Omit<PodSet, 'id' | 'holds'> => ({
  namespaces: pods.namespaces,
  pods: pods.pods,
  ...(ports.length === 0 ? {} : { ports }),
  ...(not.length === 0
    ? {}
    : { not: not.map((one) => ({ namespaces: one.pods.namespaces, pods: one.pods.pods, ports: one.ports })) }),
  ...(vpc === undefined ? {} : { vpc }),
});

/** Some of a policy's pods, in a Port_Group of their own. */
function subjectSet(policy: ClusterPolicy, region: PodRegion, vpc: string | undefined): PodSet {
  const content = contentOf(region, vpc);
  const key = clusterPolicyKey(policy);
  const id = contentId({ key, content });
  return { id: `subjects/${key}/${id}`, holds: 'subjects', group: { owner: '', name: `subjects_${id}` }, ...content };
}

function plannedPeers(terms: readonly Term[], vpc: string | undefined): PlannedPeers {
  const pods = new Map<string, PlannedPeers['pods'][number]>();
  const nodes = new Map<string, PlannedPeers['nodes'][number]>();
  let own: Networks = noNetworks;
  const within = (term: { readonly within?: Networks }): { readonly within?: Networks } =>
    term.within === undefined || isNowhere(term.within) ? {} : { within: term.within };
  for (const term of terms) {
    if (term.kind === 'networks') own = union(own, term.networks);
    else if (term.kind === 'pods') {
      const content = contentOf(term, vpc);
      const set: PodSet = { id: contentId(content), holds: 'addresses', ...content };
      pods.set(contentId([set.id, term.within]), { set, ...within(term) });
    } else if (vpc === undefined) {
      // Nodes are reached in the default VPC only.
      const set: NodeSet = { id: contentId({ nodes: term.nodes, not: term.not }), nodes: term.nodes, not: term.not };
      nodes.set(contentId([set.id, term.within]), { set, ...within(term) });
    }
  }
  return { pods: [...pods.values()], nodes: [...nodes.values()], networks: own };
}
