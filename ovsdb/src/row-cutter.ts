/** Hands out the rows of a large dump while it arrives, so that neither its text nor its tree is ever whole in memory. */
import { OvsdbError } from './error.ts';
import type { Json } from './json.ts';

/** Takes the rows of one dump. What it throws ends the connection. */
export interface RowSink {
  /** Before the first row: the elements that stand before the tables (`found` and `last-txn-id`), none in older dialects. */
  begin(leading: readonly unknown[]): void;
  /** One row: `<row-update>` or `<row-update2>`, parsed and otherwise unchecked, and its text where that is at hand. */
  row(table: string, uuid: string, json: Json, text?: string): void;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const UUID_LENGTH = 36;

/** Where the cutter is: in the object of tables, among the rows of a table, or (this and more) in a row. */
const TABLES = 0;
const ROWS = 1;
const ROW = 2;

/** What may follow among rows: a row or the end, a row, a comma or the end. */
const FIRST = 0;
const ITEM = 1;
const AFTER = 2;

/** Reads `{"Table":{"uuid":{...},...},...}` from behind its first brace to its last. */
export class RowCutter {
  readonly #baseDepth: number;
  readonly #leading: readonly unknown[];
  readonly #sink: RowSink;
  readonly #maxBytes: number;
  readonly #maxDumpBytes: number;
  readonly #maxDepth: number;
  #level: number = TABLES;
  #inString = false;
  #escaped = false;
  #table = '';
  /** The current row's bytes of earlier chunks, key included. */
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** Whether a row's key has begun. */
  #inItem = false;
  #next: number = FIRST;
  #total = 0;
  #remains = '';
  #began = false;

  /** @param baseDepth nesting of the object of tables. @param leading for `sink.begin`. */
  constructor(
    baseDepth: number,
    leading: readonly unknown[],
    sink: RowSink,
    limits: { readonly maxBytes: number; readonly maxDumpBytes: number; readonly maxDepth: number },
  ) {
    this.#baseDepth = baseDepth;
    this.#leading = leading;
    this.#sink = sink;
    this.#maxBytes = limits.maxBytes;
    this.#maxDumpBytes = limits.maxDumpBytes;
    this.#maxDepth = limits.maxDepth;
  }

  /** Bytes held. */
  get pendingBytes(): number {
    return this.#partBytes + this.#remains.length;
  }

  /** What is left when the rows are taken out: `"Table":{},...}`. */
  get remains(): string {
    return this.#remains;
  }

  /**
   * Reads from `from`. Returns the position behind the object's end, or -1 when it goes on in the next chunk.
   * @throws OvsdbError `protocol_error`, or what the sink throws.
   */
  push(chunk: Buffer, from: number): number {
    const end = chunk.length;
    let i = from;
    let level = this.#level;
    let inString = this.#inString;
    let escaped = this.#escaped;
    /** Where the current row, or the current bytes between tables, begin in this chunk. */
    let start = from;
    const maxLevel = this.#maxDepth - this.#baseDepth;
    while (i < end) {
      if (inString) {
        if (escaped) {
          escaped = false;
          i += 1;
          continue;
        }
        // Never beyond the end: reading there would make every read slow.
        while (i < end) {
          const byte = chunk[i];
          i += 1;
          if (byte === QUOTE) {
            inString = false;
            break;
          }
          if (byte === BACKSLASH) {
            escaped = true;
            break;
          }
        }
        continue;
      }
      const byte = chunk[i];
      i += 1;
      if (byte === QUOTE) {
        inString = true;
        if (level === ROWS) {
          if (this.#inItem || this.#next === AFTER) {
            throw malformed(this.#table);
          }
          this.#inItem = true;
          start = i - 1;
        }
      } else if (byte === OPEN_BRACE || byte === 0x5b) {
        if (level < ROW) {
          if (byte !== OPEN_BRACE || (level === ROWS && !this.#inItem)) {
            throw malformed(this.#table);
          }
          if (level === TABLES) {
            this.#enterTable(chunk, start, i);
          }
        }
        level += 1;
        if (level > maxLevel) {
          throw new OvsdbError('protocol_error', `message nested deeper than ${this.#maxDepth} levels`);
        }
      } else if (byte === 0x7d || byte === 0x5d) {
        level -= 1;
        if (level === ROWS) {
          this.#emit(chunk, start, i);
        } else if (level < ROWS) {
          if (byte === 0x5d || this.#inItem || (level === TABLES && this.#next === ITEM)) {
            throw malformed(this.#table);
          }
          if (level < TABLES) {
            this.#remain(chunk, start, i);
            this.#begin();
            return i;
          }
          start = i - 1;
        }
      } else if (level === ROWS) {
        if (byte === COMMA) {
          if (this.#inItem || this.#next !== AFTER) {
            throw malformed(this.#table);
          }
          this.#next = ITEM;
        } else if (
          byte !== 0x20 &&
          byte !== 0x0a &&
          byte !== 0x0d &&
          byte !== 0x09 &&
          !(byte === COLON && this.#inItem)
        ) {
          throw malformed(this.#table);
        }
      }
    }
    this.#level = level;
    this.#inString = inString;
    this.#escaped = escaped;
    if (level === TABLES) {
      this.#remain(chunk, start, end);
    } else if (this.#inItem) {
      this.#hold(chunk.subarray(start));
    }
    return -1;
  }

  #begin(): void {
    if (!this.#began) {
      this.#began = true;
      this.#sink.begin(this.#leading);
    }
  }

  #enterTable(chunk: Buffer, start: number, end: number): void {
    this.#begin();
    this.#remain(chunk, start, end);
    const key = /"((?:[^"\\]|\\.)*)"\s*:\s*\{$/.exec(this.#remains)?.[1];
    if (key === undefined) {
      throw malformed(this.#table);
    }
    this.#table = parse(`"${key}"`) as string;
    this.#next = FIRST;
  }

  #emit(chunk: Buffer, start: number, end: number): void {
    let bytes = chunk;
    let from = start;
    let to = end;
    if (this.#parts.length > 0) {
      this.#hold(chunk.subarray(0, end));
      bytes = Buffer.concat(this.#parts, this.#partBytes);
      from = 0;
      to = bytes.length;
      this.#parts = [];
      this.#partBytes = 0;
    }
    this.#inItem = false;
    this.#next = AFTER;
    this.#count(to - from);
    const value = from + UUID_LENGTH + 3;
    if (bytes[value - 2] === QUOTE && bytes[value - 1] === COLON && bytes[value] === OPEN_BRACE) {
      const uuid = bytes.toString('latin1', from + 1, value - 2);
      const text = bytes.toString('utf8', value, to);
      this.#sink.row(this.#table, uuid, parse(text), text);
      return;
    }
    // A key that has blanks around it, or is no UUID: the sink judges it.
    for (const [uuid, json] of Object.entries(parse(`{${bytes.toString('utf8', from, to)}}`) as Record<string, Json>)) {
      this.#sink.row(this.#table, uuid, json);
    }
  }

  #hold(part: Buffer): void {
    this.#parts.push(part);
    this.#partBytes += part.length;
    if (this.#partBytes > this.#maxBytes) {
      throw new OvsdbError('protocol_error', `row of table ${this.#table} larger than ${this.#maxBytes} bytes`);
    }
  }

  #remain(chunk: Buffer, start: number, end: number): void {
    this.#remains += chunk.toString('utf8', start, end);
    if (this.#remains.length > this.#maxBytes) {
      throw new OvsdbError('protocol_error', `message larger than ${this.#maxBytes} bytes`);
    }
  }

  #count(bytes: number): void {
    this.#total += bytes;
    if (this.#total > this.#maxDumpBytes) {
      throw new OvsdbError('protocol_error', `dump larger than ${this.#maxDumpBytes} bytes`);
    }
  }
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new OvsdbError('protocol_error', `not JSON: ${text.slice(0, 60)}`, { cause: error });
  }
}

function malformed(table: string): OvsdbError {
  return new OvsdbError(
    'protocol_error',
    `the rows of table ${table === '' ? '(first)' : table} are not JSON objects by UUID`,
    {
      table,
    },
  );
}
