import { isUp, labDirectory } from '@ovenbird/deploy';
import { openLab, TestLab } from '../src/lab.ts';
import { PolicyCluster } from './network-policy/cluster.ts';
import { type CaseResult, type PolicySuite, runCase } from './network-policy/run.ts';
import { networkPolicySuite } from './network-policy/suite.ts';
import { policyApiSuite } from './policy-api/suite.ts';
import { summary } from './summary.ts';

const suites: Readonly<Record<string, PolicySuite>> = {
  'network-policy': networkPolicySuite,
  'policy-api': policyApiSuite,
};

const usage = `usage: npm run conformance -- ${Object.keys(suites).join('|')} [PATTERN] [--ipv4 | --ipv6]`;

/** A lab that runs already, else one for this run. */
async function lab(): Promise<TestLab> {
  const directory = labDirectory();
  if (isUp(directory)) return new TestLab(directory, () => Promise.resolve());
  process.stdout.write('no lab is up: starting one for this run\n');
  return await openLab();
}

async function runSuite(
  suite: PolicySuite,
  pattern: string,
  families: readonly (4 | 6)[],
): Promise<readonly CaseResult[]> {
  const cases = suite.cases(pattern);
  if (cases.length === 0) throw new Error(`no case has "${pattern}" in its name or as a tag`);
  const fixture = suite.fixture(cases[0]?.fixture ?? '');
  await using running = await lab();
  const southbound = running.layout.central.southbound;
  const cluster = await PolicyCluster.open(running, fixture);
  const results: CaseResult[] = [];
  try {
    for (const item of cases) {
      const result = await runCase(item, { suite, cluster, fixture, southbound }, { families, deadline: 30_000 });
      results.push(result);
      const verdict = result.failures.length === 0 ? 'ok    ' : 'FAILED';
      const seconds = (result.milliseconds / 1000).toFixed(1);
      process.stdout.write(
        `${String(results.length).padStart(3)}/${cases.length} ${verdict} ${seconds} s ${result.name}\n`,
      );
      for (const failure of result.failures.slice(0, 10)) process.stdout.write(`        ${failure}\n`);
    }
  } finally {
    await cluster.close();
  }
  return results;
}

const [name = '', ...rest] = process.argv.slice(2);
const suite = suites[name];
const flags = rest.filter((text) => text.startsWith('--'));
if (suite === undefined || flags.some((flag) => flag !== '--ipv4' && flag !== '--ipv6')) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  const [pattern = ''] = rest.filter((text) => !text.startsWith('--'));
  const families = ([4, 6] as const).filter((family) => flags.length === 0 || flags.includes(`--ipv${family}`));
  const results = await runSuite(suite, pattern, families);
  process.stdout.write(`\n${summary(results)}\n`);
  process.exitCode = results.every(({ failures }) => failures.length === 0) ? 0 : 1;
}
