import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What is known of a process that the lab started: `run/<name>.json`. A process is found by its record only, and is that
 * process only while the kernel gives its id the recorded start time (ids are used again).
 */
export interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  /** Field 22 of proc_pid_stat(5): clock ticks after boot. */
  readonly startTime: number;
  /** Program and arguments, without the nsenter(1) that puts it in its namespace. */
  readonly argv: readonly string[];
  readonly namespace?: string | undefined;
  readonly logFile: string;
  /** Where a daemon under `--monitor` writes the id of the process that works; `pid` is then the monitor's. */
  readonly workerPidFile?: string | undefined;
}

/** A process as the kernel shows it. */
export interface LiveProcess {
  readonly pid: number;
  readonly parent: number;
  readonly startTime: number;
}

/** Reads proc_pid_stat(5); `undefined` when there is no such process. */
function readStat(pid: number): (LiveProcess & { readonly state: string }) | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold anything, so count from the last ')'.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { pid, state: fields[0] ?? '', parent: Number(fields[1]), startTime: Number(fields[19]) };
}

/** Looks a process up; `undefined` when there is none of that id, or only the remains of an ended one (a zombie). */
export function liveProcess(pid: number): LiveProcess | undefined {
  const found = readStat(pid);
  return found === undefined || found.state === 'Z' || found.state === 'X' ? undefined : found;
}

/** Start time of a child that this process just started, even if it has ended already. */
export function startTimeOf(pid: number): number | undefined {
  return readStat(pid)?.startTime;
}

/** Whether the recorded process still runs. */
export function isRunning(record: Pick<ProcessRecord, 'pid' | 'startTime'>): boolean {
  return liveProcess(record.pid)?.startTime === record.startTime;
}

/**
 * The process that does the work: for a daemon under `--monitor` the monitor's present child, otherwise the recorded one.
 * The pid file is believed only when the process it names has our pid file among its arguments, so that neither a file
 * left over nor a used-again id leads to somebody else's process.
 */
export function workerOf(record: ProcessRecord): LiveProcess | undefined {
  if (record.workerPidFile === undefined) return isRunning(record) ? liveProcess(record.pid) : undefined;
  try {
    const pid = Number(readFileSync(record.workerPidFile, 'utf8').trim());
    const live = Number.isInteger(pid) && pid > 0 ? liveProcess(pid) : undefined;
    if (live === undefined) return undefined;
    if (live.parent === record.pid && isRunning(record)) return live;
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return argv.includes(`--pidfile=${record.workerPidFile}`) ? live : undefined;
  } catch {
    return undefined; // no pid file: not started yet, or ended in good order
  }
}

/** The directory of records. */
export class RecordDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** All records, by name. A file that is not a record is passed over. */
  all(): readonly ProcessRecord[] {
    let files: readonly string[];
    try {
      files = readdirSync(this.path);
    } catch {
      return [];
    }
    return files
      .filter((file) => file.endsWith('.json'))
      .sort()
      .flatMap((file) => this.get(file.slice(0, -'.json'.length)) ?? []);
  }

  get(name: string): ProcessRecord | undefined {
    try {
      const record = JSON.parse(readFileSync(this.#file(name), 'utf8')) as ProcessRecord;
      return record.name === name && Number.isInteger(record.pid) ? record : undefined;
    } catch {
      return undefined;
    }
  }

  put(record: ProcessRecord): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
    const temporary = `${this.#file(record.name)}.new`;
    writeFileSync(temporary, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(temporary, this.#file(record.name));
  }

  remove(name: string): void {
    rmSync(this.#file(name), { force: true });
  }

  #file(name: string): string {
    return join(this.path, `${name}.json`);
  }
}
