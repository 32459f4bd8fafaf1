import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toAtoms } from './atoms.ts';
import { DesiredState, type Unit } from './desired.ts';
import { MembershipCache } from './diff.ts';
import { findOrphans } from './orphans.ts';
import { makePlan, type Plan } from './plan.ts';
import type { Output, Scalar } from './rows.ts';
import { expectExactly } from './testing/expect-exactly.ts';
import { MemoryStore } from './testing/memory-store.ts';
import { foreignInsert, groupRow, member, podUnit, randomUnits, row, seed, switchRow } from './testing/units.ts';

type Units = ReadonlyMap<string, readonly Output[]>;

/** Sets all units and drops those that are gone; as the writer does it, but without its loop. */
function setAll(desired: DesiredState, units: Units): void {
  for (const [name, outputs] of units) desired.set(name, toAtoms(outputs));
  for (const unit of desired.units) {
    if (!units.has(unit.name) && !unit.name.startsWith('orphan')) desired.set(unit.name, toAtoms([]));
  }
}

function planAll(desired: DesiredState, store: MemoryStore): Plan {
  return makePlan({ units: [...desired.units], desired, reader: store, cache: new MembershipCache() });
}

/** One transaction for everything that differs. */
function applyAll(desired: DesiredState, store: MemoryStore): Plan {
  for (const orphan of findOrphans(store, desired)) desired.orphan(orphan);
  const plan = planAll(desired, store);
  expect([...plan.waiting], 'units that wait').toEqual([]);
  store.commit(plan.ops);
  for (const { unit, version } of plan.included) desired.written(unit, version);
  for (const [unit, version] of plan.unchanged) desired.written(unit, version);
  return plan;
}

const FOREIGN_SWITCH = '11111111-1111-4111-8111-111111111111';
const FOREIGN_PORT = '22222222-2222-4222-8222-222222222222';
const FOREIGN_GROUP = '33333333-3333-4333-8333-333333333333';

describe('planner', () => {
  it('apply(diff(a, b), a) = b, and others keep what is theirs', () => {
    fc.assert(
      fc.property(randomUnits, randomUnits, fc.boolean(), (a, b, restart) => {
        const store = new MemoryStore();
        store.commit([
          foreignInsert('Logical_Switch', FOREIGN_SWITCH, { name: 's0', ports: [FOREIGN_PORT] }),
          foreignInsert('Logical_Switch_Port', FOREIGN_PORT, { name: 'theirs' }),
          foreignInsert('Port_Group', FOREIGN_GROUP, { name: 'theirs', ports: [FOREIGN_PORT] }),
        ]);
        const theirs = store.dump();
        let desired = new DesiredState();
        setAll(desired, a);
        applyAll(desired, store);
        expectExactly(store, a);
        // Others add to what is ours: a key, and a port of theirs in our switch.
        const guest = switchRow('s0').uuid;
        const mutations = [
          ['external_ids', 'insert', new Map([['theirs', '1']])],
          ['ports', 'insert', [FOREIGN_PORT]],
        ] as const;
        store.commit([{ op: 'mutate', table: 'Logical_Switch', uuid: guest, mutations, mustMatch: false }]);
        const marked = a.has('Subnet/s0') && b.has('Subnet/s0');

        if (restart) desired = new DesiredState();
        setAll(desired, b);
        applyAll(desired, store);
        expectExactly(store, b);
        if (marked) {
          const kept = store.get('Logical_Switch', guest);
          expect((kept?.['external_ids'] as ReadonlyMap<string, Scalar> | undefined)?.get('theirs')).toBe('1');
          expect(kept?.['ports']).toContain(FOREIGN_PORT);
        }
        for (const [table, rows] of Object.entries(theirs)) {
          for (const [uuid, columns] of Object.entries(rows)) expect(store.dump()[table]?.[uuid]).toEqual(columns);
        }
        expect(planAll(desired, store).ops, 'a second look').toEqual([]);
        expect(findOrphans(store, desired)).toEqual([]);
      }),
      { numRuns: 300, ...seed() },
    );
  });

  const unit = (desired: DesiredState, name: string): Unit => {
    const found = desired.get(name);
    if (found === undefined) throw new Error(`no unit ${name}`);
    return found;
  };

  it('guards every parent with a wait and puts a port and its memberships into one transaction', () => {
    const store = new MemoryStore();
    const desired = new DesiredState();
    setAll(
      desired,
      new Map([
        ['Subnet/s', [switchRow('s')]],
        ['Node/n', [groupRow('n')]],
      ]),
    );
    applyAll(desired, store);
    desired.set('Pod/default/a', toAtoms(podUnit('a', 's', 'n')));
    const { ops } = planAll(desired, store);
    expect(ops.map(({ op, table }) => `${op} ${table}`)).toEqual([
      'exists Logical_Switch',
      'exists Port_Group',
      'insert Logical_Switch_Port',
      'mutate Logical_Switch',
      'mutate Port_Group',
    ]);
  });

  it('keeps a unit back whose parent is missing, and whoever refers to it in turn', () => {
    const store = new MemoryStore();
    const desired = new DesiredState();
    const lost = row('Address_Set', 'lost', 'Vpc/v', { name: 'lost' });
    desired.set('A', toAtoms([groupRow('n'), member(lost, 'addresses', '10.0.0.0/8', 'A')]));
    desired.set('B', toAtoms([switchRow('s')]));
    desired.set('C', toAtoms(podUnit('c', 's', 'n')));
    const plan = planAll(desired, store);
    expect([...plan.waiting.keys()].map(({ name }) => name)).toEqual(['A', 'C']);
    expect(plan.included.map(({ unit: { name } }) => name)).toEqual(['B']);
  });

  it('commits units that need each other together, and pulls in the one that is missing', () => {
    const store = new MemoryStore();
    const desired = new DesiredState();
    const a = row('Address_Set', 'a', 'A', { name: 'a' });
    const b = row('Port_Group', 'b', 'B', { name: 'b' });
    const acl = row('ACL', 'x', 'A', { priority: 1, direction: 'to-lport', match: '$a', action: 'drop' });
    desired.set('A', toAtoms([a, acl, member(b, 'acls', acl.uuid, 'A')]));
    desired.set('B', toAtoms([b, member(a, 'addresses', '10.0.0.1', 'B')]));
    const pulled: string[] = [];
    const pull = (provider: Unit): readonly Unit[] => {
      pulled.push(provider.name);
      return [provider];
    };
    const plan = makePlan({ units: [unit(desired, 'A')], desired, reader: store, cache: new MembershipCache(), pull });
    expect(pulled).toEqual(['B']);
    store.commit(plan.ops);
    expect(planAll(desired, store).ops).toEqual([]);
  });

  it('updates a changed rule in place and keeps its UUID', () => {
    const store = new MemoryStore();
    const desired = new DesiredState();
    const outputs = (match: string): Output[] => {
      const acl = row('ACL', 'x', 'S', { priority: 1, direction: 'to-lport', match, action: 'drop' });
      return [switchRow('s'), acl, member(switchRow('s'), 'acls', acl.uuid, 'S')];
    };
    desired.set('S', toAtoms(outputs('ip4')));
    applyAll(desired, store);
    desired.set('S', toAtoms(outputs('ip6')));
    const { ops } = applyAll(desired, store);
    expect(ops.map(({ op }) => op)).toEqual(['exists', 'update']);
    expect(ops.at(-1)).toMatchObject({ row: { match: 'ip6' } });
  });

  it('keeps a member that another unit still emits', () => {
    const store = new MemoryStore();
    const desired = new DesiredState();
    const set = row('Address_Set', 'a', 'V', { name: 'a' });
    desired.set('V', toAtoms([set]));
    desired.set('A', toAtoms([member(set, 'addresses', '10.0.0.1', 'A')]));
    desired.set('B', toAtoms([member(set, 'addresses', '10.0.0.1', 'B')]));
    applyAll(desired, store);
    desired.set('A', toAtoms([]));
    expect(applyAll(desired, store).ops).toEqual([]);
    desired.set('B', toAtoms([]));
    applyAll(desired, store);
    expect(store.get('Address_Set', set.uuid)?.['addresses']).toEqual([]);
  });

  it('says what needs a newer OVN, and does not mind its default', () => {
    const store = new MemoryStore();
    const desired = new DesiredState();
    const acl = (tier: number): Output[] => {
      const rule = row('ACL', 'x', 'S', { priority: 1, direction: 'to-lport', match: '1', action: 'drop', tier });
      return [switchRow('s'), rule, member(switchRow('s'), 'acls', rule.uuid, 'S')];
    };
    desired.set('S', toAtoms(acl(0)));
    applyAll(desired, store);
    desired.set('S', toAtoms(acl(1)));
    const [error] = [...planAll(desired, store).blocked.values()];
    expect(error).toMatchObject({ code: 'needs_newer_ovn' });
    expect(error?.message).toContain('ACL.tier');
  });
});
