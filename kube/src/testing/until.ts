import type { FakeClock } from './fake-clock.ts';

/**
 * Waits for a condition of the real world (sockets); fails with the last state after the deadline.
 *
 * @param state printed when the condition did not come true in time
 * @param tick called before every look, to move a fake clock for instance
 */
export async function until(
  condition: () => boolean,
  state: () => unknown,
  tick: () => void = () => undefined,
  deadlineMs = 10_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (tick(); !condition(); tick()) {
    if (performance.now() > end) {
      throw new Error(`not within ${deadlineMs} ms: ${condition.toString()}; last state: ${JSON.stringify(state())}`);
    }
    await new Promise<void>((resolve) => setTimeout(resolve, 2));
  }
}

/** A tick that lets backoff delays (at most 30 s, Retry-After included) pass at once, but no longer timers. */
export function skipBackoff(clock: FakeClock): () => void {
  return () => {
    const [delay] = clock.pending;
    if (delay !== undefined && delay <= 30_000) clock.advance(delay);
  };
}
