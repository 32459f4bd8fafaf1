import type { Slot } from './slot.ts';

/** Slots of a page: few, so that single addresses far from each other cost little. */
const pageSize = 64;

/**
 * A Map from slots. Those that are numbers, nearly all, are kept by pages: neighbours come one after the other, and to
 * look at an element of an array is several times faster than to look one up in a Map.
 */
export class SlotTable<T extends string | number> {
  readonly #pages = new Map<number, (T | undefined)[]>();
  readonly #far = new Map<bigint, T>();
  /** The page that was looked at last. */
  #number = 0;
  #page: (T | undefined)[] | undefined;

  get(slot: Slot): T | undefined {
    if (typeof slot === 'bigint') return this.#far.get(slot);
    const number = Math.floor(slot / pageSize);
    return this.#pageOf(number)?.[slot - number * pageSize];
  }

  set(slot: Slot, value: T): void {
    if (typeof slot === 'bigint') {
      this.#far.set(slot, value);
      return;
    }
    const number = Math.floor(slot / pageSize);
    let page = this.#pageOf(number);
    if (page === undefined) {
      page = Array.from({ length: pageSize });
      this.#pages.set(number, page);
      this.#page = page;
    }
    page[slot - number * pageSize] = value;
  }

  delete(slot: Slot): void {
    if (typeof slot === 'bigint') {
      this.#far.delete(slot);
      return;
    }
    const number = Math.floor(slot / pageSize);
    const page = this.#pageOf(number);
    if (page === undefined) return;
    page[slot - number * pageSize] = undefined;
    if (page.some((value) => value !== undefined)) return;
    this.#pages.delete(number);
    this.#page = undefined;
  }

  /** In no particular order. */
  *[Symbol.iterator](): Generator<readonly [Slot, T]> {
    for (const [number, page] of this.#pages) {
      for (const [index, value] of page.entries())
        if (value !== undefined) yield [number * pageSize + index, value] as const;
    }
    yield* this.#far;
  }

  #pageOf(number: number): (T | undefined)[] | undefined {
    if (number === this.#number && this.#page !== undefined) return this.#page;
    this.#number = number;
    this.#page = this.#pages.get(number);
    return this.#page;
  }
}
