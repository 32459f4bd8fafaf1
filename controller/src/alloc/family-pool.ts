import type { Family } from '@ovenbird/crds';
import { after, before, type Slot, type SlotRange, Slots, sizeOf } from './slot.ts';
import { SlotTable } from './slot-table.ts';

/** An inclusive range of addresses as integers. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

export interface PoolConfig {
  readonly family: Family;
  /** Addresses that may be handed out (network and broadcast address already left out). */
  readonly range: Range;
  /** Never handed out: `excludeIps`, the gateway. */
  readonly excluded: readonly Range[];
  /** Ranges set apart by IPPools, by name; they do not overlap. */
  readonly pools?: ReadonlyMap<string, readonly Range[]>;
}

/** Sorted, merged, clipped to `range`, so that counting and skipping are one pass. */
function normalise(ranges: readonly SlotRange[], range: SlotRange): SlotRange[] {
  const sorted = ranges
    .map(({ first, last }) => ({
      first: first < range.first ? range.first : first,
      last: last > range.last ? range.last : last,
    }))
    .filter(({ first, last }) => first <= last)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const merged: { first: Slot; last: Slot }[] = [];
  for (const next of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && next.first <= after(previous.last)) {
      if (next.last > previous.last) previous.last = next.last;
    } else merged.push({ ...next });
  }
  return merged;
}

/** What is left of `ranges` without `holes`; both normalised. One pass. */
function without(ranges: readonly SlotRange[], holes: readonly SlotRange[]): SlotRange[] {
  const left: SlotRange[] = [];
  let at = 0;
  for (const { first, last } of ranges) {
    let from = first;
    for (let hole = holes[at]; hole !== undefined && hole.first <= last; hole = holes[at]) {
      if (hole.last >= from) {
        if (hole.first > from) left.push({ first: from, last: before(hole.first) });
        from = after(hole.last);
      }
      // A hole that goes on into the next range is looked at again.
      if (hole.last > last) break;
      at += 1;
    }
    if (from <= last) left.push({ first: from, last });
  }
  return left;
}

/** Finds the range that holds a slot, among sorted ones. */
function find<R extends SlotRange>(ranges: readonly R[], slot: Slot): R | undefined {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (range === undefined) return undefined;
    if (slot < range.first) high = middle - 1;
    else if (slot > range.last) low = middle + 1;
    else return range;
  }
  return undefined;
}

/** This many freed addresses rest before the oldest is handed out again, though there are fresh ones: a bound on memory. */
const resting = 65_536;

/**
 * What is known of an address: the owner who uses it, or its place in the line of freed ones. Nothing for one that was never
 * handed out. One table for both: to free an address changes an entry and makes none.
 */
type State = string | number;

/** Addresses of one IPPool, or those that no pool has set apart. */
class Section {
  readonly ranges: readonly SlotRange[];
  readonly size: bigint;
  /** Addresses of the section in use. */
  using = 0;
  /** How many are in the line of freed ones. */
  #resting = 0;
  /** Freed ones in the order of being freed, also those that were asked for by name since: their state is another one. */
  #line: Slot[] = [];
  /** Place of the first of the line. */
  #first = 0;
  /** How many at the beginning of the line have left it. */
  #left = 0;
  #at = 0;
  #cursor: Slot;

  constructor(ranges: readonly SlotRange[]) {
    this.ranges = ranges;
    this.size = ranges.reduce((sum, range) => sum + sizeOf(range), 0n);
    this.#cursor = ranges[0]?.first ?? 0;
  }

  taken(slot: Slot, before: State | undefined): void {
    this.using += 1;
    if (slot === this.#cursor) this.#cursor = after(slot);
    if (before !== undefined) this.#resting -= 1;
  }

  /** Puts an address at the end of the line. */
  rest(slot: Slot, states: SlotTable<State>): void {
    // Addresses that are asked for by name again and again must not make the line long.
    if (this.#line.length - this.#left > 2 * this.#resting + 1024) {
      const line = this.resting(states);
      this.#line = [];
      [this.#first, this.#left, this.#resting] = [0, 0, 0];
      for (const one of line) this.rest(one, states);
    }
    this.#resting += 1;
    states.set(slot, this.#first + this.#line.push(slot) - 1);
  }

  next(states: SlotTable<State>): Slot | undefined {
    if (this.#resting < resting) {
      const fresh = this.#fresh(states);
      if (fresh !== undefined) return fresh;
    }
    for (; this.#left < this.#line.length; this.#left += 1) {
      const slot = this.#line[this.#left];
      if (slot !== undefined && states.get(slot) === this.#first + this.#left) break;
    }
    // Once in as many steps as it moves.
    if (this.#left > 1024 && this.#left * 2 > this.#line.length) {
      this.#line = this.#line.slice(this.#left);
      this.#first += this.#left;
      this.#left = 0;
    }
    return this.#line[this.#left];
  }

  /** Freed addresses in their order. */
  resting(states: SlotTable<State>): readonly Slot[] {
    return this.#line.filter((slot, index) => states.get(slot) === this.#first + index);
  }

  #fresh(states: SlotTable<State>): Slot | undefined {
    for (let range = this.ranges[this.#at]; range !== undefined; range = this.ranges[this.#at]) {
      for (; this.#cursor <= range.last; this.#cursor = after(this.#cursor))
        if (states.get(this.#cursor) === undefined) return this.#cursor;
      this.#at += 1;
      this.#cursor = this.ranges[this.#at]?.first ?? 0;
    }
    return undefined;
  }
}

/** A range of addresses of one section. */
interface SectionRange extends SlotRange {
  readonly section: Section;
  /** Name of the IPPool, `''` outside of all. */
  readonly pool: string;
}

/**
 * The addresses of one family of one subnet. Fresh addresses first, then the least recently freed, so that a freed address
 * rests as long as possible. Memory and time depend on the addresses in use, not on the size of the range.
 */
export class FamilyPool {
  readonly slots: Slots;
  readonly #states = new SlotTable<State>();
  #using = 0;
  #range: SlotRange = { first: 0, last: -1 };
  #excluded: readonly SlotRange[] = [];
  #sections: ReadonlyMap<string, Section> = new Map();
  /** All sections' ranges, sorted. */
  #ranges: readonly SectionRange[] = [];

  constructor(config: PoolConfig) {
    this.slots = new Slots(config.family, config.range.first);
    this.configure(config);
  }

  /** Changes range, exclusions and IPPools (a CIDR that grew, new excludeIps); addresses in use stay in use. */
  configure(config: PoolConfig): void {
    const slots = (range: Range): SlotRange => ({
      first: this.slots.fromBigint(range.first),
      last: this.slots.fromBigint(range.last),
    });
    this.#range = slots(config.range);
    this.#excluded = normalise(config.excluded.map(slots), this.#range);
    const apart = [...(config.pools ?? [])].map(
      ([name, ranges]) => [name, normalise(ranges.map(slots), this.#range)] as const,
    );
    const all = normalise(
      apart.flatMap(([, ranges]) => ranges),
      this.#range,
    );
    const freed = [...this.#sections.values()].flatMap((section) => section.resting(this.#states));
    const sections = new Map([['', new Section(without(without([this.#range], this.#excluded), all))]]);
    for (const [name, ranges] of apart) sections.set(name, new Section(without(ranges, this.#excluded)));
    this.#sections = sections;
    this.#ranges = [...sections]
      .flatMap(([pool, section]) => section.ranges.map((range) => ({ ...range, section, pool })))
      .sort((a, b) => (a.first < b.first ? -1 : 1));
    for (const slot of freed) this.#rest(slot);
    for (const [slot, state] of this.#states) {
      const section = typeof state === 'string' ? find(this.#ranges, slot)?.section : undefined;
      if (section !== undefined) section.using += 1;
    }
  }

  /** Why an address cannot be asked for, or undefined when it is inside the range and not excluded. */
  refusal(slot: Slot): 'outside' | 'excluded' | undefined {
    if (slot < this.#range.first || slot > this.#range.last) return 'outside';
    return find(this.#excluded, slot) === undefined ? undefined : 'excluded';
  }

  /** Name of the IPPool that an address is in, `''` for none; undefined when it may not be handed out. */
  poolOf(slot: Slot): string | undefined {
    return find(this.#ranges, slot)?.pool;
  }

  holder(slot: Slot): string | undefined {
    const state = this.#states.get(slot);
    return typeof state === 'string' ? state : undefined;
  }

  /** The address that would be handed out next, or undefined when there is none. @param pool name of an IPPool, or `''` */
  next(pool = ''): Slot | undefined {
    return this.#sections.get(pool)?.next(this.#states);
  }

  /** Marks an address as used. The caller has checked `holder`; a second holder would be a defect of ours. */
  take(slot: Slot, owner: string): void {
    const before = this.#states.get(slot);
    if (typeof before === 'string')
      throw new Error(`address ${this.slots.toText(slot)} was in use by ${before}, not for ${owner}`);
    this.#states.set(slot, owner);
    this.#using += 1;
    find(this.#ranges, slot)?.section.taken(slot, before);
  }

  /** Frees an address; the caller has it. */
  free(slot: Slot): void {
    this.#using -= 1;
    const section = this.#rest(slot);
    if (section !== undefined) section.using -= 1;
  }

  /** An address that nobody uses any more; what is never handed out is forgotten. */
  #rest(slot: Slot): Section | undefined {
    const section = find(this.#ranges, slot)?.section;
    if (section === undefined) this.#states.delete(slot);
    else section.rest(slot, this.#states);
    return section;
  }

  /** Addresses in use, in all of the family or in one IPPool. */
  using(pool?: string): number {
    return pool === undefined ? this.#using : (this.#sections.get(pool)?.using ?? 0);
  }

  /** Addresses that could still be handed out, to pods of the pool or (without one) to those of none. */
  available(pool = ''): bigint {
    const section = this.#sections.get(pool);
    return section === undefined ? 0n : section.size - BigInt(section.using);
  }

  /** Ranges in use, sorted. Costs a sort of the addresses in use. */
  usedRanges(pool?: string): readonly SlotRange[] {
    const used = [...this.#states].flatMap(([slot, state]) => (typeof state === 'string' ? [slot] : []));
    const all = used.sort((a, b) => (a < b ? -1 : 1));
    const merged: { first: Slot; last: Slot }[] = [];
    for (const slot of all) {
      if (pool !== undefined && this.poolOf(slot) !== pool) continue;
      const previous = merged.at(-1);
      if (previous !== undefined && after(previous.last) === slot) previous.last = slot;
      else merged.push({ first: slot, last: slot });
    }
    return merged;
  }

  /** Ranges that could still be handed out, sorted. */
  availableRanges(pool = ''): readonly SlotRange[] {
    return without(this.#sections.get(pool)?.ranges ?? [], this.usedRanges());
  }
}
