import { loadCases, loadFixture } from './case.ts';
import { expectationOf, ports, replay } from './oracle.ts';
import type { PolicySuite } from './run.ts';

/** The cases of Cyclonus. */
export const networkPolicySuite: PolicySuite = {
  cases: (pattern) => loadCases(pattern),
  fixture: (name) => loadFixture(name),
  ports,
  expectations: (item, fixture, addresses) => {
    const expectations: ReturnType<typeof expectationOf>[] = [];
    replay(item, fixture, addresses, (state) => expectations.push(expectationOf(state)));
    return expectations;
  },
};
