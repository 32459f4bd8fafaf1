import { describe, expect, it } from 'vitest';
import { type OvnNorthbound, ovnNorthbound } from './gen/ovn-nb.ts';
import type { DatabaseSpec } from './spec.ts';
import { Transaction } from './transaction.ts';
import type { AnyDatabase } from './types.ts';
import { toRef, toUuid } from './uuid.ts';

const A = toUuid('11111111-1111-4111-8111-111111111111');
const B = toUuid('22222222-2222-4222-8222-222222222222');

function json(build: (t: Transaction<OvnNorthbound>) => unknown): unknown {
  const t = new Transaction(ovnNorthbound);
  build(t);
  return t.operations.length === 1 ? t.operations[0]?.json : t.operations.map((operation) => operation.json);
}

describe('Transaction', () => {
  it('inserts with an explicit uuid, a name of its own, or a given name', () => {
    expect(json((t) => t.insert('Logical_Switch', { name: 'a' }, { uuid: A }))).toEqual({
      op: 'insert',
      table: 'Logical_Switch',
      uuid: A,
      row: { name: 'a' },
    });
    const t = new Transaction(ovnNorthbound);
    const port = t.insert('Logical_Switch_Port', { name: 'p', tag: null });
    const again = t.insert('Logical_Switch_Port', { name: 'q' });
    expect(port).toMatch(/^row\d+$/);
    expect(again).not.toBe(port);
    expect(t.insert('Logical_Switch', { ports: [port, toRef('Logical_Switch_Port', B)] }, { name: 'sw' })).toBe('sw');
    expect(t.toParams()).toEqual([
      'OVN_Northbound',
      { op: 'insert', table: 'Logical_Switch_Port', 'uuid-name': port, row: { name: 'p', tag: ['set', []] } },
      { op: 'insert', table: 'Logical_Switch_Port', 'uuid-name': again, row: { name: 'q' } },
      {
        op: 'insert',
        table: 'Logical_Switch',
        'uuid-name': 'sw',
        row: {
          ports: [
            'set',
            [
              ['named-uuid', port],
              ['uuid', B],
            ],
          ],
        },
      },
    ]);
  });

  it('leaves undefined columns out and writes defaults that are asked for', () => {
    expect(json((t) => t.update('Logical_Switch', A, { name: undefined, ports: [], other_config: new Map() }))).toEqual(
      {
        op: 'update',
        table: 'Logical_Switch',
        where: [['_uuid', '==', ['uuid', A]]],
        row: { ports: ['set', []], other_config: ['map', []] },
      },
    );
  });

  it('mutates sets, maps by pair and by key, optionals and numbers', () => {
    const mutations = (build: Parameters<typeof json>[0]): unknown =>
      (json(build) as { readonly mutations: unknown }).mutations;
    const port = toRef('Logical_Switch_Port', B);
    expect(mutations((t) => t.mutate('Logical_Switch', A, 'ports', 'insert', [port]))).toEqual([
      ['ports', 'insert', ['set', [['uuid', B]]]],
    ]);
    expect(mutations((t) => t.mutate('Logical_Switch', A, 'external_ids', 'insert', new Map([['k', 'v']])))).toEqual([
      ['external_ids', 'insert', ['map', [['k', 'v']]]],
    ]);
    expect(mutations((t) => t.mutate('Logical_Switch', A, 'external_ids', 'delete', ['k', 'l']))).toEqual([
      ['external_ids', 'delete', ['set', ['k', 'l']]],
    ]);
    expect(mutations((t) => t.mutate('NB_Global', [], 'nb_cfg', '+=', 1))).toEqual([['nb_cfg', '+=', 1]]);
    // Fewer elements than the column must keep are a legal operand.
    expect(mutations((t) => t.mutate('Meter', A, 'bands', 'delete', []))).toEqual([['bands', 'delete', ['set', []]]]);
  });

  it('encodes conditions by their column', () => {
    expect(
      json((t) =>
        t.delete('Logical_Switch_Port', [
          ['name', '==', 'a'],
          ['tag', '<', 5],
          ['external_ids', 'includes', new Map([['k', 'v']])],
          ['_uuid', '!=', A],
        ]),
      ),
    ).toEqual({
      op: 'delete',
      table: 'Logical_Switch_Port',
      where: [
        ['name', '==', 'a'],
        ['tag', '<', 5],
        ['external_ids', 'includes', ['map', [['k', 'v']]]],
        ['_uuid', '!=', ['uuid', A]],
      ],
    });
    expect(json((t) => t.delete('Meter', [['bands', 'includes', []]]))).toMatchObject({
      where: [['bands', 'includes', ['set', []]]],
    });
  });

  it('guards', () => {
    expect(
      json((t) => t.wait({ table: 'NB_Global', where: [], until: '==', rows: [{ name: 'a', nb_cfg: 3 }] })),
    ).toEqual({
      op: 'wait',
      table: 'NB_Global',
      timeout: 0,
      where: [],
      columns: ['name', 'nb_cfg'],
      until: '==',
      rows: [{ name: 'a', nb_cfg: 3 }],
    });
    expect(json((t) => t.waitForRow('Logical_Switch', A))).toEqual({
      op: 'wait',
      table: 'Logical_Switch',
      timeout: 0,
      where: [['_uuid', '==', ['uuid', A]]],
      columns: [],
      until: '==',
      rows: [{}],
    });
  });

  it('guards insertions of references into one row, unless the row is there for sure', () => {
    const guard = (uuid: string): object => ({
      op: 'wait',
      table: 'Logical_Switch',
      timeout: 0,
      where: [['_uuid', '==', ['uuid', uuid]]],
      columns: [],
      until: '==',
      rows: [{}],
    });
    const ops = (build: (t: Transaction<OvnNorthbound>) => unknown): unknown[] => {
      const t = new Transaction(ovnNorthbound);
      build(t);
      return (t.toParams() as { op: string }[]).slice(1).map((each) => (each.op === 'wait' ? each : each.op));
    };
    const port = toRef('Logical_Switch_Port', B);
    const join = (t: Transaction<OvnNorthbound>, uuid = A) =>
      t.mutate('Logical_Switch', uuid, 'ports', 'insert', [port]);
    expect(ops((t) => join(t))).toEqual([guard(A), 'mutate']);
    expect(ops((t) => join(t.waitForRow('Logical_Switch', A)))).toEqual([guard(A), 'mutate']);
    expect(ops((t) => join(t, t.insert('Logical_Switch', {}, { uuid: A })))).toEqual(['insert', 'mutate']);
    expect(ops((t) => join(t, t.insert('Logical_Switch', {})))).toEqual(['insert', 'mutate']);
    const waiting = new Transaction(ovnNorthbound).waitForRow('Logical_Switch', A);
    expect(ops((t) => join(t.append(waiting)))).toEqual([guard(A), 'mutate']);
    expect(ops((t) => t.mutate('Logical_Switch', A, 'ports', 'delete', [port]))).toEqual(['mutate']);
    expect(ops((t) => t.mutate('Logical_Switch', [], 'ports', 'insert', [port]))).toEqual(['mutate']);
    expect(ops((t) => t.mutate('Address_Set', A, 'addresses', 'insert', ['a']))).toEqual(['mutate']);
    const t = new Transaction(ovnNorthbound);
    join(t).mutate('Address_Set', A, 'addresses', 'insert', ['a']);
    expect(t.operations.map(({ expectCount }) => expectCount)).toEqual([1, undefined]);
  });

  it('composes', () => {
    const a = new Transaction(ovnNorthbound).comment('one').assert('lock').commit(true).abort();
    const b = new Transaction(ovnNorthbound).select('ACL', A, ['name']).append(a);
    expect(b.size).toBe(5);
    expect(a.size).toBe(4);
    expect(b.operations.map(({ json: operation }) => operation)).toEqual([
      { op: 'select', table: 'ACL', where: [['_uuid', '==', ['uuid', A]]], columns: ['_uuid', 'name'] },
      { op: 'comment', comment: 'one' },
      { op: 'assert', lock: 'lock' },
      { op: 'commit', durable: true },
      { op: 'abort' },
    ]);
  });

  it('refuses mistakes where they are made, naming table and column', () => {
    const t = new Transaction(ovnNorthbound as unknown as DatabaseSpec<AnyDatabase>);
    const expectError = (call: () => unknown, error: object): void => {
      expect(call).toThrow(expect.objectContaining(error));
    };
    expectError(() => t.insert('Nonsense', {}), { code: 'unknown_table', table: 'Nonsense' });
    expectError(() => t.insert('ACL', { nonsense: 1 }), { code: 'unknown_column', table: 'ACL', column: 'nonsense' });
    expectError(() => t.insert('ACL', { priority: 'high' }), {
      code: 'invalid_value',
      table: 'ACL',
      column: 'priority',
    });
    expectError(() => t.update('ACL', A, { match: null }), { code: 'invalid_value', table: 'ACL', column: 'match' });
    expectError(() => t.insert('ACL', {}, { name: '1x' }), { code: 'invalid_value', table: 'ACL' });
    expectError(() => t.mutate('Logical_Switch', A, 'ports', 'insert', 'x'), {
      code: 'invalid_value',
      column: 'ports',
    });
    expectError(() => t.mutate('Logical_Switch', A, 'other_config', 'insert', ['x']), { code: 'invalid_value' });
    expectError(() => t.select('ACL', [['nonsense', '==', 1]]), { code: 'unknown_column' });
    expect(t.size).toBe(0);
  });
});
