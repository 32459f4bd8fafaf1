import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Backoff, sleep, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';

/**
 * Follows `nft monitor chains`: one line for each nftables chain of this namespace that is made, changed or deleted, by
 * anybody. One child process that sleeps; it is started again when it ends.
 * @param onLine told each line, e.g. `delete chain inet ovenbird postrouting`
 */
export async function followChains(
  onLine: (line: string) => void,
  log: Pick<Logger, 'warn'>,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ initialMs: 1000, maxMs: 60_000 });
  while (!signal.aborted) {
    const child = spawn('nft', ['monitor', 'chains'], { stdio: ['ignore', 'pipe', 'ignore'], signal });
    const ended = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (status) => resolve(`exit status ${status ?? -1}`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      backoff.reset();
      onLine(line);
    });
    const why = await ended;
    if (signal.aborted) return;
    log.warn({ why }, 'nft monitor ended: foreign firewall changes go unseen until it runs again');
    await sleep(systemClock, backoff.next(), signal);
  }
}
