import { describe, expect, it } from 'vitest';
import { policyApiSuite } from '../conformance/policy-api/suite.ts';
import { testPolicyCases } from '../src/policy-cases.ts';

describe('cluster policies: all cases', () => {
  const all = policyApiSuite.cases();

  it('are 48', () => {
    expect(all).toHaveLength(48);
  });

  testPolicyCases(all, { turns: false, suite: policyApiSuite });
});
