/**
 * Objects that exist as long as somebody holds them: put when the first holder takes one, removed when the last lets go.
 */
export class Counter<T> {
  readonly #put: (key: string, object: T) => void;
  readonly #remove: (key: string, object: T) => void;
  readonly #counts = new Map<string, number>();
  readonly #held = new Map<string, ReadonlyMap<string, T>>();

  constructor(put: (key: string, object: T) => void, remove: (key: string, object: T) => void) {
    this.#put = put;
    this.#remove = remove;
  }

  /** Replaces what a holder holds; nothing = the holder is gone. */
  set(holder: string, objects: ReadonlyMap<string, T>): void {
    const before = this.#held.get(holder);
    if (objects.size === 0) this.#held.delete(holder);
    else this.#held.set(holder, objects);
    for (const [key, object] of objects) {
      if (before?.has(key) === true) continue;
      const count = this.#counts.get(key) ?? 0;
      this.#counts.set(key, count + 1);
      if (count === 0) this.#put(key, object);
    }
    for (const [key, object] of before ?? []) {
      if (objects.has(key)) continue;
      const count = (this.#counts.get(key) ?? 1) - 1;
      if (count > 0) this.#counts.set(key, count);
      else {
        this.#counts.delete(key);
        this.#remove(key, object);
      }
    }
  }
}
