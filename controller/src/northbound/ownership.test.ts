import { describe, expect, it } from 'vitest';
import { OWNERSHIP } from './ownership.ts';
import { northboundSchema } from './testing/memory-store.ts';

describe('ownership', () => {
  for (const release of ['23.03', '25.03', '26.03']) {
    it(`agrees with the northbound schema of OVN ${release}`, () => {
      const problems: string[] = [];
      for (const [table, { columns, foreign, unique, mark }] of Object.entries(OWNERSHIP)) {
        const schema = northboundSchema(release).get(table);
        if (schema === undefined) continue;
        for (const [column, spec] of schema.columns) {
          const rule = columns[column];
          if (rule === undefined) {
            if (!foreign.includes(column)) problems.push(`${table}.${column} is neither ours nor foreign`);
            continue;
          }
          const shape = rule.rule === 'keys' ? 'map' : rule.rule === 'members' ? 'set' : rule.shape;
          if (shape !== spec.kind) problems.push(`${table}.${column} is a ${spec.kind}, not a ${shape}`);
          const references = rule.rule === 'keys' ? undefined : rule.references;
          const expected = spec.references && { table: spec.references.table, weak: !spec.references.strong };
          if (JSON.stringify(references) !== JSON.stringify(expected)) {
            problems.push(`${table}.${column} refers to ${JSON.stringify(expected)}`);
          }
          // A set that must not be empty cannot be merged by member: an insert would have to hold one already.
          if (rule.rule === 'members' && spec.min > 0) problems.push(`${table}.${column} must not be empty`);
        }
        if (JSON.stringify(unique === undefined ? [] : [unique]) !== JSON.stringify(schema.indexes)) {
          problems.push(`${table} has the indexes ${JSON.stringify(schema.indexes)}`);
        }
        if ((mark === 'external_ids') !== schema.columns.has('external_ids'))
          problems.push(`${table} is marked wrongly`);
      }
      expect(problems).toEqual([]);
    });
  }

  it('names only columns that some release has', () => {
    const schemas = ['23.03', '25.03', '26.03'].map((release) => northboundSchema(release));
    for (const [table, { columns, foreign }] of Object.entries(OWNERSHIP)) {
      for (const column of [...Object.keys(columns), ...foreign]) {
        expect(
          schemas.some((schema) => schema.get(table)?.columns.has(column)),
          `${table}.${column}`,
        ).toBe(true);
      }
    }
  });
});
