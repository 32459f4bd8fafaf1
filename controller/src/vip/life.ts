import type { Allocator } from '../alloc/allocator.ts';
import { AllocError } from '../alloc/error.ts';
import { ownerOf } from '../compile/names.ts';
import type { Key, Vip } from '../store/model.ts';
import type { State } from '../store/state.ts';

export interface VipEffects {
  /** The unit's rows are to be committed; `then` runs when they are. */
  committed(unit: string, then: () => void): void;
  /** Addresses of the subnet were freed. */
  freed(subnet: string): void;
  statusChanged(vip: string): void;
  warn(vip: Vip, reason: string, message: string): void;
}

/** Gives each Vip its address, and takes it back. A Vip that cannot have one waits until its subnet changes. */
export class VipLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #effects: VipEffects;
  /** Why a Vip has no address. */
  readonly #waiting = new Map<Key, AllocError>();

  constructor(state: State, allocator: Allocator, effects: VipEffects) {
    this.#state = state;
    this.#allocator = allocator;
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
      if (address === undefined) return;
      this.#state.delete('VipAddress', name);
      this.#effects.committed(owner, () => this.portGone(name));
      return;
    }
    const isSame = (wanted: string | undefined, is: string | undefined): boolean =>
      wanted === undefined || wanted === is;
    if (
      address?.uid === vip.uid &&
      isSame(vip.v4, address.v4) &&
      isSame(vip.v6, address.v6) &&
      isSame(vip.mac, address.mac)
    )
      return;
    try {
      const before = this.#allocator.held(owner);
      // What it had is asked for again, should the database and with it our memory be gone.
      const { v4 = before === undefined ? vip.had.v4 : undefined, v6 = before === undefined ? vip.had.v6 : undefined } =
        vip;
      const decided = this.#allocator.allocate(owner, vip.uid, vip.subnet, {
        ...(v4 === undefined ? {} : { v4 }),
        ...(v6 === undefined ? {} : { v6 }),
        ...(vip.mac === undefined ? {} : { mac: vip.mac }),
      });
      this.#waiting.delete(name);
      this.#state.set('VipAddress', name, decided);
      this.#effects.committed(owner, () => {
        this.#effects.statusChanged(name);
        if (before !== undefined) this.#effects.freed(before.subnet);
      });
    } catch (error) {
      if (!(error instanceof AllocError)) throw error;
      const known = this.#waiting.get(name);
      this.#waiting.set(name, error);
      if (known?.message === error.message) return;
      this.#effects.statusChanged(name);
      if (error.code !== 'no-subnet')
        this.#effects.warn(vip, error.code === 'taken' ? 'AddressTaken' : 'AddressRefused', error.message);
    }
  }

  /** The virtual port is removed: unless the Vip came back meanwhile, its address is free. */
  portGone(name: Key): void {
    if (this.#state.get('VipAddress', name) !== undefined) return;
    const address = this.#allocator.release(ownerOf('Vip', name));
    if (address !== undefined) this.#effects.freed(address.subnet);
  }
}
