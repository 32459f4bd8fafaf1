import { Counter } from '../policy/counter.ts';
import { furtherPort, interfacesOf, splitInterface } from '../qos/binding.ts';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { groupsOf } from './members.ts';
import type { GroupClass } from './model.ts';
import { isPassing } from './passes.ts';

/**
 * Which interfaces are in several groups of tier 0 of which one passes packets, where OVN cannot pass (docs/decisions/0018).
 * While no group passes, this costs nothing.
 */
export class GroupClasses {
  readonly #state: State;
  readonly #defaultVpc: string;
  readonly #classes: Counter<GroupClass>;
  readonly #passing = new Set<Key>();
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
    if (before + this.#passing.size > 0) this.#allDirty = true;
    return this.#state.list('GroupClass').flatMap((one) => (one.with.includes(name) ? [one.group] : []));
  }

  /** Brings the classes up to date. */
  run(): void {
    if (this.#allDirty) {
      for (const pod of this.#state.keys('Pod')) this.#podTouched(pod);
      for (const key of this.#state.keys('PodClasses')) this.#dirty.add(key);
    }
    this.#allDirty = false;
    for (const key of this.#dirty) this.#reconcile(key);
    this.#dirty.clear();
  }

  #podTouched(pod: Key): void {
    for (const key of interfacesOf(pod, this.#state)) this.#dirty.add(key);
  }

  #reconcile(key: Key): void {
    const classes = Object.fromEntries(this.#classesOf(key).map((one) => [one.group, one] as const));
    this.#classes.set(key, new Map(Object.values(classes).map((one) => [[one.group, ...one.with].join('/'), one])));
    if (Object.keys(classes).length === 0) this.#state.delete('PodClasses', key);
    else this.#state.set('PodClasses', key, { classes });
  }

  #classesOf(key: Key): readonly GroupClass[] {
    const state = this.#state;
    const { pod: podKey, isFurther } = splitInterface(key);
    const further = isFurther ? furtherPort(key, state) : undefined;
    const address = isFurther ? further : state.get('PodAddress', podKey);
    const pod = state.get('Pod', podKey);
    const vpc = address === undefined ? undefined : state.get('UsableSubnet', address.subnet)?.vpc;
    if (pod === undefined || vpc === undefined || pod.uid !== address?.uid) return [];
    const namespace = state.get('Namespace', pod.namespace);
    const customVpc = vpc === this.#defaultVpc ? undefined : vpc;
    const own = { pod, namespace, vpc, customVpc, ...(further === undefined ? {} : { further }) };
    const groups = [...groupsOf(own, state).groups]
      .filter((name) => state.get('SecurityGroup', name)?.tier === 0)
      .sort();
    const passing = groups.filter((name) => this.#passing.has(name));
    return groups
      .map((group) => ({ group, with: passing.filter((name) => name !== group) }))
      .filter((one) => one.with.length > 0);
  }
}
