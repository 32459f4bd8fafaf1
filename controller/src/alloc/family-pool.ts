/** An inclusive range of addresses as integers. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

export interface PoolConfig {
  /** Addresses that may be handed out (network and broadcast address already left out). */
  readonly range: Range;
  /** Never handed out: `excludeIps`, the gateway. */
  readonly excluded: readonly Range[];
}

/** Sorted, merged, clipped to `range`, so that counting and skipping are one pass. */
function normalise(excluded: readonly Range[], range: Range): Range[] {
  const sorted = excluded
    .map(({ first, last }) => ({
      first: first < range.first ? range.first : first,
      last: last > range.last ? range.last : last,
    }))
    .filter(({ first, last }) => first <= last)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const merged: { first: bigint; last: bigint }[] = [];
  for (const next of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && next.first <= previous.last + 1n) {
      if (next.last > previous.last) previous.last = next.last;
    } else merged.push({ ...next });
  }
  return merged;
}

/**
 * The addresses of one family of one subnet. Fresh addresses first, then the least recently freed, so that a freed address
 * rests as long as possible. Memory and time depend on the addresses in use, not on the size of the range.
 */
export class FamilyPool {
  #range: Range;
  #excluded: readonly Range[];
  #cursor: bigint;
  readonly #used = new Map<bigint, string>();
  /** Insertion order = order of being freed. */
  readonly #freed = new Set<bigint>();

  constructor(config: PoolConfig) {
    this.#range = config.range;
    this.#excluded = normalise(config.excluded, config.range);
    this.#cursor = config.range.first;
  }

  /** Changes range and exclusions (a CIDR that grew, new excludeIps); addresses in use stay in use. */
  configure(config: PoolConfig): void {
    this.#range = config.range;
    this.#excluded = normalise(config.excluded, config.range);
    // Skips what is used or freed, so starting over finds just what became available.
    this.#cursor = config.range.first;
  }

  /** Why an address cannot be asked for, or undefined when it is inside the range and not excluded. */
  refusal(address: bigint): 'outside' | 'excluded' | undefined {
    if (address < this.#range.first || address > this.#range.last) return 'outside';
    return this.#exclusion(address) === undefined ? undefined : 'excluded';
  }

  holder(address: bigint): string | undefined {
    return this.#used.get(address);
  }

  /** The address that would be handed out next, or undefined when there is none. */
  next(): bigint | undefined {
    while (this.#cursor <= this.#range.last) {
      const excluded = this.#exclusion(this.#cursor);
      if (excluded !== undefined) this.#cursor = excluded.last + 1n;
      else if (this.#used.has(this.#cursor) || this.#freed.has(this.#cursor)) this.#cursor += 1n;
      else return this.#cursor;
    }
    for (const address of this.#freed) {
      if (this.refusal(address) === undefined) return address;
      // Not to be handed out now; the cursor finds it again when the configuration lets it.
      this.#freed.delete(address);
    }
    return undefined;
  }

  /** Marks an address as used. The caller has checked `holder`; a second holder would be a defect of ours. */
  take(address: bigint, owner: string): void {
    const holder = this.#used.get(address);
    if (holder !== undefined && holder !== owner) throw new Error(`address ${address} is held by ${holder}`);
    this.#used.set(address, owner);
    this.#freed.delete(address);
  }

  free(address: bigint, owner: string): void {
    if (this.#used.get(address) !== owner) return;
    this.#used.delete(address);
    if (this.refusal(address) === undefined) this.#freed.add(address);
  }

  /** Addresses in use. */
  get using(): number {
    return this.#used.size;
  }

  /** Addresses that could still be handed out. */
  get available(): bigint {
    let size = this.#range.last - this.#range.first + 1n;
    for (const { first, last } of this.#excluded) size -= last - first + 1n;
    for (const address of this.#used.keys()) if (this.refusal(address) === undefined) size -= 1n;
    return size < 0n ? 0n : size;
  }

  #exclusion(address: bigint): Range | undefined {
    let low = 0;
    let high = this.#excluded.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = this.#excluded[middle];
      if (range === undefined) return undefined;
      if (address < range.first) high = middle - 1;
      else if (address > range.last) low = middle + 1;
      else return range;
    }
    return undefined;
  }
}
