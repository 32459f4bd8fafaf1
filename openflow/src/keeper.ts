/** Keeps the flows of a bridge as they should be: through reconnections, restarts of the switch, and changes by others. */
import { Backoff } from './backoff.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import type { Connection } from './connection-api.ts';
import { cookieFilter } from './cookie.ts';
import { OpenFlowError } from './error.ts';
import type { FlowWatch } from './flow-watch.ts';
import { type KeptFlow, KeptFlows } from './kept-flows.ts';
import type { FlowUpdate } from './messages/flow-monitor.ts';
import type { FlowStats } from './messages/flow-stats.ts';
import { OF15 } from './version.ts';

/** What a keeper needs. */
export interface KeeperOptions {
  readonly connection: Connection;
  /** The categories of cookies (1 to 255) that are the keeper's; the first one is the default of flows. All other flows are left alone. */
  readonly categories: readonly number[];
  /**
   * The round of this run: `nextRound` of what was stored, stored again before the keeper is made (Open vSwitch has
   * `Bridge.external_ids` for it).
   */
  readonly round: number;
  readonly onEvent?: ((event: KeeperEvent) => void) | undefined;
  /** Ends the keeper; flows stay. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  /** 0 ≤ random() < 1, for the jitter of waits. */
  readonly random?: (() => number) | undefined;
}

/** What happens to a keeper, for logs and metrics. */
export type KeeperEvent =
  /** A bundle was committed. `connected`: the first of a connection; `drift`: others had changed flows. */
  | {
      readonly type: 'installed';
      readonly why: 'connected' | 'wanted' | 'drift';
      readonly added: number;
      readonly modified: number;
      readonly deleted: number;
    }
  /** Somebody else changed flows of ours. */
  | { readonly type: 'drift'; readonly update: FlowUpdate }
  /** Nothing was changed; it is tried again, or when the wanted flows change. */
  | { readonly type: 'failed'; readonly error: OpenFlowError; readonly retryMs: number };

/**
 * - `waiting`: for the switch. - `installing`: flows are compared or sent. - `installed`: the flows are as wanted.
 * - `failed`: the switch refuses them. - `closed`.
 */
export type KeeperState = 'waiting' | 'installing' | 'installed' | 'failed' | 'closed';

/** Two heals within this time are a quarrel with somebody: waits between them grow. */
const QUARREL_MS = 10_000;
const MAX_HEAL_WAIT_MS = 8_000;

/**
 * Keeps flows. `set`, `put` and `remove` say what is wanted and return at once; each turn's changes go in one atomic
 * bundle. Flows that an earlier run left are kept where they are wanted (counters and all), and else until `complete`:
 * call that when all parts of the program have said what they want.
 */
export class FlowKeeper {
  readonly #options: KeeperOptions;
  readonly #clock: Clock;
  readonly #flows: KeptFlows;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  readonly #finished: Promise<void>;
  readonly #waiters = new Set<() => void>();
  #wake = Promise.withResolvers<void>();
  #state: KeeperState = 'waiting';
  #error: OpenFlowError | undefined;
  #closed = false;
  /** Grows with every connection. */
  #epoch = 0;
  /** The epoch of which the flows are known. */
  #loaded = -1;
  #updates: FlowUpdate[] = [];
  /** Nothing was committed yet on this connection. */
  #fresh = true;
  /** The wanted flows changed. */
  #asked = false;
  #healedAt = -Infinity;
  #healWaitMs = 0;
  /** The wait before healing is over. */
  #mayHeal = false;

  /** @throws OpenFlowError `invalid_value` for categories or a round that cannot be */
  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#flows = new KeptFlows(options.categories, options.round);
    this.#backoff = new Backoff(options.random ?? Math.random);
    const stop = (): void => this.#closing.abort();
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted === true) stop();
    this.#finished = this.#run().finally(() => options.signal?.removeEventListener('abort', stop));
  }

  get state(): KeeperState {
    return this.#state;
  }

  /** How many flows are wanted. */
  get size(): number {
    return this.#flows.size;
  }

  /** Makes these the wanted flows. @throws OpenFlowError `invalid_value` when two have the same identity; nothing has changed then */
  set(flows: Iterable<KeptFlow>): void {
    this.#flows.replace(flows);
    this.#wanted();
  }

  /** Adds wanted flows, in place of those of the same identity. @throws OpenFlowError as `set` */
  put(flows: Iterable<KeptFlow>): void {
    this.#flows.put(flows);
    this.#wanted();
  }

  /** Takes wanted flows away, by table, priority and match. */
  remove(flows: Iterable<Pick<KeptFlow, 'tableId' | 'priority' | 'match'>>): void {
    this.#flows.remove(flows);
    this.#wanted();
  }

  /** All parts of the program have said what they want: what earlier runs left and nobody wants goes. */
  complete(): void {
    this.#flows.complete();
    this.#wanted();
  }

  /**
   * Resolves when the flows are as wanted on the switch.
   * @throws OpenFlowError what the switch refuses (`bundle_failed` with the flow), `closed`
   */
  installed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const aborted = signal?.aborted === true;
        if (!aborted && (this.#state === 'waiting' || this.#state === 'installing')) return;
        this.#waiters.delete(check);
        signal?.removeEventListener('abort', check);
        if (aborted) reject(new OpenFlowError('closed', 'aborted while waiting for flows to be installed'));
        else if (this.#state === 'installed') resolve();
        else reject(this.#error ?? new OpenFlowError('closed', 'the keeper is closed'));
      };
      this.#waiters.add(check);
      signal?.addEventListener('abort', check);
      check();
    });
  }

  /** Ends the keeper. The flows stay. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#finished;
  }

  #wanted(): void {
    if (this.#closed) return;
    this.#asked = true;
    if (this.#state === 'failed' || (this.#state === 'installed' && this.#flows.dirty)) this.#setState('installing');
    this.#wake.resolve();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    signal.addEventListener('abort', () => this.#wake.resolve());
    const { connection } = this.#options;
    const forgetState = connection.onState((state) => {
      if (state !== 'connected') this.#setState('waiting');
      this.#wake.resolve();
    });
    let watch: FlowWatch | undefined;
    try {
      while (!signal.aborted) {
        // Changes that are asked for in one turn go in one bundle.
        await Promise.resolve();
        try {
          await connection.connected(signal);
          watch ??= await this.#watch();
          await this.#step();
        } catch (error) {
          if (connection.state === 'closed') break;
          await this.#failed(OpenFlowError.from(error));
        }
      }
    } finally {
      this.#closed = true;
      forgetState();
      watch?.close();
      this.#setState('closed');
    }
  }

  #watch(): Promise<FlowWatch> {
    return this.#options.connection.watchFlows({
      initial: false,
      onStart: () => {
        this.#epoch += 1;
        this.#updates = [];
        this.#fresh = true;
      },
      onUpdates: (updates) => {
        this.#updates.push(...updates);
        this.#wake.resolve();
      },
    });
  }

  /** Compares, and commits what is due; waits when nothing is. */
  async #step(): Promise<void> {
    const { connection } = this.#options;
    this.#wake = Promise.withResolvers();
    if (this.#closing.signal.aborted || connection.state !== 'connected') return;
    if (this.#loaded !== this.#epoch) {
      this.#setState('installing');
      if (!(await this.#load())) return;
    }
    this.#takeUpdates();
    const epoch = this.#epoch;
    const plan = this.#flows.plan(connection.version ?? OF15);
    if (plan.changes.length === 0) {
      [this.#fresh, this.#asked, this.#mayHeal, this.#error] = [false, false, false, undefined];
      this.#setState('installed');
      await this.#wake.promise;
      return;
    }
    this.#setState('installing');
    const why = this.#fresh ? 'connected' : this.#asked ? 'wanted' : 'drift';
    if (why === 'drift' && !this.#mayHeal && (await this.#waitToHeal())) return;
    [this.#asked, this.#mayHeal] = [false, false];
    await connection.bundle(plan.changes);
    if (epoch !== this.#epoch) return;
    this.#flows.commit(plan);
    this.#fresh = false;
    const { added, modified, deleted } = plan;
    this.#emit({ type: 'installed', why, added, modified, deleted });
  }

  /** Asks what flows there are. Returns false when the connection changed meanwhile. */
  async #load(): Promise<boolean> {
    const epoch = this.#epoch;
    const flows: FlowStats[] = [];
    for (const category of this.#options.categories) {
      flows.push(...(await this.#options.connection.dumpFlows(cookieFilter({ category }))));
    }
    if (epoch !== this.#epoch) return false;
    this.#flows.load(flows);
    this.#loaded = epoch;
    return true;
  }

  #takeUpdates(): void {
    const updates = this.#updates;
    this.#updates = [];
    for (const update of updates) {
      if (!this.#flows.take(update)) continue;
      this.#emit({ type: 'drift', update });
    }
  }

  /** Heals at once, and ever later while somebody keeps undoing it. Returns true after a wait: the plan is old then. */
  async #waitToHeal(): Promise<boolean> {
    const sinceMs = this.#clock.now() - this.#healedAt;
    if (sinceMs > QUARREL_MS) this.#healWaitMs = 0;
    else this.#healWaitMs = Math.min(MAX_HEAL_WAIT_MS, Math.max(100, this.#healWaitMs * 2));
    this.#healedAt = this.#clock.now() + this.#healWaitMs;
    if (this.#healWaitMs === 0) return false;
    await this.#pause(this.#healWaitMs);
    this.#mayHeal = true;
    return true;
  }

  async #failed(failure: OpenFlowError): Promise<void> {
    // A connection that ended is waited for; what became of the bundle shows in the dump.
    if (this.#closing.signal.aborted || this.#options.connection.state !== 'connected') return;
    if (failure.code === 'disconnected' || failure.code === 'outcome_unknown') return;
    // What a refused bundle was made from may be wrong: look again.
    this.#loaded = -1;
    this.#error = failure;
    const retryMs = this.#backoff.next(undefined);
    this.#setState('failed');
    this.#emit({ type: 'failed', error: failure, retryMs });
    await this.#pause(retryMs);
  }

  /** Waits, but not when the wanted flows change. */
  async #pause(ms: number): Promise<void> {
    const wait = new AbortController();
    const signal = AbortSignal.any([this.#closing.signal, wait.signal]);
    this.#asked = false;
    while (!this.#asked && !signal.aborted) {
      this.#wake = Promise.withResolvers();
      const timeUp = pause(this.#clock, ms, signal).then(() => wait.abort());
      await Promise.race([timeUp, this.#wake.promise]);
    }
    wait.abort();
  }

  #setState(state: KeeperState): void {
    if (this.#state === state) return;
    this.#state = state;
    for (const waiter of this.#waiters) waiter();
  }

  #emit(event: KeeperEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      // A mistake of the listener: it must surface, but not stop the keeper half-way.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
