/** Settings for fast-check: `SEED=n` repeats a run; a failure prints the seed it had. */
export function seed(): { seed: number } | Record<string, never> {
  const value = process.env['SEED'];
  return value === undefined || value === '' ? {} : { seed: Number(value) };
}
