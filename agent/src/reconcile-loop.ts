import { Backoff, sleep, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';
import { AgentError } from './error.ts';

/** Runs one function whenever something it depends on changed; never twice at the same time. */
export interface ReconcileLoop {
  /** Something changed: run soon. Any number of calls before the next run is one run. */
  trigger(): void;
  /** The failure of the last run, or undefined; undefined before the first one too. */
  readonly lastError: Error | undefined;
  /** Runs that ended well. */
  readonly successes: number;
}

/** Settings of a {@link startLoop}. */
export interface LoopOptions {
  /** For logs. */
  readonly name: string;
  /** Compares wanted and real state and mends the difference. A failure is retried after 0.2 to 15 s. */
  readonly reconcile: (signal: AbortSignal) => Promise<void>;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  /** Ends the loop. */
  readonly signal: AbortSignal;
  /** Told after each run. */
  readonly onRun?: () => void;
}

/** Starts a loop; the first run waits for the first trigger. */
export function startLoop(options: LoopOptions): ReconcileLoop {
  const { name, reconcile, log, signal, onRun } = options;
  const backoff = new Backoff({ initialMs: 200, maxMs: 15_000 });
  let wanted = false;
  let running = false;
  let retry: AbortController | undefined;
  let lastError: Error | undefined;
  let successes = 0;

  const attempt = async (): Promise<void> => {
    try {
      await reconcile(signal);
      if (lastError !== undefined) log.info({ loop: name }, 'works again');
      lastError = undefined;
      successes += 1;
      backoff.reset();
    } catch (error) {
      if (signal.aborted) return;
      lastError = error instanceof Error ? error : new Error(String(error));
      const delay = backoff.next();
      const retryInMs = Math.round(delay);
      // What is merely not there yet is no fault of this node.
      if (error instanceof AgentError && error.code === 'try-again') {
        log.info({ loop: name, reason: error.message, retryInMs }, 'waiting');
      } else log.warn({ loop: name, err: lastError, retryInMs }, 'failed, is tried again');
      retry = new AbortController();
      // A change ends the wait early: it may be the very thing that was missing.
      await sleep(systemClock, delay, AbortSignal.any([signal, retry.signal]));
      retry = undefined;
      wanted = true;
    }
    onRun?.();
  };
  const drain = async (): Promise<void> => {
    if (running) return;
    running = true;
    while (wanted && !signal.aborted) {
      wanted = false;
      await attempt();
    }
    running = false;
  };
  return {
    trigger: () => {
      wanted = true;
      retry?.abort();
      void drain();
    },
    get lastError() {
      return lastError;
    },
    get successes() {
      return successes;
    },
  };
}
