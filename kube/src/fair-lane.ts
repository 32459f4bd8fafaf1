/**
 * A FIFO per group, groups taken in turn: one namespace with ten thousand pods cannot keep another waiting.
 *
 * Both loops hold one live iterator instead of asking for the first element each time: V8 leaves holes where elements
 * were deleted, and a fresh iterator would step over all of them again (quadratic for long queues).
 */
export class FairLane<K> {
  readonly #groups = new Map<string, { readonly keys: Set<K>; next: SetIterator<K> }>();
  #turn: MapIterator<string> = this.#groups.keys();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Appends a key that is not in the lane. */
  add(group: string, key: K): void {
    let queue = this.#groups.get(group);
    if (queue === undefined) {
      const keys = new Set<K>();
      queue = { keys, next: keys.values() };
      this.#groups.set(group, queue);
    }
    queue.keys.add(key);
    this.#size += 1;
  }

  /** Takes a key out of the middle. */
  delete(group: string, key: K): void {
    const queue = this.#groups.get(group);
    if (queue?.keys.delete(key) !== true) return;
    this.#size -= 1;
    if (queue.keys.size === 0) this.#groups.delete(group);
  }

  /** Takes the oldest key of the group whose turn it is. */
  shift(): K | undefined {
    if (this.#size === 0) return undefined;
    let turn = this.#turn.next();
    if (turn.done === true) {
      this.#turn = this.#groups.keys();
      turn = this.#turn.next();
    }
    const group = turn.value;
    const queue = group === undefined ? undefined : this.#groups.get(group);
    if (group === undefined || queue === undefined) return undefined;
    let first = queue.next.next();
    if (first.done === true) {
      queue.next = queue.keys.values();
      first = queue.next.next();
    }
    if (first.done === true) return undefined;
    this.delete(group, first.value);
    return first.value;
  }
}
