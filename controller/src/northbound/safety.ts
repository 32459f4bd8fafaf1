import { createHash } from 'node:crypto';
import type { Clock } from '@ovenbird/kube';
import type { DesiredState, Unit } from './desired.ts';
import { isOurs } from './ours.ts';
import { OWNER_KEY, type Scalar } from './rows.ts';
import type { NbReader } from './store.ts';

/** NB_Global.external_ids: `ovenbird confirm-deletion` writes the token here. */
export const CONFIRM_KEY = 'ovenbird/confirm-deletion';

/** Deletions that wait to be confirmed. */
export interface SafetyStop {
  /** Ports that would go. */
  readonly count: number;
  /** Ports of ours there were. */
  readonly total: number;
  /** What to confirm with; another set of deletions has another token. */
  readonly token: string;
  /** `ovenbird/owner` of the ports, sorted: who can show for each that it is really gone may confirm. */
  readonly owners: readonly string[];
}

/** Fewer ports than this never stop anything: small clusters lose 30 % by deleting one Deployment. */
const FREE_PORTS = 20;
const SHARE = 0.3;
/** Deletions this close together count together, so that a list that shrinks step by step is caught as well. Milliseconds. */
const WINDOW_MS = 600_000;

/**
 * Stops deletions that were inferred from what a list did not contain before they take a large part of the ports: an empty
 * answer of a broken API server looks just like a cluster in which everything was deleted.
 */
export class SafetyCatch {
  readonly #reader: NbReader;
  readonly #desired: DesiredState;
  readonly #clock: Clock;
  readonly #onStop: (stop: SafetyStop) => void;
  readonly #pending = new Set<Unit>();
  readonly #approved = new Set<Unit>();
  /** Units let through and not committed yet, with the ports they take. */
  readonly #admitted = new Map<Unit, number>();
  #done: { readonly atMs: number; readonly ports: number }[] = [];
  #stop: SafetyStop | undefined;

  constructor(reader: NbReader, desired: DesiredState, clock: Clock, onStop: (stop: SafetyStop) => void) {
    this.#reader = reader;
    this.#desired = desired;
    this.#clock = clock;
    this.#onStop = onStop;
  }

  /** What waits to be confirmed now. */
  get stopped(): SafetyStop | undefined {
    return this.#stop;
  }

  /** Notes a unit whose deletions are inferred; call whenever a unit changed. */
  note(unit: Unit): void {
    this.#approved.delete(unit);
    if (unit.inferred) this.#pending.add(unit);
    else this.#pending.delete(unit);
  }

  /** The units of a batch that must wait; empty when nothing is to be confirmed. */
  park(batch: readonly Unit[]): ReadonlySet<Unit> {
    const suspects = batch.filter((unit) => this.#pending.has(unit) && !this.#approved.has(unit));
    if (suspects.length === 0) return new Set();
    const now = this.#clock.monotonicMs();
    this.#done = this.#done.filter(({ atMs }) => now - atMs < WINDOW_MS);
    const recent = this.#done.reduce((sum, { ports }) => sum + ports, 0);
    const ports = new Set<string>();
    for (const unit of this.#pending) {
      if (this.#approved.has(unit)) continue;
      for (const port of portsTaken(unit, this.#reader, this.#desired)) ports.add(port);
    }
    const total = ownedPorts(this.#reader) + recent;
    if (ports.size === 0 || ports.size + recent <= Math.max(FREE_PORTS, total * SHARE)) {
      this.#stop = undefined;
      for (const unit of suspects) this.#admitted.set(unit, portsTaken(unit, this.#reader, this.#desired).size);
      return new Set();
    }
    const token = createHash('sha256')
      .update([...ports].sort().join())
      .digest('hex')
      .slice(0, 12);
    if (token !== this.#stop?.token) {
      this.#stop = { count: ports.size, total, token, owners: ownersOf(ports, this.#reader) };
      this.#onStop(this.#stop);
    }
    return new Set(suspects);
  }

  /** Approves what waits when `token` is its token. @returns the units that may go now. */
  confirm(token: string): readonly Unit[] {
    if (token !== this.#stop?.token) return [];
    this.#stop = undefined;
    for (const unit of this.#pending) this.#approved.add(unit);
    return [...this.#pending];
  }

  /** The unit was committed; `unit.inferred` says whether more of it is to come. */
  committed(unit: Unit): void {
    const ports = this.#admitted.get(unit) ?? 0;
    this.#admitted.delete(unit);
    if (ports > 0) this.#done.push({ atMs: this.#clock.monotonicMs(), ports });
    if (unit.inferred) return;
    this.#pending.delete(unit);
    this.#approved.delete(unit);
  }
}

/** Ports of ours that a unit's deletions take, also by taking their switch away (unreferenced rows are collected). */
function portsTaken(unit: Unit, reader: NbReader, desired: DesiredState): ReadonlySet<string> {
  const ports = new Set<string>();
  const take = (uuid: string): void => {
    const row = reader.get('Logical_Switch_Port', uuid);
    if (row !== undefined && isOurs('Logical_Switch_Port', uuid, row)) ports.add(uuid);
  };
  for (const [uuid, table] of unit.staleRows) {
    if (desired.row(uuid) !== undefined) continue;
    if (table === 'Logical_Switch_Port') take(uuid);
    if (table !== 'Logical_Switch') continue;
    const members = reader.get(table, uuid)?.['ports'];
    for (const port of Array.isArray(members) ? (members as readonly string[]) : []) take(port);
  }
  for (const [key, { table, column, value }] of unit.staleMembers) {
    if (table === 'Logical_Switch' && column === 'ports' && desired.emitters(key) === undefined) take(value);
  }
  return ports;
}

function ownersOf(ports: ReadonlySet<string>, reader: NbReader): readonly string[] {
  const owners = new Set<string>();
  for (const uuid of ports) {
    const ids = reader.get('Logical_Switch_Port', uuid)?.['external_ids'];
    const owner = ids instanceof Map ? (ids as ReadonlyMap<string, Scalar>).get(OWNER_KEY) : undefined;
    if (typeof owner === 'string') owners.add(owner);
  }
  return [...owners].sort();
}

function ownedPorts(reader: NbReader): number {
  let count = 0;
  for (const [uuid, row] of reader.rows('Logical_Switch_Port'))
    if (isOurs('Logical_Switch_Port', uuid, row)) count += 1;
  return count;
}
