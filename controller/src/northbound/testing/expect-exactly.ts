import { expect } from 'vitest';
import { sameValue, toAtoms } from '../atoms.ts';
import { DesiredState } from '../desired.ts';
import { findOrphans } from '../orphans.ts';
import { OWNERSHIP } from '../ownership.ts';
import type { Output } from '../rows.ts';
import type { MemoryStore } from './memory-store.ts';

/** Every wanted atom is there, and nothing of ours beyond them. */
export function expectExactly(store: MemoryStore, units: ReadonlyMap<string, readonly Output[]>): void {
  const wanted = new DesiredState();
  for (const [name, outputs] of units) wanted.set(name, toAtoms(outputs));
  for (const unit of wanted.units) {
    for (const wantedRow of unit.atoms.rows.values()) {
      const actual = store.get(wantedRow.table, wantedRow.uuid);
      expect(actual, `${wantedRow.table} ${wantedRow.key}`).toBeDefined();
      for (const [column, rule] of Object.entries(OWNERSHIP[wantedRow.table]?.columns ?? {})) {
        if (rule.rule !== 'whole' || !store.hasColumn(wantedRow.table, column)) continue;
        const value = wantedRow.columns[column] ?? rule.fallback;
        expect(sameValue(actual?.[column], value), `${wantedRow.table}.${column} of ${wantedRow.key}`).toBe(true);
      }
    }
    for (const { table, uuid, column, value } of unit.atoms.members.values()) {
      expect(store.get(table, uuid)?.[column], `${table}.${column}`).toContain(value);
    }
  }
  expect(findOrphans(store, wanted)).toEqual([]);
}
