/** The frames that come most often, `update3` of one row that changed or went, read without parsing the envelope. */
import type { Json } from './json.ts';

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

const UUID_LENGTH = 36;
const MODIFY = '":{"modify":';
const INSERT = '":{"insert":';
const TAIL = '}}}]}';
const DELETE = `":{"delete":null${TAIL}`;

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

  /** The frame that begins at `from`, or undefined when that must be found out by parsing. */
  read(text: string, from: number): RowFrame | undefined {
    if (!text.startsWith(this.#prefix, from)) {
      const other = this.#prefixes.find((prefix) => text.startsWith(prefix, from));
      if (other === undefined) {
        return undefined;
      }
      this.#prefix = other;
    }
    const transaction = from + this.#prefix.length;
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
}
