import { type Amount, add, type Growth, type Series } from './accumulator.ts';
import type { PortId } from './count.ts';

/** The window that people ask about, milliseconds. */
export const WINDOW_MS = 60_000;

interface Sample {
  readonly at: number;
  readonly growths: readonly Growth[];
}

/** What counters grew by in the last minute, sample by sample. What did not grow takes no room. */
export class Recent {
  #samples: Sample[] = [];
  #previousAt: number | undefined;

  /** Adds a sample; the first one counts what was before anybody looked, and is only a beginning. */
  push(at: number, growths: readonly Growth[]): void {
    if (this.#previousAt === undefined) this.#previousAt = at;
    else this.#samples.push({ at, growths });
    // The newest of those that are too old is where the window begins.
    while ((this.#samples[0]?.at ?? at) <= at - WINDOW_MS) {
      this.#previousAt = this.#samples[0]?.at ?? at;
      this.#samples.shift();
    }
  }

  /** Since when growth is known, at most about a minute back; undefined: not yet. */
  get since(): number | undefined {
    return this.#previousAt;
  }

  /** What counters grew by in the window: by counter, and by port (`undefined`: of flows for several ports). */
  growth(): ReadonlyMap<Series, ReadonlyMap<PortId | undefined, Readonly<Amount>>> {
    const sums = new Map<Series, Map<PortId | undefined, Amount>>();
    for (const { growths } of this.#samples) {
      for (const { series, port, packets, bytes } of growths) {
        const byPort = sums.get(series) ?? new Map<PortId | undefined, Amount>();
        sums.set(series, byPort);
        const sum = byPort.get(port);
        if (sum === undefined) byPort.set(port, { packets, bytes });
        else add(sum, { packets, bytes });
      }
    }
    return sums;
  }
}
