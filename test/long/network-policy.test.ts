import { describe, expect, it } from 'vitest';
import { loadCases } from '../conformance/network-policy/case.ts';
import { testPolicyCases } from '../src/policy-cases.ts';

describe('NetworkPolicy: all cases', () => {
  const all = loadCases();

  it('are 230', () => {
    expect(all).toHaveLength(230);
  });

  testPolicyCases(all, { turns: false });
});
