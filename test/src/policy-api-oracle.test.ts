import { describe, expect, it } from 'vitest';
import { cellOf } from '../conformance/network-policy/oracle.ts';
import { policyApiSuite } from '../conformance/policy-api/suite.ts';

/** The oracle, against what the conformance suite itself probes and against the other oracle that wrote the tables. */
describe('oracle of cluster policies', () => {
  const cases = policyApiSuite.cases();

  it('has 48 cases with 590 probes', () => {
    const probes = cases.flatMap(({ steps }) => steps.flatMap(({ checks }) => checks ?? []));
    expect([cases.length, probes.length]).toEqual([48, 590]);
  });

  it.each(cases)('$name', (item) => {
    const expectations = policyApiSuite.expectations(item, policyApiSuite.fixture(item.fixture), new Map());
    const wrong: string[] = [];
    for (const [index, step] of item.steps.entries()) {
      const own = expectations[index];
      if (own === undefined) throw new Error(`no step ${index}`);
      for (const { from, to, proto, port, allowed } of step.checks ?? [])
        if (cellOf(own, from, to, `${proto}/${port}`) !== (allowed ? '.' : 'X'))
          wrong.push(`${from} -> ${to} ${proto}/${port}`);
      for (const port of step.expect.tables.flatMap(({ ports }) => ports))
        for (const from of step.expect.order)
          for (const to of step.expect.order) {
            const pair = [from, to, port] as const;
            if (cellOf(own, ...pair) !== cellOf(step.expect, ...pair))
              wrong.push(`step ${index + 1}: ${pair.join(' ')}`);
          }
    }
    expect(wrong).toEqual([]);
  });
});
