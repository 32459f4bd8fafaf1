import type { Clock } from '@ovenbird/kube';

/**
 * Transactions of a storm. ovn-northd and each ovn-controller look at everything again after a transaction, whatever its
 * size: where many pods come at once, few large transactions leave them, and us, more time than many small ones.
 */
export interface Pace {
  /** So many units are sent at once. */
  readonly units: number;
  /** Milliseconds from one transaction to the next while more than that wait, */
  readonly ms: number;
  /** unless nothing came for so long: the storm is over. */
  readonly quietMs: number;
}

/** Says how long the next transaction waits for company. */
export class Pacer {
  readonly #clock: Clock;
  readonly #pace: Pace | undefined;
  #sentAt = -Infinity;
  /** How many waited when it was looked at last. */
  #seen = 0;

  constructor(clock: Clock, pace: Pace | undefined) {
    this.#clock = clock;
    this.#pace = pace;
  }

  /**
   * @param waiting units that could be sent
   * @param full as many as one transaction takes: nothing is gained by waiting
   * @returns milliseconds to wait; 0: go on, which is taken for the time of a transaction
   */
  rest(waiting: number, full: number): number {
    const now = this.#clock.monotonicMs();
    const rest = this.#pace === undefined ? 0 : this.#sentAt + this.#pace.ms - now;
    const grows = waiting !== this.#seen;
    this.#seen = waiting;
    if (this.#pace !== undefined && rest > 0 && waiting > this.#pace.units && waiting < full && grows)
      return Math.min(rest, this.#pace.quietMs);
    this.#sentAt = now;
    this.#seen = 0;
    return 0;
  }
}
