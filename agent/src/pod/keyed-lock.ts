/** Runs tasks of the same key one after the other, in the order of arrival; tasks of different keys do not wait. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Number of keys in use. */
  get size(): number {
    return this.#tails.size;
  }

  /** Whether a task of `key` runs or waits. */
  holds(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Runs `task` when every earlier task of `key` has settled, and passes its outcome on. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tails.set(key, promise);
    await before;
    try {
      return await task();
    } finally {
      resolve();
      if (this.#tails.get(key) === promise) this.#tails.delete(key);
    }
  }
}
