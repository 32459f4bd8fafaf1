import { backoffDelayMs, type Clock } from '@ovenbird/kube';
import type { Unit } from './desired.ts';
import type { NorthboundError } from './error.ts';

/** A unit that is not in the database as it wants to be, and why. */
export interface HeldUnit {
  readonly unit: string;
  /** `retryable` false: only a change of the unit (or of OVN) helps. */
  readonly error: NorthboundError;
  /** Monotonic milliseconds of the clock at the first of these attempts. */
  readonly sinceMs: number;
  readonly attempts: number;
  /** Monotonic milliseconds of the next attempt; absent when only an event releases the unit. */
  readonly retryAtMs?: number;
}

interface Hold {
  held: HeldUnit;
  cancel: () => void;
  readonly waitsFor: ReadonlySet<string>;
}

/** First and longest delay between two attempts at one unit, milliseconds. */
const BACKOFF = { initialMs: 1_000, maxMs: 300_000 };

/** Units put aside, with the timers and events that bring them back. */
export class HoldBook {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #retry: (unit: Unit) => void;
  readonly #holds = new Map<Unit, Hold>();
  /** Attempts so far, kept while a unit is being tried again. */
  readonly #attempts = new Map<Unit, { count: number; sinceMs: number }>();
  readonly #waiters = new Map<string, Set<Unit>>();

  /** @param retry called when a unit is to be tried again; it is no longer held then. */
  constructor(clock: Clock, random: () => number, retry: (unit: Unit) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#retry = retry;
  }

  get units(): readonly HeldUnit[] {
    return [...this.#holds.values()].map(({ held }) => held);
  }

  get size(): number {
    return this.#holds.size;
  }

  get(unit: Unit): HeldUnit | undefined {
    return this.#holds.get(unit)?.held;
  }

  /**
   * Puts a unit aside until its backoff ends, or until a row of `waitsFor` is touched, or `release`.
   * @param timer false: only events bring it back.
   */
  hold(unit: Unit, error: NorthboundError, waitsFor: Iterable<string> = [], timer = true): HeldUnit {
    this.#drop(unit);
    const now = this.#clock.monotonicMs();
    const before = this.#attempts.get(unit);
    const attempts = { count: (before?.count ?? 0) + 1, sinceMs: before?.sinceMs ?? now };
    this.#attempts.set(unit, attempts);
    const delay = backoffDelayMs(attempts.count - 1, { ...BACKOFF, random: this.#random });
    const cancel = timer ? this.#clock.schedule(delay, () => this.release(unit)) : (): void => undefined;
    const held: HeldUnit = {
      unit: unit.name,
      error,
      sinceMs: attempts.sinceMs,
      attempts: attempts.count,
      ...(timer && { retryAtMs: now + delay }),
    };
    const hold: Hold = { held, cancel, waitsFor: new Set(waitsFor) };
    this.#holds.set(unit, hold);
    for (const uuid of hold.waitsFor) {
      const units = this.#waiters.get(uuid);
      if (units === undefined) this.#waiters.set(uuid, new Set([unit]));
      else units.add(unit);
    }
    return held;
  }

  /** Tries a held unit again now; its attempts go on counting. */
  release(unit: Unit): void {
    if (this.#drop(unit)) this.#retry(unit);
  }

  /** Tries every held unit again. */
  releaseAll(): void {
    for (const unit of this.#holds.keys()) this.release(unit);
  }

  /** A row appeared, changed or went: whoever waits for that is tried again. */
  touched(uuid: string): void {
    for (const unit of this.#waiters.get(uuid) ?? []) this.release(unit);
  }

  /** The unit was committed or changed: forget what happened to it. @returns whether it was held. */
  forget(unit: Unit): boolean {
    this.#attempts.delete(unit);
    return this.#drop(unit);
  }

  /** Cancels every timer. */
  stop(): void {
    for (const { cancel } of this.#holds.values()) cancel();
  }

  #drop(unit: Unit): boolean {
    const hold = this.#holds.get(unit);
    if (hold === undefined) return false;
    hold.cancel();
    this.#holds.delete(unit);
    for (const uuid of hold.waitsFor) {
      const units = this.#waiters.get(uuid);
      units?.delete(unit);
      if (units?.size === 0) this.#waiters.delete(uuid);
    }
    return true;
  }
}
