import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Backoff, sleep, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';

/** How long a monitor may take to begin, milliseconds; it is believed to have done so then. */
const JOIN_MS = 5000;

/** A command that prints what happens in this network namespace, one line each. */
export interface Monitor {
  readonly argv: readonly [program: string, ...args: string[]];
  /** What goes unseen while it does not run. */
  readonly shows: string;
}

export const monitors: Readonly<Record<'links' | 'firewall', Monitor>> = {
  /** Links and addresses (ip-monitor(8)). */
  links: { argv: ['ip', '-oneline', 'monitor', 'link', 'address'], shows: 'changes of the underlay' },
  /** Tables, chains, rules, sets and their elements that anybody makes, changes or deletes (nft(8)); our own writes too. */
  firewall: { argv: ['nft', 'monitor', 'ruleset'], shows: 'foreign firewall changes' },
};

/** Where the events of {@link follow} go. */
export interface MonitorListener {
  readonly onLine: (line: string) => void;
  /** Events come from now on, and some may have been missed: before the first one, and after each interruption. */
  readonly onStart: () => void;
}

/**
 * Whether a process has a netlink socket that hears of changes (`Groups` of /proc/net/netlink), and sleeps: a monitor joins
 * first and then lists what there is by the same socket, which throws away what it hears meanwhile. That list comes without a
 * sleep, so the first one (`S`, proc_pid_stat(5)) is the wait for changes.
 */
function hears(pid: number): boolean {
  try {
    const lines = readFileSync(`/proc/${pid}/net/netlink`, 'utf8').split('\n');
    const joined = lines.some((line) => {
      const [, , owner, groups = '0'] = line.trim().split(/\s+/);
      return owner === String(pid) && !/^0+$/.test(groups);
    });
    // Behind the name, which may hold anything.
    return joined && /\) S [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // It has ended, which is told otherwise.
    return true;
  }
}

/** Waits until a monitor hears of changes: what happens before that it never tells. */
async function listens(pid: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + JOIN_MS;
  while (!signal.aborted && !hears(pid) && performance.now() < deadline) await sleep(systemClock, 10, signal);
}

/** Follows a monitor: one child process that sleeps; it is started again when it ends. */
export async function follow(
  { argv, shows }: Monitor,
  { onLine, onStart }: MonitorListener,
  log: Pick<Logger, 'warn'>,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ initialMs: 1000, maxMs: 60_000 });
  const [program, ...args] = argv;
  while (!signal.aborted) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], signal });
    const ended = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (status) => resolve(`exit status ${status ?? -1}`));
    });
    child.on('spawn', () => void listens(child.pid ?? 0, signal).then(onStart));
    createInterface({ input: child.stdout }).on('line', (line) => {
      backoff.reset();
      onLine(line);
    });
    const why = await ended;
    if (signal.aborted) return;
    log.warn(
      { why, command: argv.join(' ') },
      `${program} monitor ended, is tried again: ${shows} go unseen until it runs`,
    );
    await sleep(systemClock, backoff.next(), signal);
  }
}
