import fc from 'fast-check';
import { expect } from 'vitest';
import type { World } from '../../controller/src/testing/world.ts';

/** Of the random tests of policies; `SEED=` repeats a run. */
export const seed: number = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** What OVN offers to policies: its releases, and whether they have ACL tiers. */
export const ladders = [
  ['priority bands, as on OVN 23.03', '23.03', false],
  ['ACL tiers', '25.03', true],
] as const;

/** A world that changes, beside rules that say what packets should do there. */
export interface Changing<T> {
  readonly world: World;
  apply(item: T): void;
  /** Everything that compiled ACLs and the rules see differently. */
  disagreements(): readonly string[];
}

/** How many random lists of changes a test tries, and how long they are. */
export interface Extent {
  readonly numRuns: number;
  readonly minLength: number;
  readonly maxLength: number;
}

/** Runs `check` on random lists of changes. */
export async function assertChanges<T>(
  change: fc.Arbitrary<T>,
  { numRuns, minLength, maxLength }: Extent,
  check: (changes: readonly T[]) => Promise<void>,
): Promise<void> {
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength, maxLength }), check), { seed, numRuns });
}

/** After the changes ACLs and rules agree, and a controller that starts then writes the same. */
export async function checkMeaning<T>(both: Changing<T>, changes: readonly T[]): Promise<void> {
  for (const [index, item] of changes.entries()) {
    both.apply(item);
    // Now and then, so that several changes also come together.
    if (index % 3 === 0) await both.world.settle();
  }
  await both.world.settle();
  expect(both.disagreements()).toEqual([]);
  const restarted = await both.world.restarted();
  expect(restarted.sink.content()).toEqual(both.world.sink.content());
}
