import { memberKey } from './atoms.ts';
import type { DesiredState, Unit } from './desired.ts';
import { type MembershipCache, rowDifference, type UnitDifference } from './diff.ts';
import { NorthboundError } from './error.ts';
import { isOrphanRow, isStaleMember, memberOrphan, type Orphan, rowOrphan } from './orphans.ts';
import { OWNERSHIP } from './ownership.ts';
import type { NbChange, NbReader, NbRow } from './store.ts';

/** Something of ours that somebody else changed. */
export interface Drift {
  readonly table: string;
  readonly uuid: string;
  /** What is put right, for people: `row was deleted`, `addresses`, `ports lacks <uuid>`. */
  readonly what: string;
}

/** What a change of the replica calls for. */
export interface Finding {
  /** Units to compare again, with the atom (row UUID or member key) that differs: backoff is counted by it. */
  readonly differing: readonly { readonly unit: Unit; readonly atom: string }[];
  readonly orphans: readonly Orphan[];
}

/**
 * Looks at what changed in the replica for differences from what units want. Reports nothing for our own changes, since
 * those end in what is wanted.
 */
export function inspectChanges(
  changes: readonly NbChange[],
  desired: DesiredState,
  reader: NbReader,
  cache: MembershipCache,
): Finding {
  const differing: { unit: Unit; atom: string }[] = [];
  const orphans: Orphan[] = [];
  for (const { table, uuid, old } of changes) {
    const columns = OWNERSHIP[table]?.columns;
    if (columns === undefined) continue;
    // What it is now, not what it was after this change: the change may be old by the time it is looked at.
    const now = reader.get(table, uuid);
    const wanted = desired.row(uuid);
    if (wanted !== undefined) {
      if (now === undefined || differs(wanted.row, now, reader)) differing.push({ unit: wanted.unit, atom: uuid });
    } else if (now !== undefined && !desired.isLeaving(uuid) && isOrphanRow(desired, table, uuid, now)) {
      orphans.push(rowOrphan(reader, cache, table, uuid, now));
      continue;
    }
    for (const [column, rule] of Object.entries(columns)) {
      if (rule.rule !== 'members' || old?.[column] === now?.[column]) continue;
      const { gone, came } = cache.changes(old?.[column], now?.[column]);
      for (const value of gone) {
        const atom = memberKey({ table, uuid, column, value: String(value) });
        for (const unit of desired.emitters(atom) ?? []) differing.push({ unit, atom });
      }
      if (now === undefined) continue;
      for (const element of came) {
        const value = String(element);
        const atom = { table, uuid, column, value };
        if (desired.isLeaving(memberKey(atom)) || !isStaleMember(reader, desired, atom, now)) continue;
        orphans.push(memberOrphan(atom));
      }
    }
  }
  return { differing, orphans };
}

/** A healed unit's difference in words. */
export function describeDrift(difference: UnitDifference): readonly Drift[] {
  const drifts: Drift[] = [];
  for (const { row } of difference.inserts) {
    drifts.push({ table: row.table, uuid: row.uuid, what: `row "${row.key}" was deleted` });
  }
  for (const { row, update, mutations } of difference.changes) {
    const columns = new Set([...Object.keys(update), ...mutations.map(([column]) => column)]);
    drifts.push({ table: row.table, uuid: row.uuid, what: `${[...columns].join(', ')} of row "${row.key}" changed` });
  }
  for (const { table, uuid, column, value } of difference.adds.values()) {
    drifts.push({ table, uuid, what: `${column} lacks ${value}` });
  }
  return drifts;
}

function differs(row: Parameters<typeof rowDifference>[0], now: NbRow, reader: NbReader): boolean {
  try {
    return rowDifference(row, now, reader) !== undefined;
  } catch (error) {
    // The unit is held for that reason already; comparing it again says so again.
    if (error instanceof NorthboundError) return true;
    throw error;
  }
}

/** First heal at once, then 1 s doubling to 5 minutes, so that two writers that fight over a row do not spin. */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 300_000;
/** An atom that stayed right this long starts anew. */
const FORGIVE_MS = 600_000;

/** How long to wait before an atom is put right again. */
export class DriftBackoff {
  readonly #seen = new Map<string, { count: number; atMs: number }>();

  /** @returns milliseconds to wait; call once for each difference found. */
  delayMs(atom: string, nowMs: number): number {
    const before = this.#seen.get(atom);
    const count = before === undefined || nowMs - before.atMs > FORGIVE_MS ? 0 : before.count;
    const delay = count === 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (count - 1), MAX_DELAY_MS);
    this.#seen.set(atom, { count: count + 1, atMs: nowMs + delay });
    return delay;
  }

  /** Forgets atoms that have been right for long. */
  prune(nowMs: number): void {
    for (const [atom, { atMs }] of this.#seen) if (nowMs - atMs > FORGIVE_MS) this.#seen.delete(atom);
  }
}
