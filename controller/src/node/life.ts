import type { Allocator } from '../alloc/allocator.ts';
import { AllocError } from '../alloc/error.ts';
import { ownerOf } from '../compile/names.ts';
import type { Key, Node } from '../store/model.ts';
import type { State } from '../store/state.ts';

export interface NodeEffects {
  committed(unit: string, then: () => void): void;
  announceNode(name: Key): void;
  recordChanged(owner: string): void;
  warnNode(node: Node, reason: string, message: string): void;
  freed(subnet: string): void;
}

/** Gives each node its address on the join subnet, and takes it back when the node is removed. */
export class NodeLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #joinSubnet: string;
  readonly #effects: NodeEffects;
  readonly #warned = new Map<Key, string>();

  constructor(state: State, allocator: Allocator, joinSubnet: string, effects: NodeEffects) {
    this.#state = state;
    this.#allocator = allocator;
    this.#joinSubnet = joinSubnet;
    this.#effects = effects;
  }

  reconcile(name: Key): void {
    const node = this.#state.get('Node', name);
    const address = this.#state.get('NodeAddress', name);
    const owner = ownerOf('Node', name);
    if (node === undefined) {
      this.#warned.delete(name);
      if (address === undefined) return;
      this.#state.delete('NodeAddress', name);
      this.#effects.committed(owner, () => this.portGone(name));
      return;
    }
    const missing = address !== undefined && this.#missesFamily(address);
    if (address?.uid === node.uid && !missing) return;
    try {
      const decided = this.#allocator.allocate(owner, node.uid, this.#joinSubnet, {});
      this.#warned.delete(name);
      this.#state.set('NodeAddress', name, decided);
      this.#effects.committed(owner, () => this.#effects.announceNode(name));
    } catch (error) {
      if (!(error instanceof AllocError)) throw error;
      if (this.#warned.get(name) === error.message) return;
      this.#warned.set(name, error.message);
      // Before the join subnet exists there is nothing to tell anybody.
      if (error.code !== 'no-subnet') this.#effects.warnNode(node, 'JoinAddressNotAllocated', error.message);
    }
  }

  /** The port is removed: unless the node came back meanwhile, its address is free. */
  portGone(name: Key): void {
    if (this.#state.get('NodeAddress', name) !== undefined) return;
    const owner = ownerOf('Node', name);
    const address = this.#allocator.release(owner);
    if (address === undefined) return;
    this.#effects.recordChanged(owner);
    this.#effects.freed(address.subnet);
  }

  /** The join subnet may have become dual-stack. */
  #missesFamily(address: { readonly v4?: string; readonly v6?: string }): boolean {
    const join = this.#state.get('UsableSubnet', this.#joinSubnet);
    return (join?.v4 !== undefined && address.v4 === undefined) || (join?.v6 !== undefined && address.v6 === undefined);
  }
}
