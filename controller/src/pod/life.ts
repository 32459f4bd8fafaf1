import type { Allocator, Wanted } from '../alloc/allocator.ts';
import { candidateSources, mayUsePool, type Source, type SubnetRules } from '../alloc/choose-subnet.ts';
import { AllocError } from '../alloc/error.ts';
import { isKept, keeperExists, virtualMachine } from '../alloc/kept.ts';
import type { Loans } from '../alloc/loans.ts';
import { ownerOf, splitOwner } from '../compile/names.ts';
import type { Address, Key, Pod, StatefulSet } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { borrowVip } from '../vip/borrow.ts';
import { type PodRequest, requestOf } from './request.ts';
import { checkRoutes } from './routes.ts';

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
  /** The port of the pod that had the address of a Vip or virtual machine is gone. */
  returned(holder: Key): void;
  /** A pod waits for an address of the subnet. */
  waits(subnet: string): void;
}

/** Whether a pod has a port (design §3.3): a deletionTimestamp alone takes nothing. */
export const hasPort = (pod: Pod | undefined): pod is Pod =>
  pod !== undefined && !pod.hostNetwork && pod.node !== '' && !pod.finished;

/** What decides where a pod's address is from. */
type Asking = Pick<Pod, 'name' | 'namespace' | 'uid' | 'annotations' | 'keepFor'>;

/** Event reasons by cause, as people see them in `kubectl describe pod`. */
export const reasons: Readonly<Record<AllocError['code'], string>> = {
  'no-subnet': 'SubnetNotUsable',
  forbidden: 'SubnetForbidden',
  invalid: 'InvalidAnnotation',
  outside: 'AddressOutsideSubnet',
  excluded: 'AddressExcluded',
  taken: 'AddressTaken',
  exhausted: 'SubnetExhausted',
  family: 'FamilyNotInSubnet',
  'no-pool': 'PoolNotUsable',
  'pool-forbidden': 'PoolForbidden',
  'pool-exhausted': 'PoolExhausted',
  'vip-forbidden': 'VipForbidden',
  'no-vip': 'VipNotUsable',
};

/**
 * Gives pods their addresses and takes them back. A pod that cannot have one waits, with an event, and is tried again when
 * one of the subnets it waits for changes or frees an address.
 */
export class PodLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #loans: Loans;
  readonly #rules: SubnetRules;
  readonly #effects: PodEffects;
  /** Waiting pods and why, so that the same event is not written twice. */
  readonly #waiting = new Map<Key, { uid: string; message: string; subnets: readonly string[] }>();
  /** Pods that have an address and were not told yet. */
  readonly #untold = new Set<Key>();
  /** Those of them whose port goes again, because they may not have that address. */
  readonly #leaving = new Set<Key>();

  constructor(state: State, allocator: Allocator, loans: Loans, rules: SubnetRules, effects: PodEffects) {
    this.#state = state;
    this.#allocator = allocator;
    this.#loans = loans;
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

  /** Pods that were not told their address yet. @param namespace only those of this one */
  untold(namespace?: string): Key[] {
    return [...this.#untold].filter((key) => namespace === undefined || key.startsWith(`${namespace}/`));
  }

  /**
   * What says where a pod's address is from was seen after the pod, though it was written before: each kind has a watch of
   * its own. A pod that was not told yet is decided anew when its address is not what it would get now; one that was keeps it
   * (docs/decisions/0021).
   */
  reconsider(key: Key): void {
    const pod = this.#state.get('Pod', key);
    const address = this.#state.get('PodAddress', key);
    if (!this.#untold.has(key) || !hasPort(pod) || address?.uid !== pod.uid || address.via !== undefined) return;
    if (this.#isAsked(pod, address)) return;
    this.#untold.delete(key);
    this.#leaving.add(key);
    this.#waiting.set(key, { uid: pod.uid, message: '', subnets: [] });
    this.#state.delete('PodAddress', key);
    this.#effects.committed(address.owner, () => {
      this.#leaving.delete(key);
      this.portGone(key);
      // Of an address that is kept nothing was freed, and the pod waits for this.
      this.#effects.freed(address.subnet);
    });
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
    if (this.#leaving.has(key)) {
      this.#waiting.set(key, { uid: pod.uid, message: '', subnets: [] });
      return;
    }
    if (!this.#isReady(pod)) {
      // The watch of pods is ahead of those of namespaces and StatefulSets, which say what the pod asks for: no event, just
      // a moment. What a predecessor of the same name has goes meanwhile.
      if (address !== undefined) this.#drop(key, address);
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

  /** The port of a pod that went away while no controller ran is removed now. */
  portGone(key: Key): void {
    if (this.#state.get('PodAddress', key) !== undefined) return;
    const owner = ownerOf('Pod', key);
    this.#giveBack(owner);
    this.#keepOrRelease(owner);
  }

  #keepOrRelease(owner: string): void {
    const address = this.#allocator.held(owner);
    if (address === undefined) return;
    if (isKept(address, this.#state)) this.#effects.recordChanged(owner);
    else this.#release(owner);
  }

  /** A borrowed address is its holder's again. */
  #giveBack(owner: string): void {
    const holder = this.#loans.giveBack(owner);
    if (holder === undefined) return;
    const subnet = this.#allocator.held(holder)?.subnet;
    if (splitOwner(holder)[0] === virtualMachine) this.#keepOrRelease(holder);
    else this.#effects.recordChanged(holder);
    this.#effects.returned(holder);
    if (subnet !== undefined) this.#effects.freed(subnet);
  }

  /**
   * Whether everything is known that says what the pod asks for, and whether its address is to be kept: a StatefulSet that is
   * not known yet must not be taken for one that is gone.
   */
  #isReady(pod: Pod): boolean {
    if (this.#state.get('Namespace', pod.namespace) === undefined) return false;
    return pod.keepFor === undefined || keeperExists(pod.keepFor, this.#state);
  }

  #setOf({ keepFor }: Pick<Pod, 'keepFor'>): StatefulSet | undefined {
    const [kind, key] = splitOwner(keepFor ?? '');
    return kind === 'StatefulSet' ? this.#state.get('StatefulSet', key) : undefined;
  }

  /** What a pod asks for, and where it may come from. @throws AllocError */
  #asks(pod: Asking): {
    readonly request: PodRequest;
    readonly sources: readonly Source[];
  } {
    const set = this.#setOf(pod);
    const index = set === undefined ? undefined : ordinalOf(pod.name) - set.firstOrdinal;
    const request = requestOf(pod, this.#state.get('Namespace', pod.namespace)?.annotations, index);
    if (request.vip !== undefined) return { request, sources: [] };
    return { request, sources: candidateSources(pod, request, this.#state, this.#rules) };
  }

  /** Who holds the pod's address in alloc: the pod itself, its virtual machine, or the Vip that it names. */
  #holderOf(owner: string, pod: Pod, { vip }: PodRequest): Key {
    if (vip !== undefined) return ownerOf('Vip', vip);
    return pod.keepFor !== undefined && splitOwner(pod.keepFor)[0] === virtualMachine ? pod.keepFor : owner;
  }

  /** Whether a predecessor of the same name borrowed from somebody else: that is given back first. */
  #isInTheWay(key: Key, owner: string, holder: Key): boolean {
    const lent = this.#loans.holderOf(owner);
    if (lent === undefined || lent === holder) return false;
    const address = this.#state.get('PodAddress', key);
    if (address !== undefined) this.#drop(key, address);
    return true;
  }

  #allocate(key: Key, pod: Pod): void {
    const owner = ownerOf('Pod', key);
    const { request, sources } = this.#asks(pod);
    const holder = this.#holderOf(owner, pod, request);
    if (this.#isInTheWay(key, owner, holder)) {
      this.#waiting.set(key, { uid: pod.uid, message: '', subnets: [] });
      return;
    }
    if (request.vip !== undefined) {
      const address = borrowVip(pod, request, this.#state, this.#loans, this.#rules);
      checkRoutes(request.routes, this.#state.get('UsableSubnet', address.subnet), request.family);
      this.#hasAddress(key, address);
      return;
    }
    const user = this.#loans.userOf(holder);
    const kept = this.#allocator.held(holder);
    if (user !== undefined && user !== owner)
      throw new AllocError(
        'taken',
        `the address of ${holder} is that of ${user}, another pod of the same machine; the pod starts when that is gone`,
        [kept?.subnet ?? ''],
      );
    // A pod comes back to where its address is, while it may still be there.
    const isHome = (source: Source): boolean => kept !== undefined && this.#holds(source, kept);
    const ordered = [...sources.filter(isHome), ...sources.filter((source) => !isHome(source))];
    let failure: AllocError | undefined;
    for (const source of ordered) {
      try {
        const held = this.#take(holder, pod, source, request);
        this.#hasAddress(key, holder === owner ? held : { ...held, owner, via: holder }, kept);
        return;
      } catch (error) {
        if (!(error instanceof AllocError)) throw error;
        failure ??= error;
        if (!elsewhere.has(error.code)) break;
      }
    }
    throw new AllocError(
      failure?.code ?? 'no-subnet',
      failure?.message ?? 'no subnet to take an address from',
      ordered.map(({ subnet }) => subnet),
    );
  }

  /** The pod has its address; the northbound row is next. */
  #hasAddress(key: Key, address: Address, kept?: Address): void {
    const { owner, via } = address;
    this.#waiting.delete(key);
    if (via !== undefined) this.#loans.lend(via, owner);
    this.#state.set('PodAddress', key, address);
    this.#untold.add(key);
    this.#effects.committed(owner, () => {
      const now = this.#state.get('PodAddress', key);
      if (now?.uid === address.uid && sameAddress(now, address)) {
        this.#untold.delete(key);
        this.#effects.announce(key);
      }
      if (via !== undefined) this.#effects.recordChanged(via);
      // What was kept for a pod of this name that had one of its own.
      if (this.#state.get('PodAddress', key)?.via !== undefined) this.#release(owner);
      // What a predecessor of the same name held and this one did not take over.
      if (kept !== undefined && !sameAddress(kept, address)) this.#effects.freed(kept.subnet);
    });
  }

  /** Takes an address of one source: the first choice that is free. @throws AllocError */
  #take(owner: string, pod: Pod, source: Source, request: PodRequest): Address {
    const { routes, choices = [{}], family, mac } = request;
    checkRoutes(routes, this.#state.get('UsableSubnet', source.subnet), family);
    const wanted: Wanted = {
      mayUse: (pool) => mayUsePool(pool, pod.namespace, this.#state),
      ...(family === undefined ? {} : { family }),
      ...(mac === undefined ? {} : { mac }),
      ...(source.pool === undefined ? {} : { pool: source.pool }),
    };
    let failure: AllocError | undefined;
    for (const choice of choices) {
      try {
        return this.#allocator.allocate(owner, pod.uid, source.subnet, { ...wanted, ...choice }, pod.keepFor);
      } catch (error) {
        if (!(error instanceof AllocError)) throw error;
        failure = error;
        if (!elsewhere.has(error.code) && error.code !== 'taken') break;
      }
    }
    if (failure?.code === 'taken' && choices.length > 1) {
      const text = `none of the ${choices.length} addresses of ovn.kubernetes.io/ip_pool is free; the pod starts when one is`;
      throw new AllocError('taken', `${text} (${failure.message})`, failure.subnets);
    }
    throw failure ?? new AllocError('no-subnet', 'no address to take');
  }

  /** Whether the source is where an address is. */
  #holds(source: Source, { subnet, v4, v6 }: Address): boolean {
    if (source.subnet !== subnet) return false;
    const inPool = (address: string | undefined): boolean =>
      address === undefined || this.#allocator.poolOf(subnet, address) === source.pool;
    return source.pool === undefined || (inPool(v4) && inPool(v6));
  }

  /**
   * A StatefulSet or virtual machine changed or went: addresses of its pods that are not there now are released when it is
   * gone, or when its template asks for another subnet, pool or address.
   * @param keepFor `StatefulSet/namespace/name` or `VirtualMachine/namespace/name`
   * @param replaced whether it is another one of the same name
   */
  keeperChanged(keepFor: string, replaced: boolean): void {
    for (const owner of this.#allocator.keptFor(keepFor)) {
      const address = this.#allocator.held(owner);
      if (address === undefined || this.#isInUse(owner)) continue;
      if (replaced || !isKept(address, this.#state) || !this.#isStillAsked(owner, address))
        this.#effects.committed(owner, () => this.#releaseUnused(owner));
    }
  }

  #isInUse(owner: string): boolean {
    const [kind, key] = splitOwner(owner);
    return kind === 'Pod' ? this.#state.get('PodAddress', key) !== undefined : this.#loans.userOf(owner) !== undefined;
  }

  #releaseUnused(owner: string): void {
    if (!this.#isInUse(owner)) this.#release(owner);
  }

  /** Annotations that the next pod of a StatefulSet or virtual machine gets; undefined when that is not known. */
  #templateOf(keepFor: Key): Readonly<Record<string, string>> | undefined {
    const [kind, key] = splitOwner(keepFor);
    return kind === 'StatefulSet'
      ? this.#state.get('StatefulSet', key)?.template
      : this.#state.get('VirtualMachine', key)?.template;
  }

  /** Whether a pod made from the template now would want this address. */
  #isStillAsked(owner: string, address: Address): boolean {
    const { keepFor = '' } = address;
    const annotations = this.#templateOf(keepFor);
    if (annotations === undefined) return true;
    const [namespace = '', name = ''] = splitOwner(owner)[1].split('/');
    try {
      return this.#fits({ namespace, name, uid: '', annotations, keepFor }, address) !== undefined;
    } catch (error) {
      // What it asks for cannot be had now; that is not the same as asking for something else.
      if (error instanceof AllocError) return true;
      throw error;
    }
  }

  /** What a pod asks for, when an address is one that it may get; else undefined. @throws AllocError */
  #fits(pod: Asking, address: Address): PodRequest | undefined {
    const { request, sources } = this.#asks(pod);
    if (request.vip !== undefined) return undefined;
    const chosen =
      request.choices === undefined ||
      request.choices.some(({ v4, v6 }) => (v4 ?? address.v4) === address.v4 && (v6 ?? address.v6) === address.v6);
    return chosen && sources.some((source) => this.#holds(source, address)) ? request : undefined;
  }

  /** Whether a pod that has an address would get one like it now. */
  #isAsked(pod: Pod, address: Address): boolean {
    try {
      const request = this.#fits(pod, address);
      const subnet = this.#state.get('UsableSubnet', address.subnet);
      return (
        request !== undefined &&
        ([4, 6] as const).every((family) => {
          const takes = [undefined, 'Dual', `IPv${family}`].includes(request.family);
          return (address[`v${family}`] !== undefined) === (takes && subnet?.[`v${family}`] !== undefined);
        })
      );
    } catch (error) {
      if (error instanceof AllocError) return false;
      throw error;
    }
  }

  #wait(key: Key, pod: Pod, error: AllocError): void {
    const before = this.#waiting.get(key);
    this.#waiting.set(key, { uid: pod.uid, message: error.message, subnets: error.subnets });
    if (before?.uid === pod.uid && before.message === error.message) return;
    this.#effects.warn(pod, reasons[error.code], error.message);
    for (const subnet of error.subnets) this.#effects.waits(subnet);
  }

  /** The port goes first; the address is free only when the northbound database says so. */
  #drop(key: Key, address: Address): void {
    this.#untold.delete(key);
    this.#state.delete('PodAddress', key);
    this.#effects.committed(address.owner, () => this.portGone(key));
  }

  #release(owner: string): void {
    const address = this.#allocator.release(owner);
    if (address === undefined) return;
    this.#effects.recordChanged(address.owner);
    this.#effects.freed(address.subnet);
  }
}

/** Refusals after which the next source may still do. */
const elsewhere: ReadonlySet<AllocError['code']> = new Set(['exhausted', 'pool-exhausted', 'no-subnet', 'family']);

/** The number at the end of the name of a StatefulSet's pod. */
const ordinalOf = (name: string): number => Number(/-(\d+)$/.exec(name)?.[1] ?? Number.NaN);

const sameAddress = (a: Address, b: Address): boolean =>
  a.subnet === b.subnet && a.v4 === b.v4 && a.v6 === b.v6 && a.mac === b.mac;
