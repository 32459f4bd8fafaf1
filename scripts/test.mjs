#!/usr/bin/env node
// npm test [-- PATTERN] | npm run test:all: set-up, checks, then the test layers one after the other.
// Ends with the plain line `N passed, N failed`. Starts on Node 20; the tests run on the pinned Node 24.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const all = args.includes('--all');
const pattern = args.filter((arg) => arg !== '--all');
const bin = join(root, 'node_modules', '.bin');

const setup = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs')], { stdio: 'inherit' });
if (setup.status !== 0) process.exit(setup.status ?? 1);
const env = {
  ...process.env,
  PATH: `${bin}:${process.env.PATH}:/usr/sbin:/sbin`,
  // Tests start our programs some thousand times.
  NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'ovenbird', 'compile'),
};
const reports = mkdtempSync(join(tmpdir(), 'ovenbird-test-'));

let passed = 0;
let failed = 0;
let skipped = 0;
const failures = [];

async function check() {
  const child = spawn(join(bin, 'node'), [join(root, 'scripts', 'check.mjs')], { stdio: 'inherit', env, cwd: root });
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (status === 0) passed += 1;
  else {
    failed += 1;
    failures.push('npm run check');
  }
}

/** What a failure said, seed included, without its stack: enough to repeat it when the output above is out of reach. */
function excerpt(messages) {
  const lines = messages.flatMap((message) => message.split('\n')).filter((line) => !/^\s+at /.test(line));
  const text = lines.slice(0, 30).map((line) => `\n      ${line}`);
  return text.join('').slice(0, 3_000);
}

/**
 * Runs layers, those of one call in one test runner; a failure is told by their names.
 * @param quiet print the output when they have ended, because something else prints meanwhile
 * @param workers how many files may run at once, where the layer allows it
 */
async function layer(projects, { quiet = false, workers = 1 } = {}) {
  const name = projects.join(' and ');
  if (!quiet) process.stdout.write(`\n== ${name} tests\n`);
  const report = join(reports, `${projects.join('-')}.json`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const selected = projects.flatMap((project) => ['--project', project]);
  const options = [
    'run',
    ...selected,
    `--maxWorkers=${workers}`,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ];
  if (pattern.length > 0) options.push('--passWithNoTests');
  const started = Date.now();
  const stdio = quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit';
  const child = spawn(join(bin, 'node'), [vitest, ...options, ...pattern], { stdio, env, cwd: root });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk));
  const status = await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  if (quiet) process.stdout.write(`\n== ${name} tests\n${Buffer.concat(output).toString()}`);
  process.stdout.write(`== ${name}: ${Math.round((Date.now() - started) / 1000)} s\n`);
  let summary;
  try {
    summary = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    summary = undefined;
  }
  if (summary === undefined) {
    if (status !== 0) {
      failed += 1;
      failures.push(`${name}: the test runner ended without a report`);
    }
    return;
  }
  passed += summary.numPassedTests;
  failed += summary.numFailedTests;
  skipped += summary.numPendingTests;
  let named = 0;
  for (const file of summary.testResults) {
    const bad = file.assertionResults.filter((test) => test.status === 'failed');
    for (const test of bad) failures.push(`${name}: ${test.fullName}${excerpt(test.failureMessages)}`);
    named += bad.length;
    // A file that cannot be loaded, or whose hook failed, has no failed assertion of its own.
    if (bad.length === 0 && file.status === 'failed') {
      failed += 1;
      named += 1;
      failures.push(`${name}: ${file.name.slice(root.length + 1)}: ${String(file.message).split('\n')[0]}`);
    }
  }
  if (status !== 0 && named === 0) {
    failed += 1;
    failures.push(`${name}: the test runner ended with exit ${status} (an error outside of a test)`);
  }
}

try {
  // Unit tests take processors, end-to-end tests mostly wait; what measures something begins when the former are through.
  const beside = layer(['e2e-beside'], { quiet: true });
  if (pattern.length === 0) await check();
  await layer(['unit', 'integration'], { workers: 3 });
  await Promise.all([beside, layer(['e2e']), layer(['e2e-packets'], { quiet: true })]);
  if (all) await layer(['long']);
} finally {
  rmSync(reports, { recursive: true, force: true });
}
if (failures.length > 0) process.stdout.write(`\nfailed:\n${failures.map((line) => `  ${line}`).join('\n')}\n`);
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
