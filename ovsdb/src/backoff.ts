/** How long to wait before the next attempt to connect. Shaped like OVS's own clients (lib/reconnect.c): 1 to 8 s. */

/** After the first failed round, milliseconds: a server that restarts is back about then. */
const FIRST_WAIT_MS = 100;
const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 8_000;

/** Waits between attempts on a list of remotes: none within a round of the list, growing ones between rounds. */
export class Backoff {
  readonly #remotes: number;
  readonly #random: () => number;
  #failures = 0;
  #lastWaitMs = 0;

  /** @param random 0 ≤ random() < 1; jitter of ± 25 % keeps the clients of one server apart. */
  constructor(remotes: number, random: () => number) {
    this.#remotes = remotes;
    this.#random = random;
  }

  /**
   * The milliseconds to wait after an attempt.
   * @param syncedMs how long the session was in sync, undefined when it never was. Only one that held longer than the
   * wait before it makes the waits short again: a server that drops clients once they have loaded is not hammered.
   */
  next(syncedMs: number | undefined): number {
    if (syncedMs !== undefined && syncedMs >= this.#lastWaitMs) {
      this.#failures = 0;
      this.#lastWaitMs = FIRST_WAIT_MS;
      // The lost server itself counts as no failure: with several remotes the next one is tried at once.
      return this.#remotes > 1 ? 0 : this.#jitter(FIRST_WAIT_MS);
    }
    this.#failures += 1;
    if (this.#failures % this.#remotes !== 0) {
      return 0;
    }
    const round = this.#failures / this.#remotes;
    this.#lastWaitMs = round === 1 ? FIRST_WAIT_MS : Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** (round - 2));
    return this.#jitter(this.#lastWaitMs);
  }

  #jitter(ms: number): number {
    return Math.round(ms * (0.75 + this.#random() / 2));
  }
}

/** The list in random order (Fisher and Yates). */
export function shuffled<T>(list: readonly T[], random: () => number): readonly T[] {
  const rest = [...list];
  const out: T[] = [];
  while (rest.length > 0) {
    out.push(...rest.splice(Math.floor(random() * rest.length), 1));
  }
  return out;
}
