import { cidrContains } from '@ovenbird/crds';
import { ownerOf } from '../compile/names.ts';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { Counter } from './counter.ts';
import type { Isolation, NamespaceVpc, NetworkPolicy, NodeBlock, PodSet, PortName } from './model.ts';
import { type PlanRules, planPolicy, portNamesOf } from './plan.ts';

/** What follows from policies. */
export interface PolicyEffects {
  /** The unit's rows are to be committed; `then` runs when they are. */
  committed(unit: string, then: () => void): void;
  warn(policy: NetworkPolicy, reason: string, message: string): void;
}

/** What a policy holds while its rows may refer to it. */
interface Holding {
  readonly sets: ReadonlyMap<string, PodSet>;
  readonly blocks: ReadonlyMap<string, NodeBlock>;
}

const nothing: Holding = { sets: new Map(), blocks: new Map() };

/**
 * Derives from policies, pods and nodes what compile units share: sets of pods, names of ports in use, blocks with nodes.
 *
 * A set outlives the last policy that uses it until that policy's rows are committed, so that no ACL ever names a set that
 * is gone: ovn-controller would drop the whole match.
 */
export class PolicyLife {
  readonly #state: State;
  readonly #rules: PlanRules;
  readonly #effects: PolicyEffects;
  readonly #dirty = new Set<Key>();
  readonly #holdings = new Map<Key, Holding>();
  /** What is to be held when rows are committed that are on their way. */
  readonly #wanted = new Map<Key, Holding>();
  /** Policies whose problems were told. */
  readonly #warned = new WeakSet<NetworkPolicy>();
  /** Sets shared between policies. */
  readonly #sets: Counter<PodSet>;
  readonly #blocks: Counter<NodeBlock>;
  readonly #isolation: Counter<Isolation>;
  readonly #portNames: Counter<PortName>;
  readonly #vpcs: Counter<NamespaceVpc>;
  /** Blocks in use, whether or not a node has an address in them. */
  readonly #knownBlocks = new Map<string, NodeBlock>();
  /** Policies by the port names that their rules use. */
  readonly #byPortName = new Map<string, Set<Key>>();
  readonly #names = new Map<Key, ReadonlySet<string>>();
  #nodesChanged = false;

  constructor(state: State, rules: PlanRules, effects: PolicyEffects) {
    this.#state = state;
    this.#rules = rules;
    this.#effects = effects;
    this.#sets = new Counter(
      (id, set) => state.set('PodSet', id, set),
      (id) => state.delete('PodSet', id),
    );
    this.#isolation = new Counter(
      (direction, isolation) => state.set('Isolation', direction, isolation),
      (direction) => state.delete('Isolation', direction),
    );
    this.#blocks = new Counter(
      (id, block) => {
        this.#knownBlocks.set(id, block);
        this.#judge(block, this.#nodeAddresses());
      },
      (id) => {
        this.#knownBlocks.delete(id);
        state.delete('NodeBlock', id);
      },
    );
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
    for (const key of this.#dirty) this.#reconcile(key);
    this.#dirty.clear();
  }

  #reconcile(key: Key): void {
    const policy = this.#state.get('NetworkPolicy', key);
    const plan = policy === undefined ? undefined : planPolicy(policy, this.#state, this.#rules);
    const wanted: Holding = {
      sets: new Map((plan?.sets ?? []).map((set) => [set.id, set])),
      blocks: new Map((plan?.blocks ?? []).map((block) => [block.id, block])),
    };
    this.#wanted.set(key, wanted);
    this.#rememberNames(key, policy);
    this.#isolation.set(key, new Map(policy?.ingress === undefined ? [] : [['Ingress', { direction: 'Ingress' }]]));
    if (policy !== undefined && !this.#warned.has(policy)) {
      this.#warned.add(policy);
      for (const problem of policy.problems) this.#effects.warn(policy, 'RuleNotHonoured', problem);
    }
    // Which pods the policy selects changes at once; what its rules refer to stays until the new rules are committed.
    const { sets, blocks } = this.#holdings.get(key) ?? nothing;
    const kept = new Map([...sets].filter(([, { holds }]) => holds !== 'policy'));
    const held = { sets: new Map([...kept, ...wanted.sets]), blocks: new Map([...blocks, ...wanted.blocks]) };
    this.#hold(key, held);
    if (held.sets.size === wanted.sets.size && held.blocks.size === wanted.blocks.size) this.#wanted.delete(key);
    else
      this.#effects.committed(ownerOf('NetworkPolicy', key), () => {
        // Changed again meanwhile: that change waits for its own commit.
        if (this.#wanted.get(key) !== wanted) return;
        this.#wanted.delete(key);
        this.#hold(key, wanted);
      });
  }

  #hold(key: Key, holding: Holding): void {
    const old = this.#holdings.get(key) ?? nothing;
    if (holding.sets.size === 0 && holding.blocks.size === 0) this.#holdings.delete(key);
    else this.#holdings.set(key, holding);
    const shared = new Map<string, PodSet>();
    for (const [id, set] of holding.sets) {
      if (set.holds === 'addresses') shared.set(id, set);
      else this.#state.set('PodSet', id, set);
    }
    for (const [id, set] of old.sets)
      if (set.holds !== 'addresses' && !holding.sets.has(id)) this.#state.delete('PodSet', id);
    this.#sets.set(key, shared);
    this.#blocks.set(key, holding.blocks);
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
