import { Counter } from '../policy/counter.ts';
import { furtherPort, interfacesOf, splitInterface } from '../qos/binding.ts';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { drain } from '../tick.ts';
import { groupsOf } from './members.ts';
import type { GroupAddress, GroupClass } from './model.ts';
import { isPassing, passesByGroup } from './passes.ts';

/**
 * Which interfaces are in several groups of tier 0 of which one passes packets, where OVN cannot pass (docs/decisions/0020), and
 * addresses of groups while one passes what comes from a group. While no group passes, this costs nothing.
 */
export class GroupClasses {
  readonly #state: State;
  readonly #defaultVpc: string;
  readonly #classes: Counter<GroupClass>;
  readonly #passing = new Set<Key>();
  readonly #passingByGroup = new Set<Key>();
  readonly #dirty = new Set<Key>();
  #allDirty = false;

  /** @param changed a class of the group came or went */
  constructor(state: State, defaultVpc: string, changed: (group: string) => void) {
    this.#state = state;
    this.#defaultVpc = defaultVpc;
    this.#classes = new Counter(
      (key, one) => {
        state.set('GroupClass', key, one);
        changed(one.group);
      },
      (key, one) => {
        state.delete('GroupClass', key);
        changed(one.group);
      },
    );
  }

  /** An object changed on which memberships may depend. */
  touched(kind: 'Pod' | 'PodAddress' | 'AttachmentAddress' | 'Namespace', key: Key): void {
    if (this.#passing.size === 0) return;
    if (kind === 'PodAddress' || kind === 'AttachmentAddress') this.#dirty.add(key);
    else if (kind === 'Pod') this.#podTouched(key);
    else for (const { name } of this.#state.index('Pod', 'namespace', key)) this.#podTouched(`${key}/${name}`);
  }

  /** A group was reconciled. @returns groups whose rules leave out what this one passes */
  groupChanged(name: Key): readonly string[] {
    const group = this.#state.get('SecurityGroup', name);
    const inForce = group !== undefined && this.#state.get('GroupBinding', name) !== undefined;
    const before = this.#passing.size;
    if (inForce && isPassing(group, false, this.#state)) this.#passing.add(name);
    else this.#passing.delete(name);
    if (this.#passing.has(name) && group !== undefined && passesByGroup(group)) this.#passingByGroup.add(name);
    else this.#passingByGroup.delete(name);
    if (before + this.#passing.size > 0) this.#allDirty = true;
    return this.#state.list('GroupClass').flatMap((one) => (one.with.includes(name) ? [one.group] : []));
  }

  /** Brings the classes up to date. */
  run(): void {
    if (this.#allDirty) {
      for (const pod of this.#state.keys('Pod')) this.#podTouched(pod);
      for (const kind of ['PodClasses', 'GroupAddress'] as const)
        for (const key of this.#state.keys(kind)) this.#dirty.add(key);
    }
    this.#allDirty = false;
    drain(this.#dirty, (key) => this.#reconcile(key));
  }

  #podTouched(pod: Key): void {
    for (const key of interfacesOf(pod, this.#state)) this.#dirty.add(key);
  }

  #reconcile(key: Key): void {
    const own = this.#membership(key);
    const classes = Object.fromEntries(this.#classesOf(own.groups).map((one) => [one.group, one] as const));
    this.#classes.set(key, new Map(Object.values(classes).map((one) => [[one.group, ...one.with].join('/'), one])));
    if (Object.keys(classes).length === 0) this.#state.delete('PodClasses', key);
    else this.#state.set('PodClasses', key, { classes });
    if (own.groups.length === 0 || this.#passingByGroup.size === 0) this.#state.delete('GroupAddress', key);
    else this.#state.set('GroupAddress', key, own);
  }

  #membership(key: Key): GroupAddress {
    const state = this.#state;
    const { pod: podKey, isFurther } = splitInterface(key);
    const further = isFurther ? furtherPort(key, state) : undefined;
    const address = isFurther ? further : state.get('PodAddress', podKey);
    const pod = state.get('Pod', podKey);
    const vpc = address === undefined ? undefined : state.get('UsableSubnet', address.subnet)?.vpc;
    if (pod === undefined || vpc === undefined || pod.uid !== address?.uid) return { groups: [], addresses: [] };
    const namespace = state.get('Namespace', pod.namespace);
    const customVpc = vpc === this.#defaultVpc ? undefined : vpc;
    const own = { pod, namespace, vpc, customVpc, ...(further === undefined ? {} : { further }) };
    return {
      groups: [...groupsOf(own, state).groups].sort(),
      addresses: [address.v4, address.v6].filter((one) => one !== undefined),
    };
  }

  #classesOf(groups: readonly string[]): readonly GroupClass[] {
    const judging = groups.filter((name) => this.#state.get('SecurityGroup', name)?.tier === 0);
    const passing = judging.filter((name) => this.#passing.has(name));
    return judging
      .map((group) => ({ group, with: passing.filter((name) => name !== group) }))
      .filter((one) => one.with.length > 0);
  }
}
