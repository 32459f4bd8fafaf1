import type { Clock } from '@ovenbird/kube';

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  monotonicMs(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#now;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves on, calling what falls due in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.atMs);
      next.callback();
    }
    this.#now = end;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }
}
