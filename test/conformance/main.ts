import { isUp, labDirectory } from '@ovenbird/deploy';
import { openLab, TestLab } from '../src/lab.ts';
import { loadCases, loadFixture } from './network-policy/case.ts';
import { PolicyCluster } from './network-policy/cluster.ts';
import { ports } from './network-policy/oracle.ts';
import { type CaseResult, runCase } from './network-policy/run.ts';
import { summary } from './summary.ts';

const usage = 'usage: npm run conformance -- network-policy [PATTERN] [--ipv4 | --ipv6]';

/** A lab that runs already, else one for this run. */
async function lab(): Promise<TestLab> {
  const directory = labDirectory();
  if (isUp(directory)) return new TestLab(directory, () => Promise.resolve());
  process.stdout.write('no lab is up: starting one for this run\n');
  return await openLab();
}

async function networkPolicy(pattern: string, families: readonly (4 | 6)[]): Promise<readonly CaseResult[]> {
  const cases = loadCases(pattern);
  if (cases.length === 0) throw new Error(`no case has "${pattern}" in its name or as a tag`);
  const fixture = loadFixture(cases[0]?.fixture ?? '');
  await using running = await lab();
  const southbound = running.layout.central.southbound;
  const cluster = await PolicyCluster.open(running, fixture);
  const results: CaseResult[] = [];
  try {
    for (const item of cases) {
      const result = await runCase(item, { cluster, fixture, southbound }, { families, ports, deadline: 30_000 });
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

const [suite, ...rest] = process.argv.slice(2);
const flags = rest.filter((text) => text.startsWith('--'));
if (suite !== 'network-policy' || flags.some((flag) => flag !== '--ipv4' && flag !== '--ipv6')) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  const [pattern = ''] = rest.filter((text) => !text.startsWith('--'));
  const families = ([4, 6] as const).filter((family) => flags.length === 0 || flags.includes(`--ipv${family}`));
  const results = await networkPolicy(pattern, families);
  process.stdout.write(`\n${summary(results)}\n`);
  process.exitCode = results.every(({ failures }) => failures.length === 0) ? 0 : 1;
}
