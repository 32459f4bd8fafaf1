import { MAX_GROUP_PRIORITY } from '@ovenbird/crds';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupBand } from '../compile/bands.ts';
import { makeGroup, World } from '../testing/world.ts';
import type { GroupRule, SecurityGroup } from './model.ts';
import { ownPlace, placesOf } from './places.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const band = groupBand(0, false);
const small = { places: 12, exact: 5 };

const ascending = (priorities: readonly number[]): readonly number[] => [...new Set(priorities)].sort((a, b) => a - b);
const mapOf = (priorities: readonly number[], of = band): ReadonlyMap<number, number> => {
  const places = placesOf(priorities, of);
  return new Map(priorities.map((priority, index) => [priority, places[index] ?? 0]));
};
const priority = fc.integer({ min: 1, max: MAX_GROUP_PRIORITY });
const near = fc.oneof(priority, fc.integer({ min: 16_300, max: MAX_GROUP_PRIORITY }), fc.integer({ min: 1, max: 40 }));

const rule = (priority: number, more: Partial<GroupRule> = {}): GroupRule => ({
  ...{ family: 4, protocol: 'tcp', remote: { cidr: '10.16.0.0/16' }, policy: 'allow', log: false },
  priority,
  ...more,
});

describe(`places of priorities (SEED=${seed})`, () => {
  it('are in the order of the priorities and within the band, for any that there are places for', () => {
    for (const of of [band, small, groupBand(1, false), groupBand(0, true)]) {
      const sets = fc.uniqueArray(near, { maxLength: Math.min(of.places, 60) });
      fc.assert(
        fc.property(sets, (some) => {
          const priorities = ascending(some);
          const places = placesOf(priorities, of);
          expect(places).toEqual(ascending(places));
          expect(places[0] ?? 1).toBeGreaterThanOrEqual(1);
          expect(places.at(-1) ?? 1).toBeLessThanOrEqual(of.places);
        }),
        { seed, numRuns: 100 },
      );
    }
    const full = Array.from({ length: band.places }, (_, index) => MAX_GROUP_PRIORITY - band.places + 1 + index);
    expect(placesOf(full, band)).toEqual(full.map((_, index) => index + 1));
  });

  it('are those of the numbers that people write: 1, 2, 3 ..., tens, hundreds and the last one', () => {
    for (const step of [1, 10, 100]) {
      const low = Array.from({ length: 200 }, (_, index) => (index + 1) * step).filter((one) => one <= band.exact);
      expect(placesOf(low, band)).toEqual(low);
    }
    const sparse = Array.from({ length: 163 }, (_, index) => (index + 1) * 100);
    expect(placesOf(sparse, band)).toEqual(sparse.map((one) => ownPlace(one, band)));
    expect(placesOf([MAX_GROUP_PRIORITY], band)).toEqual([2959]);
    expect(placesOf([16_382, 16_383, MAX_GROUP_PRIORITY], band)).toEqual([2958, 2959, 2960]);
  });

  it('of one priority more or less move those only that are next to it without a gap', () => {
    fc.assert(
      fc.property(fc.uniqueArray(near, { maxLength: 60 }), near, (some, one) => {
        const before = mapOf(ascending(some.filter((other) => other !== one)));
        const now = mapOf(ascending([...some, one]));
        const moved = [...before].flatMap(([other, place]) => (now.get(other) === place ? [] : [now.get(other) ?? 0]));
        const places = ascending([...moved, now.get(one) ?? 0]);
        expect((places.at(-1) ?? 0) - (places[0] ?? 0)).toBe(places.length - 1);
      }),
      { seed, numRuns: 300 },
    );
  });
});

describe('SecurityGroups with priorities of the whole range', () => {
  const acls = (world: World, name: string): readonly unknown[] =>
    world.sink
      .rows('ACL')
      .flatMap(({ owner, key, columns }) =>
        owner === `SecurityGroup/${name}` && !/_(base|drop)/.test(key) ? [columns['priority']] : [],
      );
  const status = (world: World, name: string): string | undefined =>
    world.brain.groups.unfit(world.state.get('SecurityGroup', name) ?? makeGroup(name))?.message;
  const many = (from: number, count: number): readonly GroupRule[] =>
    Array.from({ length: count }, (_, index) => rule(from + index));

  it('have places on OVN 23.03, and move others only when they crowd them', async () => {
    const world = World.standard();
    world.set('SecurityGroup', makeGroup('a', { ingress: [rule(1), rule(16_384), rule(3000)] }));
    await world.settle();
    expect(acls(world, 'a')).toEqual([5973, 3015, 3907]);
    const compiled: string[] = [];
    world.sink.onUnit = (unit) => compiled.push(unit);
    world.set('SecurityGroup', makeGroup('b', { egress: [rule(3001)], ingress: [rule(12_000)] }));
    await world.settle();
    expect(compiled).not.toContain('SecurityGroup/a');
    // Of another Vpc or tier, and in the other direction, nothing is in the way.
    world.set('SecurityGroup', makeGroup('c', { tier: 1, ingress: [rule(3001), rule(16_384)] }));
    world.set('SecurityGroup', makeGroup('d', { vpc: 'blue', ingress: [rule(2999)] }));
    await world.settle();
    expect(acls(world, 'c')).toEqual([425, 31]);
    expect(acls(world, 'a')).toEqual([5973, 3015, 3907]);
    world.set('SecurityGroup', makeGroup('b', { ingress: [rule(2999)] }));
    await world.settle();
    expect(acls(world, 'b')).toEqual([3907]);
    expect(acls(world, 'a')).toEqual([5973, 3015, 3906]);
    const restarted = await world.restarted();
    expect(restarted.sink.content()).toEqual(world.sink.content());
  });

  it('say so when there are more of them than places; older groups stay as they are', async () => {
    const world = World.standard();
    const older = (name: string, more: Partial<SecurityGroup>): SecurityGroup =>
      makeGroup(name, { created: '2020-01-01T00:00:00Z', ...more });
    world.set('SecurityGroup', older('old', { ingress: many(1, 2900) }));
    world.set('SecurityGroup', makeGroup('new', { ingress: many(10_000, 61), created: '2021-01-01T00:00:00Z' }));
    world.set('SecurityGroup', makeGroup('small', { ingress: [rule(5), rule(16_384)] }));
    await world.settle();
    expect(status(world, 'old')).toBe(undefined);
    expect(status(world, 'new')).toContain('the SecurityGroups of tier 0 in vpc "ovn-cluster" have more than 2960');
    expect(status(world, 'small')).toBe(undefined);
    expect(acls(world, 'new')).toEqual([]);
    expect(acls(world, 'small')).toHaveLength(2);
    const restarted = await world.restarted();
    expect(restarted.sink.content()).toEqual(world.sink.content());
    world.set('SecurityGroup', older('old', { ingress: many(1, 2800) }));
    await world.settle();
    expect(status(world, 'new')).toBe(undefined);
    expect(acls(world, 'new')).toHaveLength(61);
  });
});
