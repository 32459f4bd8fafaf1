/**
 * `npm run bench -- cni [PART...]`: how fast a node attaches pods, and what its agent costs.
 *
 * Parts: `one` ADD after the other, `plugins` many at once, `requests` many at once without the plugin, `status`, and `agent`
 * (memory and processor time). Each has a reference that does the least that can be done for the same result, with the stock
 * tools; both sides take turns on the same node, the same pods and the same northbound rows. Addresses are announced and ports
 * are in the databases before a clock starts.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { KubeClient, NAMESPACES } from '@ovenbird/kube';
import { openLab, type TestLab } from '../src/lab.ts';
import { type NodePod, NodePods } from './cni/node-pods.ts';
import { NodeUnderLoad } from './cni/sides.ts';
import { processorTime, stopwatch } from './processor-time.ts';
import { benchLine, infoLine, median, percentile } from './report.ts';

const node = 'node-1';
const namespace = 'bench-cni';
const many = 250;
const repetitions = { one: 200, plugins: 5, requests: 5, status: 100 } as const;
/** Not measured: code is compiled, caches are filled. */
const warmUp = 10;
/** How long the agent is watched doing nothing, milliseconds. V8 collects what the ADDs left 8 s after them, in the first part. */
const idleTime = { first: 20_000, rest: 40_000 } as const;
/** Bounds that have no reference: bytes, and shares of a processor. */
const limits = { memory: 120 * 2 ** 20, idle: 0.005 } as const;

const say = (line: string): void => console.log(line);
const progress = (line: string): void => void process.stderr.write(`${line}\n`);

interface Bench {
  readonly lab: TestLab;
  readonly node: NodeUnderLoad;
  readonly pods: readonly NodePod[];
  readonly directory: string;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** (a) One ADD after the other, through the plugin. */
async function one({ node, pods }: Bench): Promise<void> {
  const [ours, reference]: [number[], number[]] = [[], []];
  for (let index = -warmUp; index < repetitions.one; index += 1) {
    // Both sides get all pods; who is first changes.
    const pod = pods[(index + warmUp) % pods.length] as NodePod;
    const sides = [
      async () => {
        const time = await timed(() => node.shim('ADD', pod));
        if (index >= 0) ours.push(time);
        await node.request('DEL', pod);
        await node.settle();
      },
      async () => {
        const time = await timed(() => node.reference(pod));
        if (index >= 0) reference.push(time);
        await node.removeReference([pod]);
        await node.settle();
      },
    ];
    for (const side of index % 2 === 0 ? sides : sides.reverse()) await side();
  }
  const line = (share: number, target: number): void =>
    say(
      benchLine({
        name: 'cni-add',
        figure: `p${share * 100}`,
        value: percentile(ours, share),
        unit: 'ms',
        reference: percentile(reference, share),
        target: { kind: '<=', value: target },
      }),
    );
  line(0.5, 1.6);
  line(0.99, 2);
}

/** Both sides in turns on all pods; pods per second. */
async function bursts(
  name: string,
  { lab, node, pods }: Bench,
  rounds: number,
  sides: { ours: () => Promise<unknown>; reference: () => Promise<unknown> },
  target: number,
): Promise<void> {
  const rates = { ours: [] as number[], reference: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const order = ['ours', 'reference'] as const;
    for (const side of round % 2 === 0 ? order : order.toReversed()) {
      const spent = stopwatch(lab);
      const time = await timed(sides[side]);
      const daemons = [...spent()].filter(([, seconds]) => seconds >= 0.1);
      say(infoLine(`${name}-${side}-processor`, Object.fromEntries(daemons.map(([kind, s]) => [kind, [s, 's']]))));
      rates[side].push((pods.length / time) * 1000);
      progress(`${name} round ${round + 1} of ${rounds}, ${side}: ${(time / 1000).toFixed(1)} s`);
      if (side === 'ours') await Promise.all(pods.map((pod) => node.request('DEL', pod)));
      else await node.removeReference(pods);
      await node.settle();
    }
  }
  const [value, reference] = [median(rates.ours), median(rates.reference)];
  say(benchLine({ name, figure: 'rate', value, unit: '/s', reference, target: { kind: '>=', value: target } }));
}

/** (b) Many executions of the plugin at once. */
async function plugins(bench: Bench): Promise<void> {
  const { node, pods, directory } = bench;
  const server = await node.startReferenceServer(directory);
  try {
    const ours = (): Promise<unknown> => Promise.all(pods.map((pod) => node.shim('ADD', pod)));
    const reference = (): Promise<unknown> => Promise.all(pods.map((pod) => node.referencePlugin(server.socket, pod)));
    await bursts(`cni-${pods.length}-plugins`, bench, repetitions.plugins, { ours, reference }, 0.8);
  } finally {
    await server.stop();
  }
}

/** (c) Many requests at once on the agent's socket. */
async function requests(bench: Bench): Promise<void> {
  const { node, pods } = bench;
  const ours = (): Promise<unknown> => Promise.all(pods.map((pod) => node.request('ADD', pod)));
  const reference = (): Promise<unknown> => node.referenceAll(pods);
  await bursts(`cni-${pods.length}-requests`, bench, repetitions.requests, { ours, reference }, 0.5);
}

/** (d) The plugin's own cost. */
async function status({ node }: Bench): Promise<void> {
  const [ours, reference]: [number[], number[]] = [[], []];
  for (let index = -warmUp; index < repetitions.status; index += 1) {
    const times = [await timed(() => node.shimStatus()), await timed(() => node.curlStatus())] as const;
    if (index < 0) continue;
    ours.push(times[0]);
    reference.push(times[1]);
  }
  const target = { kind: '<=', value: 2.5 } as const;
  say(
    benchLine({
      name: 'cni-status',
      figure: 'p50',
      value: median(ours),
      unit: 'ms',
      reference: median(reference),
      target,
    }),
  );
}

/** Memory, and processor time while nothing happens, of the agent with all pods attached. */
async function agent({ lab, node, pods }: Bench): Promise<void> {
  await Promise.all(pods.map((pod) => node.request('ADD', pod)));
  await node.settle();
  const { pid } = JSON.parse(readFileSync(join(lab.layout.run, `node-1.agent.json`), 'utf8')) as { pid: number };
  const memory = (field: string): number => {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024;
  };
  const now = (): { readonly own: number; readonly at: number } => ({
    own: processorTime(pid).own,
    at: performance.now(),
  });
  const share = (from: ReturnType<typeof now>, to: ReturnType<typeof now>): number =>
    (100 * (to.own - from.own)) / ((to.at - from.at) / 1000);
  const began = now();
  await pause(idleTime.first);
  const collected = now();
  await pause(idleTime.rest);
  const ended = now();
  const target = { kind: '<=', value: 1 } as const;
  const mib = (bytes: number): number => bytes / 2 ** 20;
  const name = `cni-agent-${pods.length}-pods`;
  say(
    benchLine({
      name,
      figure: 'rss',
      value: mib(memory('VmRSS')),
      unit: 'MiB',
      reference: mib(limits.memory),
      target,
    }),
  );
  const idle = share(began, ended);
  say(benchLine({ name, figure: 'idle', value: idle, unit: '%', reference: limits.idle * 100, target }));
  const settled = share(collected, ended);
  say(infoLine(name, { peak: [mib(memory('VmHWM')), 'MiB'], settled: [settled, '%'] }));
  await Promise.all(pods.map((pod) => node.request('DEL', pod)));
}

const parts: Readonly<Record<string, (bench: Bench) => Promise<void>>> = { status, one, plugins, requests, agent };

async function main(wanted: readonly string[], signal: AbortSignal): Promise<void> {
  const unknown = wanted.filter((name) => parts[name] === undefined);
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  progress('starting a lab of one node');
  await using lab = await openLab({ nodes: 1, dualStack: true });
  const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
  await client.resource(NAMESPACES).create({ metadata: { name: namespace } });
  // The benchmark is the runtime.
  await lab.stopProcess('kubelet');
  const directory = mkdtempSync(join(tmpdir(), 'ovenbird-bench-'));
  try {
    progress(`making ${many} pods`);
    await using pods = await NodePods.create(lab, client, { node, namespace, count: many, directory });
    await using underLoad = await NodeUnderLoad.open(lab, node, signal);
    const bench: Bench = { lab, node: underLoad, pods: pods.pods, directory };
    for (const [name, part] of Object.entries(parts)) {
      if (wanted.length === 0 || wanted.includes(name)) await part(bench);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
    await client.close();
  }
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
await main(process.argv.slice(2), stop.signal);
