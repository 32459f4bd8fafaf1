import { groupBand } from '../compile/bands.ts';
import { olderFirst } from '../store/by-age.ts';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { type GroupDirection, type GroupOrder, groupDirections, type SecurityGroup } from './model.ts';
import { orderKey, ownPlace, placesOf } from './places.ts';

type Used = Readonly<Record<GroupDirection, readonly number[]>>;

interface Member extends Pick<SecurityGroup, 'name' | 'created'> {
  /** Of GroupOrder. */
  readonly key: string;
  readonly used: Used;
}

/**
 * Derives GroupOrder: the places of the priorities in use by the groups of a Vpc and tier. Pods of different Vpcs, and what they
 * receive and send, are judged by different rules. Where more priorities are in use than there are places, the younger groups
 * have none.
 */
export class GroupOrders {
  readonly #state: State;
  readonly #tiers: boolean;
  readonly #members = new Map<string, Map<Key, Member>>();
  readonly #keys = new Map<Key, string>();
  readonly #dirty = new Set<string>();

  /** @param tiers OVN has ACL tiers */
  constructor(state: State, tiers: boolean) {
    this.#state = state;
    this.#tiers = tiers;
  }

  /** A group came, changed, or is in force no more. */
  set(name: Key, group: SecurityGroup | undefined): void {
    const before = this.#keys.get(name);
    const old = before === undefined ? undefined : this.#members.get(before)?.get(name);
    const member = group && { key: orderKey(group), name, created: group.created, used: usedBy(group) };
    if (JSON.stringify(old) === JSON.stringify(member)) return;
    if (before !== undefined) {
      this.#members.get(before)?.delete(name);
      this.#dirty.add(before);
    }
    if (member === undefined) {
      this.#keys.delete(name);
      return;
    }
    const { key } = member;
    const members = this.#members.get(key) ?? new Map<Key, Member>();
    this.#members.set(key, members.set(name, member));
    this.#keys.set(name, key);
    this.#dirty.add(key);
  }

  /** Brings GroupOrder up to date. @returns groups that have their places now and had none before, or the other way round */
  run(): readonly Key[] {
    const changed: Key[] = [];
    for (const key of this.#dirty) {
      const before = this.#state.get('GroupOrder', key)?.crowded ?? [];
      const order = this.#orderOf(key);
      if (order === undefined) this.#state.delete('GroupOrder', key);
      else this.#state.set('GroupOrder', key, order);
      const now = order?.crowded ?? [];
      changed.push(...before.filter((name) => !now.includes(name)), ...now.filter((name) => !before.includes(name)));
    }
    this.#dirty.clear();
    return changed;
  }

  #orderOf(key: string): GroupOrder | undefined {
    const members = this.#members.get(key) ?? new Map<Key, Member>();
    if (members.size === 0) this.#members.delete(key);
    const band = groupBand(key.endsWith('/1') ? 1 : 0, this.#tiers);
    let fitting = [...members.values()];
    const crowded: string[] = [];
    if (groupDirections.some((direction) => distinct(fitting, direction).length > band.places)) {
      const inUse = { ingress: new Set<number>(), egress: new Set<number>() };
      fitting = fitting.sort(olderFirst).filter(({ name, used }) => {
        const fits = groupDirections.every(
          (direction) => new Set([...inUse[direction], ...used[direction]]).size <= band.places,
        );
        if (fits) for (const direction of groupDirections) for (const one of used[direction]) inUse[direction].add(one);
        else crowded.push(name);
        return fits;
      });
    }
    const movedOf = (direction: GroupDirection): Readonly<Record<number, number>> => {
      const priorities = distinct(fitting, direction);
      const places = placesOf(priorities, band);
      const moved = priorities.flatMap((priority, index) => {
        const place = places[index] ?? 0;
        return place === ownPlace(priority, band) ? [] : [[priority, place] as const];
      });
      return Object.fromEntries(moved);
    };
    const moved = { ingress: movedOf('ingress'), egress: movedOf('egress') };
    const nothing = groupDirections.every((direction) => Object.keys(moved[direction]).length === 0);
    return nothing && crowded.length === 0 ? undefined : { moved, crowded };
  }
}

/** Priorities of a group's rules, those that pass among them. */
function usedBy(group: SecurityGroup): Used {
  const of = (direction: GroupDirection): readonly number[] =>
    ascending(new Set(group[direction].map(({ priority }) => priority)));
  return { ingress: of('ingress'), egress: of('egress') };
}

const distinct = (members: readonly Member[], direction: GroupDirection): readonly number[] =>
  ascending(new Set(members.flatMap(({ used }) => used[direction])));

const ascending = (priorities: ReadonlySet<number>): readonly number[] => [...priorities].sort((a, b) => a - b);
