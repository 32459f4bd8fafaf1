import { macFromName } from '../compile/mac.ts';

/** First octets of MACs that are made here: locally administered and unicast (IEEE 802, second-lowest and lowest bit). */
const prefix = '0a:58:';
const hex = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));

/** The MAC made from 32 bits of an address, so that neighbours' caches stay right when an address comes back. */
export const macOfBits = (bits: number): string => `${prefix}${pair(bits >>> 16)}:${pair(bits & 0xffff)}`;

/** Two octets as text, made once each: putting strings together from many pieces is most of the cost of an address. */
const pairs: string[] = [];
function pair(bits: number): string {
  const known = pairs[bits];
  if (known !== undefined) return known;
  const text = `${hex[bits >>> 8]}:${hex[bits & 255]}`;
  pairs[bits] = text;
  return text;
}

/** The 32 bits behind a MAC of that form. */
export function bitsOfMac(mac: string): number | undefined {
  return mac.startsWith(prefix) ? Number.parseInt(mac.slice(prefix.length).replaceAll(':', ''), 16) : undefined;
}

/** Who has which MAC in one layer-2 domain. Nearly all are made from addresses, and kept by their 32 bits. */
export class MacTable {
  readonly #made = new Map<number, string>();
  readonly #others = new Map<string, string>();

  holder(mac: string): string | undefined {
    const bits = bitsOfMac(mac);
    return bits === undefined ? this.#others.get(mac) : this.#made.get(bits);
  }

  set(mac: string, owner: string, bits: number | undefined = bitsOfMac(mac)): void {
    if (bits === undefined) this.#others.set(mac, owner);
    else this.#made.set(bits, owner);
  }

  /** Frees the MAC that `owner` holds. */
  delete(mac: string, owner: string, bits: number | undefined = bitsOfMac(mac)): void {
    if (bits === undefined) {
      if (this.#others.get(mac) === owner) this.#others.delete(mac);
    } else this.#made.delete(bits);
  }

  /** Whether `owner` may have the MAC made from these bits. */
  isFree(bits: number, owner: string): boolean {
    const holder = this.#made.get(bits);
    return holder === undefined || holder === owner;
  }

  /** A MAC that nobody has, made from a text: for an address that does not give one. */
  choose(owner: string, seed: string): string {
    for (let salt = 0; ; salt += 1) {
      const mac = macFromName(`${seed}/${salt}`);
      const holder = this.holder(mac);
      if (holder === undefined || holder === owner) return mac;
    }
  }
}
