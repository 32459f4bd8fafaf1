/**
 * `npm run bench -- pods`: how fast pods get their addresses, and what that costs.
 *
 * The reference is a controller that only patches one annotation per pod (null-controller.ts), on the same API server, with
 * the same load, in the same run: the two take turns, and the figures are medians over the rounds. Pods of these rounds are
 * bound to nodes without a kubelet, so that nobody else works on them. A last part takes pods the whole way, on the lab's
 * own nodes. Bursts are measured a second time without ovn-northd: on a small machine OVN's daemons, which in a cluster run
 * on other machines, take most of the processor time of a pod.
 */

import { announcement } from '@ovenbird/crds';
import { waitFor } from '@ovenbird/deploy';
import { KubeClient, NAMESPACES, NODES } from '@ovenbird/kube';
import { openLab, type TestLab } from '../src/lab.ts';
import { type Contender, controlPath, nullController, ovenbird } from './contenders.ts';
import { type Cost, ipObjects, nodeObjects, podPorts, podWrites, readCost, spent } from './cost.ts';
import { watchInstalled } from './installed.ts';
import { PodLoad, type PodPlan, type PodTimes, timesOf } from './pod-load.ts';
import { benchLine, infoLine, median, percentile, type Target } from './report.ts';

const rounds = 5;
const burst = 500;
/**
 * Bursts of a freshly started process, which runs unoptimized code for its first two thousand pods or so (the processor time of
 * one falls until then): told apart, because a controller leads for weeks. Both sides get them.
 */
const coldBursts = 5;
const rate = { perSecond: 40, pods: 200 } as const;
const costPods = 120;
const wholeWay = 120;
const namespace = 'bench-pods';
const fakeNodes: readonly string[] = ['bench-node-1', 'bench-node-2'];
/** Writes and transactions per pod that the design allows (docs, "Scale shape"). */
const limits = { writes: 2, transactions: 1 } as const;
const deadline = 60_000;

/** What one round measured. */
interface Round {
  /** The first burst after the start. */
  readonly cold: PodTimes;
  readonly burst: PodTimes;
  /** Only where there is something to compare it with. */
  readonly paced?: PodTimes;
}

interface Bench {
  readonly lab: TestLab;
  readonly client: KubeClient;
  readonly signal: AbortSignal;
}

const say = (line: string): void => console.log(line);
const progress = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(signal: AbortSignal): Promise<void> {
  progress('starting a lab of three nodes');
  // With options of its own: never somebody else's lab, whose controller would be stopped.
  await using lab = await openLab({ dualStack: true });
  const bench: Bench = { lab, client: await KubeClient.load({ kubeconfig: lab.layout.kubeconfig }), signal };
  await prepare(bench);
  const ours = ovenbird(lab);
  const cost = await measureCost(bench, ours);
  await lab.stopProcess('controller');

  const contenders = [ours, controlPath(lab), nullController(lab)] as const;
  const [whole, control, reference]: [Round[], Round[], Round[]] = [[], [], []];
  const results = [whole, control, reference] as const;
  for (let index = 1; index <= rounds; index += 1) {
    for (const [at, contender] of contenders.entries()) {
      const round = await measureRound(bench, contender, index, results[at] !== control);
      results[at]?.push(round);
      progress(`round ${index} of ${rounds}, ${contender.name}: ${Math.round(round.burst.perSecond)} pods/s`);
    }
  }
  reportBursts('pods-burst', whole, reference);
  reportBursts('pods-burst-control-path', control, reference);
  reportPaced(whole, reference);
  reportCost('pods-create', cost.created);
  reportCost('pods-delete', cost.deleted);
  await lab.startProcess('controller');
  await measureWholeWay(bench, ours);
}

/** Namespace and nodes; the running controller has to have dealt with them before anything is measured. */
async function prepare({ client, signal }: Bench): Promise<void> {
  await client.resource(NAMESPACES).create({ metadata: { name: namespace } }, { signal });
  const nodes = client.resource(NODES);
  for (const name of fakeNodes) await nodes.create({ metadata: { name } }, { signal });
  await waitFor(
    'the nodes of the benchmark have their ports',
    async () => {
      const found = await Promise.all(fakeNodes.map((name) => nodes.get({ name }, { signal })));
      const missing = found.filter(({ metadata }) => metadata.annotations?.[announcement.allocated] !== 'true');
      return missing.length === 0 ? true : missing.map(({ metadata }) => metadata.name).join(', ');
    },
    { deadline, signal },
  );
}

function planOf(contender: Contender, prefix: string, count: number, perSecond?: number): PodPlan {
  return {
    namespace,
    prefix,
    count,
    nodes: fakeNodes,
    labels: contender.labels,
    ...(perSecond === undefined ? {} : { rate: perSecond }),
  };
}

async function measureRound(bench: Bench, contender: Contender, index: number, pace: boolean): Promise<Round> {
  const stop = await contender.start();
  const watch = new AbortController();
  const signal = AbortSignal.any([bench.signal, watch.signal]);
  try {
    const load = await PodLoad.open(bench.client, namespace, contender.isAnnounced, signal);
    const bursts: PodTimes[] = [];
    for (let run = 0; run <= coldBursts; run += 1) {
      bursts.push(await load.create(planOf(contender, `burst-${index}-${run}`, burst)));
      await settle(bench, contender, load);
    }
    const [cold, warm] = [bursts[0], bursts.at(-1)];
    if (cold === undefined || warm === undefined) throw new Error('no burst was made');
    if (!pace) return { cold, burst: warm };
    const paced = await load.create(planOf(contender, `paced-${index}`, rate.pods, rate.perSecond));
    await settle(bench, contender, load);
    return { cold, burst: warm, paced };
  } finally {
    watch.abort();
    await stop();
  }
}

/** Deletes the pods and waits until nothing of them is under way any more, so that the next load starts from rest. */
async function settle(bench: Bench, contender: Contender, load: PodLoad): Promise<void> {
  await load.clear();
  if (contender.name !== 'null') await nothingLeft(bench);
}

async function nothingLeft({ lab, client, signal }: Bench): Promise<void> {
  await waitFor(
    'the network has forgotten the pods',
    async () => {
      const records = await ipObjects(client, namespace);
      if (records > 0) return `${records} IP objects are left`;
      const ports = await podPorts(lab);
      return ports.length === 0 ? true : `${ports.length} ports are left, ${ports[0]} for example`;
    },
    { deadline, interval: 50, signal },
  );
}

/** Counts what pods cost at the paced rate, where transactions are shared least. */
async function measureCost(bench: Bench, ours: Contender): Promise<{ created: Cost; deleted: Cost }> {
  const { lab, client, signal } = bench;
  const watch = new AbortController();
  const load = await PodLoad.open(client, namespace, ours.isAnnounced, AbortSignal.any([signal, watch.signal]));
  // What the nodes of this round still cost is not the pods'.
  await waitFor('IP objects of nodes', () => nodeObjects(client), { deadline, interval: 50, signal });
  const before = await readCost(lab, client);
  await load.create(planOf(ours, 'cost', costPods, rate.perSecond));
  await waitFor(
    'every pod has its IP object',
    async () => ((count) => count === costPods || `${count} of ${costPods}`)(await ipObjects(client, namespace)),
    { deadline, interval: 50, signal },
  );
  const between = await readCost(lab, client);
  await load.clear(rate.perSecond);
  await nothingLeft(bench);
  const after = await readCost(lab, client);
  watch.abort();
  return { created: spent(before, between), deleted: spent(between, after) };
}

function reportBursts(name: string, ours: readonly Round[], reference: readonly Round[]): void {
  const speed = (round: Round): number => round.burst.perSecond;
  const [value, against] = [median(ours.map(speed)), median(reference.map(speed))];
  const target: Target = { kind: '>=', value: 0.8 };
  say(benchLine({ name, figure: 'announced', value, unit: '/s', reference: against, target }));
  const cold = (round: Round): number => round.cold.perSecond;
  say(
    infoLine(`${name}-after-start`, {
      announced: [median(ours.map(cold)), '/s'],
      ref: [median(reference.map(cold)), '/s'],
    }),
  );
}

function reportPaced(ours: readonly Round[], reference: readonly Round[]): void {
  const delay = (results: readonly Round[], share: number): number =>
    median(results.flatMap(({ paced }) => (paced === undefined ? [] : [percentile(paced.delays, share)])));
  say(
    infoLine(`pods-${rate.perSecond}-per-second`, {
      p50: [delay(ours, 0.5), 'ms'],
      p99: [delay(ours, 0.99), 'ms'],
      ref_p50: [delay(reference, 0.5), 'ms'],
      ref_p99: [delay(reference, 0.99), 'ms'],
    }),
  );
}

function reportCost(name: string, cost: Cost): void {
  const line = (figure: string, value: number, reference: number): void =>
    say(benchLine({ name, figure, value: value / costPods, unit: '', reference, target: { kind: '<=', value: 1 } }));
  line('api_writes_per_pod', podWrites(cost), limits.writes);
  line('nb_transactions_per_pod', cost.transactions, limits.transactions);
  const each = [...cost.writes].map(([what, count]) => [what.replaceAll(' ', '-'), [count / costPods, '']] as const);
  say(infoLine(`${name}-writes-per-pod`, Object.fromEntries(each)));
}

/** Pods on real nodes: until the flows of their interface are in the switch. */
async function measureWholeWay(bench: Bench, ours: Contender): Promise<void> {
  const { lab, client, signal } = bench;
  const watch = new AbortController();
  const both = AbortSignal.any([signal, watch.signal]);
  const installed = await watchInstalled(lab, namespace, both);
  const load = await PodLoad.open(client, namespace, ours.isAnnounced, both);
  try {
    for (const perSecond of [rate.perSecond, undefined]) {
      const prefix = perSecond === undefined ? 'whole-burst' : 'whole-paced';
      const started = await load.send({ ...planOf(ours, prefix, wholeWay, perSecond), nodes: lab.nodes });
      await waitFor(
        'the flows of all pods are installed',
        () => {
          const missing = [...started.keys()].filter((name) => !installed.installed.has(name));
          return missing.length === 0 ? true : `${missing.length} are missing, ${missing[0]} for example`;
        },
        { deadline, interval: 10, signal },
      );
      const { perSecond: speed, delays } = timesOf(started, installed.installed);
      say(
        infoLine(`pods-installed-${perSecond === undefined ? 'burst' : `${perSecond}-per-second`}`, {
          pods: [speed, '/s'],
          p50: [percentile(delays, 0.5), 'ms'],
          p99: [percentile(delays, 0.99), 'ms'],
        }),
      );
      await load.clear();
      await lab.nothingLeft(deadline);
    }
  } finally {
    await installed.close();
    watch.abort();
  }
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
await main(stop.signal);
