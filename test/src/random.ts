/** Random choices of a test: the seed is printed by whoever uses them, and `SEED=n` repeats a run. */
export interface Choices {
  readonly seed: number;
  /** `count` different elements of `from`, which holds at least as many. */
  readonly pick: <T>(from: readonly T[], count: number) => readonly T[];
}

/** Choices that follow from a seed: `SEED` of the environment, else another one each time. */
export function choices(): Choices {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  const next = uniform(seed);
  return {
    seed,
    pick: (from, count) => {
      const left = [...from];
      // The first `count` steps of a Fisher-Yates shuffle.
      for (let at = 0; at < count; at += 1) {
        const other = at + Math.floor(next() * (left.length - at));
        [left[at], left[other]] = [left[other] as never, left[at] as never];
      }
      return left.slice(0, count);
    },
  };
}

/** A xorshift generator (Marsaglia, 2003), uniform in [0, 1). */
export function uniform(seed: number): () => number {
  let state = Math.imul(seed, 0x9e37_79b9) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
