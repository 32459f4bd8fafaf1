import { loadCases, loadFixture } from '../network-policy/case.ts';
import type { PolicySuite } from '../network-policy/run.ts';
import { expectationsOf, ports } from './replay.ts';

/** The cases of network-policy-api. */
export const policyApiSuite: PolicySuite = {
  cases: (pattern) => loadCases(pattern, 'policy-api'),
  fixture: (name) => loadFixture(name, 'policy-api'),
  ports,
  expectations: expectationsOf,
};
