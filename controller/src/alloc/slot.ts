import { bigintToIp, type Family, ipFamily, ipToBigint } from '@ovenbird/crds';

/**
 * An address as a Map key: the distance from the pool's origin, as a number where that is exact. Numbers are hashed and
 * compared several times faster than bigints and strings, and nearly every address in use is near the start of its block.
 * Numbers and bigints of different slots compare correctly with `<` (ECMA-262, IsLessThan).
 */
export type Slot = number | bigint;

/** An inclusive range of slots. */
export interface SlotRange {
  readonly first: Slot;
  readonly last: Slot;
}

const limit = BigInt(Number.MAX_SAFE_INTEGER);
const short = (value: bigint): Slot => (value <= limit && value >= -limit ? Number(value) : value);

export const after = (slot: Slot): Slot =>
  typeof slot === 'number' && slot < Number.MAX_SAFE_INTEGER ? slot + 1 : short(BigInt(slot) + 1n);
export const before = (slot: Slot): Slot =>
  typeof slot === 'number' && slot > Number.MIN_SAFE_INTEGER ? slot - 1 : short(BigInt(slot) - 1n);
/** How many slots a range has. */
export const sizeOf = ({ first, last }: SlotRange): bigint => BigInt(last) - BigInt(first) + 1n;

const pair = (bits: number): string => `${bits >>> 8}.${bits & 255}`;

// Texts that many addresses share are made once: putting strings together from many pieces is most of the cost of an address.
const heads: string[] = [];
const tails: string[] = [];
const groups: string[] = [];
function v4Text(bits: number): string {
  const head = (heads[bits >>> 16] ??= `${pair(bits >>> 16)}.`);
  const tail = (tails[bits & 0xffff] ??= pair(bits & 0xffff));
  return head + tail;
}

/** Between addresses and slots of one family of one subnet. The origin never moves, also when the block grows. */
export class Slots {
  readonly family: Family;
  readonly #origin: bigint;
  readonly #prefix: TextPrefix | undefined;

  constructor(family: Family, origin: bigint) {
    this.family = family;
    this.#origin = family === 4 ? 0n : origin;
    this.#prefix = family === 6 ? textPrefix(origin) : undefined;
  }

  fromBigint(value: bigint): Slot {
    return short(value - this.#origin);
  }

  /** @throws AddressError `bad-ip` */
  fromText(text: string): Slot {
    return this.fromBigint(ipToBigint(text));
  }

  toBigint(slot: Slot): bigint {
    return this.#origin + BigInt(slot);
  }

  /** The last 32 bits of an address, when no other address of the block's first 2^32 has them. */
  bits(slot: Slot): number | undefined {
    if (typeof slot !== 'number') return undefined;
    if (this.family === 4) return slot;
    const low = (this.#prefix?.origin ?? 0) + slot;
    return slot >= 0 && low <= 0xffff_ffff ? low : undefined;
  }

  /** The address that {@link bits} gives these for. */
  ofBits(bits: number): Slot {
    return this.family === 4 ? bits : bits - (this.#prefix?.origin ?? 0);
  }

  /** Canonical text (RFC 5952). */
  toText(slot: Slot): string {
    if (typeof slot === 'number') {
      if (this.family === 4) return v4Text(slot);
      const low = this.#prefix === undefined ? 0 : this.#prefix.origin + slot;
      const last = low & 0xffff;
      if (this.#prefix !== undefined && last !== 0 && low > 0 && low <= 0xffff_ffff) {
        return this.#prefix.head(low >>> 16) + (groups[last] ??= last.toString(16));
      }
    }
    return bigintToIp(this.toBigint(slot), this.family);
  }
}

/** Text of the first 96 bits of an IPv6 block, for the addresses that differ in the last 32 only. */
interface TextPrefix {
  /** What stands before the last group, which is not 0. @param group the one before it */
  head(group: number): string;
  /** The last 32 bits of the block's first address. */
  readonly origin: number;
}

/** Which zeros RFC 5952 §4.2 shortens depends on which groups are 0, not on what the others are: one example tells. */
function textPrefix(origin: bigint): TextPrefix {
  const high = (origin >> 32n) << 32n;
  const known = [bigintToIp(high + 1n, 6).slice(0, -1)];
  const two = bigintToIp(high + 0x1_0001n, 6).slice(0, -3);
  return {
    head: (group) => (known[group] ??= `${two}${group.toString(16)}:`),
    origin: Number(origin - high),
  };
}

/** The family of an address as alloc names it. */
export const familyKey = (address: string): 'v4' | 'v6' => (ipFamily(address) === 4 ? 'v4' : 'v6');
