import { cidrContains } from '@ovenbird/crds';
import { ownerOf } from '../compile/names.ts';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { drain } from '../tick.ts';
import { ClusterPolicyLife } from './cluster-life.ts';
import type { ClusterPolicy } from './cluster-model.ts';
import { Counter } from './counter.ts';
import { Holdings } from './holdings.ts';
import type { NamespaceVpc, NetworkPolicy, NodeBlock, PortName } from './model.ts';
import { type PlanRules, planPolicy, portNamesOf } from './plan.ts';

/** Settings of {@link PolicyLife}. */
export interface PolicyRules extends PlanRules {
  /** OVN has ACL tiers. */
  readonly tiers: boolean;
}

/** What follows from policies. */
export interface PolicyEffects {
  /** The unit's rows are to be committed; `then` runs when they are. */
  committed(unit: string, then: () => void): void;
  warn(policy: NetworkPolicy | ClusterPolicy, reason: string, message: string): void;
  /** What the status of a cluster policy says may have changed. */
  statusChanged(policy: ClusterPolicy): void;
}

/**
 * Derives from policies, pods and nodes what compile units share: sets of pods, names of ports in use, blocks with nodes.
 */
export class PolicyLife {
  readonly #state: State;
  readonly #rules: PlanRules;
  readonly #effects: PolicyEffects;
  readonly #dirty = new Set<Key>();
  /** Policies whose problems were told. */
  readonly #warned = new WeakSet<NetworkPolicy>();
  readonly #holdings: Holdings;
  readonly #cluster: ClusterPolicyLife;
  readonly #portNames: Counter<PortName>;
  readonly #vpcs: Counter<NamespaceVpc>;
  /** Blocks in use, whether or not a node has an address in them. */
  readonly #knownBlocks = new Map<string, NodeBlock>();
  /** Policies by the port names that their rules use. */
  readonly #byPortName = new Map<string, Set<Key>>();
  readonly #names = new Map<Key, ReadonlySet<string>>();
  #nodesChanged = false;

  constructor(state: State, rules: PolicyRules, effects: PolicyEffects) {
    this.#state = state;
    this.#rules = rules;
    this.#effects = effects;
    this.#holdings = new Holdings({
      state,
      committed: (unit, then) => effects.committed(unit, then),
      block: (block, used) => this.#blockChanged(block, used),
    });
    this.#cluster = new ClusterPolicyLife(state, rules, this.#holdings, effects);
    this.#portNames = new Counter(
      (key, name) => this.#portNameChanged(name, () => state.set('PortName', key, name)),
      (key, name) => this.#portNameChanged(name, () => state.delete('PortName', key)),
    );
    this.#vpcs = new Counter(
      (key, vpc) => this.#vpcsChanged(vpc, () => state.set('NamespaceVpc', key, vpc)),
      (key, vpc) => this.#vpcsChanged(vpc, () => state.delete('NamespaceVpc', key)),
    );
    state.onTouch((kind, key) => {
      if (kind === 'Pod' || kind === 'PodAddress') this.#podTouched(key);
      else if (kind === 'NetworkPolicy') this.#dirty.add(key);
      else if (kind === 'Node') this.#nodesChanged = true;
    });
  }

  /** Brings the derived objects up to date. Synchronous; call `Engine.flush` afterwards. */
  run(): void {
    if (this.#nodesChanged) {
      this.#nodesChanged = false;
      const addresses = this.#nodeAddresses();
      for (const block of this.#knownBlocks.values()) this.#judge(block, addresses);
    }
    try {
      drain(this.#dirty, (key) => this.#reconcile(key));
    } finally {
      this.#cluster.run();
    }
  }

  #reconcile(key: Key): void {
    const policy = this.#state.get('NetworkPolicy', key);
    const plan = policy === undefined ? undefined : planPolicy(policy, this.#state, this.#rules);
    this.#rememberNames(key, policy);
    const unit = ownerOf('NetworkPolicy', key);
    this.#holdings.isolates(unit, [
      ...(policy?.ingress === undefined ? [] : (['Ingress'] as const)),
      ...(policy?.egress === undefined ? [] : (['Egress'] as const)),
    ]);
    if (policy !== undefined && !this.#warned.has(policy)) {
      this.#warned.add(policy);
      for (const problem of policy.problems) this.#effects.warn(policy, 'RuleNotHonoured', problem);
    }
    this.#holdings.want(unit, {
      sets: new Map((plan?.sets ?? []).map((set) => [set.id, set])),
      blocks: new Map((plan?.blocks ?? []).map((block) => [block.id, block])),
      nodeSets: new Map(),
    });
  }

  #rememberNames(key: Key, policy: NetworkPolicy | undefined): void {
    for (const name of this.#names.get(key) ?? []) {
      const users = this.#byPortName.get(name);
      users?.delete(key);
      if (users?.size === 0) this.#byPortName.delete(name);
    }
    const names = policy === undefined ? new Set<string>() : portNamesOf(policy);
    if (names.size === 0) this.#names.delete(key);
    else this.#names.set(key, names);
    for (const name of names) this.#byPortName.set(name, (this.#byPortName.get(name) ?? new Set()).add(key));
  }

  #podTouched(key: Key): void {
    const pod = this.#state.get('Pod', key);
    const address = this.#state.get('PodAddress', key);
    const names = new Map<string, PortName>();
    const vpcs = new Map<string, NamespaceVpc>();
    if (pod !== undefined && address?.uid === pod.uid) {
      const { namespace } = pod;
      for (const { name, protocol, number } of pod.namedPorts)
        names.set(`${namespace}\0${protocol}\0${name}\0${number}`, { namespace, name, protocol, number });
      const vpc = this.#state.get('UsableSubnet', address.subnet)?.vpc;
      if (vpc !== undefined) vpcs.set(`${namespace}/${vpc}`, { namespace, vpc });
    }
    this.#portNames.set(key, names);
    this.#vpcs.set(key, vpcs);
  }

  #portNameChanged({ namespace, protocol, name }: PortName, change: () => void): void {
    change();
    for (const scope of [namespace, '*'])
      for (const key of this.#byPortName.get(`${scope}\0${protocol}\0${name}`) ?? []) this.#dirty.add(key);
  }

  #vpcsChanged({ namespace }: NamespaceVpc, change: () => void): void {
    change();
    for (const policy of this.#state.index('NetworkPolicy', 'namespace', namespace))
      this.#dirty.add(`${namespace}/${policy.name}`);
  }

  #blockChanged(block: NodeBlock, used: boolean): void {
    if (used) {
      this.#knownBlocks.set(block.id, block);
      this.#judge(block, this.#nodeAddresses());
      return;
    }
    this.#knownBlocks.delete(block.id);
    this.#state.delete('NodeBlock', block.id);
  }

  #nodeAddresses(): readonly string[] {
    return this.#state.list('Node').flatMap(({ addresses }) => addresses);
  }

  /** Only blocks that hold a node's address are worth a set. */
  #judge(block: NodeBlock, addresses: readonly string[]): void {
    const used = addresses.some((address) => block.cidrs.some((cidr) => cidrContains(cidr, address)));
    if (used) this.#state.set('NodeBlock', block.id, block);
    else this.#state.delete('NodeBlock', block.id);
  }
}
