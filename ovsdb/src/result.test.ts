import { describe, expect, it } from 'vitest';
import { ovnNorthbound } from './gen/ovn-nb.ts';
import type { Json } from './json.ts';
import { readResults } from './result.ts';
import { Transaction } from './transaction.ts';
import { toRef, toUuid } from './uuid.ts';

const A = toUuid('11111111-1111-4111-8111-111111111111');
const B = toUuid('22222222-2222-4222-8222-222222222222');

function three() {
  const t = new Transaction(ovnNorthbound);
  t.insert('Logical_Switch', { name: 'a' });
  t.update('Logical_Switch', A, { name: 'b' }, { expectCount: 1 });
  t.select('Logical_Switch', [], ['name', 'ports']);
  return t;
}

describe('readResults', () => {
  it('decodes one result per operation', () => {
    expect(
      readResults(three(), [
        { uuid: ['uuid', B] },
        { count: 1 },
        { rows: [{ _uuid: ['uuid', A], name: 'b', ports: ['uuid', B] }] },
      ]),
    ).toEqual([{ uuid: B }, { count: 1 }, { rows: [{ _uuid: A, name: 'b', ports: [B] }] }]);
  });

  it('names the operation that failed', () => {
    const reply = [{ uuid: ['uuid', B] }, { error: 'timed out', details: 'no such luck' }, null];
    expect(() => readResults(three(), reply)).toThrow(
      expect.objectContaining({
        code: 'wait_failed',
        message: 'wait_failed: operation 1 (update Logical_Switch): timed out: no such luck',
        op: 1,
        operation: 'update',
        table: 'Logical_Switch',
        row: A,
        details: 'no such luck',
      }),
    );
  });

  it('finds the culprit of a failed commit in the prose of the extra error', () => {
    const details =
      'Transaction causes multiple rows in "Logical_Switch" table to have identical values (a) for index on column "name".  ' +
      `First row, with UUID 33333333-3333-4333-8333-333333333333, existed in the database before this transaction.  Second row, with UUID ${B}, was inserted by this transaction.`;
    const reply = [{ uuid: ['uuid', B] }, { count: 1 }, { rows: [] }, { error: 'constraint violation', details }];
    expect(() => readResults(three(), reply)).toThrow(
      expect.objectContaining({ code: 'constraint_violation', op: 0, table: 'Logical_Switch', row: B, column: 'name' }),
    );
    const mute = [{ uuid: ['uuid', B] }, { count: 1 }, { rows: [] }, { error: 'disk on fire' }];
    expect(() => readResults(three(), mute)).toThrow(
      expect.objectContaining({
        code: 'server_error',
        op: undefined,
        serverError: 'disk on fire',
        message: 'server_error: at commit: disk on fire',
      }),
    );
  });

  it('takes the results of guards for those of their operations', () => {
    const t = new Transaction(ovnNorthbound).comment('first');
    const port = toRef('Logical_Switch_Port', B);
    t.mutate('Logical_Switch', A, 'ports', 'insert', [port]);
    t.insert('Logical_Switch', { name: 'a' });
    expect(readResults(t, [{}, {}, { count: 1 }, { uuid: ['uuid', B] }])).toEqual([{}, { count: 1 }, { uuid: B }]);
    const reading = (reply: Json) => () => readResults(t, reply);
    const where = { op: 1, operation: 'mutate', table: 'Logical_Switch', row: A };
    expect(reading([{}, { error: 'timed out' }, null, null])).toThrow(
      expect.objectContaining({ code: 'wait_failed', ...where }) as Error,
    );
    expect(reading([{}, {}, { count: 0 }, { uuid: ['uuid', B] }])).toThrow(
      expect.objectContaining({ code: 'count_mismatch', ...where }) as Error,
    );
    expect(reading([{}, {}, { count: 1 }, { error: 'range error' }])).toThrow(
      expect.objectContaining({ code: 'constraint_violation', op: 2, operation: 'insert' }) as Error,
    );
    const commit = { error: 'referential integrity violation', details: `row ${A}` };
    expect(reading([{}, {}, { count: 1 }, { uuid: ['uuid', B] }, commit])).toThrow(
      expect.objectContaining({ code: 'referential_integrity_violation', ...where }) as Error,
    );
    expect(reading([{}, {}])).toThrow(/protocol_error/);
  });

  it('checks counts, and says that the transaction is committed', () => {
    expect(() => readResults(three(), [{ uuid: ['uuid', B] }, { count: 0 }, { rows: [] }])).toThrow(
      expect.objectContaining({
        code: 'count_mismatch',
        op: 1,
        row: A,
        message: expect.stringContaining('is committed') as string,
      }),
    );
  });

  it.each<[string, Parameters<typeof readResults>[1]]>([
    ['no list', { a: 1 }],
    ['too few results', [{}]],
    ['a result that is no object', [1, 2, 3]],
    ['a selected row that is no object', [{}, { count: 1 }, { rows: [1] }]],
    ['a value of the wrong type', [{}, { count: 1 }, { rows: [{ name: 5 }] }]],
  ])('refuses %s', (_, reply) => {
    expect(() => readResults(three(), reply)).toThrow(/protocol_error/);
  });
});
