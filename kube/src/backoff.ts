/** Limits of a {@link Backoff}, milliseconds. */
export interface BackoffOptions {
  /** Ceiling of the first delay. */
  readonly initialMs: number;
  /** Ceiling of every delay. */
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random?: (() => number) | undefined;
}

/**
 * The delay before attempt number `attempt` (0 = the first retry): exponential, with the upper half jittered, so that
 * a thousand agents that lost the same server do not return in step.
 */
export function backoffDelayMs(attempt: number, options: BackoffOptions): number {
  const ceiling = Math.min(options.maxMs, options.initialMs * 2 ** Math.min(attempt, 40));
  const random = options.random ?? Math.random;
  return ceiling / 2 + (random() * ceiling) / 2;
}

/** Counts attempts for one peer. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Failures since the last {@link reset}. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The next delay, milliseconds. */
  next(): number {
    const delay = backoffDelayMs(this.#attempt, this.#options);
    this.#attempt += 1;
    return delay;
  }

  /** Call only when something really worked: data arrived, not merely a connection. */
  reset(): void {
    this.#attempt = 0;
  }
}
