/** Shared by this folder's tests. */

/** Parameters for `fc.assert`: `SEED=123 vitest ...` repeats a run; fast-check prints the seed of a failure. */
export function seeded(numRuns: number): { readonly numRuns: number; readonly seed?: number } {
  const seed = process.env['SEED'];
  return seed === undefined ? { numRuns } : { numRuns, seed: Number(seed) };
}
