import type { CaseResult } from './network-policy/run.ts';

/** A table of tags with how many of their cases passed; then the total. */
export function summary(results: readonly CaseResult[]): string {
  const tags = new Map<string, { passed: number; total: number }>();
  for (const { failures, tags: own } of results) {
    for (const tag of own) {
      const count = tags.get(tag) ?? { passed: 0, total: 0 };
      tags.set(tag, { passed: count.passed + (failures.length === 0 ? 1 : 0), total: count.total + 1 });
    }
  }
  const width = Math.max(...[...tags.keys()].map((tag) => tag.length));
  const lines = [...tags]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([tag, { passed, total }]) =>
        `${tag.padEnd(width)} ${String(passed).padStart(4)} of ${String(total).padStart(4)}`,
    );
  const passed = results.filter(({ failures }) => failures.length === 0).length;
  const sum = (of: (result: CaseResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const steps = sum((result) => result.steps);
  const cells = sum((result) => result.cells);
  const cleared = sum((result) => result.cleared);
  const seconds = Math.round(sum((result) => result.milliseconds) / 1000);
  return [
    ...lines,
    `${passed} of ${results.length} cases passed: ${steps} steps, ${cells} connections, each probed until right and once more, ${seconds} s`,
    ...(cleared === 0
      ? []
      : [`${cleared} times connections were right only after the datapath's cache was cleared (docs/decisions/0015)`]),
  ].join('\n');
}
