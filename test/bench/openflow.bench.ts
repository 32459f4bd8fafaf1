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
  const fromText: number[] = [];
  const fromTyped: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await clear();
    fromText.push(await time(async () => connection.bundle(flowLines(await readFile(file, 'utf8')))));
    await count();
    await clear();
    theirs.push(await time(() => ofctl('--bundle', 'add-flows', remote, file)));
    await count();
    await clear();
    fromTyped.push(await time(() => connection.bundle(typed)));
    await count();
  }
  await connection.close();
  report('text_to_commit_vs_add_flows', fromText, theirs, 1);
  report('typed_to_commit_vs_add_flows', fromTyped, theirs, 0.6);
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
