import { setImmediate as immediate } from 'node:timers/promises';
import { Backoff, type Clock, sleep } from '@ovenbird/kube';
import type { Logger } from 'pino';
import { toAtoms } from './atoms.ts';
import { type Commit, Committer } from './committer.ts';
import { DesiredState, type Unit, type UnitOptions } from './desired.ts';
import { MembershipCache } from './diff.ts';
import { type Drift, DriftBackoff, inspectChanges } from './drift.ts';
import { NorthboundError } from './error.ts';
import type { Fence } from './fence.ts';
import { changesWhatIsThere, hasPorts } from './found.ts';
import { type HeldUnit, HoldBook } from './holds.ts';
import { findOrphans, type Orphan } from './orphans.ts';
import { type Pace, Pacer } from './pace.ts';
import { type BatchLimits, type QueueLane, UnitQueue } from './queue.ts';
import type { Output } from './rows.ts';
import { CONFIRM_KEY, SafetyCatch, type SafetyStop } from './safety.ts';
import type { NbChange, NbStore } from './store.ts';

export interface NorthboundOptions {
  readonly store: NbStore;
  /** Acquired before {@link Northbound.start}. */
  readonly fence: Fence;
  readonly clock: Clock;
  /** Uniform in [0, 1), for the jitter of backoffs. */
  readonly random?: () => number;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  /** Milliseconds between two comparisons of everything, {@link Northbound.audit}; never by itself when absent. */
  readonly auditIntervalMs?: number;
  /** Size of one transaction. */
  readonly limits?: BatchLimits;
  /** Makes larger transactions of a storm; each is sent at once when absent. */
  readonly pace?: Pace;
  /** A unit was put aside (again). */
  readonly onHeld?: (held: HeldUnit) => void;
  /** These units' outputs are in the database now. */
  readonly onCommitted?: (units: readonly string[]) => void;
  /** Somebody changed rows of ours; they are being put right. */
  readonly onDrift?: (unit: string, drifts: readonly Drift[]) => void;
  readonly onSafetyStop?: (stop: SafetyStop) => void;
  /** Writing ended for good: another leader took over, or the database became another cluster's. */
  readonly onFenced?: (error: NorthboundError) => void;
}

/** Counters since the start, for metrics. */
export interface NorthboundStats {
  /** Committed transactions and their operations. */
  readonly transactions: number;
  readonly operations: number;
  /** Transactions that did not commit. */
  readonly failures: number;
  readonly queued: number;
  readonly held: number;
  readonly units: number;
}

interface Waiter {
  readonly version: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A transaction takes what came while the one before it was on its way; more than this would only delay the reply. */
const LIMITS: BatchLimits = { units: 500, atoms: 5_000 };
const RETRY = { initialMs: 50, maxMs: 30_000 };

/**
 * Brings the northbound database to what units want and keeps it there: compares with the replica, sends only the
 * difference, one transaction at a time.
 */
export class Northbound {
  readonly #options: NorthboundOptions;
  readonly #desired = new DesiredState();
  readonly #cache = new MembershipCache();
  readonly #queue = new UnitQueue();
  readonly #holds: HoldBook;
  readonly #safety: SafetyCatch;
  readonly #committer: Committer;
  readonly #pacer: Pacer;
  readonly #driftBackoff = new DriftBackoff();
  readonly #healing = new Map<Unit, () => void>();
  /** Outputs that could not become a unit's atoms. */
  readonly #rejected = new Map<Unit, { outputs: readonly Output[]; options: UnitOptions }>();
  readonly #waiters = new Map<Unit, Waiter[]>();
  #idlers: (() => void)[] = [];
  #wake: () => void = () => undefined;
  #started = false;
  #busy = false;
  #ended: NorthboundError | undefined;
  /** Changes that came while a transaction was on its way. */
  #deferred: NbChange[] = [];
  /** Rows touched since the batch on its way was planned. */
  readonly #touched = new Set<string>();
  #generation = 0;
  /** The database lost or exchanged its content since {@link Northbound.#rebuild} compared everything. */
  #stale = false;
  #spentConfirmation = false;
  #unsubscribe: () => void = () => undefined;
  #cancelAudit: () => void = () => undefined;

  constructor(options: NorthboundOptions) {
    this.#options = options;
    const { store, clock } = options;
    this.#pacer = new Pacer(clock, options.pace);
    this.#holds = new HoldBook(clock, options.random ?? Math.random, (unit) => this.#retry(unit));
    this.#safety = new SafetyCatch(store, this.#desired, clock, (stop) => {
      const { count, total, token } = stop;
      options.log.error(
        { count, total, token },
        `deleting ${count} of ${total} ports that a list no longer holds: to go on, ovenbird confirm-deletion ${token}`,
      );
      options.onSafetyStop?.(stop);
    });
    this.#committer = new Committer({
      desired: this.#desired,
      cache: this.#cache,
      store,
      fence: options.fence,
      pull: (unit) => this.#pull(unit),
    });
  }

  /**
   * Replaces what a unit emitted before; `[]` = the unit is gone. Sent soon after {@link start}, together with what else the
   * caller sets before it returns, or with what came while a transaction was on its way. Outputs that cannot be written are reported by `onHeld`; what the unit emitted
   * before stays until better ones come.
   */
  setUnit(name: string, outputs: readonly Output[], options: UnitOptions = {}): void {
    let unit: Unit | undefined;
    try {
      unit = this.#desired.set(name, toAtoms(outputs), options);
    } catch (error) {
      if (!(error instanceof NorthboundError)) throw error;
      const rejected = this.#desired.reject(name);
      this.#queue.remove(rejected);
      if (!this.#rejected.has(rejected)) this.#holds.forget(rejected);
      this.#rejected.set(rejected, { outputs, options });
      this.#hold(rejected, error, [], error.retryable);
      return;
    }
    const known = unit ?? this.#desired.get(name);
    const wasRejected = known !== undefined && this.#rejected.delete(known);
    if (known === undefined || (unit === undefined && !wasRejected)) return;
    this.#holds.forget(known);
    this.#safety.note(known);
    // What is new in the database opens and closes nothing; of what is there, all that one turn changed is one change.
    const written = [known, options.of === undefined ? undefined : this.#desired.get(options.of)];
    known.joint ||= this.#started && (known.lane === 'bulk' || written.some((one) => (one?.writtenVersion ?? -1) >= 0));
    this.#enqueue(known, known.lane);
  }

  /** The unit is gone: `setUnit` without outputs. */
  removeUnit(name: string, options: UnitOptions = {}): void {
    this.setUnit(name, [], options);
  }

  /**
   * Call once every unit was set for the first time: compares everything, and removes rows of ours that no unit wants
   * (as inferred deletions). Runs until `signal` aborts or the fence is lost.
   */
  start(signal: AbortSignal): void {
    if (this.#started) throw new Error('the northbound writer was started already');
    this.#started = true;
    this.#unsubscribe = this.#options.store.onChange((changes) => this.#observe(changes));
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    this.#run(signal).then(
      () => this.#end(new NorthboundError('closed', 'the northbound writer was stopped')),
      (error: unknown) => this.#fail(error, signal),
    );
  }

  /**
   * Resolves when what the unit emits now is in the database (is gone from it, when it emits nothing); stays pending
   * while the unit is held.
   * @throws NorthboundError `fenced`, `closed`: it never will be.
   */
  committed(name: string): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const unit = this.#desired.get(name);
    if (unit === undefined || unit.writtenVersion >= unit.version) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(unit);
      const waiter: Waiter = { version: unit.version, resolve, reject };
      if (waiters === undefined) this.#waiters.set(unit, [waiter]);
      else waiters.push(waiter);
    });
  }

  /** Resolves when nothing is queued or on its way; held units do not count. */
  idle(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#started && !this.#busy && !this.#stale && this.#queue.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idlers.push(resolve));
  }

  /** Compares everything with the replica again, at the lowest priority. */
  audit(): void {
    this.#audit(false);
  }

  /** @param joint what nobody wants any more goes with what changes */
  #audit(joint: boolean): void {
    this.#driftBackoff.prune(this.#options.clock.monotonicMs());
    for (const unit of this.#desired.units) {
      if (this.#holds.get(unit) === undefined) this.#enqueue(unit, 'audit');
    }
    for (const orphan of findOrphans(this.#options.store, this.#desired)) this.#adoptOrphan(orphan, joint);
  }

  /** Units that are not in the database as they want to be, with reasons. */
  held(): readonly HeldUnit[] {
    return this.#holds.units;
  }

  /** Why one unit is held; undefined when it is not. */
  heldUnit(name: string): HeldUnit | undefined {
    const unit = this.#desired.get(name);
    return unit === undefined ? undefined : this.#holds.get(unit);
  }

  /**
   * Lets the deletions go on that `onSafetyStop` reported with this token, as `ovenbird confirm-deletion` does through the
   * database. @returns whether it is the token of what waits now.
   */
  confirmDeletion(token: string): boolean {
    const units = this.#safety.confirm(token);
    for (const unit of units) this.#holds.release(unit);
    return units.length > 0;
  }

  get stats(): NorthboundStats {
    const { transactions, operations, failures } = this.#committer;
    const { size: queued } = this.#queue;
    return { transactions, operations, failures, queued, held: this.#holds.size, units: this.#desired.size };
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { store, fence, clock } = this.#options;
    const backoff = new Backoff(RETRY);
    this.#busy = true;
    await store.synced(signal);
    this.#generation = store.generation;
    this.#begin();
    this.#scheduleAudit();
    while (!signal.aborted) {
      // One turn of the event loop, so that what a reply sets off joins the next batch.
      await immediate();
      this.#inspect(this.#deferred.splice(0));
      while (fence.state() === 'held' && !this.#stale && this.#queue.size === 0 && !this.#spentConfirmation) {
        // Whoever wakes us has set all its units before we go on: a single change is sent at once.
        await this.#rest();
        if (signal.aborted) return;
        this.#inspect(this.#deferred.splice(0));
      }
      await store.synced(signal);
      if (fence.state() !== 'held') {
        await fence.restore(signal);
        this.#options.log.warn({ epoch: fence.epoch }, 'the northbound database lost its content: rebuilding');
        this.#rebuild();
      } else if (this.#stale || store.generation !== this.#generation) this.#rebuild();
      if (await this.#paced(signal)) continue;
      if (await this.#round(signal)) backoff.reset();
      else await sleep(clock, backoff.next(), signal);
    }
  }

  /** What changed while no controller ran is one change for packets, like what one turn changes later. */
  #begin(): void {
    const { store } = this.#options;
    const open = hasPorts(store);
    if (open)
      for (const unit of this.#desired.units)
        unit.joint ||= changesWhatIsThere(unit, this.#desired, store, this.#cache);
    this.#audit(open);
  }

  #scheduleAudit(): void {
    const { auditIntervalMs, clock } = this.#options;
    if (auditIntervalMs === undefined || this.#ended !== undefined) return;
    this.#cancelAudit = clock.schedule(auditIntervalMs, () => {
      this.audit();
      this.#scheduleAudit();
    });
  }

  /** Everything is compared as if for the first time: what is missing is nobody's edit of single rows. */
  #rebuild(): void {
    this.#generation = this.#options.store.generation;
    this.#stale = false;
    for (const unit of this.#desired.units) unit.writtenVersion = -1;
    this.#holds.releaseAll();
    this.audit();
  }

  /** Waits for something to do. */
  async #rest(): Promise<void> {
    this.#busy = false;
    for (const resolve of this.#idlers.splice(0)) resolve();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#busy = true;
  }

  /** In a storm, waits for more to send. @returns whether it did, so that what came meanwhile is looked at first. */
  async #paced(signal: AbortSignal): Promise<boolean> {
    const rest = this.#pacer.rest(this.#queue.size, (this.#options.limits ?? LIMITS).units);
    return rest > 0 && (await sleep(this.#options.clock, rest, signal));
  }

  /** One batch. @returns false when the next should wait a little. */
  async #round(signal: AbortSignal): Promise<boolean> {
    if (this.#spentConfirmation) {
      this.#spentConfirmation = false;
      return (await this.#committer.dropKey(CONFIRM_KEY, signal)) === undefined;
    }
    const batch = this.#queue.take(this.#options.limits ?? LIMITS);
    const parked = this.#safety.park(batch);
    const stop = this.#safety.stopped;
    for (const unit of parked) {
      const text = `${unit.name}: its deletions wait for "ovenbird confirm-deletion ${stop?.token}"`;
      this.#hold(unit, new NorthboundError('safety_stop', text), [], false);
    }
    this.#touched.clear();
    const commit = await this.#committer.commit(
      batch.filter((unit) => !parked.has(unit)),
      signal,
    );
    this.#settle(commit);
    return !commit.pause;
  }

  /** Does the book-keeping of what became of a batch. */
  #settle(commit: Commit): void {
    const { log, onCommitted, onDrift } = this.#options;
    const committed: string[] = [];
    for (const [unit, version] of commit.written) {
      const fresh = unit.writtenVersion < version;
      this.#desired.written(unit, version);
      this.#safety.committed(unit);
      if (unit.writtenVersion < unit.version) continue;
      this.#holds.forget(unit);
      if (fresh) committed.push(unit.name);
      this.#resolve(unit);
    }
    for (const [unit, drifts] of commit.drifts) {
      log.warn({ unit: unit.name, drifts }, 'put right what somebody else changed');
      onDrift?.(unit.name, drifts);
    }
    for (const { unit, error, waitsFor } of commit.held) {
      // A unit that changed meanwhile is queued with its new outputs; the verdict was on the old ones.
      if (this.#queue.has(unit) || this.#rejected.has(unit)) continue;
      unit.writtenVersion = Math.min(unit.writtenVersion, unit.version - 1);
      if (waitsFor.isDisjointFrom(this.#touched)) this.#hold(unit, error, waitsFor, true);
      else this.#enqueue(unit, unit.lane);
    }
    for (const unit of commit.again) this.#enqueue(unit, unit.lane);
    if (committed.length > 0) onCommitted?.(committed);
  }

  #resolve(unit: Unit): void {
    const waiters = this.#waiters.get(unit);
    if (waiters === undefined) return;
    this.#waiters.delete(unit);
    for (const waiter of waiters) waiter.resolve();
  }

  #hold(unit: Unit, error: NorthboundError, waitsFor: Iterable<string>, timer: boolean): void {
    const held = this.#holds.hold(unit, error, waitsFor, timer);
    const { attempts } = held;
    // Waiting units follow another's fate, and a safety stop was logged once for all of them.
    if (error.code !== 'waiting' && error.code !== 'safety_stop')
      this.#options.log.warn(
        { unit: unit.name, attempts, err: error },
        'not written to the northbound database, is tried again later or when it changes',
      );
    this.#options.onHeld?.(held);
  }

  #retry(unit: Unit): void {
    const rejected = this.#rejected.get(unit);
    if (rejected === undefined) this.#enqueue(unit, unit.lane);
    else this.setUnit(unit.name, rejected.outputs, rejected.options);
  }

  #enqueue(unit: Unit, lane: QueueLane): void {
    if (this.#rejected.has(unit)) return;
    this.#healing.get(unit)?.();
    this.#healing.delete(unit);
    this.#queue.add(unit, lane);
    this.#wake();
  }

  /** A unit that provides what another needs, and those that go with it; nothing when it may not join the transaction. */
  #pull(unit: Unit): readonly Unit[] {
    // The safety catch has not seen it in this batch.
    if (unit.inferred) return [];
    if (this.#queue.remove(unit))
      return unit.joint ? [unit, ...this.#queue.takeJoint(({ inferred }) => !inferred)] : [unit];
    const held = this.#holds.get(unit);
    // Two units that wait for each other get nowhere unless they are tried together.
    if (held?.error.code !== 'waiting') return [];
    this.#holds.release(unit);
    return this.#queue.remove(unit) ? [unit] : [];
  }

  #observe(changes: readonly NbChange[]): void {
    for (const { uuid, new: now, table } of changes) {
      this.#touched.add(uuid);
      this.#holds.touched(uuid);
      if (table === 'NB_Global') this.#globalChanged(now?.['external_ids']);
    }
    // Our own changes are complete only with the reply; until then a row looks half done.
    if (this.#busy) this.#deferred.push(...changes);
    else this.#inspect(changes);
  }

  #globalChanged(ids: unknown): void {
    const token = ids instanceof Map ? (ids as ReadonlyMap<string, unknown>).get(CONFIRM_KEY) : undefined;
    if (typeof token === 'string') {
      this.#spentConfirmation = this.confirmDeletion(token) || this.#spentConfirmation;
    }
    this.#wake();
  }

  #inspect(changes: readonly NbChange[]): void {
    if (changes.length === 0) return;
    const { store, clock, fence } = this.#options;
    // A lost or exchanged content is no fight over rows and does not count for the backoff: all is about to be compared.
    if (fence.state() !== 'held' || store.generation !== this.#generation) {
      this.#stale = true;
      this.#wake();
      return;
    }
    const { differing, orphans } = inspectChanges(changes, this.#desired, store, this.#cache);
    for (const { unit, atom } of differing) {
      // What is queued or held is compared anyway.
      if (unit.writtenVersion < unit.version || this.#queue.has(unit)) continue;
      const delay = this.#driftBackoff.delayMs(atom, clock.monotonicMs());
      if (delay === 0) this.#enqueue(unit, unit.lane);
      else if (!this.#healing.has(unit)) {
        this.#healing.set(
          unit,
          clock.schedule(delay, () => this.#enqueue(unit, unit.lane)),
        );
      }
    }
    for (const orphan of orphans) this.#adoptOrphan(orphan, false);
  }

  #adoptOrphan(orphan: Orphan, joint: boolean): void {
    const unit = this.#desired.orphan(orphan);
    if (unit === undefined) return;
    unit.joint ||= joint;
    this.#safety.note(unit);
    const delay = this.#driftBackoff.delayMs(orphan.name, this.#options.clock.monotonicMs());
    if (delay === 0) this.#enqueue(unit, 'bulk');
    else
      this.#healing.set(
        unit,
        this.#options.clock.schedule(delay, () => this.#enqueue(unit, 'bulk')),
      );
  }

  #fail(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) {
      this.#end(new NorthboundError('closed', 'the northbound writer was stopped', error));
      return;
    }
    const fatal =
      error instanceof NorthboundError
        ? error
        : new NorthboundError('closed', `the northbound writer failed: ${String(error)}`, error);
    this.#options.log.error({ err: fatal }, 'writing to the northbound database has ended');
    this.#end(fatal);
    this.#options.onFenced?.(fatal);
  }

  #end(error: NorthboundError): void {
    this.#ended = error;
    this.#unsubscribe();
    this.#cancelAudit();
    this.#holds.stop();
    for (const cancel of this.#healing.values()) cancel();
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(error);
    this.#waiters.clear();
    for (const resolve of this.#idlers.splice(0)) resolve();
  }
}
