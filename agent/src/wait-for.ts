/** Registers a listener and returns what removes it. */
export type Subscribe = (listener: () => void) => () => void;

/**
 * Waits until `probe` returns something other than `undefined`, looking now and after each event. No polling.
 * @param subscribe sources of events
 * @param probe looks at the current state; what it throws ends the wait
 * @param options `deadlineMs` from now, `signal` to give up early, `expired` makes the error of a missed deadline (it is
 *   called then, so it can tell the last state)
 * @returns what `probe` returned
 */
export function waitFor<T>(
  subscribe: readonly Subscribe[],
  probe: () => T | undefined,
  options: { deadlineMs: number; signal: AbortSignal; expired: () => Error },
): Promise<T> {
  const { deadlineMs, signal, expired } = options;
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
