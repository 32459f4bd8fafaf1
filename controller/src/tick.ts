/**
 * Runs `work` once for everything that was asked for in one turn of the event loop: a burst of a thousand watch events makes
 * one compile and one northbound batch, a single event waits for nothing.
 */
export class Tick {
  readonly #work: () => void;
  readonly #onError: (error: unknown) => void;
  #scheduled = false;
  #stopped = false;

  constructor(work: () => void, onError: (error: unknown) => void) {
    this.#work = work;
    this.#onError = onError;
  }

  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#stopped) return;
      try {
        this.#work();
      } catch (error) {
        this.#onError(error);
      }
    });
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** Does something with each of what is due, also with what becomes due meanwhile, and forgets it. */
export function drain<T>(due: Set<T>, work: (item: T) => void): void {
  for (const item of due) work(item);
  due.clear();
}
