import type { Key } from '../store/model.ts';

/**
 * Which pod has an address that somebody else holds in alloc: a Vip that the pod names, or the virtual machine that the pod
 * runs. The holder has it before and after the pod, so that nobody else can come between two pods of one holder.
 */
export class Loans {
  readonly #userOf = new Map<Key, string>();
  readonly #holderOf = new Map<string, Key>();

  /**
   * @param holder `Vip/name` or `VirtualMachine/namespace/name`
   * @param user `Pod/namespace/name`
   */
  lend(holder: Key, user: string): void {
    this.#userOf.set(holder, user);
    this.#holderOf.set(user, holder);
  }

  /** The pod whose port has the address, also while that port is being removed. */
  userOf(holder: Key): string | undefined {
    return this.#userOf.get(holder);
  }

  holderOf(user: string): Key | undefined {
    return this.#holderOf.get(user);
  }

  /** The pod's port is gone. @returns who has the address now, if it was borrowed */
  giveBack(user: string): Key | undefined {
    const holder = this.#holderOf.get(user);
    if (holder === undefined) return undefined;
    this.#holderOf.delete(user);
    this.#userOf.delete(holder);
    return holder;
  }
}
