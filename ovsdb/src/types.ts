/**
 * The type level of a database: what rows read as and how they are written. A generated database type (`gen/`) maps
 * table names to row types, whose property types are what reading gives:
 * scalar `T`, optional `T | undefined`, set `readonly T[]`, map `ReadonlyMap<K, V>`. Everything else is derived here.
 */
import type { Ref, Uuid } from './uuid.ts';

/** One element of a value (RFC 7047 §5.1 `<atom>`); uuids are strings. */
export type Atom = string | number | boolean;

/** A decoded column value; an empty optional reads as `undefined`. */
export type Value = Atom | readonly Atom[] | ReadonlyMap<Atom, Atom>;

/** Tables and columns as data, for code that gets their names at run time. Cast a generated spec to `DatabaseSpec<AnyDatabase>`. */
export interface AnyDatabase {
  readonly [table: string]: { readonly [column: string]: Value | undefined };
}

/** The names of a database's tables. */
export type TableName<DB> = keyof DB & string;

/** The names of a table's columns. */
export type ColumnName<DB, T extends TableName<DB>> = keyof DB[T] & string;

/** A row as the replica holds it. Columns decode when they are read; rows never change, an update makes a new one. */
export type Row<DB, T extends TableName<DB>> = { readonly _uuid: Ref<T> } & DB[T];

/** What may be written to a column that reads as `R`: `null` clears an optional. */
export type Writable<R> = undefined extends R ? Exclude<R, undefined> | null : R;

/** A row to write, in whole or part: an absent or undefined column stays as it is (on insert: the server's default). */
export type PartialRow<DB, T extends TableName<DB>> = {
  readonly [C in ColumnName<DB, T>]?: Writable<DB[T][C]> | undefined;
};

/** RFC 7047 §5.1 `<function>`. `includes` and `excludes` compare sets and maps by element. */
export type ConditionFunction = '==' | '!=' | 'includes' | 'excludes' | '<' | '<=' | '>' | '>=';

/** RFC 7047 §5.1 `<condition>`; the conditions of a list all have to hold. */
export type Condition<DB, T extends TableName<DB>> =
  | { readonly [C in ColumnName<DB, T>]: readonly [C, ConditionFunction, Writable<DB[T][C]>] }[ColumnName<DB, T>]
  | readonly ['_uuid', ConditionFunction, Uuid];

/** Which rows: one by UUID, or all that meet every condition (`[]` = all rows of the table). */
export type Where<DB, T extends TableName<DB>> = Uuid | readonly Condition<DB, T>[];

/** RFC 7047 §5.1 `<mutator>`. */
export type Mutator = '+=' | '-=' | '*=' | '/=' | '%=' | 'insert' | 'delete';

/** Columns that a mutator can change: numbers arithmetically, sets and maps by element. */
export type MutableColumn<DB, T extends TableName<DB>, M extends Mutator> = {
  [C in ColumnName<DB, T>]: MutationValue<DB[T][C], M> extends never ? never : C;
}[ColumnName<DB, T>];

/** The operand of a mutator on a column that reads as `R`; maps lose pairs by map (key and value match) or by a list of keys. */
export type MutationValue<R, M extends Mutator> = [Value] extends [R]
  ? Value
  : M extends 'insert' | 'delete'
    ? Exclude<R, undefined> extends ReadonlyMap<infer K, infer V>
      ? M extends 'insert'
        ? ReadonlyMap<K, V>
        : ReadonlyMap<K, V> | readonly K[]
      : Exclude<R, undefined> extends readonly (infer E)[]
        ? readonly E[]
        : undefined extends R
          ? readonly Exclude<R, undefined>[]
          : never
    : number extends R
      ? number
      : R extends readonly (infer E)[]
        ? number extends E
          ? number
          : never
        : never;

/**
 * Which rows and columns of a table the replica holds: all columns, some, or just the rows that meet `where`. Unlike those
 * of an operation, the conditions of a monitor are alternatives: a row that meets one of them is held (ovsdb-server(7),
 * "Monitor_cond"). `[]` = all rows.
 */
export type TableMonitor<DB, T extends TableName<DB>> =
  | true
  | readonly ColumnName<DB, T>[]
  | { readonly columns?: readonly ColumnName<DB, T>[]; readonly where?: readonly Condition<DB, T>[] };

/** Which tables the replica holds. */
export type MonitorSpec<DB> = { readonly [T in TableName<DB>]?: TableMonitor<DB, T> };

/** What an index is made of: columns, or one key of a map column as `column:key`. */
export type IndexPart<DB, T extends TableName<DB>> = ColumnName<DB, T> | `${ColumnName<DB, T>}:${string}`;

/** Indexes per table, each a list of parts. A set column indexes the row under each of its elements. */
export type IndexSpec<DB> = { readonly [T in TableName<DB>]?: readonly (readonly IndexPart<DB, T>[])[] };

/** The type of a lookup value for an index part: the column's element, or the value type of the map. */
export type IndexValue<DB, T extends TableName<DB>, P extends string> =
  P extends ColumnName<DB, T>
    ? DB[T][P] extends readonly (infer E)[]
      ? E
      : Exclude<DB[T][P], undefined>
    : P extends `${infer C}:${string}`
      ? C extends ColumnName<DB, T>
        ? DB[T][C] extends ReadonlyMap<Atom, infer V>
          ? V
          : Atom
        : Atom
      : Atom;

/** One row's change: inserted (`new` only), deleted (`old` only) or modified (both). */
export type RowChange<DB> = {
  [T in TableName<DB>]: {
    readonly table: T;
    readonly uuid: Ref<T>;
    readonly old?: Row<DB, T> | undefined;
    readonly new?: Row<DB, T> | undefined;
  };
}[TableName<DB>];
