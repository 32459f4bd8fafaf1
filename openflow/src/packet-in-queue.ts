/** Packets that come in faster than they are handled: a queue of bounded length. */

/** How long a queue may be. */
export interface PacketInQueueOptions {
  /** Packets that wait; of more, the oldest are dropped. Default 256. */
  readonly limit?: number | undefined;
  /** Ends the queue. */
  readonly signal?: AbortSignal | undefined;
}

/** Packets in the order of their arrival. Ends when it is closed or the connection is. */
export interface PacketInQueue<T> extends AsyncIterableIterator<T> {
  /** How many were dropped because nobody took them in time. */
  readonly dropped: number;
  /** Ends the iteration; packets that wait are dropped. */
  close(): void;
}

/** The queue as the connection fills it. */
export class BoundedQueue<T> implements PacketInQueue<T> {
  dropped = 0;
  readonly #limit: number;
  readonly #onClose: () => void;
  #items: T[] = [];
  #takers: ((result: IteratorResult<T>) => void)[] = [];
  #closed = false;

  constructor({ limit = 256, signal }: PacketInQueueOptions, onClose: () => void) {
    this.#limit = limit;
    this.#onClose = (): void => {
      signal?.removeEventListener('abort', close);
      onClose();
    };
    const close = (): void => this.close();
    if (signal?.aborted === true) this.#closed = true;
    else signal?.addEventListener('abort', close);
  }

  /** Adds one, and drops the oldest when there are too many. */
  push(item: T): void {
    if (this.#closed) return;
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker({ done: false, value: item });
      return;
    }
    this.#items.push(item);
    if (this.#items.length > this.#limit) {
      this.#items.shift();
      this.dropped += 1;
    }
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#takers.push(resolve);
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#items = [];
    for (const taker of this.#takers) taker({ done: true, value: undefined });
    this.#takers = [];
    this.#onClose();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
