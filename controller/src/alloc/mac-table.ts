import { macFromName } from '../compile/mac.ts';

/** First octets of MACs that are made here: locally administered and unicast (IEEE 802, second-lowest and lowest bit). */
const prefix = '0a:58:';
const hex = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));

const pair = (bits: number): string => `${hex[bits >>> 8]}:${hex[bits & 255]}`;

// Texts that many MACs share are made once: putting strings together from many pieces is most of the cost of an address.
const heads: string[] = [];
const tails: string[] = [];

/** The MAC made from 32 bits of an address, so that neighbours' caches stay right when an address comes back. */
export function macOfBits(bits: number): string {
  const head = (heads[bits >>> 16] ??= `${prefix}${pair(bits >>> 16)}:`);
  const tail = (tails[bits & 0xffff] ??= pair(bits & 0xffff));
  return head + tail;
}

/** The 32 bits behind a MAC of that form. */
export function bitsOfMac(mac: string): number | undefined {
  return mac.startsWith(prefix) ? Number.parseInt(mac.slice(prefix.length).replaceAll(':', ''), 16) : undefined;
}

/**
 * Who has which MAC in one layer-2 domain, but for the MACs that follow from their holder's address: nearly all, so that they
 * cost nothing here.
 */
export class MacTable {
  /** Of the form of {@link macOfBits}, by their bits: numbers are compared several times faster. */
  readonly #ofBits = new Map<number, string>();
  readonly #others = new Map<string, string>();

  holder(mac: string, bits: number | undefined = bitsOfMac(mac)): string | undefined {
    return bits === undefined ? this.#others.get(mac) : this.#ofBits.get(bits);
  }

  set(mac: string, owner: string): void {
    const bits = bitsOfMac(mac);
    if (bits === undefined) this.#others.set(mac, owner);
    else this.#ofBits.set(bits, owner);
  }

  /** Frees the MAC that `owner` holds. */
  delete(mac: string, owner: string): void {
    if (this.holder(mac) !== owner) return;
    const bits = bitsOfMac(mac);
    if (bits === undefined) this.#others.delete(mac);
    else this.#ofBits.delete(bits);
  }
}

/** A MAC that is free, made from a text: for an address that does not give one. */
export function chooseMac(seed: string, isFree: (mac: string) => boolean): string {
  for (let salt = 0; ; salt += 1) {
    const mac = macFromName(`${seed}/${salt}`);
    if (isFree(mac)) return mac;
  }
}
