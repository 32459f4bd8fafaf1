import { backoffDelayMs } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import { KubeError } from './error.ts';
import { FairLane } from './fair-lane.ts';

/** What a worker gets. */
export interface WorkItem<K> {
  readonly key: K;
  /** Failures in a row before this attempt. */
  readonly attempt: number;
  /** Fires when the queue stops. */
  readonly signal: AbortSignal;
}

/** What a worker may answer: nothing, or when to look again. */
export type WorkResult = { readonly requeueAfterMs: number } | undefined;

/** One attempt, for metrics and logs. */
export interface WorkReport<K> {
  readonly key: K;
  readonly lane: string;
  /** From becoming due to being started. */
  readonly waitedMs: number;
  readonly tookMs: number;
  readonly attempt: number;
  /** What the worker threw, and when the key comes back. */
  readonly failure?: { readonly error: unknown; readonly retryInMs: number };
}

/** Settings of a {@link WorkQueue}. */
export interface WorkQueueOptions<K> {
  readonly process: (item: WorkItem<K>) => Promise<WorkResult> | Promise<void>;
  /** Names of the priority lanes, most urgent first; the last is the default of add(). Default one lane, `normal`. */
  readonly lanes?: readonly string[] | undefined;
  /** Keys of one group are served in order, groups in turn. Default: all keys are one group. */
  readonly group?: ((key: K) => string) | undefined;
  /** Keys in work at a time. Default 1. */
  readonly concurrency?: number | undefined;
  /** Per key. Default 100 ms to 5 min. An error's own `retryAfterMs` wins when longer. */
  readonly backoff?: { readonly initialMs: number; readonly maxMs: number } | undefined;
  readonly onReport?: ((report: WorkReport<K>) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

/** How to add a key. */
export interface AddOptions {
  readonly lane?: string | undefined;
  /** Not before this time has passed. A key added twice comes at the earlier time. */
  readonly delayMs?: number | undefined;
}

interface Entry {
  state: 'delayed' | 'queued' | 'working' | 'dirty';
  /** Index of the lane; of the next round while working. */
  lane: number;
  attempt: number;
  dueMs: number;
  cancelDelay: (() => void) | undefined;
  /** While working: forget() was called. */
  forgotten: boolean;
}

/** A lane that had work and was passed over so often is served next, so urgent work cannot starve the rest. */
const patience = 8;

/**
 * A queue of keys for level-triggered work.
 *
 * A key waits at most once, and is never in work twice at a time: added while in work, it comes again afterwards. A
 * worker that throws gets its key back after a delay that grows per key; adding the key anew (its input changed) cuts
 * that delay short. Nothing is lost between add() and the worker's success, except by forget() and stop().
 */
export class WorkQueue<K> {
  readonly #options: WorkQueueOptions<K>;
  readonly #clock: Clock;
  readonly #laneNames: readonly string[];
  readonly #lanes: readonly FairLane<K>[];
  readonly #passedOver: number[];
  readonly #entries = new Map<K, Entry>();
  readonly #stop = new AbortController();
  readonly #idleWaiters = new Set<() => void>();
  #started = false;
  #waking = false;
  #working = 0;

  constructor(options: WorkQueueOptions<K>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#laneNames = options.lanes ?? ['normal'];
    if (this.#laneNames.length === 0) throw new Error('a work queue needs at least one lane');
    this.#lanes = this.#laneNames.map(() => new FairLane<K>());
    this.#passedOver = this.#laneNames.map(() => 0);
    if (options.signal?.aborted === true) this.#stop.abort();
    else options.signal?.addEventListener('abort', () => void this.stop(), { once: true });
  }

  /** Keys that could be worked on now. */
  get depth(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.size, 0);
  }

  /** Keys in work. */
  get working(): number {
    return this.#working;
  }

  /** Keys known in any state, delayed ones included. */
  get size(): number {
    return this.#entries.size;
  }

  /** Failures in a row of a key. */
  attempts(key: K): number {
    return this.#entries.get(key)?.attempt ?? 0;
  }

  /** Lets work begin; keys added before have waited. */
  start(): void {
    this.#started = true;
    this.#wake();
  }

  /** Adds a key, or makes it come earlier or in a more urgent lane. After stop() it does nothing. */
  add(key: K, options: AddOptions = {}): void {
    if (this.#stop.signal.aborted) return;
    const lane = options.lane === undefined ? this.#lanes.length - 1 : this.#laneNames.indexOf(options.lane);
    if (lane === -1) throw new Error(`the queue has no lane "${options.lane}", only ${this.#laneNames.join(', ')}`);
    const delayMs = options.delayMs ?? 0;
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      const fresh: Entry = { state: 'delayed', lane, attempt: 0, dueMs: 0, cancelDelay: undefined, forgotten: false };
      this.#entries.set(key, fresh);
      this.#schedule(key, fresh, lane, delayMs);
      return;
    }
    entry.forgotten = false;
    switch (entry.state) {
      case 'queued':
        if (delayMs <= 0 && lane < entry.lane) this.#enqueue(key, entry, lane);
        return;
      case 'working':
      case 'dirty':
        this.#markDirty(key, entry, lane, delayMs);
        return;
      case 'delayed':
        this.#schedule(key, entry, Math.min(lane, entry.lane), delayMs);
    }
  }

  /** Drops a key with its delay and its failures. If it is in work, it does not come again. */
  forget(key: K): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.cancelDelay?.();
    entry.cancelDelay = undefined;
    if (entry.state === 'working' || entry.state === 'dirty') {
      entry.state = 'working';
      entry.forgotten = true;
      return;
    }
    if (entry.state === 'queued') this.#lanes[entry.lane]?.delete(this.#groupOf(key), key);
    this.#entries.delete(key);
    this.#tellIdle();
  }

  /** Resolves when nothing is in work and nothing is due; delayed keys (failures too) do not count. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.add(resolve));
  }

  /** Drops what waits, tells the workers through their signal, and resolves when the last one has returned. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const keys = [...this.#entries.keys()];
    for (const key of keys) this.forget(key);
    await this.idle();
  }

  #schedule(key: K, entry: Entry, lane: number, delayMs: number): void {
    if (delayMs <= 0) {
      entry.cancelDelay?.();
      entry.cancelDelay = undefined;
      this.#enqueue(key, entry, lane);
      return;
    }
    entry.lane = lane;
    const dueMs = this.#clock.monotonicMs() + delayMs;
    if (entry.cancelDelay !== undefined && entry.dueMs <= dueMs) return;
    entry.cancelDelay?.();
    entry.dueMs = dueMs;
    entry.cancelDelay = this.#clock.schedule(delayMs, () => {
      entry.cancelDelay = undefined;
      if (entry.state === 'working') entry.state = 'dirty';
      else if (entry.state === 'delayed') this.#enqueue(key, entry, entry.lane);
    });
  }

  #markDirty(key: K, entry: Entry, lane: number, delayMs: number): void {
    const next = entry.state === 'dirty' || entry.cancelDelay !== undefined ? Math.min(lane, entry.lane) : lane;
    if (delayMs > 0) {
      if (entry.state !== 'dirty') this.#schedule(key, entry, next, delayMs);
      return;
    }
    entry.cancelDelay?.();
    entry.cancelDelay = undefined;
    entry.lane = next;
    entry.state = 'dirty';
  }

  #enqueue(key: K, entry: Entry, lane: number): void {
    const group = this.#groupOf(key);
    if (entry.state === 'queued') this.#lanes[entry.lane]?.delete(group, key);
    else entry.dueMs = this.#clock.monotonicMs();
    entry.state = 'queued';
    entry.lane = lane;
    this.#lanes[lane]?.add(group, key);
    this.#wake();
  }

  #groupOf(key: K): string {
    return this.#options.group?.(key) ?? '';
  }

  /**
   * Work begins after the caller has finished: keys added together compete by lane and group, not by order. And after the turn of
   * the event loop, so that what the caller set off before it (a compile, a transaction) is not behind it.
   */
  #wake(): void {
    if (!this.#started || this.#waking) return;
    this.#waking = true;
    setImmediate(() => {
      this.#waking = false;
      this.#pump();
    });
  }

  #pump(): void {
    const limit = this.#options.concurrency ?? 1;
    while (this.#working < limit && !this.#stop.signal.aborted) {
      const key = this.#takeNext();
      if (key === undefined) return;
      const entry = this.#entries.get(key);
      if (entry === undefined) continue;
      entry.state = 'working';
      this.#working += 1;
      void this.#work(key, entry);
    }
  }

  #takeNext(): K | undefined {
    const starving = this.#lanes.findIndex((lane, i) => lane.size > 0 && (this.#passedOver[i] ?? 0) >= patience);
    const chosen = starving === -1 ? this.#lanes.findIndex((lane) => lane.size > 0) : starving;
    const key = this.#lanes[chosen]?.shift();
    for (const [i, lane] of this.#lanes.entries()) {
      this.#passedOver[i] = i === chosen || lane.size === 0 ? 0 : (this.#passedOver[i] ?? 0) + 1;
    }
    return key;
  }

  async #work(key: K, entry: Entry): Promise<void> {
    const { attempt, lane } = entry;
    const startedMs = this.#clock.monotonicMs();
    const waitedMs = startedMs - entry.dueMs;
    let result: WorkResult;
    let failure: WorkReport<K>['failure'];
    try {
      // A worker that is not async could throw before it returns a promise; here both look alike.
      result = (await this.#options.process({ key, attempt, signal: this.#stop.signal })) ?? undefined;
      entry.attempt = 0;
    } catch (error) {
      failure = { error, retryInMs: this.#retryDelay(error, attempt) };
      entry.attempt = attempt + 1;
    }
    this.#working -= 1;
    this.#finish(key, entry, lane, failure?.retryInMs ?? result?.requeueAfterMs);
    const tookMs = this.#clock.monotonicMs() - startedMs;
    this.#report({
      key,
      lane: this.#laneNames[lane] ?? '',
      waitedMs,
      tookMs,
      attempt,
      ...(failure === undefined ? {} : { failure }),
    });
    this.#wake();
    this.#tellIdle();
  }

  /** Where a key goes after work: away, into a lane (dirty), or into a delay. */
  #finish(key: K, entry: Entry, lane: number, againInMs: number | undefined): void {
    if (entry.forgotten || this.#stop.signal.aborted) {
      entry.cancelDelay?.();
      this.#entries.delete(key);
    } else if (entry.state === 'dirty') {
      this.#enqueue(key, entry, entry.lane);
    } else if (againInMs !== undefined) {
      entry.state = 'delayed';
      this.#schedule(key, entry, entry.cancelDelay === undefined ? lane : entry.lane, againInMs);
    } else if (entry.cancelDelay === undefined) {
      this.#entries.delete(key);
    } else {
      entry.state = 'delayed';
    }
  }

  #retryDelay(error: unknown, attempt: number): number {
    const limits = this.#options.backoff ?? { initialMs: 100, maxMs: 5 * 60_000 };
    const delay = backoffDelayMs(attempt, { ...limits, random: this.#options.random });
    return Math.max(delay, error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0);
  }

  #report(report: WorkReport<K>): void {
    try {
      this.#options.onReport?.(report);
    } catch {
      // A broken metric must not stop the work.
    }
  }

  #isIdle(): boolean {
    return this.#working === 0 && this.depth === 0;
  }

  #tellIdle(): void {
    if (!this.#isIdle()) return;
    for (const resolve of this.#idleWaiters) resolve();
    this.#idleWaiters.clear();
  }
}
