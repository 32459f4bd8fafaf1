import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Backoff, sleep, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';

/** What {@link followNft} follows: chains that are made, changed or deleted, or rules that are deleted. */
export type NftEvents = 'chains' | 'destroy rules';

/** Where the events go. */
export interface NftListener {
  /** One line for each, e.g. `delete chain inet ovenbird postrouting` or `delete rule inet ovenbird postrouting handle 7`. */
  readonly onLine: (line: string) => void;
  /** Events may have been missed: before the first one, and after each interruption. */
  readonly onStart: () => void;
}

/**
 * Follows `nft monitor`: what anybody does to nftables in this network namespace. One child process that sleeps; it is
 * started again when it ends.
 */
export async function followNft(
  events: NftEvents,
  { onLine, onStart }: NftListener,
  log: Pick<Logger, 'warn'>,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ initialMs: 1000, maxMs: 60_000 });
  while (!signal.aborted) {
    const child = spawn('nft', ['monitor', ...events.split(' ')], { stdio: ['ignore', 'pipe', 'ignore'], signal });
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
    log.warn({ why, events }, 'nft monitor ended: foreign firewall changes go unseen until it runs again');
    await sleep(systemClock, backoff.next(), signal);
  }
}
