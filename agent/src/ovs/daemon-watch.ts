import { type FSWatcher, readdirSync, watch } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Backoff, type Clock, sleep, systemClock } from '@ovenbird/kube';

/** What {@link followDaemon} needs. */
export interface DaemonWatchOptions {
  /** Where the daemon has its control socket, `<program>.<pid>.ctl`. */
  readonly directory: string;
  readonly program: string;
  /** Told each change; the first one when it is known whether the daemon runs. */
  readonly onChange: (running: boolean) => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** An open connection to one of the daemon's control sockets; undefined when nobody answers on any. */
async function open(directory: string, program: string): Promise<Socket | undefined> {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return undefined;
  }
  for (const name of names) {
    if (!name.startsWith(`${program}.`) || !/^\d+\.ctl$/.test(name.slice(program.length + 1))) continue;
    const socket = connect(join(directory, name));
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (isOpen) return socket;
  }
  return undefined;
}

/**
 * Follows whether a daemon of Open vSwitch or OVN runs, without asking it again and again: an idle connection to its
 * control socket (ovs-appctl(8)) ends with the process, and a new process makes a new socket, which the directory tells.
 */
export async function followDaemon(options: DaemonWatchOptions): Promise<void> {
  const { directory, program, onChange, signal, clock = systemClock } = options;
  const backoff = new Backoff({ initialMs: 100, maxMs: 10_000 });
  let running: boolean | undefined;
  const tell = (now: boolean): void => {
    if (now !== running) onChange(now);
    running = now;
  };
  let watcher: FSWatcher | undefined;
  let appeared = Promise.withResolvers<void>();
  const watchDirectory = (): void => {
    try {
      watcher ??= watch(directory, () => {
        backoff.reset();
        appeared.resolve();
      }).on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // Not there yet: the delay below is the next occasion.
    }
  };
  while (!signal.aborted) {
    appeared = Promise.withResolvers<void>();
    watchDirectory();
    const socket = await open(directory, program);
    if (socket !== undefined) {
      backoff.reset();
      const ended = Promise.withResolvers<void>();
      const end = (): void => void socket.destroy();
      signal.addEventListener('abort', end, { once: true });
      socket.on('error', () => {}).on('close', () => ended.resolve());
      if (signal.aborted) end();
      // Readable, or its end would not be noticed.
      socket.resume();
      tell(true);
      await ended.promise;
      signal.removeEventListener('abort', end);
      if (!signal.aborted) tell(false);
      continue;
    }
    tell(false);
    const over = new AbortController();
    const both = AbortSignal.any([signal, over.signal]);
    // A socket appears just before somebody listens on it: hence the delay also after an event.
    await Promise.race([sleep(clock, backoff.next(), both), appeared.promise.then(() => sleep(clock, 10, both))]);
    over.abort();
  }
  watcher?.close();
}
