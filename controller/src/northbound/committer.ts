import { type Blocker, blockersOf } from './blockers.ts';
import type { DesiredState, Unit } from './desired.ts';
import type { MembershipCache } from './diff.ts';
import { type Drift, describeDrift } from './drift.ts';
import { NorthboundError } from './error.ts';
import type { Fence } from './fence.ts';
import { makePlan, type Plan } from './plan.ts';
import { type NbStore, NbTransactError } from './store.ts';

/** What became of a batch. */
export interface Commit {
  /** Units whose outputs the database holds, at this version. */
  readonly written: Map<Unit, number>;
  readonly held: { readonly unit: Unit; readonly error: NorthboundError; readonly waitsFor: ReadonlySet<string> }[];
  /** To be compared again: nobody knows whether their transaction committed. */
  readonly again: Unit[];
  /** Units that were thought to be in the database and were not. */
  readonly drifts: Map<Unit, readonly Drift[]>;
  /** Whether to wait before the next batch. */
  pause: boolean;
}

export interface CommitterOptions {
  readonly desired: DesiredState;
  readonly cache: MembershipCache;
  readonly store: NbStore;
  readonly fence: Fence;
  /** A unit outside the batch of which another needs a row, and those that go with it; nothing when it may not join. */
  readonly pull: (unit: Unit) => readonly Unit[];
}

/** Sends one batch, and takes a refused one apart until the unit at fault stands alone. */
export class Committer {
  readonly #options: CommitterOptions;
  transactions = 0;
  operations = 0;
  failures = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Compares and commits the units, never one of them over two transactions. */
  async commit(units: readonly Unit[], signal: AbortSignal): Promise<Commit> {
    const commit: Commit = { written: new Map(), held: [], again: [], drifts: new Map(), pause: false };
    if (units.length > 0) await this.#attempt(units, commit, signal, true);
    return commit;
  }

  /** Removes a key of NB_Global.external_ids. @returns what went wrong. */
  async dropKey(key: string, signal: AbortSignal): Promise<NbTransactError | undefined> {
    const guard = this.#options.fence.guard();
    const { uuid } = guard;
    const drop = {
      op: 'mutate',
      table: 'NB_Global',
      uuid,
      mutations: [['external_ids', 'delete', [key]]],
      mustMatch: false,
    } as const;
    try {
      await this.#options.store.transact([guard, drop], signal);
      return undefined;
    } catch (error) {
      if (error instanceof NbTransactError) return error;
      throw error;
    }
  }

  async #attempt(units: readonly Unit[], commit: Commit, signal: AbortSignal, whole: boolean): Promise<void> {
    // What a refused batch's first half could not do, the second half must not do either: start it from the replica.
    if (commit.pause) {
      commit.again.push(...units);
      return;
    }
    const { desired, cache, store, pull } = this.#options;
    const plan = makePlan({ units, desired, reader: store, cache, ...(whole && { pull }) });
    for (const [unit, version] of plan.unchanged) commit.written.set(unit, version);
    for (const [unit, error] of plan.blocked) commit.held.push({ unit, error, waitsFor: new Set() });
    for (const [unit, missing] of plan.waiting) {
      commit.held.push({ unit, error: this.#waiting(unit, missing), waitsFor: new Set(missing.keys()) });
    }
    if (plan.ops.length === 0) return;
    const error = await this.#send(plan, signal);
    const tried = plan.included.map(({ unit }) => unit);
    if (error === undefined) {
      for (const difference of plan.included) {
        const { unit, version } = difference;
        const drifts = unit.writtenVersion === version ? describeDrift(difference) : [];
        if (drifts.length > 0) commit.drifts.set(unit, drifts);
        commit.written.set(unit, version);
      }
      return;
    }
    this.failures += 1;
    // Index 0 is the fence: either we lost it, which the next round finds out, or NB_Global was replaced.
    if (error.failure === 'unknown' || error.failure === 'unavailable' || error.op === 0) {
      commit.again.push(...tried);
      commit.pause = true;
      return;
    }
    const suspects = error.op === undefined ? tried : (plan.causes[error.op - 1] ?? tried);
    if (suspects.length === 1 || error.failure === 'wait_failed') {
      for (const difference of plan.included) {
        const { unit } = difference;
        if (!suspects.includes(unit)) continue;
        const blockers = blockersOf(difference, store);
        const waitsFor = new Set(blockers.map(({ uuid }) => uuid));
        // The row that a guard missed: when it is seen to change, the unit is compared again.
        const guarded = error.op === undefined ? undefined : plan.ops[error.op - 1];
        if (guarded?.op === 'exists') waitsFor.add(guarded.uuid);
        commit.held.push({ unit, error: refused(unit, error, blockers), waitsFor });
      }
      const rest = tried.filter((unit) => !suspects.includes(unit));
      if (rest.length > 0) await this.#attempt(rest, commit, signal, false);
      return;
    }
    for (const part of splitOf(tried)) await this.#attempt(part, commit, signal, false);
  }

  async #send(plan: Plan, signal: AbortSignal): Promise<NbTransactError | undefined> {
    try {
      await this.#options.store.transact([this.#options.fence.guard(), ...plan.ops], signal);
      this.transactions += 1;
      this.operations += plan.ops.length;
      return undefined;
    } catch (error) {
      if (error instanceof NbTransactError) return error;
      throw error;
    }
  }

  #waiting(unit: Unit, missing: ReadonlyMap<string, string>): NorthboundError {
    const wanted = [...missing].map(([uuid, table]) => {
      const provider = this.#options.desired.row(uuid);
      return provider === undefined
        ? `${table} ${uuid}, which no unit emits`
        : `${table} "${provider.row.key}" of ${provider.unit.name}`;
    });
    return new NorthboundError('waiting', `${unit.name} waits for ${wanted.join('; ')}`);
  }
}

/** What is one change stays together as long as it may be something else that is refused, such as a new pod's port. */
function splitOf(units: readonly Unit[]): readonly (readonly Unit[])[] {
  const joint = units.filter((unit) => unit.joint);
  if (joint.length > 0 && joint.length < units.length) return [joint, units.filter((unit) => !unit.joint)];
  const half = Math.ceil(units.length / 2);
  return [units.slice(0, half), units.slice(half)];
}

function refused(unit: Unit, error: NbTransactError, blockers: readonly Blocker[]): NorthboundError {
  const why = blockers.length === 0 ? '' : `; ${blockers.map(({ what }) => what).join('; ')}`;
  return new NorthboundError('refused', `${unit.name}: ovsdb-server refused its rows: ${error.message}${why}`, error);
}
