import type { Allocator, Wanted } from '../alloc/allocator.ts';
import { candidateSubnets, type SubnetRules } from '../alloc/choose-subnet.ts';
import { AllocError } from '../alloc/error.ts';
import { ownerOf } from '../compile/names.ts';
import type { Address, Key, Pod } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { wantedOf } from './request.ts';

/** What follows from a pod's decisions; all of it happens after the northbound database has them. */
export interface PodEffects {
  /** The unit's rows are to be committed; `then` runs when they are. */
  committed(unit: string, then: () => void): void;
  announce(key: Key): void;
  /** The IP object of an owner is out of date. */
  recordChanged(owner: string): void;
  warn(pod: Pod, reason: string, message: string): void;
  /** Addresses of the subnet were freed. */
  freed(subnet: string): void;
}

/** Whether a pod has a port (design §3.3): a deletionTimestamp alone takes nothing. */
export const hasPort = (pod: Pod | undefined): pod is Pod =>
  pod !== undefined && !pod.hostNetwork && pod.node !== '' && !pod.finished;

/** Event reasons by cause, as people see them in `kubectl describe pod`. */
const reasons = {
  'no-subnet': 'SubnetNotUsable',
  forbidden: 'SubnetForbidden',
  invalid: 'InvalidAnnotation',
  outside: 'AddressOutsideSubnet',
  excluded: 'AddressExcluded',
  taken: 'AddressTaken',
  exhausted: 'SubnetExhausted',
} as const satisfies Record<AllocError['code'], string>;

/**
 * Gives pods their addresses and takes them back. A pod that cannot have one waits, with an event, and is tried again when
 * one of the subnets it waits for changes or frees an address.
 */
export class PodLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #rules: SubnetRules;
  readonly #effects: PodEffects;
  /** Waiting pods and why, so that the same event is not written twice. */
  readonly #waiting = new Map<Key, { uid: string; message: string; subnets: readonly string[] }>();

  constructor(state: State, allocator: Allocator, rules: SubnetRules, effects: PodEffects) {
    this.#state = state;
    this.#allocator = allocator;
    this.#rules = rules;
    this.#effects = effects;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Waiting pods that a change of `subnet` may help. */
  waitingFor(subnet: string): Key[] {
    const keys: Key[] = [];
    for (const [key, { subnets }] of this.#waiting)
      if (subnets.length === 0 || subnets.includes(subnet)) keys.push(key);
    return keys;
  }

  /** All waiting pods. */
  waitingAnywhere(): Key[] {
    return [...this.#waiting.keys()];
  }

  /** Waiting pods of a namespace: its annotation or a subnet's list may have changed. */
  waitingIn(namespace: string): Key[] {
    return [...this.#waiting.keys()].filter((key) => key.startsWith(`${namespace}/`));
  }

  /** Brings alloc in line with one pod. Synchronous; call `Engine.flush` afterwards. */
  reconcile(key: Key): void {
    const pod = this.#state.get('Pod', key);
    const address = this.#state.get('PodAddress', key);
    if (!hasPort(pod)) {
      this.#waiting.delete(key);
      if (address !== undefined) this.#drop(key, address);
      return;
    }
    if (address?.uid === pod.uid) return;
    if (this.#state.get('Namespace', pod.namespace) === undefined) {
      // The watch of pods is ahead of that of namespaces, and the namespace may name the subnet: no event, just a moment.
      this.#waiting.set(key, { uid: pod.uid, message: '', subnets: [] });
      return;
    }
    try {
      this.#allocate(key, pod);
    } catch (error) {
      if (!(error instanceof AllocError)) throw error;
      if (address !== undefined) this.#drop(key, address);
      this.#wait(key, pod, error);
    }
  }

  /** Frees what a pod that is gone for good still holds (its StatefulSet was deleted), when its port is gone as well. */
  releaseKept(key: Key): void {
    if (this.#state.get('PodAddress', key) === undefined)
      this.#effects.committed(ownerOf('Pod', key), () => this.portGone(key));
  }

  /** The port of a pod that went away while no controller ran is removed now. */
  portGone(key: Key): void {
    if (this.#state.get('PodAddress', key) !== undefined) return;
    const address = this.#allocator.held(ownerOf('Pod', key));
    if (address === undefined) return;
    if (this.#kept(address)) this.#effects.recordChanged(address.owner);
    else this.#release(key);
  }

  #allocate(key: Key, pod: Pod): void {
    const wanted: Wanted = wantedOf(pod.annotations);
    const owner = ownerOf('Pod', key);
    const kept = this.#allocator.held(owner);
    const candidates = candidateSubnets(pod, wanted, this.#state, this.#rules);
    // A StatefulSet pod comes back to the subnet that holds its address, while it may still use it.
    const ordered = kept !== undefined && candidates.includes(kept.subnet) ? [kept.subnet, ...candidates] : candidates;
    let failure: AllocError | undefined;
    for (const subnet of ordered) {
      try {
        const address = this.#allocator.allocate(owner, pod.uid, subnet, wanted, pod.statefulSet);
        this.#waiting.delete(key);
        this.#state.set('PodAddress', key, address);
        this.#effects.committed(owner, () => {
          if (this.#state.get('PodAddress', key)?.uid === address.uid) this.#effects.announce(key);
          // What a predecessor of the same name held and this one did not take over.
          if (kept !== undefined && !sameAddress(kept, address)) this.#effects.freed(kept.subnet);
        });
        return;
      } catch (error) {
        if (!(error instanceof AllocError)) throw error;
        failure ??= error;
        if (error.code !== 'exhausted' && error.code !== 'no-subnet') break;
      }
    }
    throw new AllocError(
      failure?.code ?? 'no-subnet',
      failure?.message ?? 'no subnet to take an address from',
      ordered,
    );
  }

  #wait(key: Key, pod: Pod, error: AllocError): void {
    const before = this.#waiting.get(key);
    this.#waiting.set(key, { uid: pod.uid, message: error.message, subnets: error.subnets });
    if (before?.uid === pod.uid && before.message === error.message) return;
    this.#effects.warn(pod, reasons[error.code], error.message);
  }

  /** The port goes first; the address is free only when the northbound database says so. */
  #drop(key: Key, address: Address): void {
    this.#state.delete('PodAddress', key);
    this.#effects.committed(address.owner, () => this.portGone(key));
  }

  #release(key: Key): void {
    const address = this.#allocator.release(ownerOf('Pod', key));
    if (address === undefined) return;
    this.#effects.recordChanged(address.owner);
    this.#effects.freed(address.subnet);
  }

  /** A StatefulSet pod keeps its address over re-creation, as long as the StatefulSet exists. */
  #kept(address: Address): boolean {
    return address.statefulSet !== undefined && this.#state.get('StatefulSet', address.statefulSet) !== undefined;
  }
}

const sameAddress = (a: Address, b: Address): boolean =>
  a.subnet === b.subnet && a.v4 === b.v4 && a.v6 === b.v6 && a.mac === b.mac;
