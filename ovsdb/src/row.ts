/**
 * Rows of the replica: raw JSON values that decode when they are read. A controller reads few of the columns it
 * watches, and most are at their default, which the server does not even send.
 */
import { OvsdbError } from './error.ts';
import type { Json } from './json.ts';
import type { ColumnSpec, TableSpec } from './spec.ts';
import type { Value } from './types.ts';
import type { Ref } from './uuid.ts';
import { assertExact, decodeValue, defaultValue } from './value.ts';

/** A column's value as it came, or already decoded (sets and maps are kept decoded once read). */
export type Stored = Json | Value;

/** The columns of one row that differ from their defaults, as far as the server said. */
export interface StoredValues {
  [column: string]: Stored;
}

/** Where a row keeps its values. Module-private to the replica: `index.ts` does not export it. */
export const VALUES: unique symbol = Symbol('ovsdb row values');

/** Key of the method that compares a row with a text. */
export const FOLDED: unique symbol = Symbol('ovsdb row folded');

/** Key of the method that gives a row's parsed values up for their text. */
export const FOLD: unique symbol = Symbol('ovsdb row fold');

/** A row; its columns are accessors of a class made for its table. */
export interface StoredRow {
  readonly _uuid: Ref<string>;
  readonly [VALUES]: StoredValues;
  /**
   * Keeps `text`, which was parsed into these values, in their place until they are read again: one string instead of
   * some thirty objects, which the garbage collector would copy around.
   * @param text `{"initial": <row>}`, `{"insert": <row>}` or `{"new": <row>}`.
   */
  [FOLD](text: string): void;
  /** Whether the row is folded with this text, and so has just these values. */
  [FOLDED](text: string): boolean;
}

/** Makes rows of one table. */
export type RowConstructor = new (uuid: Ref<string>, values: StoredValues) => StoredRow;

/**
 * Makes the class of a table's rows. Columns outside `columns` throw `not_monitored` when read: answering with a default
 * would look like data.
 */
export function rowClass(table: TableSpec, columns: ReadonlySet<string>): RowConstructor {
  const RowOfTable = class implements StoredRow {
    readonly _uuid: Ref<string>;
    /** Private, so that printing or comparing a row does not show its encoding. */
    #values: StoredValues | string;

    constructor(uuid: Ref<string>, values: StoredValues) {
      this._uuid = uuid;
      this.#values = values;
    }

    get [VALUES](): StoredValues {
      if (typeof this.#values === 'string') {
        this.#values = unfold(this.#values);
      }
      return this.#values;
    }

    [FOLD](text: string): void {
      this.#values = text;
    }

    [FOLDED](text: string): boolean {
      return this.#values === text;
    }

    toJSON(): Record<string, unknown> {
      return plain(this._uuid, this as Readonly<Record<string, unknown>>, columns);
    }
  };
  for (const column of table.columns.values()) {
    const monitored = columns.has(column.name);
    const exact = column.key.type !== 'integer' && column.value?.type !== 'integer';
    Object.defineProperty(RowOfTable.prototype, column.name, {
      enumerable: monitored,
      get: monitored
        ? exact
          ? function read(this: StoredRow): Value | undefined {
              return readColumn(this[VALUES], column);
            }
          : function readIntegers(this: StoredRow): Value | undefined {
              return assertExact(column, readColumn(this[VALUES], column));
            }
        : function refuse(this: StoredRow): never {
            throw new OvsdbError(
              'not_monitored',
              `column ${table.name}.${column.name} is not in the replica: add it to \`monitor\``,
              { table: table.name, row: this._uuid, column: column.name },
            );
          },
    });
  }
  return RowOfTable;
}

/** The text has been parsed and checked before. */
function unfold(text: string): StoredValues {
  const json = JSON.parse(text) as { readonly [kind: string]: StoredValues | undefined };
  return json['initial'] ?? json['insert'] ?? json['new'] ?? {};
}

function plain(
  uuid: string,
  row: Readonly<Record<string, unknown>>,
  columns: ReadonlySet<string>,
): Record<string, unknown> {
  const out: Record<string, unknown> = { _uuid: uuid };
  for (const column of columns) {
    const value = row[column];
    out[column] = value instanceof Map ? Object.fromEntries(value as ReadonlyMap<string, unknown>) : value;
  }
  return out;
}

/** Reads a column; sets and maps are decoded once. */
export function readColumn(values: StoredValues, column: ColumnSpec): Value | undefined {
  const stored = values[column.name];
  if (stored === undefined) {
    return defaultValue(column);
  }
  if (isDecoded(column, stored)) {
    return stored;
  }
  const decoded = decodeValue(column, stored);
  if (column.kind === 'set' || column.kind === 'map') {
    values[column.name] = decoded ?? [];
  }
  return decoded;
}

/**
 * Tells decoded from raw. Raw sets and maps are an atom or a pair of a tag and an array (`["set", [...]]`) or, of uuids,
 * `["uuid", "..."]`; a decoded set holds atoms only, and no uuid is the text "uuid".
 */
function isDecoded(column: ColumnSpec, stored: Stored): stored is Value {
  switch (column.kind) {
    case 'map':
      return stored instanceof Map;
    case 'set': {
      if (!Array.isArray(stored)) {
        return false;
      }
      const list = stored as readonly Stored[];
      return list.length !== 2 || !(Array.isArray(list[1]) || (column.key.type === 'uuid' && list[0] === 'uuid'));
    }
    case 'scalar':
    case 'optional':
      return false;
  }
}
