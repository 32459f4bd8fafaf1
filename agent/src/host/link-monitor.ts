import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Backoff, sleep, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';

/** Where the events of {@link followLinks} go. */
export interface LinkListener {
  /** One line for each change of a link or address, as `ip -oneline monitor` prints it. */
  readonly onLine: (line: string) => void;
  /** Events may have been missed: before the first one, and after each interruption. */
  readonly onStart: () => void;
}

/**
 * Follows `ip monitor` (ip-monitor(8)): links and addresses of this network namespace. One child process that sleeps; it is
 * started again when it ends.
 */
export async function followLinks(
  { onLine, onStart }: LinkListener,
  log: Pick<Logger, 'warn'>,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ initialMs: 1000, maxMs: 60_000 });
  while (!signal.aborted) {
    const child = spawn('ip', ['-oneline', 'monitor', 'link', 'address'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      signal,
    });
    const ended = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (status) => resolve(`exit status ${status ?? -1}`));
    });
    child.on('spawn', onStart);
    createInterface({ input: child.stdout }).on('line', (line) => {
      backoff.reset();
      onLine(line);
    });
    const why = await ended;
    if (signal.aborted) return;
    log.warn({ why }, 'ip monitor ended, is tried again: changes of the underlay go unseen until it runs');
    await sleep(systemClock, backoff.next(), signal);
  }
}
