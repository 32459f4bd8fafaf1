import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { dirname } from 'node:path';
import { commandEnvironment, inNamespace } from '../fabric/run.ts';
import { LabError } from './error.ts';
import {
  isRunning,
  type LiveProcess,
  type ProcessRecord,
  type RecordDirectory,
  startTimeOf,
  workerOf,
} from './record.ts';
import { waitFor } from './wait.ts';

/** How to start one process of the lab and how to know that it works. */
export interface ProcessSpec {
  readonly name: string;
  readonly argv: readonly string[];
  /** Network namespace (a name under /run/netns); absent = the root namespace. */
  readonly namespace?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** See {@link ProcessRecord.workerPidFile}. */
  readonly workerPidFile?: string;
  /** Done before each start: writes what the process reads. */
  readonly prepare?: () => void;
  /** Files that an earlier run may have left and that would make {@link ready} hold too early (sockets, pid files). */
  readonly stale?: readonly string[];
  /** Whether the process is ready to serve; a string says what is missing. */
  readonly ready: () => Promise<boolean | string> | boolean | string;
  /** Longest time until ready, in milliseconds. */
  readonly deadline: number;
  /** Opens what the process inherits from descriptor 3 on; the caller's copies are closed after the start. */
  readonly inherit?: () => Promise<readonly InheritedDescriptor[]>;
  /** See nice(1); 0 when absent. */
  readonly niceness?: number;
}

/** A descriptor that a process inherits. */
export interface InheritedDescriptor extends Disposable {
  readonly fd: number;
}

/** State of a process as `lab ps` shows it. */
export type ProcessState = 'running' | 'dead' | 'stopped';

/**
 * The environment of the lab's processes. What the caller's shell says to our programs and to OVN's tools (after
 * `eval "$(ovenbird lab env)"`, for example) is not meant for the daemons, whose files say everything.
 */
function daemonEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = Object.entries(commandEnvironment()).filter(([key]) => !/^(OVENBIRD|OVN|OVS)_|^KUBECONFIG$/.test(key));
  return { ...Object.fromEntries(kept), ...extra };
}

/** Last lines of a log file. */
export function logTail(file: string, lines = 15): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '(no log)';
  }
}

/**
 * Each process leads a session, and where sessions are scheduled as groups (sched(7), "The autogroup feature") its own nice
 * value only counts among its own threads; the group's counts among the others.
 */
function lowerPriority(pid: number, niceness: number): void {
  setPriority(pid, niceness);
  const group = `/proc/${pid}/autogroup`;
  if (existsSync(group)) writeFileSync(group, String(niceness));
}

/** Grace time of a monitor whose worker is gone, in milliseconds. */
const monitorGrace = 200;

/** Starts, finds and ends the lab's processes. They outlive the program that started them. */
export class ProcessManager {
  readonly records: RecordDirectory;

  constructor(records: RecordDirectory) {
    this.records = records;
  }

  /** `running`; `dead` = started and ended by itself (or by a foreign signal); `stopped` = not started, or stopped here. */
  state(name: string): ProcessState {
    const record = this.records.get(name);
    if (record === undefined) return 'stopped';
    return isRunning(record) ? 'running' : 'dead';
  }

  /** The process that does the work (of a daemon under a monitor, the child); `undefined` when there is none. */
  worker(name: string): LiveProcess | undefined {
    const record = this.records.get(name);
    return record === undefined ? undefined : workerOf(record);
  }

  /**
   * Starts a process, unless it runs already, and waits until it is ready.
   * @throws LabError `not-ready` with the tail of its log, when it ended or its deadline passed
   */
  async start(spec: ProcessSpec, signal?: AbortSignal): Promise<void> {
    if (this.state(spec.name) === 'running') return;
    await this.stop(spec.name); // a worker whose monitor was killed
    for (const file of spec.stale ?? []) rmSync(file, { force: true, recursive: true });
    spec.prepare?.();
    mkdirSync(dirname(spec.logFile), { recursive: true });
    const log = openSync(spec.logFile, 'a', 0o644);
    const logStart = statSync(spec.logFile).size;
    const inherited = (await spec.inherit?.()) ?? [];
    let ended: string | undefined;
    try {
      const [program = '', ...args] = inNamespace(spec.namespace, spec.argv);
      const child = spawn(program, args, {
        detached: true,
        cwd: '/',
        env: daemonEnvironment(spec.env),
        stdio: ['ignore', log, log, ...inherited.map((descriptor) => descriptor.fd)],
      });
      child.once('exit', (code, by) => (ended = by === null ? `exit ${code}` : `signal ${by}`));
      child.once('error', (error) => (ended = error.message));
      child.unref();
      const { pid } = child;
      const startTime = pid === undefined ? undefined : startTimeOf(pid);
      if (pid !== undefined && startTime !== undefined) {
        if (spec.niceness !== undefined) lowerPriority(pid, spec.niceness);
        this.records.put({
          name: spec.name,
          pid,
          startTime,
          argv: spec.argv,
          namespace: spec.namespace,
          logFile: spec.logFile,
          workerPidFile: spec.workerPidFile,
        });
      }
    } finally {
      closeSync(log);
      for (const descriptor of inherited) descriptor[Symbol.dispose]();
    }
    const tail = (): string => `log ${spec.logFile}:\n${logTail(spec.logFile)}`;
    const look = async (): Promise<true | string> => {
      if (ended !== undefined)
        throw new LabError('not-ready', `${spec.name} ended while starting (${ended}); ${tail()}`);
      const ready = await spec.ready();
      return ready === true
        ? true
        : ready || `process runs, log has grown by ${statSync(spec.logFile).size - logStart} bytes`;
    };
    await waitFor(`start of ${spec.name}`, look, { deadline: spec.deadline, signal, onTimeout: tail });
  }

  /**
   * Ends a process: SIGTERM, and SIGKILL after the grace time. Returns when it is gone; a process that does not run is
   * no error. Its record is removed.
   * @param grace milliseconds between the two signals
   * @returns whether it ended in good order, without SIGKILL
   */
  async stop(name: string, grace = 5000): Promise<boolean> {
    const record = this.records.get(name);
    if (record === undefined) return true;
    const inGoodOrder = await this.#end(record, grace);
    this.records.remove(name);
    return inGoodOrder;
  }

  /**
   * Sends a signal to the process that does the work and waits until it is gone when the signal is SIGKILL or SIGTERM.
   * The record stays, so that the process shows as `dead`.
   * @throws LabError `not-running`
   */
  async kill(name: string, signal: NodeJS.Signals): Promise<void> {
    const record = this.records.get(name);
    const worker = record === undefined ? undefined : workerOf(record);
    if (record === undefined || worker === undefined)
      throw new LabError('not-running', `${name} does not run; see \`ovenbird lab ps\``);
    process.kill(worker.pid, signal);
    if (signal !== 'SIGKILL' && signal !== 'SIGTERM') return;
    await waitFor(`end of ${name} after ${signal}`, () => !isRunning(worker), { deadline: 10_000 });
    // A monitor ends with a worker that was killed on purpose, and starts another one only after a crash.
    if (record.workerPidFile !== undefined)
      await waitFor(`end of the monitor of ${name}`, () => !isRunning(record), { deadline: 10_000 });
  }

  async #end(record: ProcessRecord, grace: number): Promise<boolean> {
    const worker = workerOf(record);
    const inGoodOrder = worker === undefined || (await endProcess(worker, record.name, grace));
    // A monitor follows its worker, but not when that had crashed before: it then sleeps up to 10 s, deaf to SIGTERM, and
    // would start another one. It has nothing to lose.
    if (isRunning(record))
      await endProcess(record, record.name, record.workerPidFile === undefined ? grace : monitorGrace);
    return inGoodOrder;
  }
}

/** SIGTERM, and SIGKILL after the grace time. Returns when the process is gone: whether SIGTERM sufficed. */
async function endProcess(
  which: Pick<ProcessRecord, 'pid' | 'startTime'>,
  name: string,
  grace: number,
): Promise<boolean> {
  const send = (signal: NodeJS.Signals): void => {
    try {
      process.kill(which.pid, signal);
    } catch {
      // ended meanwhile
    }
  };
  const gone = (): boolean => !isRunning(which);
  send('SIGTERM');
  try {
    await waitFor(`end of ${name}`, gone, { deadline: grace, interval: 10 });
    return true;
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    send('SIGKILL');
    await waitFor(`end of ${name} after SIGKILL`, gone, { deadline: 10_000, interval: 10 });
    return false;
  }
}
