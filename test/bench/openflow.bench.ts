/**
 * `npm run bench -- openflow [codec bundle dump reconcile]`: 50,000 flows on a real ovs-vswitchd, against ovs-ofctl in
 * the same run and by turns: A B A B. Figures are medians of the rounds, their ratio is that of the medians.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  type Connection,
  connect,
  diffFlows,
  type FlowStats,
  flowLines,
  formatFlowStats,
  OF15,
  type Outgoing,
  parseFlows,
  Writer,
  writeMessage,
} from '@ovenbird/openflow';
import { TestSwitch } from '../integration/openflow/switch.ts';
import { flowFile } from './openflow/flows.ts';
import { benchLine, infoLine, median } from './report.ts';

const run = promisify(execFile);
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const FLOWS = 50_000;
const BRIDGE = 'br0';
const BUFFER = 2 ** 28;

const wanted = process.argv.slice(2);
const parts = wanted.length > 0 ? wanted : ['codec', 'bundle', 'dump', 'reconcile'];
await using daemon = await TestSwitch.start(BRIDGE);
const remote = daemon.remote(BRIDGE);
const file = join(daemon.dir, 'flows.txt');
await writeFile(file, flowFile(FLOWS));

/** Milliseconds that it takes. */
async function time(what: () => unknown): Promise<number> {
  const begin = performance.now();
  await what();
  return performance.now() - begin;
}

/** Milliseconds of CPU time, of the switch and of whoever talks to it: what a loaded machine does not change. */
interface Cost {
  readonly ms: number;
  readonly cpu: number;
}

const TICK_MS = 10;

/** What something takes in this process. */
async function cost(what: () => unknown): Promise<Cost> {
  const [begin, before] = [process.cpuUsage(), ticks()];
  const ms = await time(what);
  const { user, system } = process.cpuUsage(begin);
  return { ms, cpu: (user + system) / 1000 + (ticks() - before) * TICK_MS };
}

/** What an ovs-ofctl command takes. */
async function ofctlCost(...args: readonly string[]): Promise<Cost> {
  const before = ticks();
  const file = join(daemon.dir, 'time');
  const command = ['-f', '%U %S', '-o', file, 'ovs-ofctl', '-O', 'OpenFlow15', ...args];
  const ms = await time(() => run('/usr/bin/time', command, { maxBuffer: BUFFER }));
  const [user = 0, system = 0] = (await readFile(file, 'utf8')).split(' ').map(Number);
  return { ms, cpu: (user + system) * 1000 + (ticks() - before) * TICK_MS };
}

const ofctl = async (...args: readonly string[]): Promise<string> =>
  (await run('ovs-ofctl', ['-O', 'OpenFlow15', ...args], { maxBuffer: BUFFER })).stdout;

/** CPU time that ovs-vswitchd has used, in clock ticks (proc(5)). */
function ticks(): number {
  const fields = readFileSync(`/proc/${daemon.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

/** Empties the switch and waits until it is idle: it frees deleted flows in the background, on a core of its own. */
async function clear(): Promise<void> {
  await ofctl('del-flows', remote);
  for (let idle = 0, before = ticks(); idle < 5; ) {
    await sleep(20);
    const now = ticks();
    idle = now === before ? idle + 1 : 0;
    before = now;
  }
}

async function count(): Promise<void> {
  const text = await ofctl('dump-aggregate', remote);
  if (!text.includes(`flow_count=${FLOWS}`)) throw new Error(`not ${FLOWS} flows: ${text}`);
}

async function connected(): Promise<Connection> {
  const connection = connect({ remote });
  await connection.connected();
  return connection;
}

const walls = (costs: readonly Cost[]): readonly number[] => costs.map(({ ms }) => ms);

/** The CPU time of both sides, which says what the wall clock would on a machine with nothing else to do. */
function reportCpu(name: string, ours: readonly Cost[], theirs: readonly Cost[]): void {
  const [value, reference] = [ours, theirs].map((costs) => median(costs.map(({ cpu }) => cpu)));
  print(infoLine(`openflow_${name}_cpu`, { ours: [value ?? 0, 'ms'], ref: [reference ?? 0, 'ms'] }));
}

function report(name: string, ours: readonly number[], theirs: readonly number[], target: number): void {
  const [value, reference] = [median(ours), median(theirs)];
  print(
    benchLine({ name: 'openflow', figure: name, value, unit: 'ms', reference, target: { kind: '<=', value: target } }),
  );
  print(infoLine(`openflow_${name}`, { first: [ours[0] ?? 0, 'ms'], ref_first: [theirs[0] ?? 0, 'ms'] }));
}

/** What the codec takes by itself: nothing waits for a switch here. */
async function codec(): Promise<void> {
  const text = await readFile(file, 'utf8');
  const parse: number[] = [];
  const encode: number[] = [];
  const w = new Writer();
  for (let round = 0; round < ROUNDS; round += 1) {
    let flows: readonly Outgoing[] = [];
    parse.push(
      await time(() => {
        flows = parseFlows(text);
      }),
    );
    encode.push(
      await time(() => {
        for (const [at, message] of flows.entries()) {
          if (w.length > 65_536) w.truncate(0);
          writeMessage(w, OF15, { type: 'bundle_add', xid: at, bundleId: 1, flags: 3, message });
        }
      }),
    );
  }
  print(
    infoLine('openflow_codec', { parse: [median(parse), 'ms'], encode: [median(encode), 'ms'], flows: [FLOWS, ''] }),
  );
}

/** From a text file, and from typed objects, to a committed bundle. */
async function bundle(): Promise<void> {
  const typed = parseFlows(readFileSync(file, 'utf8'));
  const connection = await connected();
  const fromText: Cost[] = [];
  const fromTyped: Cost[] = [];
  const theirs: Cost[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await clear();
    fromText.push(await cost(async () => connection.bundle(flowLines(await readFile(file, 'utf8')))));
    await count();
    await clear();
    theirs.push(await ofctlCost('--bundle', 'add-flows', remote, file));
    await count();
    await clear();
    fromTyped.push(await cost(() => connection.bundle(typed)));
    await count();
  }
  await connection.close();
  report('text_to_commit_vs_add_flows', walls(fromText), walls(theirs), 1);
  reportCpu('text_to_commit', fromText, theirs);
  report('typed_to_commit_vs_add_flows', walls(fromTyped), walls(theirs), 0.6);
  reportCpu('typed_to_commit', fromTyped, theirs);
}

const withoutTimes = (text: string): string => text.replaceAll(/ duration=[\d.]+s,| idle_age=\d+,/g, '');

/** Dump and decode; and format to what ovs-ofctl prints. */
async function dump(): Promise<void> {
  await ofctl('--bundle', 'replace-flows', remote, file);
  const connection = await connected();
  const decoded: number[] = [];
  const formatted: number[] = [];
  const theirs: number[] = [];
  let text = '';
  let reference = '';
  for (let round = 0; round < ROUNDS; round += 1) {
    let flows: readonly FlowStats[] = [];
    decoded.push(
      await time(async () => {
        flows = await connection.dumpFlows();
      }),
    );
    if (flows.length !== FLOWS) throw new Error(`${flows.length} flows, not ${FLOWS}`);
    theirs.push(
      await time(async () => {
        reference = await ofctl('dump-flows', remote);
      }),
    );
    formatted.push(
      await time(async () => {
        text = '';
        for (const flow of await connection.dumpFlows()) text += ` ${formatFlowStats(flow)}\n`;
      }),
    );
  }
  await connection.close();
  const lines = (all: string): readonly string[] =>
    withoutTimes(all)
      .split('\n')
      .filter((line) => !line.startsWith('OFPST'));
  const [ours, other] = [lines(text), lines(reference)];
  const different = ours.findIndex((line, at) => line !== other[at]);
  if (different >= 0)
    throw new Error(`flow ${different} is\n${ours[different]}\nand of ovs-ofctl\n${other[different]}`);
  report('dump_decode_vs_dump_flows', decoded, theirs, 1);
  report('dump_format_vs_dump_flows', formatted, theirs, 2);
}

/** Nothing to change: connect, dump, compare. */
async function reconcile(): Promise<void> {
  await ofctl('--bundle', 'replace-flows', remote, file);
  const typed = parseFlows(readFileSync(file, 'utf8'));
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(
      await time(async () => {
        const connection = await connected();
        const changes = diffFlows(await connection.dumpFlows(), typed);
        if (changes.length > 0) throw new Error(`${changes.length} changes`);
        await connection.close();
      }),
    );
    theirs.push(await time(() => ofctl('--bundle', 'replace-flows', remote, file)));
  }
  report('reconcile_vs_replace_flows', ours, theirs, 0.9);
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = { codec, bundle, dump, reconcile };
for (const part of parts) {
  const measure = PARTS[part];
  if (measure === undefined) throw new Error(`there is no part "${part}": ${Object.keys(PARTS).join(', ')}`);
  await measure();
}
