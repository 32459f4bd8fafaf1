import { ownerOf, securityGroupName } from '../compile/names.ts';
import { Counter } from '../policy/counter.ts';
import type { Isolation } from '../policy/model.ts';
import type { Key, Kind } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { drain } from '../tick.ts';
import { GroupClasses } from './classes.ts';
import { closedPods } from './closed-pods.ts';
import { namedGroups, podSetsOf, podsNaming } from './members.ts';
import type { ClosedPods, SecurityGroup } from './model.ts';
import { GroupOrders } from './order.ts';
import { tooManyParts } from './passes.ts';
import { type Unfit, unfitGroup } from './unfit.ts';

/** Kinds with which the last user of a group may come or go. */
const lastUsers: ReadonlySet<Kind> = new Set(['Pod', 'PodAddress', 'AttachmentAddress', 'Namespace', 'SecurityGroup']);

export interface SecurityGroupEffects {
  /** The unit's rows are to be committed; `then` runs when they are. */
  committed(unit: string, then: () => void): void;
  /** A deleted group is in use (again). */
  held(name: string): void;
  /** Nothing is left of a deleted group. */
  finished(name: string): void;
  statusChanged(name: string): void;
}

/**
 * Derives from SecurityGroups what pods' units need, and lets a deleted group go with its last user. A user is a pod that
 * names it, or a rule of a group that is not deleted itself; what is in it by selector leaves with the deletion.
 */
export class SecurityGroupLife {
  readonly #state: State;
  readonly #defaultVpc: string;
  readonly #tiers: boolean;
  readonly #effects: SecurityGroupEffects;
  readonly #dirty = new Set<Key>();
  readonly #deleting = new Set<Key>();
  readonly #sets = new Map<Key, ReadonlySet<string>>();
  /** Whether there are groups at all: nodes are exempt from them. */
  readonly #isolation: Counter<Isolation>;
  readonly #closed: Counter<ClosedPods>;
  readonly #orders: GroupOrders;
  readonly #classes: GroupClasses | undefined;

  /** @param options `tiers`: OVN has ACL tiers */
  constructor(state: State, options: { defaultVpc: string; tiers: boolean }, effects: SecurityGroupEffects) {
    this.#state = state;
    this.#defaultVpc = options.defaultVpc;
    this.#tiers = options.tiers;
    this.#effects = effects;
    this.#orders = new GroupOrders(state, options.tiers);
    this.#isolation = new Counter(
      (key, isolation) => state.set('Isolation', key, isolation),
      (key) => state.delete('Isolation', key),
    );
    this.#closed = new Counter(
      (key, closed) => state.set('ClosedPods', key, closed),
      (key) => state.delete('ClosedPods', key),
    );
    if (!this.#tiers) this.#classes = new GroupClasses(state, this.#defaultVpc, (name) => effects.statusChanged(name));
    state.onTouch((kind, key) => {
      if (kind === 'SecurityGroup') this.#dirty.add(key);
      else if (kind === 'Pod') this.#podTouched(key);
      if (kind === 'Pod' || kind === 'PodAddress' || kind === 'AttachmentAddress' || kind === 'Namespace')
        this.#classes?.touched(kind, key);
      // Any of them may have been the last user, or what made it one.
      if (lastUsers.has(kind)) for (const name of this.#deleting) this.#dirty.add(name);
    });
  }

  /** Brings the derived objects up to date. Synchronous; call `Engine.flush` afterwards. */
  run(): void {
    const reconciled = new Set<Key>();
    try {
      drain(this.#dirty, (name) => {
        reconciled.add(name);
        this.#reconcile(name);
      });
    } finally {
      // Whether a group has a place depends on all of them.
      for (const name of new Set([...reconciled, ...this.#orders.run()]))
        for (const one of [name, ...(this.#classes?.groupChanged(name) ?? [])]) this.#effects.statusChanged(one);
      this.#classes?.run();
    }
  }

  /** Who keeps a deleted group, in words: pods that name it, and rules of other groups. */
  holders(group: SecurityGroup): readonly string[] {
    const { name } = group;
    return [
      ...podsNaming(group, this.#state).map((pod) => `pod ${pod.namespace}/${pod.name}`),
      ...this.#state
        .index('SecurityGroup', 'remote', name)
        .filter((other) => other.name !== name && !other.deleting)
        .map((other) => `the rules of SecurityGroup ${other.name}`)
        .sort(),
    ];
  }

  /** Why the group cannot be in force; its pods are closed then. */
  unfit(group: SecurityGroup): Unfit | undefined {
    return unfitGroup(group, this.#tiers, this.#state);
  }

  /** Rules that what is passed before them splits too much, in words. */
  tooManyParts(group: SecurityGroup): readonly string[] {
    return this.#tiers || group.tier === 1 ? [] : tooManyParts(group, this.#state);
  }

  #reconcile(name: Key): void {
    const group = this.#state.get('SecurityGroup', name);
    const known = this.#state.get('GroupBinding', name) !== undefined;
    const inForce = group !== undefined && (!group.deleting || this.holders(group).length > 0);
    if (group?.deleting === true) this.#deleting.add(name);
    else this.#deleting.delete(name);
    if (inForce) {
      const { vpc, namespaces, namespaceSelectors } = group;
      this.#state.set('GroupBinding', name, { name, vpc, namespaces, namespaceSelectors });
    } else this.#state.delete('GroupBinding', name);
    this.#isolates(`group/${name}`, inForce);
    this.#select(name, inForce && !group.deleting ? group : undefined);
    this.#orders.set(name, inForce ? group : undefined);
    // Rules of others name it, in vain or no longer so.
    if (known !== inForce)
      for (const other of this.#state.index('SecurityGroup', 'remote', name)) this.#effects.statusChanged(other.name);
    if (group?.deleting !== true) return;
    if (inForce) {
      this.#effects.held(name);
      return;
    }
    this.#effects.committed(ownerOf('SecurityGroup', name), () => {
      if (this.#state.get('GroupBinding', name) === undefined) this.#effects.finished(name);
    });
  }

  #select(name: Key, group: SecurityGroup | undefined): void {
    const sets = group === undefined ? [] : this.#setsOf(group);
    const ids = new Set(sets.map(({ id }) => id));
    for (const set of sets) this.#state.set('PodSet', set.id, set);
    for (const id of this.#sets.get(name) ?? []) if (!ids.has(id)) this.#state.delete('PodSet', id);
    if (ids.size === 0) this.#sets.delete(name);
    else this.#sets.set(name, ids);
  }

  #setsOf(group: SecurityGroup): ReturnType<typeof podSetsOf> {
    const vpc = group.vpc === this.#defaultVpc ? undefined : group.vpc;
    const own = { name: securityGroupName(group.name), owner: ownerOf('SecurityGroup', group.name) };
    return podSetsOf(group, vpc, own);
  }

  /** A pod that names a group is closed whether or not it gets it. */
  #podTouched(key: Key): void {
    const pod = this.#state.get('Pod', key);
    const names = pod !== undefined && namedGroups(pod).length > 0;
    this.#closed.set(key, new Map(names ? [[closedPods, { reason: 'group' }]] : []));
    this.#isolates(`pod/${key}`, names);
  }

  #isolates(holder: string, isolates: boolean): void {
    this.#isolation.set(holder, new Map(isolates ? [['Groups', { direction: 'Ingress' }]] : []));
  }
}
