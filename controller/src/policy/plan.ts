import { cidrContains } from '@ovenbird/crds';
import { contentId } from '../content-id.ts';
import { podKey } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import { familyOfBlock, networksOf } from './block.ts';
import type {
  BlockPeer,
  NamedContainerPort,
  NetworkPolicy,
  NodeBlock,
  PodSet,
  PolicyPort,
  PolicyProtocol,
  PolicyRule,
  SelectorPeer,
} from './model.ts';

/** Packets that a rule lets through, as sets and networks: one ACL row. */
export interface RulePlan {
  readonly direction: 'ingress' | 'egress';
  /** Position of the rule in the policy. */
  readonly index: number;
  /** The rule's pods; absent = all pods of the policy. */
  readonly subjects?: PodSet;
  /** The other side; absent = everybody. */
  readonly peers?: PeerPlan;
  /** Absent = everything. */
  readonly ports?: readonly PolicyPort[];
  /** The name that `ports` was resolved from. */
  readonly named?: NamedContainerPort;
  /** VPC that the row is for; absent = the default VPC. */
  readonly vpc?: string;
}

export interface PeerPlan {
  readonly sets: readonly PodSet[];
  readonly networks: readonly { readonly family: 4 | 6; readonly networks: readonly string[] }[];
  /** Blocks in which nodes may have addresses. */
  readonly nodes: readonly NodeBlock[];
  /** Of the networks only pods of this set: named ports of a block. */
  readonly within?: PodSet;
}

/** What a policy needs in the northbound database. */
export interface PolicyPlan {
  readonly sets: readonly PodSet[];
  readonly blocks: readonly NodeBlock[];
  readonly rules: readonly RulePlan[];
}

/** Names that a plan depends on. */
export interface PlanRules {
  readonly defaultVpc: string;
  /** The nodes' subnet. */
  readonly joinSubnet: string;
}

const isBlock = (peer: SelectorPeer | BlockPeer): peer is BlockPeer => 'cidr' in peer;

/** Index value under which {@link portNamesOf} and the index `name` of PortName speak of a name. */
const nameKey = (namespace: string, protocol: PolicyProtocol, name: string): string =>
  `${namespace}\0${protocol}\0${name}`;

/** Port names that a policy's rules use, as values of the index `name` of PortName. */
export function portNamesOf(policy: NetworkPolicy): ReadonlySet<string> {
  const names = new Set<string>();
  for (const direction of ['ingress', 'egress'] as const) {
    const scope = direction === 'ingress' ? policy.namespace : '*';
    for (const { protocol, port } of (policy[direction] ?? []).flatMap((rule) => rule.ports ?? []))
      if (typeof port === 'string') names.add(nameKey(scope, protocol, port));
  }
  return names;
}

/**
 * What a policy asks for, with named ports resolved to the numbers that pods give them. Reads only which port names and
 * VPCs are in use, so that pods that come and go change nothing here.
 */
export function planPolicy(policy: NetworkPolicy, reader: Reader, rules: PlanRules): PolicyPlan {
  const { defaultVpc } = rules;
  const plans: RulePlan[] = [];
  const used = reader.index('NamespaceVpc', 'namespace', policy.namespace).map(({ vpc }) => vpc);
  const vpcs = used.length === 0 ? [defaultVpc] : used.sort();
  for (const vpc of vpcs) {
    const planner = new RulePlanner(policy, reader, rules, vpc, vpcs.length > 1);
    for (const direction of ['ingress', 'egress'] as const)
      for (const [index, rule] of (policy[direction] ?? []).entries())
        plans.push(...planner.plan(direction, index, rule));
  }
  const own: PodSet = {
    id: `policy/${podKey(policy.namespace, policy.name)}`,
    holds: 'policy',
    policy: podKey(policy.namespace, policy.name),
    namespace: policy.namespace,
    pods: policy.pods,
  };
  const sets = new Map([[own.id, own]]);
  const blocks = new Map<string, NodeBlock>();
  for (const { subjects, peers } of plans) {
    for (const set of [subjects, peers?.within, ...(peers?.sets ?? [])]) if (set !== undefined) sets.set(set.id, set);
    for (const block of peers?.nodes ?? []) blocks.set(block.id, block);
  }
  return { sets: [...sets.values()], blocks: [...blocks.values()], rules: plans };
}

/** Plans rules of one policy for its pods in one VPC. */
class RulePlanner {
  readonly #policy: NetworkPolicy;
  readonly #reader: Reader;
  readonly #vpc: { readonly vpc?: string };
  readonly #joinSubnet: string;
  /** The policy's pods are in several VPCs. */
  readonly #mixed: boolean;

  constructor(policy: NetworkPolicy, reader: Reader, rules: PlanRules, vpc: string, mixed: boolean) {
    this.#policy = policy;
    this.#reader = reader;
    this.#vpc = vpc === rules.defaultVpc ? {} : { vpc };
    this.#joinSubnet = rules.joinSubnet;
    this.#mixed = mixed;
  }

  plan(direction: 'ingress' | 'egress', index: number, { peers, ports }: PolicyRule): readonly RulePlan[] {
    const plans: RulePlan[] = [];
    const numbered = ports?.filter(({ port }) => typeof port !== 'string');
    if (numbered === undefined || numbered.length > 0) {
      plans.push({
        direction,
        index,
        ...this.#vpc,
        ...(this.#mixed ? { subjects: this.#subjects() } : {}),
        ...(peers === undefined ? {} : { peers: this.#peers(peers, direction) }),
        ...(numbered === undefined ? {} : { ports: numbered }),
      });
    }
    for (const { protocol, port } of ports ?? []) {
      if (typeof port !== 'string') continue;
      for (const number of this.#numbers(direction, protocol, port)) {
        const named = { name: port, protocol, number };
        // A named port belongs to whoever is connected to: the policy's pods for ingress, the peers for egress.
        const ingress = direction === 'ingress';
        const others = ingress ? peers && this.#peers(peers, direction) : this.#peersWith(named, peers);
        plans.push({
          direction,
          index,
          ...this.#vpc,
          ...(ingress ? { subjects: this.#subjects(named) } : this.#mixed ? { subjects: this.#subjects() } : {}),
          ...(others === undefined ? {} : { peers: others }),
          ports: [{ protocol, port: number }],
          named,
        });
      }
    }
    return plans;
  }

  #numbers(direction: 'ingress' | 'egress', protocol: PolicyProtocol, name: string): readonly number[] {
    const scope = direction === 'ingress' ? this.#policy.namespace : '*';
    const found = this.#reader.index('PortName', 'name', nameKey(scope, protocol, name));
    return [...new Set(found.map(({ number }) => number))].sort((a, b) => a - b);
  }

  /** The policy's pods of this VPC, with a container port. */
  #subjects(port?: NamedContainerPort): PodSet {
    const { namespace, name, pods } = this.#policy;
    const parts = port === undefined ? [] : [port.protocol, port.number, port.name];
    return {
      id: ['subjects', namespace, name, this.#vpc.vpc ?? '', ...parts].join('/'),
      holds: 'subjects',
      policy: podKey(namespace, name),
      namespace,
      pods,
      ...(port === undefined ? {} : { port }),
      ...this.#vpc,
    };
  }

  #addresses(peer: SelectorPeer, port?: NamedContainerPort): PodSet {
    const scope =
      peer.namespaces === undefined ? { namespace: this.#policy.namespace } : { namespaces: peer.namespaces };
    const content = { ...scope, pods: peer.pods, ...(port === undefined ? {} : { port }), ...this.#vpc };
    return { id: contentId(content), holds: 'addresses', ...content };
  }

  #peers(
    peers: readonly (SelectorPeer | BlockPeer)[],
    direction: 'ingress' | 'egress',
    port?: NamedContainerPort,
  ): PeerPlan {
    const sets = new Map<string, PodSet>();
    const networks: Record<4 | 6, Set<string>> = { 4: new Set(), 6: new Set() };
    const nodes = new Map<string, NodeBlock>();
    for (const peer of peers) {
      if (isBlock(peer)) {
        const family = familyOfBlock(peer);
        const fromNodes = direction === 'ingress' && this.#vpc.vpc === undefined;
        for (const cidr of fromNodes ? this.#withoutJoin(peer) : networksOf(peer)) networks[family].add(cidr);
        const cidrs = networksOf(peer);
        const id = contentId(cidrs);
        if (fromNodes && cidrs.length > 0) nodes.set(id, { id, family, cidrs });
      } else {
        const set = this.#addresses(peer, port);
        sets.set(set.id, set);
      }
    }
    return {
      sets: [...sets.values()],
      networks: ([4, 6] as const).flatMap((family) =>
        networks[family].size === 0 ? [] : [{ family, networks: [...networks[family]] }],
      ),
      nodes: [...nodes.values()],
    };
  }

  /**
   * A block's networks without the nodes' subnet, if it has exceptions: a node that is excepted by its address must not come
   * in by its other one, from which its packets are sent. The others are admitted by {@link NodeBlock}.
   */
  #withoutJoin(block: BlockPeer): readonly string[] {
    const subnet = this.#reader.get('UsableSubnet', this.#joinSubnet);
    const join = (familyOfBlock(block) === 4 ? subnet?.v4 : subnet?.v6)?.cidr;
    const narrowed = block.except.length > 0 && join !== undefined && cidrContains(block.cidr, join);
    return networksOf(narrowed ? { ...block, except: [...block.except, join] } : block);
  }

  /** The peers of an egress rule that have a container port of that name and number: pods only. */
  #peersWith(port: NamedContainerPort, peers: PolicyRule['peers']): PeerPlan {
    const anyPod: SelectorPeer = { namespaces: [], pods: [] };
    const plan = this.#peers(peers ?? [anyPod], 'egress', port);
    return plan.networks.length === 0 ? plan : { ...plan, within: this.#addresses(anyPod, port) };
  }
}
