/** Fixed structures on the wire, declared as lists of items; reading and writing both follow the list. */
import { OpenFlowError } from './error.ts';
import { fromPort16, toPort16 } from './port.ts';
import type { Reader } from './reader.ts';
import type { Version } from './version.ts';
import type { Writer } from './writer.ts';

/** An object that is being read. */
export type Target = Record<string, unknown>;

/** One item of a structure. */
export interface Item<T> {
  readonly read: (r: Reader, into: Target, version: Version) => void;
  readonly write: (w: Writer, from: T, version: Version) => void;
}

/** Something that can be read and written as a whole. */
export interface Body<T> {
  readonly read: (r: Reader, version: Version) => T;
  readonly write: (w: Writer, value: T, version: Version) => void;
}

type KeysOf<T, V> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> extends V ? K : never }[keyof T] & string;

/** The items that structures consist of; `T` is what the structure is read into. */
export interface Layout<T> {
  /** Unsigned integers. `absent` is written where the property is undefined; without it that is an error. */
  readonly u8: (key: KeysOf<T, number>, absent?: number) => Item<T>;
  readonly u16: (key: KeysOf<T, number>, absent?: number) => Item<T>;
  readonly u32: (key: KeysOf<T, number>, absent?: number) => Item<T>;
  readonly u64: (key: KeysOf<T, bigint>, absent?: bigint) => Item<T>;
  /** A port as OpenFlow 1.0 and Nicira's extensions write it, in 16 bits. */
  readonly port16: (key: KeysOf<T, number>, absent?: number) => Item<T>;
  /** A number that stands for a word; numbers without a word stay numbers. */
  readonly word: (bytes: 1 | 2 | 4, key: KeysOf<T, string | number>, words: Words, absent?: number) => Item<T>;
  /** Bytes that must be zero and are not read. */
  readonly pad: (length: number) => Item<T>;
  /** So many bytes as they are. */
  readonly bytes: (key: KeysOf<T, Uint8Array>, length: number) => Item<T>;
  /** All bytes that are left. */
  readonly rest: (key: KeysOf<T, Uint8Array>) => Item<T>;
  /** A string padded with zeros. */
  readonly text: (key: KeysOf<T, string>, length: number) => Item<T>;
  /** An Ethernet address. */
  readonly mac: (key: KeysOf<T, number>) => Item<T>;
  /** A nested structure. */
  readonly nested: <V>(key: KeysOf<T, V>, body: Body<V>) => Item<T>;
  /** Structures until the end. */
  readonly list: <V>(key: KeysOf<T, readonly V[]>, body: Body<V>) => Item<T>;
  /** Items that only some versions have. Absent ones read as `absent`. */
  readonly when: (
    has: (version: Version) => boolean,
    items: readonly Item<T>[],
    absent?: Readonly<Partial<T>>,
  ) => Item<T>;
  /** The whole. `constant` properties are not on the wire. */
  readonly struct: (items: readonly Item<T>[], constant?: Readonly<Partial<T>>) => Body<T>;
}

/** Words for numbers. */
export type Words = Readonly<Record<string, number>>;

const REVERSED = new WeakMap<Words, ReadonlyMap<number, string>>();

/** The word for a number, or the number where there is none. */
export function wordFor(words: Words, number: number): string | number {
  let reversed = REVERSED.get(words);
  if (reversed === undefined) {
    reversed = new Map(Object.entries(words).map(([word, value]) => [value, word]));
    REVERSED.set(words, reversed);
  }
  return reversed.get(number) ?? number;
}

/** The number for a word. @throws OpenFlowError `invalid_value` */
export function numberFor(words: Words, word: string | number, what: string): number {
  const number = typeof word === 'number' ? word : words[word];
  if (number === undefined) {
    throw new OpenFlowError('invalid_value', `${what} "${word}" is none of ${Object.keys(words).join(', ')}`);
  }
  return number;
}

/** A value of the wrong type in a message. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : typeof value;
}

/** An unsigned integer of an object that is being written. */
function integer(from: unknown, key: string, max: number, absent: number | undefined): number {
  const value = (from as Readonly<Record<string, unknown>>)[key] ?? absent;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    throw new OpenFlowError('invalid_value', `${key} is ${shown(value)}; it must be an integer from 0 to ${max}`);
  }
  return value;
}

function property(from: unknown, key: string): unknown {
  const value = (from as Readonly<Record<string, unknown>>)[key];
  if (value === undefined) throw new OpenFlowError('invalid_value', `${key} is missing`);
  return value;
}

const MAX = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const;

const ITEMS: Layout<Target> = {
  u8: (key, absent) => ({
    read: (r, into) => {
      into[key] = r.u8();
    },
    write: (w, from) => w.u8(integer(from, key, MAX[1], absent)),
  }),
  u16: (key, absent) => ({
    read: (r, into) => {
      into[key] = r.u16();
    },
    write: (w, from) => w.u16(integer(from, key, MAX[2], absent)),
  }),
  u32: (key, absent) => ({
    read: (r, into) => {
      into[key] = r.u32();
    },
    write: (w, from) => w.u32(integer(from, key, MAX[4], absent)),
  }),
  u64: (key, absent) => ({
    read: (r, into) => {
      into[key] = r.u64();
    },
    write: (w, from) => {
      const value = from[key] ?? absent;
      if (typeof value !== 'bigint' || value < 0n || value > 0xffff_ffff_ffff_ffffn) {
        throw new OpenFlowError(
          'invalid_value',
          `${String(key)} is ${shown(value)}; it must be a bigint of at most 64 bits`,
        );
      }
      w.u64(value);
    },
  }),
  port16: (key, absent) => ({
    read: (r, into) => {
      into[key] = fromPort16(r.u16());
    },
    write: (w, from) => w.u16(toPort16(integer(from, key, MAX[4], absent))),
  }),
  word: (bytes, key, words, absent) => ({
    read: (r, into) => {
      into[key] = wordFor(words, r.uint(bytes));
    },
    write: (w, from) => {
      const value = from[key];
      const number = value === undefined && absent !== undefined ? absent : numberFor(words, value as string, key);
      if (number > MAX[bytes]) throw new OpenFlowError('invalid_value', `${String(key)} ${number} is too large`);
      w.uint(number, bytes);
    },
  }),
  pad: (length) => ({ read: (r) => r.skip(length), write: (w) => w.zeros(length) }),
  bytes: (key, length) => ({
    read: (r, into) => {
      into[key] = r.copy(length);
    },
    write: (w, from) => {
      const value = property(from, key) as Uint8Array;
      if (value.length !== length) {
        throw new OpenFlowError('invalid_value', `${String(key)} has ${value.length} bytes; it must have ${length}`);
      }
      w.bytes(value);
    },
  }),
  rest: (key) => ({
    read: (r, into) => {
      into[key] = r.rest();
    },
    write: (w, from) => w.bytes(property(from, key) as Uint8Array),
  }),
  text: (key, length) => ({
    read: (r, into) => {
      into[key] = r.text(length);
    },
    write: (w, from) => w.text(property(from, key) as string, length),
  }),
  mac: (key) => ({
    read: (r, into) => {
      into[key] = r.uint(6);
    },
    write: (w, from) => w.uint(integer(from, key, 2 ** 48 - 1, undefined), 6),
  }),
  nested: (key, body) => ({
    read: (r, into, version) => {
      into[key] = body.read(r, version);
    },
    write: (w, from, version) => body.write(w, property(from, key) as never, version),
  }),
  list: <V>(key: string, body: Body<V>) => ({
    read: (r: Reader, into: Target, version: Version) => {
      const all: V[] = [];
      while (r.left > 0) {
        const before = r.pos;
        all.push(body.read(r, version));
        if (r.pos === before) throw r.malformed('an element of no length');
      }
      into[key] = all;
    },
    write: (w: Writer, from: Target, version: Version) => {
      for (const element of property(from, key) as readonly V[]) body.write(w, element, version);
    },
  }),
  when: (has, items, absent = {}) => ({
    read: (r, into, version) => {
      if (has(version)) for (const item of items) item.read(r, into, version);
      else Object.assign(into, absent);
    },
    write: (w, from, version) => {
      if (has(version)) for (const item of items) item.write(w, from, version);
    },
  }),
  struct: (items, constant = {}) => ({
    read: (r, version) => {
      const into: Target = { ...constant };
      for (const item of items) item.read(r, into, version);
      return into;
    },
    write: (w, value, version) => {
      for (const item of items) item.write(w, value, version);
    },
  }),
};

/** The items for a structure that is read into a `T`. */
export function layout<T>(): Layout<T> {
  return ITEMS as unknown as Layout<T>;
}
