import { describe, expect, it } from 'vitest';
import { coveringCases, loadCases } from '../conformance/network-policy/case.ts';
import { testPolicyCases } from '../src/policy-cases.ts';

/** IPv4 and IPv6 take turns; all cases in both are in test/long/network-policy.test.ts. */
describe('NetworkPolicy: cases of every tag', () => {
  const all = loadCases();
  const chosen = coveringCases(all, 40);

  it('are chosen', () => {
    const tagsOf = (cases: typeof all): readonly string[] => [...new Set(cases.flatMap(({ tags }) => tags))].sort();
    expect(tagsOf(chosen)).toEqual(tagsOf(all));
    expect(chosen.length).toBeGreaterThanOrEqual(40);
  });

  testPolicyCases(chosen, { turns: true });
});
