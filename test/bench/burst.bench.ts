/**
 * `npm run bench -- burst [PART...]`: many pods at once on a cluster of ten nodes, and which part of the way takes how long.
 *
 * `whole` is the whole way with everything running: from the API (the first request that creates a pod) to rows in
 * the northbound database (Ovenbird's controller), from there to the southbound one (ovn-northd), and on to installed flows
 * (kubelet, plugin, agent, ovn-controller, ovs-vswitchd). All of it shares the machine's processors.
 *
 * `api-to-nb` is the controller's part alone. The controller is stopped (SIGSTOP) while the pods are created, and the
 * clock runs from SIGCONT, when the API server has all pods and their watch events wait for the controller, to the last
 * row's arrival at a monitor of the northbound database. The reference is one `ovn-nbctl` that writes the same rows: the
 * clock runs from its start, which finds all rows on its command line, to the last row's arrival at the same monitor. It
 * reads no API, decides nothing and compares nothing. kubelet and ovn-northd do not run, for neither side; the controller
 * is stopped while the reference works. The two take turns, and who is first alternates.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { run, waitFor } from '@ovenbird/deploy';
import { KubeClient, NAMESPACES } from '@ovenbird/kube';
import { openLab, type TestLab } from '../src/lab.ts';
import { allRows, type NorthboundRows } from '../src/northbound-rows.ts';
import { type PodRows, podRows, referenceCommands } from './burst/pod-rows.ts';
import { ipObjects } from './cost.ts';
import { watchInstalled } from './installed.ts';
import { PodLoad } from './pod-load.ts';
import { processorTime, stopwatch } from './processor-time.ts';
import { benchLine, infoLine, median, percentile } from './report.ts';
import { type RowArrivals, watchRows } from './row-arrivals.ts';

const nodes = 10;
const count = 500;
const rounds = 7;
/**
 * The controller's lease outlives its being stopped for so long, in milliseconds; after 10 s without renewing it the controller
 * would end. Pods that take longer to create, because the machine does something else, are created again.
 */
const longestStop = 7_000;
/** Not measured, of both sides: code is compiled, caches are filled. */
const warmUp = 1;
const namespace = 'bench-burst';
const deadline = 300_000;
const target = { kind: '>=', value: 0.8 } as const;

const say = (line: string): void => console.log(line);
const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Ended by a signal to the benchmark, which then takes its lab down. */
const stop = new AbortController();

/** Waits until all pods have a time in `times`, saying how many do. @returns the last of these times */
async function all(what: string, times: ReadonlyMap<string, number>): Promise<number> {
  let said = 0;
  await waitFor(
    what,
    () => {
      if (times.size >= said + count / 5) {
        said = times.size;
        progress(`${what}: ${times.size} of ${count}`);
      }
      return times.size >= count || `${times.size} of ${count}`;
    },
    { deadline, interval: 5, signal: stop.signal },
  );
  return Math.max(...times.values());
}

const first = (times: ReadonlyMap<string, number>): number => Math.min(...times.values());
const rate = (from: number, to: number): number => (count / (to - from)) * 1000;

/** Waits until the lab's processes have done what its start, or a part, left them to do. */
async function atRest(lab: TestLab): Promise<void> {
  await waitFor(
    'the lab is at rest',
    async () => {
      const spent = stopwatch(lab);
      await pause(1000);
      const seconds = [...spent().values()].reduce((sum, one) => sum + one, 0);
      return seconds < 0.4 || `${seconds.toFixed(1)} s of processor time in a second`;
    },
    { deadline: 60_000, interval: 0, signal: stop.signal },
  );
}

interface Bench {
  readonly lab: TestLab;
  readonly client: KubeClient;
  readonly load: PodLoad;
  readonly rows: RowArrivals;
}

const plan = (lab: TestLab): Parameters<PodLoad['send']>[0] => ({
  namespace,
  prefix: 'p',
  count,
  nodes: lab.nodes,
  labels: {},
});

/** The whole way once, in its parts. */
async function whole({ lab, load, rows }: Bench, signal: AbortSignal): Promise<void> {
  const installed = await watchInstalled(lab, namespace, signal);
  const spent = stopwatch(lab);
  const started = await load.send(plan(lab));
  const created = await all('pods in the API', load.done);
  const northbound = await all('rows in the northbound database', rows.northbound);
  const southbound = await all('rows in the southbound database', rows.southbound);
  const flows = await all('flows installed', installed.installed);
  const begin = first(started);
  const lags = [...load.done].map(([name, at]) => (rows.northbound.get(`${name}.${namespace}`) ?? Number.NaN) - at);
  say(
    infoLine('burst-whole', {
      client_to_api: [rate(begin, created), '/s'],
      api_to_nb: [rate(begin, northbound), '/s'],
      nb_to_sb: [rate(first(rows.northbound), southbound), '/s'],
      sb_to_installed: [rate(first(rows.southbound), flows), '/s'],
      all: [rate(begin, flows), '/s'],
    }),
  );
  // Of each pod, from the watch event that tells of it to its row.
  say(infoLine('burst-whole-nb-after-api', { p50: [median(lags), 'ms'], p99: [percentile(lags, 0.99), 'ms'] }));
  const times = [...spent()].filter(([, seconds]) => seconds >= 0.5);
  say(infoLine('burst-whole-processor', Object.fromEntries(times.map(([kind, seconds]) => [kind, [seconds, 's']]))));
  await installed.close();
  progress('deleting the pods');
  await load.clear();
  await lab.nothingLeft(deadline);
}

/** Deletes the pods, and waits until the controller has nothing left to do for them. */
async function clear({ lab, client, load, rows }: Bench): Promise<void> {
  await lab.waitFor(
    'every pod has its IP object',
    async () => ((found) => found === count || `${found} of ${count}`)(await ipObjects(client, namespace)),
    deadline,
  );
  await load.clear();
  await lab.waitFor(
    'ports and IP objects of the pods are gone',
    async () => {
      if (rows.northbound.size > 0) return `${rows.northbound.size} ports are left`;
      const left = await ipObjects(client, namespace);
      return left === 0 || `${left} IP objects are left`;
    },
    deadline,
  );
}

/** One round of one side. */
interface Turn {
  /** Pods per second. */
  readonly rate: number;
  /** Processor time of the controller, or of ovn-nbctl, seconds. */
  readonly processor: number;
}

/** What the two sides have in common between rounds. */
interface Comparison {
  readonly before: NorthboundRows;
  /** What Ovenbird wrote in the first round. */
  wanted: readonly PodRows[];
}

/** Creates the pods while the controller is stopped. @returns whether it was back in time to keep its lease */
async function createStopped({ lab, load }: Bench): Promise<boolean> {
  const began = performance.now();
  await lab.killProcess('controller', 'SIGSTOP');
  try {
    await load.send(plan(lab));
    await all('pods in the API', load.done);
    if (performance.now() - began < longestStop) return true;
  } catch (error) {
    await lab.killProcess('controller', 'SIGCONT');
    throw error;
  }
  progress('creating the pods took too long: the controller is started anew, and they are created again');
  await lab.killProcess('controller', 'SIGCONT');
  await lab.restartProcess('controller');
  return false;
}

/** Ovenbird's controller, with the pods waiting for it. */
async function ours(bench: Bench, comparison: Comparison): Promise<Turn> {
  const { lab, rows } = bench;
  while (!(await createStopped(bench))) await clear(bench);
  const spent = stopwatch(lab);
  const began = performance.now();
  await lab.killProcess('controller', 'SIGCONT');
  const ended = await all('rows in the northbound database', rows.northbound);
  const processor = spent().get('controller') ?? 0;
  if (comparison.wanted.length === 0) comparison.wanted = podRows(comparison.before, await allRows(lab), namespace);
  await clear(bench);
  return { rate: rate(began, ended), processor };
}

/** One ovn-nbctl. */
async function reference({ lab, rows }: Bench, { before, wanted }: Comparison, check: boolean): Promise<Turn> {
  const argv = ['ovn-nbctl', `--db=unix:${lab.layout.central.northbound}`, ...referenceCommands(wanted)];
  if (check) progress(`reference: ${argv.slice(0, 40).join(' ')} ... (${wanted.length} pods, ${argv.length} words)`);
  await lab.killProcess('controller', 'SIGSTOP');
  let ended: number;
  // Nothing else is run meanwhile, so that this is the time of one child.
  const spent = processorTime(process.pid).children;
  const began = performance.now();
  try {
    await run(argv);
    ended = await all('rows of the reference', rows.northbound);
  } finally {
    await lab.killProcess('controller', 'SIGCONT');
  }
  const processor = processorTime(process.pid).children - spent;
  if (check) {
    const written = podRows(before, await allRows(lab), namespace);
    if (JSON.stringify(written) !== JSON.stringify(wanted)) throw new Error('the reference wrote other rows');
  }
  await lab.nbctl(...wanted.flatMap(({ name }) => ['--', 'lsp-del', name]).slice(1));
  await lab.waitFor('ports of the reference are gone', () => rows.northbound.size === 0, deadline);
  return { rate: rate(began, ended), processor };
}

/** API to NB against the reference, in turns. */
async function compare(bench: Bench): Promise<void> {
  for (const name of ['kubelet', 'northd']) await bench.lab.stopProcess(name);
  const comparison: Comparison = { before: await allRows(bench.lab), wanted: [] };
  const turns = { ours: [] as Turn[], reference: [] as Turn[] };
  for (let round = -warmUp; round < rounds; round += 1) {
    // The reference writes what Ovenbird wrote first.
    const order = round < 0 || round % 2 === 0 ? (['ours', 'reference'] as const) : (['reference', 'ours'] as const);
    const said: string[] = [];
    for (const side of order) {
      const turn = await (side === 'ours' ? ours(bench, comparison) : reference(bench, comparison, round < 0));
      said.push(`${side} ${Math.round(turn.rate)} pods/s`);
      if (round >= 0) turns[side].push(turn);
    }
    progress(`${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}: ${said.join(', ')}`);
  }
  const of = (side: keyof typeof turns, figure: keyof Turn): number => median(turns[side].map((turn) => turn[figure]));
  const [value, against] = [of('ours', 'rate'), of('reference', 'rate')];
  say(benchLine({ name: 'burst-api-to-nb', figure: 'pods', value, unit: '/s', reference: against, target }));
  say(
    infoLine('burst-api-to-nb-processor', {
      controller: [of('ours', 'processor'), 's'],
      'ovn-nbctl': [of('reference', 'processor'), 's'],
    }),
  );
}

const parts: Readonly<Record<string, (bench: Bench, signal: AbortSignal) => Promise<void>>> = {
  whole,
  'api-to-nb': compare,
};

async function main(wanted: readonly string[], signal: AbortSignal): Promise<void> {
  const unknown = wanted.filter((name) => parts[name] === undefined);
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  progress(`starting a lab of ${nodes} nodes`);
  await using lab = await openLab({ nodes, dualStack: true });
  const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
  await client.resource(NAMESPACES).create({ metadata: { name: namespace } });
  const watch = new AbortController();
  const until = AbortSignal.any([signal, watch.signal]);
  const rows = await watchRows(lab, namespace, until);
  const load = await PodLoad.open(client, namespace, () => true, until);
  const bench: Bench = { lab, client, load, rows };
  try {
    for (const [name, part] of Object.entries(parts)) {
      if (wanted.length > 0 && !wanted.includes(name)) continue;
      await atRest(lab);
      await part(bench, until);
    }
  } finally {
    watch.abort();
    await rows.close();
    await client.close();
  }
}

for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
await main(process.argv.slice(2), stop.signal);
