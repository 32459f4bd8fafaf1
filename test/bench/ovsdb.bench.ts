/**
 * `npm run bench -- ovsdb [start insert frames pause]`: the OVSDB client against OVS's own, in the same run and by
 * turns: A B A B. Figures are medians of the rounds, their ratio is that of the medians.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect, ovnNorthbound } from '@ovenbird/ovsdb';
import { makeDir, NB_SCHEMA, TestServer } from '../integration/ovsdb/server.ts';
import { PORTS, portName, SWITCHES, switchTransaction } from './ovsdb/population.ts';
import { enlargeDump, recordDump, recordFrames } from './ovsdb/record.ts';
import { benchLine, infoLine, median } from './report.ts';

const run = promisify(execFile);
const here = (file: string): string => join(import.meta.dirname, 'ovsdb', file);
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const FRAMES = 21_000;
const DUMP_BYTES = 90 * 1024 * 1024;

const wanted = process.argv.slice(2);
const parts = wanted.length > 0 ? wanted : ['start', 'insert', 'frames', 'pause'];
const dir = await makeDir();
const server = new TestServer(dir, 'nb');

interface Run {
  /** Milliseconds from start to exit. */
  readonly ms: number;
  /** Peak resident set, MB. */
  readonly rss: number;
  readonly output: string;
}

/** Runs a command to its end under GNU time, which knows its peak memory. */
async function measure(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  const file = join(dir, 'time');
  const begin = performance.now();
  const { stdout } = await run('/usr/bin/time', ['-f', '%M', '-o', file, ...command], {
    env: { ...process.env, ...env },
  });
  const ms = performance.now() - begin;
  return { ms, rss: Number(await readFile(file, 'utf8')) / 1024, output: stdout };
}

/** (a) and (c): from the start of a process to one row found by its name. */
async function start(): Promise<void> {
  const name = portName(250, 50);
  const cache = join(dir, 'cache');
  await mkdir(cache);
  const ours = [process.execPath, here('find.mjs'), server.remote, name];
  const theirs = ['ovn-nbctl', `--db=${server.remote}`, 'find', 'Logical_Switch_Port', `name=${name}`];
  const python = ['/usr/bin/python3', here('find.py'), server.remote, name, NB_SCHEMA];
  print(`ovsdb start: A = ${ours.join(' ')}`);
  print(`ovsdb start: B = ${theirs.join(' ')}`);
  print(`ovsdb start: C = ${python.join(' ')}`);
  const a: Run[] = [];
  const b: Run[] = [];
  const c: Run[] = [];
  const uncached: Run[] = [];
  // The first run fills the compile cache, as the first start after an installation does.
  await measure(ours, { CACHE_DIR: cache });
  for (let round = 0; round < ROUNDS; round += 1) {
    a.push(await measure(ours, { CACHE_DIR: cache }));
    b.push(await measure(theirs));
    c.push(await measure(python));
    uncached.push(await measure(ours, { NO_CACHE: '1' }));
  }
  for (const { output } of [...a, ...b]) {
    if (!output.includes(name)) {
      throw new Error(`the port ${name} was not found: ${output}`);
    }
  }
  const ms = (runs: readonly Run[]): number => median(runs.map((each) => each.ms));
  const rss = (runs: readonly Run[]): number => median(runs.map((each) => each.rss));
  const figure = { name: 'ovsdb_start', unit: 'ms', value: ms(a) };
  print(benchLine({ ...figure, figure: 'find_vs_ovn_nbctl', reference: ms(b), target: { kind: '<=', value: 0.9 } }));
  print(benchLine({ ...figure, figure: 'find_vs_python_idl', reference: ms(c), target: { kind: '<=', value: 0.3 } }));
  print(
    benchLine({
      name: 'ovsdb_start',
      figure: 'peak_rss_vs_ovn_nbctl',
      unit: 'MB',
      value: rss(a),
      reference: rss(b),
      target: { kind: '<=', value: 1 },
    }),
  );
  print(infoLine('ovsdb_start', { without_compile_cache: [ms(uncached), 'ms'], python_rss: [rss(c), 'MB'] }));
}

/** (b): inserts, on a new database each time; both sides run as the lab runs the controller. */
async function insert(): Promise<void> {
  const flags = ['--max-semi-space-size=64'];
  const rate = async (how: string): Promise<number> => {
    const fresh = new TestServer(dir, `insert-${how}`);
    await fresh.create();
    await fresh.start();
    try {
      const { stdout } = await run(process.execPath, [...flags, here('insert.mjs'), how, fresh.remote]);
      return (SWITCHES * PORTS) / ((JSON.parse(stdout) as { elapsed: number }).elapsed / 1000);
    } finally {
      await fresh.stop('SIGKILL');
    }
  };
  print(
    `ovsdb insert: A = node ${flags.join(' ')} ${here('insert.mjs')} builder REMOTE (typed builder, replica following)`,
  );
  print(
    `ovsdb insert: B = node ${flags.join(' ')} ${here('insert.mjs')} bare REMOTE (encoded before, written at once, replies not parsed)`,
  );
  const a: number[] = [];
  const b: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    a.push(await rate('builder'));
    b.push(await rate('bare'));
  }
  print(
    benchLine({
      name: 'ovsdb_insert',
      figure: 'rows_per_second',
      unit: '/s',
      value: median(a),
      reference: median(b),
      target: { kind: '>=', value: 0.8 },
    }),
  );
}

/** Starts the playing server. Returns how to end it. */
async function play(socket: string, dump: string, frames?: string): Promise<() => Promise<void>> {
  await rm(socket, { force: true });
  const args = [here('fake-server.mjs'), socket, NB_SCHEMA, dump, ...(frames === undefined ? [] : [frames])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await Promise.race([
    once(child.stdout, 'data'),
    exited.then(([code]) => {
      throw new Error(`the playing server ended with ${String(code)}`);
    }),
  ]);
  return async () => {
    child.kill();
    await exited;
  };
}

/** (d): recorded frames of one row each. */
async function frames(): Promise<void> {
  const dump = join(dir, 'dump');
  const file = join(dir, 'frames');
  await recordDump(server.socket, dump);
  await recordFrames(server.socket, FRAMES, file);
  const all = (await readFile(file, 'utf8')).trimEnd().split('\n');
  const playback = join(dir, 'playback');
  await writeFile(playback, all.join(''));
  print(`ovsdb frames: ${all.length} update3 frames, ${Math.round(all.join('').length / all.length)} bytes on average`);
  print(
    'ovsdb frames: A = from a unix socket into the replica (indexes, one listener); B = JSON.parse of each as a string',
  );
  const socket = join(dir, 'play.sock');
  const stop = await play(socket, dump, playback);
  const a: number[] = [];
  const b: number[] = [];
  const rounds = 4;
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const args = [here('frames.mjs'), `unix:${socket}`, file, String(all.length), String(rounds)];
      const { stdout } = await run(process.execPath, args);
      const result = JSON.parse(stdout) as { replica: number[]; parse: number[] };
      a.push(...result.replica.map((ms) => all.length / (ms / 1000)));
      b.push(...result.parse.map((ms) => all.length / (ms / 1000)));
    }
  } finally {
    await stop();
  }
  print(
    benchLine({
      name: 'ovsdb_frames',
      figure: 'frames_per_second',
      unit: '/s',
      value: median(a),
      reference: median(b),
      target: { kind: '>=', value: 0.5 },
    }),
  );
}

/** (e): the longest turn of the event loop while a large dump arrives. */
async function pause(): Promise<void> {
  const small = join(dir, 'dump');
  const large = join(dir, 'large');
  await recordDump(server.socket, small);
  const bytes = await enlargeDump(small, DUMP_BYTES, large);
  const socket = join(dir, 'play.sock');
  const stop = await play(socket, large);
  const a: number[] = [];
  const b: number[] = [];
  let rows = 0;
  let rss = 0;
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const ours = await run(process.execPath, [here('pause.mjs'), 'replica', `unix:${socket}`]);
      const result = JSON.parse(ours.stdout) as { longest: number; rows: number; rss: number };
      ({ rows } = result);
      rss = Math.max(rss, result.rss / 1024);
      a.push(result.longest);
      const theirs = await run(process.execPath, [here('pause.mjs'), 'parse', large]);
      b.push((JSON.parse(theirs.stdout) as { longest: number }).longest);
    }
  } finally {
    await stop();
  }
  print(`ovsdb pause: a dump of ${Math.round(bytes / 1e6)} MB, ${rows} rows; B = JSON.parse of its text`);
  print(
    benchLine({
      name: 'ovsdb_pause',
      figure: 'longest_turn',
      unit: 'ms',
      value: median(a),
      reference: median(b),
      target: { kind: '<=', value: 0.15 },
    }),
  );
  print(infoLine('ovsdb_pause', { peak_rss: [rss, 'MB'] }));
}

try {
  if (parts.some((part) => part !== 'insert')) {
    await server.create();
    await server.start();
    const db = connect({ remotes: [server.remote], database: ovnNorthbound });
    await db.synced();
    for (let s = 0; s < SWITCHES; s += 1) {
      await db.transact(switchTransaction(s));
    }
    await db.close();
    await server.appctl('ovsdb-server/compact');
  }
  const benches: Readonly<Record<string, () => Promise<void>>> = { start, insert, frames, pause };
  for (const part of parts) {
    const bench = benches[part];
    if (bench === undefined) {
      throw new Error(`no part "${part}": ${Object.keys(benches).join(', ')}`);
    }
    await bench();
  }
} finally {
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
}
