import { type MemberAtom, memberKey, referenceOf } from './atoms.ts';
import type { DesiredState } from './desired.ts';
import type { MembershipCache } from './diff.ts';
import { isOurs } from './ours.ts';
import { OWNERSHIP } from './ownership.ts';
import { OWNER_KEY, type Scalar } from './rows.ts';
import type { NbReader, NbRow } from './store.ts';

/** Something of ours in the database that no unit wants, to be removed in one piece. */
export interface Orphan {
  /** Unit name under which it is removed. */
  readonly name: string;
  readonly rows: ReadonlyMap<string, string>;
  readonly members: ReadonlyMap<string, MemberAtom>;
}

/** Everything of ours that no unit wants: rows, each with its memberships, and members of rows that stay. */
export function findOrphans(reader: NbReader, desired: DesiredState): readonly Orphan[] {
  const rows = new Map<string, { table: string; row: NbRow; members: Map<string, MemberAtom> }>();
  for (const table of Object.keys(OWNERSHIP)) {
    if (!reader.hasTable(table)) continue;
    for (const [uuid, row] of reader.rows(table)) {
      if (isOrphanRow(desired, table, uuid, row)) rows.set(uuid, { table, row, members: new Map() });
    }
  }
  const stale: Orphan[] = [];
  for (const [table, { columns }] of Object.entries(OWNERSHIP)) {
    if (!reader.hasTable(table)) continue;
    const sets = Object.keys(columns).filter((column) => columns[column]?.rule === 'members');
    if (sets.length === 0) continue;
    for (const [uuid, row] of reader.rows(table)) {
      if (rows.has(uuid)) continue;
      for (const column of sets) {
        for (const value of (row[column] ?? []) as readonly string[]) {
          const atom: MemberAtom = { table, uuid, column, value };
          const key = memberKey(atom);
          // An orphan takes its memberships with it, in parents of ours or not: a strong reference would keep it alive.
          const target = rows.get(value);
          if (target !== undefined) target.members.set(key, atom);
          else if (isStaleMember(reader, desired, atom, row)) stale.push(memberOrphan(atom));
        }
      }
    }
  }
  const orphans = [...rows].map(([uuid, { table, row, members }]) => ({
    name: rowOrphanName(table, uuid, row),
    rows: new Map([[uuid, table]]),
    members,
  }));
  return [...orphans, ...stale];
}

/** Whether a row of the replica is ours and wanted by nobody. */
export function isOrphanRow(desired: DesiredState, table: string, uuid: string, row: NbRow): boolean {
  return desired.row(uuid) === undefined && isOurs(table, uuid, row);
}

/** One orphan row with its memberships: searches every parent, for the rare orphan that appears while running. */
export function rowOrphan(reader: NbReader, cache: MembershipCache, table: string, uuid: string, row: NbRow): Orphan {
  const members = membershipsOf(reader, cache, table, uuid);
  return { name: rowOrphanName(table, uuid, row), rows: new Map([[uuid, table]]), members };
}

/** Whether a member of `parent` is ours and emitted by nobody. Members that others put into our sets are theirs. */
export function isStaleMember(reader: NbReader, desired: DesiredState, atom: MemberAtom, parent: NbRow): boolean {
  if (desired.emitters(memberKey(atom)) !== undefined || !isOurs(atom.table, atom.uuid, parent)) return false;
  const rule = OWNERSHIP[atom.table]?.columns[atom.column];
  if (rule?.rule !== 'members') return false;
  const reference = referenceOf(rule);
  // Strings carry no mark: in a set of ours they are all ours.
  if (reference === undefined) return true;
  const target = reader.get(reference.table, atom.value);
  return target !== undefined && isOurs(reference.table, atom.value, target);
}

/** A stale member by itself. */
export function memberOrphan(atom: MemberAtom): Orphan {
  return {
    name: `orphan of ${atom.table}.${atom.column} ${atom.uuid} ${atom.value}`,
    rows: new Map(),
    members: new Map([[memberKey(atom), atom]]),
  };
}

function rowOrphanName(table: string, uuid: string, row: NbRow): string {
  const ids = row['external_ids'];
  const owner = ids instanceof Map ? (ids as ReadonlyMap<string, Scalar>).get(OWNER_KEY) : undefined;
  return `orphan ${table} ${uuid} of ${owner ?? 'unknown'}`;
}

function membershipsOf(
  reader: NbReader,
  cache: MembershipCache,
  table: string,
  uuid: string,
): ReadonlyMap<string, MemberAtom> {
  const members = new Map<string, MemberAtom>();
  for (const [parentTable, { columns }] of Object.entries(OWNERSHIP)) {
    if (!reader.hasTable(parentTable)) continue;
    for (const [column, rule] of Object.entries(columns)) {
      if (rule.rule !== 'members' || rule.references?.table !== table) continue;
      for (const [parent, row] of reader.rows(parentTable)) {
        if (!cache.elements(row[column]).has(uuid)) continue;
        const atom: MemberAtom = { table: parentTable, uuid: parent, column, value: uuid };
        members.set(memberKey(atom), atom);
      }
    }
  }
  return members;
}
