/** Settings of a random test: the seed is printed on failure by fast-check, and `SEED=n` repeats a run. */
export function runs(numRuns = 300): { numRuns: number; seed?: number } {
  const seed = process.env['SEED'];
  return seed === undefined ? { numRuns } : { numRuns, seed: Number(seed) };
}
