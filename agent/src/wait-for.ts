/** How long something may take. */
export interface Deadline {
  /** From now, milliseconds. */
  readonly deadlineMs: number;
  /** Gives up early. */
  readonly signal?: AbortSignal | undefined;
  /** Makes the error of a missed deadline. It is called then, so it can tell the last state. */
  readonly expired: () => Error;
}

/**
 * Runs work that gives up when its signal is aborted.
 * @throws what `expired` makes, the signal's reason, or what the work throws by itself
 */
export async function withDeadline<T>(
  { deadlineMs, signal, expired }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(expired()), deadlineMs);
  const until = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  try {
    return await work(until);
  } catch (error) {
    until.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Registers a listener and returns what removes it. */
export type Subscribe = (listener: () => void) => () => void;

/**
 * Waits until `probe` returns something other than `undefined`, looking now and after each event. No polling.
 * @param subscribe sources of events
 * @param probe looks at the current state; what it throws ends the wait
 * @returns what `probe` returned
 */
export function waitFor<T>(
  subscribe: readonly Subscribe[],
  probe: () => T | undefined,
  { deadlineMs, signal, expired }: Deadline & { readonly signal: AbortSignal },
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const unsubscribe: (() => void)[] = [];
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const remove of unsubscribe) remove();
      end();
    };
    const look = (): void => {
      try {
        const value = probe();
        if (value !== undefined) settle(() => resolve(value));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    const timer = setTimeout(() => settle(() => reject(expired())), deadlineMs);
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    for (const add of subscribe) unsubscribe.push(add(look));
    look();
  });
}
