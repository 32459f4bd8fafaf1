import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Case } from '../conformance/network-policy/case.ts';
import { PolicyCluster } from '../conformance/network-policy/cluster.ts';
import { type CaseResult, type PolicySuite, runCase } from '../conformance/network-policy/run.ts';
import { networkPolicySuite } from '../conformance/network-policy/suite.ts';
import { summary } from '../conformance/summary.ts';
import { openLab, type TestLab } from './lab.ts';

/**
 * Makes a test of each conformance case, all on the pods of one fixture. Call it inside `describe`.
 * @param turns the cases take turns in IPv4 and IPv6, which takes half the time; else each is in both
 */
export function testPolicyCases(
  cases: readonly Case[],
  { turns, suite = networkPolicySuite }: { readonly turns: boolean; readonly suite?: PolicySuite },
): void {
  const fixture = suite.fixture(cases[0]?.fixture ?? '');
  const results: CaseResult[] = [];
  let lab: TestLab;
  let cluster: PolicyCluster;

  beforeAll(async () => {
    lab = await openLab();
    cluster = await PolicyCluster.open(lab, fixture);
  });
  afterAll(async () => {
    // How often the datapath was wrong is no failure, and must not go unseen.
    process.stdout.write(`${summary(results).split('\n').slice(-2).join('\n')}\n`);
    await cluster.close();
    await lab[Symbol.asyncDispose]();
  });

  it.each(cases)('$name', async (item) => {
    const stage = { suite, cluster, fixture, southbound: lab.layout.central.southbound };
    const families = turns ? ([cases.indexOf(item) % 2 === 0 ? 4 : 6] as const) : ([4, 6] as const);
    const result = await runCase(item, stage, { families, deadline: 30_000 });
    results.push(result);
    expect(result.failures).toEqual([]);
    expect(result.cells).toBeGreaterThan(0);
  });
}
