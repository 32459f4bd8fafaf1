import { describe, expect, it } from 'vitest';
import { toAtoms } from './atoms.ts';
import { DesiredState, type Unit } from './desired.ts';
import { UnitQueue } from './queue.ts';
import { switchRow } from './testing/units.ts';

const desired = new DesiredState();

function unit(name: string, rank = 0): Unit {
  const made = desired.set(name, toAtoms([switchRow(name)]), { rank });
  if (made === undefined) throw new Error(`${name} was there already`);
  return made;
}

const names = (units: readonly Unit[]): string[] => units.map(({ name }) => name);

describe('unit queue', () => {
  it('serves pods first, parents before children, and keeps a quarter for the rest', () => {
    const queue = new UnitQueue();
    queue.add(unit('audited'), 'audit');
    queue.add(unit('policy', 3), 'bulk');
    queue.add(unit('subnet', 1), 'bulk');
    for (let i = 0; i < 6; i++) queue.add(unit(`pod${i}`, 5), 'pod');
    expect(names(queue.take({ units: 4, atoms: 100 }))).toEqual(['pod0', 'pod1', 'pod2', 'subnet']);
    expect(names(queue.take({ units: 4, atoms: 100 }))).toEqual(['pod3', 'pod4', 'pod5', 'policy']);
    expect(names(queue.take({ units: 4, atoms: 100 }))).toEqual(['audited']);
    expect(queue.take({ units: 4, atoms: 100 })).toEqual([]);
  });

  it('keeps back no unit for its size, while pods come', () => {
    const queue = new UnitQueue();
    const large = desired.set('large', toAtoms(Array.from({ length: 60 }, (_, i) => switchRow(`large${i}`))));
    if (large === undefined) throw new Error('large was there already');
    queue.add(large, 'bulk');
    queue.add(unit('small', 5), 'bulk');
    for (let i = 0; i < 3; i++) queue.add(unit(`stream${i}`, 5), 'pod');
    expect(names(queue.take({ units: 10, atoms: 50 }))).toEqual(['stream0', 'stream1', 'stream2', 'large']);
    expect(names(queue.take({ units: 10, atoms: 50 }))).toEqual(['small']);
  });

  it('takes all joint units with the first of them, whatever the limits and lanes', () => {
    const queue = new UnitQueue();
    const joint = [unit('rules', 4), unit('member', 3), unit('other member', 5)];
    for (const one of joint) one.joint = true;
    for (let i = 0; i < 3; i++) queue.add(unit(`new pod${i}`, 5), 'pod');
    for (const [index, one] of joint.entries()) queue.add(one, index === 0 ? 'bulk' : 'pod');
    expect(names(queue.take({ units: 1, atoms: 100 }))).toEqual(['member', 'rules', 'other member']);
    expect(names(queue.take({ units: 2, atoms: 100 }))).toEqual(['new pod0', 'new pod1']);
    expect(names(queue.take({ units: 2, atoms: 100 }))).toEqual(['new pod2']);
  });

  it('takes at least one unit, however large, and none twice', () => {
    const queue = new UnitQueue();
    const [a, b] = [unit('a'), unit('b')];
    queue.add(a, 'audit');
    queue.add(a, 'bulk');
    queue.add(a, 'audit');
    queue.add(b, 'bulk');
    expect(queue.size).toBe(2);
    expect(names(queue.take({ units: 10, atoms: 0 }))).toEqual(['a']);
    expect(queue.remove(b)).toBe(true);
    expect(queue.remove(b)).toBe(false);
    expect(queue.size).toBe(0);
  });
});
