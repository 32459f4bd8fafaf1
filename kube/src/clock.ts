/** Time, passed in so that tests decide what time it is. */
export interface Clock {
  /** Milliseconds that never jump: for durations and deadlines. */
  monotonicMs(): number;
  /** Milliseconds since 1970: only for time stamps that people and other machines read. */
  wallMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** setTimeout overflows to 1 ms above 2^31 - 1 (Node timers documentation). */
const maxDelayMs = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), maxDelayMs));
    return () => clearTimeout(timer);
  },
};

/**
 * Waits; resolves early when `signal` fires. Never rejects, so a loop checks its signal in one place.
 *
 * @returns true after the full time, false when aborted
 */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(false);
      return;
    }
    const onAbort = (): void => {
      cancel();
      resolve(false);
    };
    const cancel = clock.schedule(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve(true);
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
