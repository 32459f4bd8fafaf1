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

/**
 * Does something with each of what is due, also with what becomes due meanwhile, and forgets it.
 * @throws AggregateError when all are done: a defect that shows with one object must not keep back the others.
 */
export function drain(due: Set<string>, work: (item: string) => void): void {
  const errors: Error[] = [];
  for (const item of due) {
    try {
      work(item);
    } catch (cause) {
      errors.push(new Error(item, { cause }));
    }
  }
  due.clear();
  if (errors.length > 0) throw new AggregateError(errors, errors.map(({ message }) => message).join(', '));
}

/** Does one part of a round; what fails is reported, and the parts behind it go on with what was decided. */
export function attempt(what: string, onError: (what: string, error: unknown) => void, work: () => void): void {
  try {
    work();
  } catch (error) {
    onError(what, error);
  }
}
