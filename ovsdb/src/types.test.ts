/**
 * What must not compile. tsc checks this file: an `@ts-expect-error` with nothing to complain about is an error. The
 * functions are never called.
 */
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { AnyDatabase, Client, DatabaseSpec, OvnNorthbound, Ref, Row, Uuid, Value } from './index.ts';
import { connect, openVswitch, ovnNorthbound, ovnSouthbound, Transaction } from './index.ts';

declare const uuid: Uuid;
declare const port: Ref<'Logical_Switch_Port'>;
declare const acl: Ref<'ACL'>;

export function refusedByTransactions(t: Transaction<OvnNorthbound>): void {
  // @ts-expect-error no such table
  t.insert('Nonsense', {});
  // @ts-expect-error no such column
  t.insert('ACL', { nonsense: 1 });
  // @ts-expect-error not a member of the enum
  t.insert('ACL', { action: 'permit' });
  // @ts-expect-error a number column
  t.insert('ACL', { priority: '1' });
  // @ts-expect-error a scalar cannot be cleared
  t.update('ACL', uuid, { match: null });
  t.update('ACL', uuid, { name: null, meter: undefined });
  // @ts-expect-error a set is an array
  t.update('Logical_Switch', uuid, { ports: port });
  // @ts-expect-error a reference to another table's row
  t.update('Logical_Switch', uuid, { ports: [acl] });
  // @ts-expect-error any row's uuid is not a port's: use toRef
  t.update('Logical_Switch', uuid, { ports: [uuid] });
  t.update('Logical_Switch', uuid, { ports: [port], acls: [acl] });
  // @ts-expect-error a string is not a uuid: use toUuid
  t.delete('Logical_Switch', 'a');
  // @ts-expect-error a reference to another table's row
  t.mutate('Logical_Switch', uuid, 'ports', 'insert', [acl]);
  // @ts-expect-error no arithmetic on sets of references
  t.mutate('Logical_Switch', uuid, 'ports', '+=', 1);
  // @ts-expect-error no insertion into a scalar
  t.mutate('Logical_Switch', uuid, 'name', 'insert', ['a']);
  // @ts-expect-error maps gain pairs, not keys
  t.mutate('Logical_Switch', uuid, 'other_config', 'insert', ['a']);
  t.mutate('Logical_Switch', uuid, 'other_config', 'delete', ['a']);
  // @ts-expect-error the key of QoS.action is an enum
  t.mutate('QoS', uuid, 'action', 'insert', new Map([['color', 1]]));
  // @ts-expect-error no such column in the condition
  t.delete('ACL', [['nonsense', '==', 1]]);
  // @ts-expect-error the column is a number
  t.delete('ACL', [['priority', '==', 'high']]);
  // @ts-expect-error no such column to compare
  t.wait({ table: 'ACL', where: [], columns: ['nonsense'], until: '==', rows: [] });
  const inserted = t.insert('ACL', {});
  // @ts-expect-error insert knows its table
  t.update('Logical_Switch', uuid, { ports: [inserted] });
}

export function refusedByReplicas(db: Client<OvnNorthbound>): void {
  const ports = db.replica.table('Logical_Switch_Port');
  // @ts-expect-error no such table
  db.replica.table('Nonsense');
  // @ts-expect-error no such column
  void ports.get(uuid)?.nonsense;
  // @ts-expect-error tag is a number
  ports.find('tag', 'a');
  // @ts-expect-error no such column to find by
  ports.find('nonsense', 'a');
  ports.find('external_ids:owner', 'a');
  for (const row of ports.rows()) {
    // @ts-expect-error rows never change
    row.name = 'b';
    // @ts-expect-error sets never change
    const list: string[] = row.addresses;
    list.push('a');
  }
  db.replica.onChange((changes) => {
    for (const change of changes) {
      if (change.table === 'ACL') {
        // @ts-expect-error a change knows its table
        void change.new?.addresses;
      }
    }
  });
  ports.onChange((changes) => {
    expectTypeOf(changes[0]?.new?.tag).toEqualTypeOf<number | undefined>();
    // @ts-expect-error no such column
    void changes[0]?.old?.nonsense;
  });
  // @ts-expect-error a transaction of another database
  void db.transact(new Transaction(ovnSouthbound));
}

export function refusedByConnect(): void {
  // @ts-expect-error no such table
  connect({ remotes: [], database: ovnNorthbound, monitor: { Nonsense: true } });
  // @ts-expect-error no such column
  connect({ remotes: [], database: ovnNorthbound, monitor: { ACL: ['nonsense'] } });
  // @ts-expect-error no such column in the index
  connect({ remotes: [], database: ovnNorthbound, monitor: { ACL: true }, indexes: { ACL: [['nonsense']] } });
  // @ts-expect-error no such column in the condition
  connect({ remotes: [], database: openVswitch, monitor: { Interface: { where: [['nonsense', '==', 1]] } } });
}

describe('types', () => {
  it('gives rows their kinds', () => {
    type Port = Row<OvnNorthbound, 'Logical_Switch_Port'>;
    expectTypeOf<Port['_uuid']>().toEqualTypeOf<Ref<'Logical_Switch_Port'>>();
    expectTypeOf<Port['name']>().toEqualTypeOf<string>();
    expectTypeOf<Port['tag']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<Port['addresses']>().toEqualTypeOf<readonly string[]>();
    expectTypeOf<Port['external_ids']>().toEqualTypeOf<ReadonlyMap<string, string>>();
    expectTypeOf<Port['ha_chassis_group']>().toEqualTypeOf<Ref<'HA_Chassis_Group'> | undefined>();
    expectTypeOf<Row<OvnNorthbound, 'ACL'>['direction']>().toEqualTypeOf<'from-lport' | 'to-lport'>();
  });

  it('lets names be data where the spec is cast', () => {
    const t = new Transaction(ovnNorthbound as unknown as DatabaseSpec<AnyDatabase>);
    const columns: Record<string, Value> = { name: 'a', other_config: new Map([['k', 'v']]) };
    const table: string = 'Logical_Switch';
    const ref = t.insert(table, columns);
    t.update(table, ref, columns)
      .mutate(table, ref, 'ports', 'insert', ['row1'])
      .delete(table, [['name', '==', 'a']]);
    expect(t.size).toBe(4);
  });
});
