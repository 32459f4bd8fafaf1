/**
 * The text of messages, declared as templates: printing and reading both follow the template. Its words are literals,
 * its holes items that print a property and read it again.
 */
import type { Action } from './action.ts';
import { formatActions, parseActions } from './action-text.ts';
import { formatMac, parseMac } from './address.ts';
import { OpenFlowError } from './error.ts';
import type { Target } from './layout.ts';
import type { Match } from './match.ts';
import { DEFAULT_PRIORITY, formatMatch, formatRule } from './match-format.ts';
import { parseMatch } from './match-parse.ts';
import { hex, parseNumber } from './number-text.ts';
import { formatPort, parsePort } from './port.ts';
import type { TextReader } from './text-reader.ts';
import { OF15, type Version } from './version.ts';

/** What the texts of messages that hold messages need. */
export interface TextContext {
  readonly version: Version;
  /** The name of the message in this version. */
  readonly name: string;
  /** The text of a message in a message. */
  readonly formatMessage: (message: unknown) => string;
  /** Of a message given by its bytes, which may be cut off. */
  readonly formatBytes: (bytes: Uint8Array) => string;
  /** Reads the text of a message up to its end. */
  readonly parseMessage: (r: TextReader) => unknown;
  /** As `parseMessage`; gives the bytes, also of one that is cut off. */
  readonly parseBytes: (r: TextReader) => Uint8Array;
}

/** For texts of values that hold no messages and are the same in all versions. */
export const NO_CONTEXT: TextContext = {
  version: OF15,
  name: '',
  formatMessage: () => '',
  formatBytes: () => '',
  parseMessage: (r) => {
    throw r.expected('no message');
  },
  parseBytes: (r) => {
    throw r.expected('no message');
  },
};

/** A value that stands in a text by itself. */
export interface Scalar<V> {
  /** What it says, as a sticky pattern. */
  readonly pattern: RegExp;
  /** For errors: `a number`. */
  readonly what: string;
  readonly format: (value: V, c: TextContext) => string;
  readonly parse: (text: string, c: TextContext) => V;
}

/** Something that is printed and read as a whole. */
export interface Text<T> {
  readonly format: (value: T, c: TextContext) => string;
  readonly parse: (r: TextReader, c: TextContext) => T;
}

/** A part of a text. */
export interface TextItem<T> {
  readonly format: (from: T, c: TextContext) => string;
  readonly parse: (r: TextReader, into: Target, c: TextContext) => void;
}

type KeysOf<T, V> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> extends V ? K : never }[keyof T] & string;

/** The parts that texts consist of; `T` is what is printed. */
export interface Texts<T> {
  /** A template. */
  readonly text: (literals: TemplateStringsArray, ...items: readonly TextItem<T>[]) => Text<T>;
  /** A property that is always printed; `absent` is printed where it is undefined. */
  readonly is: <V>(key: KeysOf<T, V>, scalar: Scalar<V>, absent?: V) => TextItem<T>;
  /** A property that is printed between two words, unless it is `absent` or undefined; read as `absent` then. */
  readonly optional: <V>(
    key: KeysOf<T, V>,
    before: string,
    scalar: Scalar<V>,
    absent?: V,
    after?: string,
  ) => TextItem<T>;
  /** A list, each element with `before` in front; reading ends where something else comes. */
  readonly each: <V>(key: KeysOf<T, readonly V[]>, before: string, element: Text<V>) => TextItem<T>;
  /** A list whose elements have their places in front. */
  readonly numbered: <V>(
    key: KeysOf<T, readonly V[]>,
    before: (place: number) => string,
    element: Text<V>,
  ) => TextItem<T>;
  /** A list with its length in front: `2 ports` and the elements. */
  readonly counted: <V>(key: KeysOf<T, readonly V[]>, word: string, element: Text<V>) => TextItem<T>;
  /** A property that is not printed, and what it is read as. */
  readonly none: <V>(key: KeysOf<T, V>, value: V) => TextItem<T>;
  /** A property with a text of its own. */
  readonly nested: <V>(key: KeysOf<T, V>, text: Text<V>) => TextItem<T>;
  /** Seconds and nanoseconds: `2.787s`. */
  readonly duration: (seconds: KeysOf<T, number>, nanoseconds: KeysOf<T, number>) => TextItem<T>;
  /** Words for bits that end with the first word that is none of them; each with a blank behind it. */
  readonly flags: (key: KeysOf<T, number>, names: BitNames) => TextItem<T>;
  /** A match with its priority in front, unless that is the default; without white space. */
  readonly rule: (match: KeysOf<T, Match>, priority: KeysOf<T, number>, after?: string) => TextItem<T>;
  /** The rest of the line. */
  readonly actions: (key: KeysOf<T, readonly Action[]>) => TextItem<T>;
}

/** Names of bits, in the order in which they are printed. */
export type BitNames = readonly (readonly [bit: number, name: string])[];

/** Reads a scalar. @throws OpenFlowError `syntax` */
export function readScalar<V>(r: TextReader, scalar: Scalar<V>, c: TextContext): V {
  const text = r.take(scalar.pattern);
  if (text === undefined) throw r.expected(scalar.what);
  return scalar.parse(text, c);
}

/** `2s`, `2.787s`, `2.787654321s`: as many decimals as it takes. */
export function formatDuration(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) return `${seconds}s`;
  const decimals = String(nanoseconds).padStart(9, '0');
  const text = decimals.endsWith('000000') ? decimals.slice(0, 3) : decimals.replace(/0+$/, '');
  return `${seconds}.${text}s`;
}

const DURATION = /\d+(?:\.\d{1,9})?s/y;

/** @throws OpenFlowError `syntax` */
export function readDuration(r: TextReader): readonly [seconds: number, nanoseconds: number] {
  const text = r.take(DURATION);
  if (text === undefined) throw r.expected('a duration');
  const [seconds = '', decimals = ''] = text.slice(0, -1).split('.');
  return [Number(seconds), Number(decimals.padEnd(9, '0'))];
}

const MAX_PRIORITY = 0xffff;
/** What stands in the place of a match where that is left out: other settings, flags, the actions. */
const RULE =
  /(?!actions=|reason=|\w+:|(?:send_flow_rem|check_overlap|reset_counts|no_packet_counts|no_byte_counts)\s)\S+/y;

const PARTS: Texts<Target> = {
  text: (literals, ...items) => ({
    format: (value, c) => {
      let text = literals[0] ?? '';
      for (let at = 0; at < items.length; at += 1)
        text += (items[at]?.format(value, c) ?? '') + (literals[at + 1] ?? '');
      return text;
    },
    parse: (r, c) => {
      const into: Target = {};
      for (const [at, literal] of literals.entries()) {
        r.expect(literal);
        items[at]?.parse(r, into, c);
      }
      return into;
    },
  }),
  is: (key, scalar, absent) => ({
    format: (from, c) => scalar.format((from[key] ?? absent) as never, c),
    parse: (r, into, c) => {
      into[key] = readScalar(r, scalar, c);
    },
  }),
  optional: (key, before, scalar, absent, after = '') => ({
    format: (from, c) => {
      const value = from[key];
      return value === undefined || value === absent ? '' : before + scalar.format(value as never, c) + after;
    },
    parse: (r, into, c) => {
      if (r.accept(before)) {
        into[key] = readScalar(r, scalar, c);
        r.expect(after);
      } else if (absent !== undefined) into[key] = absent;
    },
  }),
  each: (key, before, element) => ({
    format: (from, c) => (from[key] as readonly never[]).map((value) => before + element.format(value, c)).join(''),
    parse: (r, into, c) => {
      const all: unknown[] = [];
      while (!r.atEnd && r.accept(before)) all.push(element.parse(r, c));
      into[key] = all;
    },
  }),
  numbered: (key, before, element) => ({
    format: (from, c) =>
      (from[key] as readonly never[]).map((value, place) => before(place) + element.format(value, c)).join(''),
    parse: (r, into, c) => {
      const all: unknown[] = [];
      while (r.accept(before(all.length))) all.push(element.parse(r, c));
      into[key] = all;
    },
  }),
  counted: (key, word, element) => ({
    format: (from, c) => {
      const all = from[key] as readonly never[];
      return `${all.length} ${word}\n${all.map((value) => element.format(value, c)).join('')}`;
    },
    parse: (r, into, c) => {
      const count = readScalar(r, decimal, c);
      r.expect(` ${word}\n`);
      const all: unknown[] = [];
      while (all.length < count) all.push(element.parse(r, c));
      into[key] = all;
    },
  }),
  none: (key, value) => ({
    format: () => '',
    parse: (_r, into) => {
      into[key] = value;
    },
  }),
  nested: (key, text) => ({
    format: (from, c) => text.format(from[key] as never, c),
    parse: (r, into, c) => {
      into[key] = text.parse(r, c);
    },
  }),
  duration: (seconds: string, nanoseconds: string) => ({
    format: (from) => formatDuration(from[seconds] as number, from[nanoseconds] as number),
    parse: (r, into) => {
      [into[seconds], into[nanoseconds]] = readDuration(r);
    },
  }),
  flags: (key: string, names) => ({
    format: (from) => {
      const bits = (from[key] ?? 0) as number;
      return bits === 0 ? '' : names.map(([bit, name]) => ((bits & bit) === 0 ? '' : `${name} `)).join('');
    },
    parse: (r, into) => {
      let bits = 0;
      for (const [bit, name] of names) if (r.accept(`${name} `)) bits |= bit;
      into[key] = bits;
    },
  }),
  rule: (match: string, priority: string, after = '') => ({
    format: (from) => {
      const text = formatRule(from[match] as Match, (from[priority] ?? DEFAULT_PRIORITY) as number);
      return text === '' ? '' : text + after;
    },
    parse: (r, into) => {
      r.skipSpace();
      const [, number, fields] = /^(?:priority=(\d+),?)?(.*)$/.exec(r.take(RULE) ?? '') ?? [];
      into[priority] = number === undefined ? DEFAULT_PRIORITY : parseNumber(number, MAX_PRIORITY, 'priority');
      into[match] = parseMatch(fields ?? '');
      if (after !== '') r.skipSpace();
    },
  }),
  actions: (key: string) => ({
    format: (from) => formatActions(from[key] as readonly Action[]),
    parse: (r, into, c) => {
      into[key] = readScalar(r, ACTIONS, c);
    },
  }),
};

/** The parts for the text of a `T`. */
export function texts<T>(): Texts<T> {
  return PARTS as unknown as Texts<T>;
}

/** A part that the others do not cover. */
export function part<T>(format: TextItem<T>['format'], parse: TextItem<T>['parse']): TextItem<T> {
  return { format, parse };
}

/**
 * Text that says less than the message: it cannot be read back.
 * @param missing what it leaves out
 * @param empty what no text at all stands for
 */
export function incomplete<T>(missing: string, format: Text<T>['format'], empty?: T): Text<T> {
  return {
    format,
    parse: (r, c) => {
      if (empty !== undefined && r.atEnd) return empty;
      throw new OpenFlowError('syntax', `the text of ${c.name} leaves out ${missing}: it cannot be read back`);
    },
  };
}

/** A number. */
export const decimal: Scalar<number> = {
  pattern: /\d+/y,
  what: 'a number',
  format: String,
  parse: (text) => checked(Number(text)),
};

/** All numbers of messages' texts have 32 bits or less. */
function checked(value: number): number {
  if (value <= 0xffff_ffff) return value;
  throw new OpenFlowError('invalid_value', `${value} has more than 32 bits`);
}

/** `0x1f`, and `0` for zero. */
export const hexadecimal: Scalar<number> = {
  pattern: /0(?:x[0-9a-f]+)?/y,
  what: 'a hexadecimal number',
  format: (value) => hex(value),
  parse: (text) => checked(Number(text)),
};

/** `0x1f`, `0x0`. */
export const hex32: Scalar<number> = { ...hexadecimal, format: (value) => `0x${value.toString(16)}` };

const MAX_64 = 0xffff_ffff_ffff_ffffn;

function checked64(text: string): bigint {
  const value = BigInt(text);
  if (value <= MAX_64) return value;
  throw new OpenFlowError('invalid_value', `${text} has more than 64 bits`);
}

/** `0x1f`, `0x0`, of 64 bits. */
export const hex64: Scalar<bigint> = {
  pattern: /0(?:x[0-9a-f]+)?/y,
  what: 'a hexadecimal number',
  format: (value) => `0x${value.toString(16)}`,
  parse: checked64,
};

/** A number of 64 bits. */
export const decimal64: Scalar<bigint> = { pattern: /\d+/y, what: 'a number', format: String, parse: checked64 };

/** A counter; `?` when the switch does not count this. */
export const counter: Scalar<bigint> = {
  pattern: /\d+|\?/y,
  what: 'a number',
  format: (value) => (value === MAX_64 ? '?' : String(value)),
  parse: (text) => (text === '?' ? MAX_64 : checked64(text)),
};

/** A port's number or reserved name. */
export const port: Scalar<number> = {
  pattern: /\w+/y,
  what: 'a port',
  format: formatPort,
  // All of 32 bits: in messages, unlike in commands, 65535 is no other name of a reserved port.
  parse: (text) => (/^\d+$/.test(text) ? checked(Number(text)) : parsePort(text)),
};

/** An Ethernet address. */
export const mac: Scalar<number> = {
  pattern: /[0-9a-f]{2}(?::[0-9a-f]{2}){5}/y,
  what: 'an Ethernet address',
  format: formatMac,
  parse: parseMac,
};

/** What is left of the line. */
export const line: Scalar<string> = {
  pattern: /[^\n]*/y,
  what: 'text',
  format: (value) => value,
  parse: (text) => text,
};

/** A match; nothing for one that every packet meets. */
export const matchText: Scalar<Match> = { pattern: /\S*/y, what: 'a match', format: formatMatch, parse: parseMatch };

const ACTIONS: Scalar<readonly Action[]> = {
  pattern: /[^\n]*/y,
  what: 'actions',
  format: formatActions,
  parse: parseActions,
};

/** A word of a table, for the value beside it. */
export function word<V extends string | number>(words: readonly (readonly [value: V, word: string])[]): Scalar<V> {
  return {
    pattern: /[\w-]+/y,
    what: words.map(([, text]) => text).join(', '),
    format: (value) => words.find(([known]) => known === value)?.[1] ?? String(value),
    parse: (text) => {
      const found = words.find(([, known]) => known === text);
      if (found !== undefined) return found[0];
      throw new OpenFlowError('syntax', `"${text}" is none of ${words.map(([, known]) => known).join(', ')}`);
    },
  };
}

/** Words that are printed as they are. */
export function words<V extends string | number>(...all: readonly V[]): Scalar<V> {
  return word(all.map((text) => [text, String(text)] as const));
}

/** Names of bits, separated; bits without a name as a number; `0` for none. */
function formatBits(names: BitNames, bits: number, separator: string): string {
  if (bits === 0) return '0';
  const parts: string[] = [];
  let left = bits;
  for (const [bit, name] of names) {
    if ((left & bit) === 0) continue;
    parts.push(name);
    left &= ~bit;
  }
  if (left !== 0) parts.push(hex(left >>> 0));
  return parts.join(separator);
}

function parseBits(names: BitNames, text: string, separator: string): number {
  let bits = 0;
  for (const part of text.trim().split(separator)) {
    const bit = names.find(([, name]) => name === part)?.[0];
    if (bit === undefined && !/^0(?:x[0-9a-f]+)?$/.test(part)) {
      throw new OpenFlowError('syntax', `"${part}" is none of ${names.map(([, name]) => name).join(', ')}`);
    }
    bits |= bit ?? checked(Number(part));
  }
  return bits >>> 0;
}

/** Names of bits up to the end of the line, with blanks between them, or of the word, with commas. */
export function bits(
  names: BitNames | ((version: Version) => BitNames),
  separator: ' ' | ',' | '|' = ' ',
): Scalar<number> {
  const of = (c: TextContext): BitNames => (typeof names === 'function' ? names(c.version) : names);
  return {
    pattern: separator === ' ' ? /[^\n]*/y : /\S+/y,
    what: 'names of bits',
    format: (value, c) => formatBits(of(c), value, separator),
    parse: (text, c) => parseBits(of(c), text, separator),
  };
}
