import type { Clock } from '@ovenbird/kube';

export interface RecordGateOptions {
  readonly clock: Clock;
  /** Resolves when no announcement waits or is on its way. */
  readonly announced: () => Promise<void>;
  /** Lets the owners' IP objects be written. */
  readonly release: (owners: readonly string[]) => void;
}

/** A trickle is written this soon; a burst of announcements is waited for this long at most. Milliseconds. */
const trickleMs = 300;
const patienceMs = 5_000;
/** More announcements than this within `trickleMs` are a burst (100 a second): its end is waited for. */
const burst = 30;

/**
 * Holds the writes of IP objects back while pods wait for their announcement: both go to the same API server, and a pod
 * starts on the one and not on the other (design §3.2, step 4: off the critical path).
 */
export class RecordGate {
  readonly #options: RecordGateOptions;
  #owners = new Set<string>();
  /** Owners before the current period. */
  #before = 0;

  constructor(options: RecordGateOptions) {
    this.#options = options;
  }

  add(owner: string): void {
    this.#owners.add(owner);
    if (this.#owners.size > 1) return;
    this.#before = 0;
    this.#watch(this.#options.clock.monotonicMs() + patienceMs);
  }

  #watch(latest: number): void {
    const { clock, announced } = this.#options;
    clock.schedule(trickleMs, () => {
      const recent = this.#owners.size - this.#before;
      this.#before = this.#owners.size;
      if (recent > burst && clock.monotonicMs() < latest) {
        this.#watch(latest);
        return;
      }
      let open = true;
      const pass = (): void => {
        if (!open) return;
        open = false;
        cancel();
        this.#release();
      };
      const cancel = clock.schedule(patienceMs, pass);
      void announced().then(pass);
    });
  }

  #release(): void {
    const owners = [...this.#owners];
    this.#owners = new Set();
    this.#options.release(owners);
  }
}
