/** `update3` frames, which come most often, read without parsing the envelope: a change of one row, or row by row. */
import type { Json } from './json.ts';
import type { RowSink } from './row-cutter.ts';

/** A change of one row. */
export interface RowFrame {
  /** Position behind the frame. */
  readonly end: number;
  /** The transaction that the replica is at after it. */
  readonly lastTransaction: string;
  readonly table: string;
  readonly uuid: string;
  /** `<row>` of an insertion. */
  readonly insert: Json | undefined;
  /** `<modify>`; of a row that went, neither is there. */
  readonly modify: Json | undefined;
}

/** What is known of a frame once all its rows have been read. */
export type FrameEnd = Pick<RowFrame, 'end' | 'lastTransaction'>;

const UUID_LENGTH = 36;
const MODIFY = '":{"modify":';
const INSERT = '":{"insert":';
const TAIL = '}}}]}';
const DELETED = '{"delete":null}';
const DELETE = `":${DELETED.slice(0, -1)}${TAIL}`;
/** Guesses at the end of a row, each of which costs a parse: strings rarely hold closing braces. */
const MAX_GUESSES = 8;

/**
 * Reads the frames of one monitor. The envelope must be letter by letter as ovsdb-server writes it; every other text,
 * also one that says the same, is left to the parser of whole messages. The end is guessed (a string could hold the
 * closing brackets); that the row in between parses proves the guess, and that the frame is JSON.
 */
export class RowFrameReader {
  readonly #prefixes: readonly string[];
  /** The prefix that the server was seen to use: the order of members is the same in all its messages. */
  #prefix: string;

  /** @param monitorId the `<json-value>` that marks the monitor's notifications. */
  constructor(monitorId: string) {
    const params = `"params":[${JSON.stringify(monitorId)},"`;
    this.#prefixes = [`{"id":null,"method":"update3",${params}`, `{"method":"update3","id":null,${params}`];
    this.#prefix = this.#prefixes[0] ?? '';
  }

  /** Where the transaction's id begins in the frame that begins at `from`; -1 when it is another message. */
  #transactionAt(text: string, from: number): number {
    if (!text.startsWith(this.#prefix, from)) {
      const other = this.#prefixes.find((prefix) => text.startsWith(prefix, from));
      if (other === undefined) {
        return -1;
      }
      this.#prefix = other;
    }
    return from + this.#prefix.length;
  }

  /** The frame of one row that begins at `from`, or undefined when that must be found out by parsing. */
  read(text: string, from: number): RowFrame | undefined {
    const transaction = this.#transactionAt(text, from);
    if (transaction < 0) {
      return undefined;
    }
    const table = transaction + UUID_LENGTH + 4;
    const tableEnd = text.indexOf('"', table);
    const uuid = tableEnd + 4;
    const kind = uuid + UUID_LENGTH;
    if (tableEnd < 0 || !text.startsWith('",{"', table - 4) || !text.startsWith('":{"', tableEnd)) {
      return undefined;
    }
    const inserts = text.startsWith(INSERT, kind);
    if (!inserts && !text.startsWith(MODIFY, kind)) {
      return text.startsWith(DELETE, kind)
        ? {
            end: kind + DELETE.length,
            lastTransaction: text.slice(transaction, transaction + UUID_LENGTH),
            table: text.slice(table, tableEnd),
            uuid: text.slice(uuid, kind),
            insert: undefined,
            modify: undefined,
          }
        : undefined;
    }
    // MODIFY is as long as INSERT.
    const rowEnd = text.indexOf(TAIL, kind + INSERT.length);
    const row = text.slice(kind + INSERT.length, rowEnd);
    // Another row would follow behind these; a string that holds them costs a parse of the whole.
    if (rowEnd < 0 || row.includes('}},"')) {
      return undefined;
    }
    let json: Json;
    try {
      json = JSON.parse(row) as Json;
    } catch {
      return undefined;
    }
    return {
      end: rowEnd + TAIL.length,
      lastTransaction: text.slice(transaction, transaction + UUID_LENGTH),
      table: text.slice(table, tableEnd),
      // A slice would keep the whole text in memory as long as the row lives; what JSON.parse makes is its own.
      uuid: inserts ? (JSON.parse(text.slice(uuid - 1, kind + 1)) as string) : text.slice(uuid, kind),
      insert: inserts ? json : undefined,
      modify: inserts ? undefined : json,
    };
  }

  /**
   * Reads a frame of any number of rows and gives each to `row`, with its text. That the frame is whole is known at its
   * end only: rows given before count for nothing when undefined comes back.
   */
  readRows(text: string, from: number, row: RowSink['row']): FrameEnd | undefined {
    const transaction = this.#transactionAt(text, from);
    // Without a tail the frame goes on in the next chunk.
    if (transaction < 0 || !text.startsWith('",{"', transaction + UUID_LENGTH) || !text.includes(TAIL, transaction)) {
      return undefined;
    }
    let table = transaction + UUID_LENGTH + 4;
    for (;;) {
      const tableEnd = text.indexOf('":{"', table);
      const name = text.slice(table, tableEnd);
      if (tableEnd < 0 || name.includes('"')) {
        return undefined;
      }
      const end = readTable(text, tableEnd + 3, name, row);
      if (end < 0) {
        return undefined;
      }
      if (text.startsWith('}]}', end)) {
        const lastTransaction = text.slice(transaction, transaction + UUID_LENGTH);
        return { end: end + 3, lastTransaction };
      }
      if (!text.startsWith(',"', end)) {
        return undefined;
      }
      table = end + 2;
    }
  }
}

/** Reads the rows of one table from the quote of the first uuid. Returns the position behind the table, or -1. */
function readTable(text: string, from: number, table: string, row: RowSink['row']): number {
  for (let at = from; ; ) {
    const value = at + UUID_LENGTH + 3;
    if (text[at] !== '"' || !text.startsWith('":{', value - 2)) {
      return -1;
    }
    const read = readRow(text, value);
    if (read === undefined) {
      return -1;
    }
    const { json, end } = read;
    // Slices would keep the text of the whole frame in memory as long as the row lives.
    row(table, JSON.parse(text.slice(at, value - 1)) as string, json, Buffer.from(text.slice(value, end)).toString());
    if (text[end] === '}') {
      return end + 1;
    }
    if (text[end] !== ',') {
      return -1;
    }
    at = end + 1;
  }
}

/**
 * Reads a `<row-update2>`, whose end is guessed: no object's text begins with a whole other object, so that it parses
 * proves the guess.
 */
function readRow(text: string, from: number): { readonly json: Json; readonly end: number } | undefined {
  if (text.startsWith(DELETED, from)) {
    return { json: { delete: null }, end: from + DELETED.length };
  }
  let brace = from;
  for (let guess = 0; guess < MAX_GUESSES; guess += 1) {
    brace = text.indexOf('}}', brace + 1);
    if (brace < 0) {
      return undefined;
    }
    try {
      return { json: JSON.parse(text.slice(from, brace + 2)) as Json, end: brace + 2 };
    } catch {
      // The braces stand in a string.
    }
  }
  return undefined;
}
