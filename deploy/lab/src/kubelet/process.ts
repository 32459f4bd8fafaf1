import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { constants } from 'node:os';

/** A process that may outlive us; `startTicks` (proc(5), stat field 22) tells it from a later one of the same number. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: string;
}

/** How a process ended, as `ContainerStateTerminated` wants it. */
export interface Exit {
  /** 128 + the signal's number when it was killed, as shells count. */
  readonly exitCode: number;
  readonly signal?: number | undefined;
}

/** What to run. */
export interface StartOptions {
  /** Program and arguments. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Standard output and error are appended to it, so they need no process in between and survive our end. */
  readonly logFile: string;
}

/** Start ticks of a process, undefined when there is none (or only its zombie is left). */
export function startTicks(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name in parentheses may hold anything, also ") ": fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Whether exactly this process still runs. */
export function isAlive(process: ProcessId): boolean {
  return startTicks(process.pid) === process.startTicks;
}

/**
 * Starts a process in a group of its own.
 *
 * @throws Error when the program cannot be started at all (a wrapper like nsenter reports that by its exit instead)
 */
export async function startProcess(options: StartOptions): Promise<{ id: ProcessId; exited: Promise<Exit> }> {
  const [program, ...rest] = options.words;
  if (program === undefined) throw new Error('nothing to run');
  const log = openSync(options.logFile, 'a', 0o600);
  try {
    const child = spawn(program, rest, {
      env: { ...options.env },
      cwd: options.cwd,
      detached: true,
      stdio: ['ignore', log, log],
    });
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => resolve(exitOf(code, signal)));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(new Error(`cannot run ${program}: ${cause.message}`, { cause })));
    });
    const pid = child.pid ?? 0;
    return { id: { pid, startTicks: startTicks(pid) ?? '' }, exited };
  } finally {
    closeSync(log);
  }
}

/** The exit of a child in the terms of {@link Exit}. */
export function exitOf(code: number | null, signal: NodeJS.Signals | null): Exit {
  if (signal === null) return { exitCode: code ?? 255 };
  const number = constants.signals[signal];
  return { exitCode: 128 + number, signal: number };
}

/** Asks a process to end, as a runtime does: only the container's first process is told. */
export function terminate(id: ProcessId): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, 'SIGTERM');
  } catch {
    // ended between the look and the signal
  }
}

/**
 * Kills a process and whatever else is left of the group that {@link startProcess} made. The number of a group is not
 * given away while it has members, so this is also right just after the first process has ended.
 */
export function killGroup(id: ProcessId): void {
  const now = startTicks(id.pid);
  if (now !== undefined && now !== id.startTicks) return; // somebody else's by now
  try {
    process.kill(-id.pid, 'SIGKILL');
  } catch {
    // nobody left
  }
}

/** Kills whatever still runs in a network namespace: what `kubectl exec` started, or what left its process group. */
export function killInNamespace(netnsPath: string): void {
  let inode: number;
  try {
    inode = statSync(netnsPath).ino;
  } catch {
    return;
  }
  const own = `net:[${inode}]`;
  if (readlinkSync('/proc/self/ns/net') === own) return; // never everybody: the path was not a pod's
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readlinkSync(`/proc/${entry}/ns/net`) === own) process.kill(Number(entry), 'SIGKILL');
    } catch {
      // ended meanwhile
    }
  }
}
