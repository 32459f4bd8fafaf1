import { virtualMachine } from '../alloc/kept.ts';
import { ownerOf } from '../compile/names.ts';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';

/** Kinds of what keeps the addresses of its pods. */
export type KeeperKind = 'StatefulSet' | 'VirtualMachine' | 'VirtualMachineInstance';

/** Tells a StatefulSet or VirtualMachine that was made again under the same name from one that changed. */
export class Keepers {
  readonly #state: State;
  readonly #uids = new Map<Key, string>();

  constructor(state: State) {
    this.#state = state;
  }

  load(): void {
    for (const kind of ['StatefulSet', 'VirtualMachine'] as const)
      for (const [key, { uid }] of this.#state.entries(kind)) this.#uids.set(ownerOf(kind, key), uid);
  }

  /** @returns what pods of it have as `keepFor`, and whether it is another one than before */
  changed(kind: KeeperKind, key: Key): { readonly keepFor: Key; readonly replaced: boolean } {
    // Each run of a VirtualMachine is another instance.
    if (kind === 'VirtualMachineInstance') return { keepFor: ownerOf(virtualMachine, key), replaced: false };
    const keepFor = ownerOf(kind, key);
    const uid = this.#state.get(kind, key)?.uid;
    const before = this.#uids.get(keepFor);
    if (uid === undefined) this.#uids.delete(keepFor);
    else this.#uids.set(keepFor, uid);
    return { keepFor, replaced: before !== undefined && before !== uid };
  }
}
