/** How long to wait before the next attempt to connect: 100 ms, then 1 s, doubled up to 8 s, as OVS's own tools wait. */

/** After the first failure, milliseconds: a switch that restarts is back about then. */
const FIRST_WAIT_MS = 100;
const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 8_000;

/** Waits between attempts, without end. */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;
  #lastWaitMs = 0;

  /** @param random 0 ≤ random() < 1; jitter of ± 25 % keeps the clients of one switch apart. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * The milliseconds to wait after an attempt.
   * @param heldMs how long the connection was usable, undefined when it never was. Only one that held longer than the
   * wait before it makes the waits short again: a switch that drops its clients is not hammered.
   */
  next(heldMs: number | undefined): number {
    if (heldMs !== undefined && heldMs >= this.#lastWaitMs) this.#failures = 0;
    this.#failures += 1;
    this.#lastWaitMs =
      this.#failures === 1 ? FIRST_WAIT_MS : Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** (this.#failures - 2));
    return Math.round(this.#lastWaitMs * (0.75 + this.#random() / 2));
  }
}
