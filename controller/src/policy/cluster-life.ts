import { familiesOf } from '../store/families.ts';
import type { UsableSubnet } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { type Ladder, ladderOf } from './cluster-ladder.ts';
import {
  type ClusterPlan,
  type ClusterPolicy,
  clusterPolicyKey,
  clusterPolicyKinds,
  type NodeSet,
} from './cluster-model.ts';
import { clusterPortNames, type PolicyVpc, planClusterPolicies } from './cluster-plan.ts';
import type { Holding, Holdings } from './holdings.ts';
import type { PolicyEffects, PolicyRules } from './life.ts';
import type { PodSet } from './model.ts';
import { networks } from './networks.ts';

const kinds: ReadonlySet<string> = new Set(clusterPolicyKinds);

/**
 * Plans the cluster policies, all of them at once, whenever something changes that they depend on: other policies, names of
 * ports, VPCs, subnets, nodes. There are few of them; pods that come and go with known labels and ports change nothing here.
 */
export class ClusterPolicyLife {
  readonly #state: State;
  readonly #rules: PolicyRules;
  readonly #holdings: Holdings;
  readonly #effects: PolicyEffects;
  readonly #ladder: Ladder;
  /** Port names that policies use. */
  #names: ReadonlySet<string> = new Set();
  /** Policies as they were planned last. */
  readonly #planned = new Map<string, ClusterPolicy>();
  #dirty = false;

  constructor(state: State, rules: PolicyRules, holdings: Holdings, effects: PolicyEffects) {
    this.#state = state;
    this.#rules = rules;
    this.#holdings = holdings;
    this.#effects = effects;
    this.#ladder = ladderOf(rules.tiers);
    state.onTouch((kind, _key, reads) => {
      if (kinds.has(kind)) this.#dirty = true;
      else if (kind === 'NamespaceVpc' || kind === 'UsableSubnet' || kind === 'Node' || kind === 'NodeAddress')
        this.#dirty ||= this.#planned.size > 0;
      else if (kind === 'PortName')
        this.#dirty ||= reads.some((read) => this.#names.has(read.slice('PortName#name='.length)));
    });
  }

  /** Brings plans and sets up to date. */
  run(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    const state = this.#state;
    const policies = clusterPolicyKinds.flatMap((kind) => state.list(kind));
    this.#names = new Set(policies.flatMap((policy) => [...clusterPortNames(policy)]));
    const vpcs = this.#vpcs();
    const plans = planClusterPolicies({ policies, ladder: this.#ladder, vpcs, reader: state });
    const byKey = new Map(policies.map((policy) => [clusterPolicyKey(policy), policy]));
    for (const plan of plans) {
      const key = clusterPolicyKey(plan);
      const changed = state.set('ClusterPlan', key, plan);
      const policy = byKey.get(key);
      if (policy !== undefined && (changed || this.#planned.get(key) !== policy)) this.#tell(policy, plan);
      if (policy !== undefined) this.#planned.set(key, policy);
      const drops = (wanted: string): boolean =>
        plan.acls.some(({ direction, action }) => direction === wanted && action === 'drop');
      this.#holdings.isolates(key, [
        ...(drops('ingress') ? (['Ingress'] as const) : []),
        ...(drops('egress') ? (['Egress'] as const) : []),
      ]);
      if (changed) this.#holdings.want(key, holdingOf(plan));
    }
    for (const key of this.#planned.keys()) {
      if (byKey.has(key)) continue;
      this.#planned.delete(key);
      state.delete('ClusterPlan', key);
      this.#holdings.isolates(key, []);
      this.#holdings.want(key, { sets: new Map(), blocks: new Map(), nodeSets: new Map() });
    }
  }

  #tell(policy: ClusterPolicy, plan: ClusterPlan): void {
    this.#effects.statusChanged(policy);
    if (this.#planned.get(clusterPolicyKey(policy)) !== policy)
      for (const problem of policy.problems) this.#effects.warn(policy, 'RuleNotHonoured', problem);
    if (plan.unfit !== undefined) this.#effects.warn(policy, plan.unfit.reason, plan.unfit.message);
  }

  /** VPCs with pods, the default one at least. */
  #vpcs(): readonly PolicyVpc[] {
    const { defaultVpc } = this.#rules;
    const names = new Set([defaultVpc, ...this.#state.list('NamespaceVpc').map(({ vpc }) => vpc)]);
    return [...names].sort().map((vpc) => this.#surroundings(vpc));
  }

  #surroundings(vpc: string): PolicyVpc {
    const { defaultVpc, joinSubnet } = this.#rules;
    const subnets = this.#state.index('UsableSubnet', 'vpc', vpc).filter(({ name }) => name !== joinSubnet);
    const of = (pick: 'cidr' | 'gateway'): readonly string[] =>
      subnets.flatMap((subnet: UsableSubnet) => familiesOf(subnet).map(([, net]) => net[pick]));
    const isDefault = vpc === defaultVpc;
    return {
      pods: networks(of('cidr')),
      gateways: networks(of('gateway')),
      nodes: isDefault ? this.#nodes() : [],
      ...(isDefault ? {} : { vpc }),
    };
  }

  #nodes(): PolicyVpc['nodes'] {
    return this.#state.list('Node').map(({ name, labels, addresses, externalAddresses }) => {
      const { v4, v6 } = this.#state.get('NodeAddress', name) ?? {};
      const join = [v4, v6].filter((address) => address !== undefined);
      return { labels, addresses: [...addresses, ...externalAddresses, ...join] };
    });
  }
}

function holdingOf({ subjects, acls, unfit }: ClusterPlan): Holding {
  const sets = new Map<string, PodSet>(unfit === undefined ? [[subjects.id, subjects]] : []);
  const nodeSets = new Map<string, NodeSet>();
  for (const { subjects: own, peers } of acls) {
    if (own !== undefined) sets.set(own.id, own);
    for (const { set } of peers.pods) sets.set(set.id, set);
    for (const { set } of peers.nodes) nodeSets.set(set.id, set);
  }
  return { sets, blocks: new Map(), nodeSets };
}
