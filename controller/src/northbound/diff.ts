import { type MemberAtom, referenceOf, sameValue } from './atoms.ts';
import type { DesiredState, Unit } from './desired.ts';
import { NorthboundError } from './error.ts';
import { isOurKey } from './ours.ts';
import { type ColumnRule, OWNERSHIP } from './ownership.ts';
import type { DesiredRow, Scalar, Value } from './rows.ts';
import type { Mutation, NbReader, NbRow } from './store.ts';

/** What must change in one row that exists. */
export interface RowDifference {
  readonly row: DesiredRow;
  /** Columns replaced as a whole. */
  readonly update: Readonly<Record<string, Value>>;
  /** Map keys put right, others' keys untouched. */
  readonly mutations: readonly Mutation[];
}

/** What must change in the database for one unit. */
export interface UnitDifference {
  readonly unit: Unit;
  /** The unit's version that this brings about. */
  readonly version: number;
  readonly inserts: readonly { readonly row: DesiredRow; readonly columns: NbRow }[];
  readonly changes: readonly RowDifference[];
  /** UUID → table. */
  readonly deletes: ReadonlyMap<string, string>;
  readonly adds: ReadonlyMap<string, MemberAtom>;
  readonly removes: ReadonlyMap<string, MemberAtom>;
  /** Rows outside the unit that must exist for what is written: UUID → table. */
  readonly needs: ReadonlyMap<string, string>;
}

/**
 * Answers "is this element in that set" without searching large sets again. Arrays of the replica are immutable, so a set
 * made from one stays right for as long as the array lives.
 */
export class MembershipCache {
  readonly #sets = new WeakMap<readonly Scalar[], Set<Scalar>>();

  /** The elements of a set column. */
  elements(value: Value): ReadonlySet<Scalar> {
    if (!Array.isArray(value)) return new Set();
    const array = value as readonly Scalar[];
    let elements = this.#sets.get(array);
    if (elements === undefined) {
      elements = new Set(array);
      this.#sets.set(array, elements);
    }
    return elements;
  }

  /**
   * What went from a set and what came to it. A switch with ten thousand ports changes by one: what both versions share
   * at either end is passed over, and the set of the old version becomes that of the new one.
   */
  changes(before: Value, after: Value): { readonly gone: readonly Scalar[]; readonly came: readonly Scalar[] } {
    const old = Array.isArray(before) ? (before as readonly Scalar[]) : [];
    const now = Array.isArray(after) ? (after as readonly Scalar[]) : [];
    const shorter = Math.min(old.length, now.length);
    let start = 0;
    while (start < shorter && old[start] === now[start]) start += 1;
    let end = 0;
    while (end < shorter - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end += 1;
    const left = new Set(old.slice(start, old.length - end));
    const right = new Set(now.slice(start, now.length - end));
    const gone = [...left.difference(right)];
    const came = [...right.difference(left)];
    const known = this.#sets.get(old);
    // An empty array may be the one that all rows with an empty set share.
    if (known !== undefined && now.length > 0) {
      for (const element of gone) known.delete(element);
      for (const element of came) known.add(element);
      this.#sets.delete(old);
      this.#sets.set(now, known);
    }
    return { gone, came };
  }
}

/**
 * Compares one unit with the replica.
 * @returns undefined when the database already holds what the unit wants.
 * @throws NorthboundError `needs_newer_ovn` when the connected schema lacks what the unit needs.
 */
export function differenceOf(
  unit: Unit,
  desired: DesiredState,
  reader: NbReader,
  cache: MembershipCache,
): UnitDifference | undefined {
  const inserts: { row: DesiredRow; columns: NbRow }[] = [];
  const changes: RowDifference[] = [];
  const deletes = new Map<string, string>();
  const adds = new Map<string, MemberAtom>();
  const removes = new Map<string, MemberAtom>();
  const needs = new Map<string, string>();
  for (const row of unit.atoms.rows.values()) {
    const actual = reader.get(row.table, row.uuid);
    if (actual === undefined) {
      const columns = insertColumns(row, reader);
      inserts.push({ row, columns });
      collectNeeds(row, columns, unit, needs);
    } else {
      const change = rowDifference(row, actual, reader);
      if (change !== undefined) {
        changes.push(change);
        collectNeeds(row, change.update, unit, needs);
      }
    }
  }
  for (const [key, member] of unit.atoms.members) {
    const parent = reader.get(member.table, member.uuid);
    if (parent !== undefined && cache.elements(parent[member.column]).has(member.value)) continue;
    adds.set(key, member);
    const reference = referenceOfMember(member);
    if (!unit.atoms.rows.has(member.uuid)) needs.set(member.uuid, member.table);
    if (reference !== undefined && !unit.atoms.rows.has(member.value)) needs.set(member.value, reference);
  }
  for (const [uuid, table] of unit.staleRows) {
    if (desired.row(uuid) === undefined && reader.get(table, uuid) !== undefined) deletes.set(uuid, table);
  }
  for (const [key, member] of unit.staleMembers) {
    if (desired.emitters(key) !== undefined || deletes.has(member.uuid)) continue;
    const parent = reader.get(member.table, member.uuid);
    if (parent !== undefined && cache.elements(parent[member.column]).has(member.value)) removes.set(key, member);
  }
  if (inserts.length + changes.length + deletes.size + adds.size + removes.size === 0) return undefined;
  return { unit, version: unit.version, inserts, changes, deletes, adds, removes, needs };
}

/**
 * Compares the owned columns of one row; columns merged by member are compared member by member, not here.
 * @returns undefined when they are equal.
 * @throws NorthboundError `needs_newer_ovn`
 */
export function rowDifference(row: DesiredRow, actual: NbRow, reader: NbReader): RowDifference | undefined {
  const update: Record<string, Value> = {};
  const mutations: Mutation[] = [];
  let changed = false;
  for (const [column, rule] of columnRules(row.table)) {
    if (rule.rule === 'members') continue;
    const wanted = row.columns[column];
    if (!reader.hasColumn(row.table, column)) {
      requireDefault(row, column, wanted, rule.rule === 'keys' ? new Map() : rule.fallback);
      continue;
    }
    if (rule.rule === 'keys') {
      const before = mutations.length;
      pushKeyMutations(column, asMap(wanted), asMap(actual[column]), (key) => isOurKey(rule, key), mutations);
      changed ||= mutations.length > before;
    } else {
      const value = wanted ?? rule.fallback;
      if (sameValue(value, actual[column])) continue;
      update[column] = value;
      changed = true;
    }
  }
  return changed ? { row, update, mutations } : undefined;
}

/** What to write for a new row: what differs from the schema's default, without the columns merged by member. */
function insertColumns(row: DesiredRow, reader: NbReader): NbRow {
  if (!reader.hasTable(row.table)) {
    throw new NorthboundError('needs_newer_ovn', `${row.owner}: the connected OVN has no table ${row.table}`);
  }
  const columns: Record<string, Value> = {};
  for (const [column, rule] of columnRules(row.table)) {
    const value = row.columns[column];
    if (rule.rule === 'members' || value === undefined) continue;
    const fallback = rule.rule === 'keys' ? new Map<string, Scalar>() : rule.fallback;
    if (sameValue(value, fallback)) continue;
    if (!reader.hasColumn(row.table, column)) requireDefault(row, column, value, fallback);
    columns[column] = value;
  }
  return columns;
}

function requireDefault(row: DesiredRow, column: string, wanted: Value, fallback: Value): void {
  if (wanted === undefined || sameValue(wanted, fallback)) return;
  throw new NorthboundError(
    'needs_newer_ovn',
    `${row.owner}: the connected OVN has no column ${row.table}.${column}, which row "${row.key}" needs`,
  );
}

/** A key whose value changes is deleted first: a map `insert` leaves present keys alone (RFC 7047 §5.1). */
function pushKeyMutations(
  column: string,
  wanted: ReadonlyMap<string, Scalar>,
  actual: ReadonlyMap<string, Scalar>,
  isOurs: (key: string) => boolean,
  into: Mutation[],
): void {
  const gone: string[] = [];
  const set = new Map<string, Scalar>();
  for (const [key, value] of actual) {
    if (wanted.has(key) ? wanted.get(key) !== value : isOurs(key)) gone.push(key);
  }
  for (const [key, value] of wanted) if (actual.get(key) !== value) set.set(key, value);
  if (gone.length > 0) into.push([column, 'delete', gone]);
  if (set.size > 0) into.push([column, 'insert', set]);
}

function collectNeeds(row: DesiredRow, written: NbRow, unit: Unit, needs: Map<string, string>): void {
  for (const [column, rule] of columnRules(row.table)) {
    const reference = referenceOf(rule);
    const value = written[column];
    if (reference === undefined || value === undefined) continue;
    const targets = (Array.isArray(value) ? value : [value]) as readonly string[];
    for (const target of targets) {
      if (!unit.atoms.rows.has(target)) needs.set(target, reference.table);
    }
  }
}

function referenceOfMember(member: MemberAtom): string | undefined {
  const rule = OWNERSHIP[member.table]?.columns[member.column];
  return rule === undefined ? undefined : referenceOf(rule)?.table;
}

/** `Object.entries` of each table's columns, made once: they are walked for every row. */
const COLUMN_RULES: ReadonlyMap<string, readonly (readonly [string, ColumnRule])[]> = new Map(
  Object.entries(OWNERSHIP).map(([table, { columns }]) => [table, Object.entries(columns)]),
);

function columnRules(table: string): readonly (readonly [string, ColumnRule])[] {
  return COLUMN_RULES.get(table) ?? [];
}

function asMap(value: Value): ReadonlyMap<string, Scalar> {
  return value instanceof Map ? (value as ReadonlyMap<string, Scalar>) : new Map<string, Scalar>();
}
