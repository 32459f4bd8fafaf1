import { referenceOf } from './atoms.ts';
import type { UnitDifference } from './diff.ts';
import { isOurs } from './ours.ts';
import { OWNERSHIP } from './ownership.ts';
import { OWNER_KEY, type Value } from './rows.ts';
import type { NbReader, NbRow } from './store.ts';

/** A row that may be why a unit was refused. */
export interface Blocker {
  readonly uuid: string;
  /** For people. */
  readonly what: string;
}

/**
 * Rows that stand in a refused unit's way: those with the same unique name, and those that refer strongly to what it
 * deletes. When one of them changes, the unit is worth another try. Searches whole tables: only for refused units.
 */
export function blockersOf(difference: UnitDifference, reader: NbReader): readonly Blocker[] {
  return [...namesakes(difference, reader), ...referrers(difference, reader)];
}

function namesakes({ inserts, changes }: UnitDifference, reader: NbReader): Blocker[] {
  const blockers: Blocker[] = [];
  for (const { row } of [...inserts, ...changes]) {
    const unique = OWNERSHIP[row.table]?.unique;
    if (unique === undefined) continue;
    for (const [uuid, other] of reader.rows(row.table)) {
      if (uuid === row.uuid || !unique.every((column) => other[column] === row.columns[column])) continue;
      const name = unique.map((column) => `${column} "${text(row.columns[column])}"`).join(' and ');
      blockers.push({ uuid, what: `${row.table} ${uuid} (${ownerOf(row.table, uuid, other)}) has ${name} already` });
    }
  }
  return blockers;
}

function referrers({ deletes }: UnitDifference, reader: NbReader): Blocker[] {
  const blockers: Blocker[] = [];
  if (deletes.size === 0) return blockers;
  const targets = new Set(deletes.values());
  for (const [table, { columns }] of Object.entries(OWNERSHIP)) {
    if (!reader.hasTable(table)) continue;
    for (const [column, rule] of Object.entries(columns)) {
      const reference = referenceOf(rule);
      if (reference === undefined || reference.weak || !targets.has(reference.table)) continue;
      for (const [uuid, row] of reader.rows(table)) {
        if (deletes.has(uuid)) continue;
        const value = row[column];
        const values = Array.isArray(value) ? (value as readonly string[]) : [value];
        for (const target of values) {
          if (typeof target !== 'string' || !deletes.has(target)) continue;
          const who = `${table} ${uuid} (${ownerOf(table, uuid, row)})`;
          blockers.push({ uuid, what: `${column} of ${who} refers to ${reference.table} ${target}` });
        }
      }
    }
  }
  return blockers;
}

function ownerOf(table: string, uuid: string, row: NbRow): string {
  if (!isOurs(table, uuid, row)) return 'not ours';
  const ids = row['external_ids'];
  return text(ids instanceof Map ? (ids as ReadonlyMap<string, Value>).get(OWNER_KEY) : undefined);
}

function text(value: Value): string {
  return typeof value === 'object' || value === undefined ? 'unknown' : String(value);
}
