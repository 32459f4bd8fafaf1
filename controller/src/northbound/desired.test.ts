import { describe, expect, it } from 'vitest';
import { toAtoms } from './atoms.ts';
import { DesiredState } from './desired.ts';
import { groupRow, member, podUnit, row, switchRow } from './testing/units.ts';

describe('desired state', () => {
  it('remembers what a unit dropped while its older version was on its way', () => {
    const desired = new DesiredState();
    const unit = desired.set('Pod/default/a', toAtoms(podUnit('a', 's', 'n')));
    if (unit === undefined) throw new Error('no unit');
    const { version } = unit;
    const [port] = podUnit('a', 's', 'n');
    desired.set('Pod/default/a', toAtoms([]), { inferred: true });
    desired.written(unit, version);
    expect([...unit.staleRows.keys()]).toEqual([port?.uuid]);
    expect(unit.staleMembers.size).toBe(2);
    expect(unit.inferred).toBe(true);
    expect(desired.isLeaving(port?.uuid ?? '')).toBe(true);
    desired.written(unit, unit.version);
    expect(desired.size).toBe(0);
    expect(desired.isLeaving(port?.uuid ?? '')).toBe(false);
  });

  it('reports no change for the same outputs in another order, and keeps an inferred deletion inferred', () => {
    const desired = new DesiredState();
    const outputs = podUnit('a', 's', 'n', { port_security: ['x', 'y'] });
    desired.set('Pod/default/a', toAtoms(outputs));
    const same = podUnit('a', 's', 'n', { port_security: ['y', 'x'] }).toReversed();
    expect(desired.set('Pod/default/a', toAtoms(same))).toBeUndefined();
    const gone = desired.set('Pod/default/a', toAtoms([]), { inferred: true });
    expect(desired.set('Pod/default/a', toAtoms([]))).toBeUndefined();
    expect(gone?.inferred).toBe(true);
    expect(desired.set('Pod/default/a', toAtoms(outputs))?.inferred).toBe(false);
  });

  it('keeps the unit that came back under the name of one it has forgotten', () => {
    const desired = new DesiredState();
    const old = desired.set('A', toAtoms([switchRow('s')]));
    if (old === undefined) throw new Error('no unit');
    desired.set('A', toAtoms([]));
    desired.written(old, old.version);
    desired.set('A', toAtoms([switchRow('s')]));
    // The forgotten one was still in a queue, and was compared once more.
    desired.written(old, old.version);
    expect(desired.get('A')?.atoms.rows.size).toBe(1);
  });

  it('refuses a row that another unit emits', () => {
    const desired = new DesiredState();
    desired.set('A', toAtoms([switchRow('s')]));
    expect(() => desired.set('B', toAtoms([switchRow('s')]))).toThrow(/emitted by A as well/);
    expect(desired.get('B')).toBeUndefined();
  });
});

describe('atoms', () => {
  it('marks rows with vendor and owner, and splits inline members off', () => {
    const { rows, members } = toAtoms([row('Address_Set', 'a', 'Vpc/v', { name: 'a', addresses: ['10.0.0.1'] })]);
    expect([...rows.values()][0]?.columns['external_ids']).toEqual(
      new Map([
        ['vendor', 'ovenbird'],
        ['ovenbird/owner', 'Vpc/v'],
      ]),
    );
    expect([...members.values()]).toMatchObject([{ column: 'addresses', value: '10.0.0.1' }]);
  });

  const wrong: [string, Parameters<typeof toAtoms>[0], RegExp][] = [
    ['a table that is not listed', [row('Connection', 'x', 'o', {})], /in a table that ownership.ts does not list/],
    ["northd's column", [row('Logical_Switch_Port', 'x', 'o', { name: 'x', up: true })], /Logical_Switch_Port.up/],
    ['a missing column', [row('ACL', 'x', 'o', { priority: 1 })], /the row must give it/],
    [
      'a key that is not listed',
      [row('Logical_Switch', 'x', 'o', { name: 'x', other_config: new Map([['q', '1']]) })],
      /a restart would forget/,
    ],
    ['an unprefixed name', [row('Load_Balancer_Group', 'x', 'o', { name: 'x' })], /must begin with "ovenbird_"/],
    ['one value for a set', [row('Logical_Switch_Port', 'x', 'o', { name: 'x', addresses: 'a' })], /is a set/],
    ['an object for a map', [row('QoS', 'x', 'o', { bandwidth: [] })], /is a map/],
    ['a member of a whole column', [member(groupRow('n'), 'name', 'x', 'o')], /not merged by member/],
    ['one row twice', [switchRow('s'), switchRow('s')], /emitted twice/],
  ];
  it.each(wrong)('refuses %s', (_, outputs, message) => {
    expect(() => toAtoms(outputs)).toThrow(message);
  });
});
