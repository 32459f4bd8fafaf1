import type { MemberAtom } from './atoms.ts';
import type { DesiredState, Unit } from './desired.ts';
import { differenceOf, type MembershipCache, type UnitDifference } from './diff.ts';
import { NorthboundError } from './error.ts';
import type { Value } from './rows.ts';
import type { Mutation, NbOp, NbReader } from './store.ts';

/** One transaction's worth of work, and what became of each unit that was to be part of it. */
export interface Plan {
  /** Without the fence, which the sender puts before them. */
  readonly ops: readonly NbOp[];
  /** For each operation the units it is for: a refused operation names its suspects. */
  readonly causes: readonly (readonly Unit[])[];
  readonly included: readonly UnitDifference[];
  /** The database holds what these want, at this version. */
  readonly unchanged: ReadonlyMap<Unit, number>;
  /** These refer to rows that do not exist: UUID → table. */
  readonly waiting: ReadonlyMap<Unit, ReadonlyMap<string, string>>;
  readonly blocked: ReadonlyMap<Unit, NorthboundError>;
}

export interface PlanInput {
  readonly units: readonly Unit[];
  readonly desired: DesiredState;
  readonly reader: NbReader;
  readonly cache: MembershipCache;
  /**
   * Asked for the unit that emits a missing row, when it is not part of the batch: what it returns becomes part. Left out while
   * a refused batch is taken apart.
   */
  readonly pull?: (provider: Unit) => readonly Unit[];
}

/** Works out one transaction. Pure but for `pull`. */
export function makePlan(input: PlanInput): Plan {
  const unchanged = new Map<Unit, number>();
  const blocked = new Map<Unit, NorthboundError>();
  const differences = compare(input, unchanged, blocked);
  const waiting = removeUnready(input, differences);
  const included = [...differences.values()].sort((a, b) => a.unit.rank - b.unit.rank);
  return { ...render(included), included, unchanged, waiting, blocked };
}

/** Differences of all units of the batch, and of those that provide what they need. */
function compare(
  { units, desired, reader, cache, pull }: PlanInput,
  unchanged: Map<Unit, number>,
  blocked: Map<Unit, NorthboundError>,
): Map<Unit, UnitDifference> {
  const differences = new Map<Unit, UnitDifference>();
  const seen = new Set(units);
  for (const unit of seen) {
    let difference: UnitDifference | undefined;
    try {
      difference = differenceOf(unit, desired, reader, cache);
    } catch (error) {
      if (!(error instanceof NorthboundError)) throw error;
      blocked.set(unit, error);
      continue;
    }
    if (difference === undefined) {
      unchanged.set(unit, unit.version);
      continue;
    }
    differences.set(unit, difference);
    if (pull === undefined) continue;
    for (const [uuid, table] of difference.needs) {
      const provider = desired.row(uuid)?.unit;
      // A Set iterates over what is added while iterating, so a provider's own needs are looked at too.
      if (provider === undefined || seen.has(provider) || reader.get(table, uuid) !== undefined) continue;
      for (const joining of pull(provider)) seen.add(joining);
    }
  }
  return differences;
}

/**
 * Takes out the units whose needs are met neither by the database nor by the rest of the batch, until nothing changes:
 * what remains is the largest set of units that can be committed together.
 */
function removeUnready(
  { reader }: PlanInput,
  differences: Map<Unit, UnitDifference>,
): Map<Unit, ReadonlyMap<string, string>> {
  const waiting = new Map<Unit, ReadonlyMap<string, string>>();
  const inserted = new Set<string>();
  const deleted = new Map<string, number>();
  for (const { inserts, deletes } of differences.values()) {
    for (const { row } of inserts) inserted.add(row.uuid);
    for (const uuid of deletes.keys()) deleted.set(uuid, (deleted.get(uuid) ?? 0) + 1);
  }
  const ready = (uuid: string, table: string): boolean =>
    inserted.has(uuid) || ((deleted.get(uuid) ?? 0) === 0 && reader.get(table, uuid) !== undefined);
  for (let settled = false; !settled; ) {
    settled = true;
    for (const [unit, difference] of differences) {
      const missing = new Map([...difference.needs].filter(([uuid, table]) => !ready(uuid, table)));
      if (missing.size === 0) continue;
      settled = false;
      waiting.set(unit, missing);
      differences.delete(unit);
      for (const { row } of difference.inserts) inserted.delete(row.uuid);
      for (const uuid of difference.deletes.keys()) deleted.set(uuid, (deleted.get(uuid) ?? 1) - 1);
    }
  }
  return waiting;
}

/** Collects operations by row, so that a thousand ports of one switch are one mutate. */
class Parents {
  readonly #parents = new Map<string, Parent>();

  add(atom: MemberAtom, unit: Unit, kind: 'adds' | 'removes'): void {
    let parent = this.#parents.get(atom.uuid);
    if (parent === undefined) {
      parent = { table: atom.table, adds: new Map(), removes: new Map(), units: new Set(), adders: new Set() };
      this.#parents.set(atom.uuid, parent);
    }
    const values = parent[kind].get(atom.column);
    if (values === undefined) parent[kind].set(atom.column, new Set([atom.value]));
    else values.add(atom.value);
    parent.units.add(unit);
    if (kind === 'adds') parent.adders.add(unit);
  }

  take(uuid: string): Parent | undefined {
    const parent = this.#parents.get(uuid);
    this.#parents.delete(uuid);
    return parent;
  }

  get rest(): Iterable<[string, Parent]> {
    return this.#parents;
  }
}

interface Parent {
  readonly table: string;
  readonly adds: Map<string, Set<string>>;
  readonly removes: Map<string, Set<string>>;
  readonly units: Set<Unit>;
  readonly adders: Set<Unit>;
}

function render(included: readonly UnitDifference[]): Pick<Plan, 'ops' | 'causes'> {
  const ops: NbOp[] = [];
  const causes: (readonly Unit[])[] = [];
  const push = (op: NbOp, units: Iterable<Unit>): void => {
    ops.push(op);
    causes.push([...units]);
  };
  const parents = new Parents();
  const inserted = new Set<string>();
  const deleted = new Set<string>();
  for (const { unit, inserts, deletes, adds, removes } of included) {
    for (const { row } of inserts) inserted.add(row.uuid);
    for (const uuid of deletes.keys()) deleted.add(uuid);
    for (const atom of adds.values()) parents.add(atom, unit, 'adds');
    for (const atom of removes.values()) parents.add(atom, unit, 'removes');
  }
  // A mutate or update of no row "succeeds", and a weak reference to no row vanishes: guard every row that must exist.
  for (const [uuid, { table, units }] of guarded(included, inserted)) push({ op: 'exists', table, uuid }, units);
  for (const { unit, inserts } of included) {
    for (const { row, columns } of inserts) {
      const parent = parents.take(row.uuid);
      const members: Record<string, Value> = {};
      for (const [column, values] of parent?.adds ?? []) members[column] = [...values];
      const op: NbOp = { op: 'insert', table: row.table, uuid: row.uuid, row: { ...columns, ...members } };
      push(op, new Set([unit, ...(parent?.units ?? [])]));
    }
  }
  for (const { unit, changes } of included) {
    for (const { row, update, mutations } of changes) {
      const { table, uuid } = row;
      if (Object.keys(update).length > 0) push({ op: 'update', table, uuid, row: update }, [unit]);
      if (mutations.length > 0) push({ op: 'mutate', table, uuid, mutations, mustMatch: true }, [unit]);
    }
  }
  for (const [uuid, { table, adds, removes, units }] of parents.rest) {
    if (deleted.has(uuid)) continue;
    const mutations: Mutation[] = [];
    // Insert before delete, so that a set which must not be empty never is.
    for (const [column, values] of adds) mutations.push([column, 'insert', [...values]]);
    for (const [column, values] of removes) mutations.push([column, 'delete', [...values]]);
    push({ op: 'mutate', table, uuid, mutations, mustMatch: adds.size > 0 }, units);
  }
  for (const { unit, deletes } of included) {
    for (const [uuid, table] of deletes) if (!inserted.has(uuid)) push({ op: 'delete', table, uuid }, [unit]);
  }
  return { ops, causes };
}

/** Rows that exist and must still do so when the transaction commits. */
function guarded(
  included: readonly UnitDifference[],
  inserted: ReadonlySet<string>,
): Map<string, { table: string; units: Set<Unit> }> {
  const rows = new Map<string, { table: string; units: Set<Unit> }>();
  const guard = (table: string, uuid: string, unit: Unit): void => {
    if (inserted.has(uuid)) return;
    const known = rows.get(uuid);
    if (known === undefined) rows.set(uuid, { table, units: new Set([unit]) });
    else known.units.add(unit);
  };
  for (const { unit, needs, changes, adds } of included) {
    for (const [uuid, table] of needs) guard(table, uuid, unit);
    for (const { row } of changes) guard(row.table, row.uuid, unit);
    for (const { table, uuid } of adds.values()) guard(table, uuid, unit);
  }
  return rows;
}
