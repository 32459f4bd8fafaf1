/**
 * `npm run bench -- burst`: many pods at once on a cluster of ten nodes, and which part of the way takes how long: from
 * Kubernetes' API to rows in the northbound database (Ovenbird's controller), from there to the southbound one
 * (ovn-northd), and on to installed flows (kubelet, plugin, agent, ovn-controller, ovs-vswitchd).
 *
 * The reference for the first part is one `ovn-nbctl` process that writes the same rows: it reads no API, decides nothing
 * and compares nothing. Its command line is printed, shortened. The two take turns while no kubelet runs.
 */
import { waitFor } from '@ovenbird/deploy';
import { KubeClient, NAMESPACES } from '@ovenbird/kube';
import { openLab, type TestLab } from '../src/lab.ts';
import { watchInstalled } from './installed.ts';
import { PodLoad } from './pod-load.ts';
import { stopwatch } from './processor-time.ts';
import { benchLine, infoLine, median } from './report.ts';
import { type RowArrivals, watchRows } from './row-arrivals.ts';

const nodes = 10;
const count = 500;
const rounds = 3;
const namespace = 'bench-burst';
const deadline = 300_000;
const target = { kind: '>=', value: 0.8 } as const;

const say = (line: string): void => console.log(line);
const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Waits until all pods have a time in `times`, saying how many do. */
async function all(what: string, times: ReadonlyMap<string, number>): Promise<void> {
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
    { deadline, interval: 5 },
  );
}

const first = (times: Iterable<number>): number => Math.min(...times);
const last = (times: Iterable<number>): number => Math.max(...times);
const rate = (from: number, to: number): number => (count / (to - from)) * 1000;

interface Bench {
  readonly lab: TestLab;
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
  await all('rows in the northbound database', rows.northbound);
  await all('rows in the southbound database', rows.southbound);
  await all('flows installed', installed.installed);
  const begin = first(started.values());
  say(
    infoLine('burst-whole', {
      api_to_nb: [rate(begin, last(rows.northbound.values())), '/s'],
      nb_to_sb: [rate(first(rows.northbound.values()), last(rows.southbound.values())), '/s'],
      sb_to_installed: [rate(first(rows.southbound.values()), last(installed.installed.values())), '/s'],
      all: [rate(begin, last(installed.installed.values())), '/s'],
    }),
  );
  const times = [...spent()].filter(([, seconds]) => seconds >= 0.5);
  say(infoLine('burst-whole-processor', Object.fromEntries(times.map(([kind, seconds]) => [kind, [seconds, 's']]))));
  await installed.close();
  await clear(lab, load);
}

async function clear(lab: TestLab, load: PodLoad): Promise<void> {
  progress('deleting the pods');
  await load.clear();
  await lab.nothingLeft(deadline);
}

interface Port {
  readonly name: string;
  readonly columns: readonly string[];
  readonly switch: string;
  readonly groups: readonly string[];
}

/** A column's value as `ovn-nbctl create` takes it. */
function written(value: unknown): string {
  if (!Array.isArray(value)) return JSON.stringify(value);
  const [kind, content] = value as [string, unknown[]];
  if (kind === 'map') {
    return `{${(content as [string, string][]).map(([key, text]) => `${JSON.stringify(key)}=${JSON.stringify(text)}`).join(',')}}`;
  }
  return kind === 'set' ? `[${content.map(written).join(',')}]` : String(content);
}

/** What Ovenbird wrote for its pods; only the mark of its rows is another one, so that it leaves the reference's alone. */
async function portsOf(lab: TestLab): Promise<readonly Port[]> {
  const table = async (...args: readonly string[]): Promise<readonly unknown[][]> =>
    (JSON.parse(await lab.nbctl('--format=json', ...args)) as { data: unknown[][] }).data;
  const columns = ['addresses', 'port_security', 'options', 'external_ids'];
  const ports = await table(`--columns=_uuid,name,${columns.join(',')}`, 'list', 'Logical_Switch_Port');
  const members = async (kind: string): Promise<(port: string) => readonly string[]> => {
    const rows = await table('--columns=name,ports', 'list', kind);
    const of = new Map<string, string[]>();
    for (const [name, value] of rows as [string, [string, unknown]][]) {
      const uuids = value[0] === 'set' ? (value[1] as [string, string][]).map(([, uuid]) => uuid) : [String(value[1])];
      for (const uuid of uuids) of.set(uuid, [...(of.get(uuid) ?? []), name]);
    }
    return (port) => of.get(port) ?? [];
  };
  const [switches, groups] = [await members('Logical_Switch'), await members('Port_Group')];
  return ports
    .filter(([, name]) => String(name).endsWith(`.${namespace}`))
    .map(([uuid, name, ...values]) => {
      const id = (uuid as [string, string])[1];
      return {
        name: String(name),
        columns: columns.map(
          (column, at) => `${column}=${written(values[at]).replace('"vendor"="ovenbird"', '"vendor"="bench"')}`,
        ),
        switch: switches(id)[0] ?? '',
        groups: groups(id),
      };
    });
}

/** One ovn-nbctl process that writes those rows in one transaction. */
function reference(ports: readonly Port[]): string[] {
  return ports.flatMap(({ name, columns, switch: on, groups }, at) => [
    ...['--', `--id=@p${at}`, 'create', 'Logical_Switch_Port', `name=${JSON.stringify(name)}`, ...columns],
    ...['--', 'add', 'Logical_Switch', on, 'ports', `@p${at}`],
    ...groups.flatMap((group) => ['--', 'add', 'Port_Group', group, 'ports', `@p${at}`]),
  ]);
}

/** API → NB against the reference, in turns. */
async function compare({ lab, load, rows }: Bench): Promise<void> {
  const rates = { ours: [] as number[], reference: [] as number[], southbound: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const started = await load.send(plan(lab));
    await all('rows in the northbound database', rows.northbound);
    await all('rows in the southbound database', rows.southbound);
    rates.ours.push(rate(first(started.values()), last(rows.northbound.values())));
    rates.southbound.push(rate(first(rows.northbound.values()), last(rows.southbound.values())));
    const ports = await portsOf(lab);
    await clear(lab, load);
    await lab.nbctl('--wait=sb', 'sync');

    const commands = reference(ports);
    if (round === 0) progress(`reference: ovn-nbctl ${commands.slice(1, 40).join(' ')} ... (${ports.length} ports)`);
    const began = performance.now();
    await lab.nbctl(...commands.slice(1));
    await all('rows of the reference', rows.northbound);
    rates.reference.push(rate(began, last(rows.northbound.values())));
    await lab.nbctl(...ports.flatMap(({ name }) => ['--', 'lsp-del', name]).slice(1));
    await lab.nbctl('--wait=sb', 'sync');
    progress(
      `round ${round + 1} of ${rounds}: ${Math.round(rates.ours.at(-1) ?? 0)} pods/s, reference ${Math.round(rates.reference.at(-1) ?? 0)}`,
    );
  }
  const [value, against] = [median(rates.ours), median(rates.reference)];
  say(benchLine({ name: 'burst-api-to-nb', figure: 'pods', value, unit: '/s', reference: against, target }));
  say(infoLine('burst-nb-to-sb', { pods: [median(rates.southbound), '/s'] }));
}

async function main(signal: AbortSignal): Promise<void> {
  progress(`starting a lab of ${nodes} nodes`);
  await using lab = await openLab({ nodes, dualStack: true });
  const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
  await client.resource(NAMESPACES).create({ metadata: { name: namespace } });
  const watch = new AbortController();
  const until = AbortSignal.any([signal, watch.signal]);
  const rows = await watchRows(lab, namespace, until);
  const load = await PodLoad.open(client, namespace, () => true, until);
  const bench = { lab, load, rows };
  try {
    await whole(bench, until);
    await lab.stopProcess('kubelet');
    await compare(bench);
  } finally {
    watch.abort();
    await rows.close();
    await client.close();
  }
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
await main(stop.signal);
