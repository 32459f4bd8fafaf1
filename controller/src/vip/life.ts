import type { Allocator } from '../alloc/allocator.ts';
import { AllocError } from '../alloc/error.ts';
import type { Loans } from '../alloc/loans.ts';
import { ownerOf } from '../compile/names.ts';
import type { Address, Key, Vip } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { isWanted } from './members.ts';

export interface VipEffects {
  /** The unit's rows are to be committed; `then` runs when they are. */
  committed(unit: string, then: () => void): void;
  /** Addresses of the subnet were freed. */
  freed(subnet: string): void;
  statusChanged(vip: string): void;
  /** The IP object of an owner is out of date. */
  recordChanged(owner: string): void;
  warn(vip: Vip, reason: string, message: string): void;
}

/** Gives each Vip its address, and takes it back. A Vip that cannot have one waits until its subnet changes. */
export class VipLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #effects: VipEffects;
  readonly #loans: Loans;
  /** Why a Vip has no address. */
  readonly #waiting = new Map<Key, AllocError>();

  constructor(state: State, allocator: Allocator, loans: Loans, effects: VipEffects) {
    this.#state = state;
    this.#allocator = allocator;
    this.#loans = loans;
    this.#effects = effects;
  }

  problem(name: Key): AllocError | undefined {
    return this.#waiting.get(name);
  }

  /** Vips that wait for something of a subnet. */
  waitingFor(subnet: string): readonly Key[] {
    return [...this.#waiting.keys()].filter((name) => this.#state.get('Vip', name)?.subnet === subnet);
  }

  reconcile(name: Key): void {
    const vip = this.#state.get('Vip', name);
    const address = this.#state.get('VipAddress', name);
    const owner = ownerOf('Vip', name);
    if (vip === undefined) {
      this.#waiting.delete(name);
      if (address !== undefined) this.#drop(name);
      return;
    }
    if (address?.uid === vip.uid && isWanted(vip, address)) return;
    try {
      const before = this.#allocator.held(owner);
      if (this.#loans.userOf(owner) !== undefined && before?.subnet === vip.subnet && isWanted(vip, before)) {
        // Made again under the same name while a pod has the address.
        const same = { ...before, uid: vip.uid };
        this.#allocator.adopt(same);
        this.#has(name, same, undefined);
        return;
      }
      this.#refuseWhileLent(owner);
      // What it had is asked for again, should the database and with it our memory be gone.
      const { v4 = before === undefined ? vip.had.v4 : undefined, v6 = before === undefined ? vip.had.v6 : undefined } =
        vip;
      const decided = this.#allocator.allocate(owner, vip.uid, vip.subnet, {
        ...(v4 === undefined ? {} : { v4 }),
        ...(v6 === undefined ? {} : { v6 }),
        ...(vip.mac === undefined ? {} : { mac: vip.mac }),
      });
      this.#has(name, decided, before);
    } catch (error) {
      if (!(error instanceof AllocError)) throw error;
      // What a predecessor of the same name had is not this one's.
      if (address !== undefined && address.uid !== vip.uid) this.#drop(name);
      const known = this.#waiting.get(name);
      this.#waiting.set(name, error);
      if (known?.message === error.message) return;
      this.#effects.statusChanged(name);
      if (error.code !== 'no-subnet')
        this.#effects.warn(vip, error.code === 'taken' ? 'AddressTaken' : 'AddressRefused', error.message);
    }
  }

  /** The virtual port goes first; the address is free when the northbound database says so. */
  #drop(name: Key): void {
    this.#state.delete('VipAddress', name);
    this.#effects.committed(ownerOf('Vip', name), () => this.portGone(name));
  }

  #has(name: Key, address: Address, before: Address | undefined): void {
    const { owner } = address;
    this.#waiting.delete(name);
    this.#state.set('VipAddress', name, address);
    this.#effects.committed(owner, () => {
      this.#effects.statusChanged(name);
      this.#effects.recordChanged(owner);
      if (before !== undefined) this.#effects.freed(before.subnet);
    });
  }

  /** The virtual port is removed: unless the Vip came back meanwhile, its address is free. */
  portGone(name: Key): void {
    const owner = ownerOf('Vip', name);
    if (this.#state.get('VipAddress', name) !== undefined || this.#loans.userOf(owner) !== undefined) return;
    const address = this.#allocator.release(owner);
    if (address === undefined) return;
    this.#effects.recordChanged(owner);
    this.#effects.freed(address.subnet);
  }

  /** The port of the pod that had the Vip's address as its own is gone. */
  returned(name: Key): void {
    this.portGone(name);
    this.#effects.statusChanged(name);
  }

  /** A pod's own address does not change under it. @throws AllocError `taken` */
  #refuseWhileLent(owner: Key): void {
    const user = this.#loans.userOf(owner);
    const address = this.#allocator.held(owner);
    if (user === undefined || address === undefined) return;
    const text = [address.v4, address.v6].filter((part) => part !== undefined).join(',');
    throw new AllocError('taken', `${user} has ${text}, and keeps it as long as its port is there; then this follows`, [
      address.subnet,
    ]);
  }
}
