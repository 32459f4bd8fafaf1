/** Transactions: a typed builder of the operations of RFC 7047 §5.2. */
import { OvsdbError } from './error.ts';
import type { Json, JsonObject } from './json.ts';
import type { ColumnSpec, DatabaseSpec, TableSpec } from './spec.ts';
import type {
  ColumnName,
  ConditionFunction,
  MutableColumn,
  MutationValue,
  Mutator,
  PartialRow,
  TableName,
  Where,
} from './types.ts';
import { isUuid, isUuidName, type Ref, type Uuid } from './uuid.ts';
import { encodeAtom, encodeMap, encodeValue } from './value.ts';

/** How an inserted row is named. */
export interface InsertOptions {
  /** The row's UUID. The server refuses the transaction when the UUID exists or existed (ovsdb-server 2.13 and later). */
  readonly uuid?: Uuid;
  /** The uuid-name by which the rest of the transaction refers to the row; by default one is made. */
  readonly name?: string;
}

/** What must be true of an operation on existing rows. */
export interface CountOptions {
  /**
   * How many rows must have matched. An operation that matches no row is no error to the server; `transact` looks at the
   * reply and throws `count_mismatch`, after the commit. To refuse the commit instead, put `waitForRow` before it.
   */
  readonly expectCount?: number;
}

/** A guard: the transaction fails with `wait_failed` unless it holds. */
export interface WaitOperation<DB, T extends TableName<DB>> {
  readonly table: T;
  readonly where: Where<DB, T>;
  /** The columns compared; all columns of `rows` when absent. */
  readonly columns?: readonly ColumnName<DB, T>[];
  /** Whether the matching rows must be exactly `rows`, or must differ from them. */
  readonly until: '==' | '!=';
  readonly rows: readonly PartialRow<DB, T>[];
  /** Milliseconds to wait for it. 0, the default, decides at once; more keeps the whole transaction waiting on the server. */
  readonly timeout?: number;
}

/** One encoded operation and what the client itself must know of it. */
export interface Operation {
  /** RFC 7047 §5.2 `op`. */
  readonly op: string;
  readonly table: string | undefined;
  /** The row it is about, when it is one: the explicit uuid of an insert, or the uuid of the where. */
  readonly row: string | undefined;
  /** The columns it names, to be checked against the connected server's schema. */
  readonly columns: readonly string[];
  readonly expectCount: number | undefined;
  readonly json: JsonObject;
  /** A `wait` that is sent right before it; its failure is the operation's. */
  readonly guard?: JsonObject | undefined;
}

let nameCounter = 0;

/**
 * A list of operations that the server carries out all or not at all, in order. Values are checked and encoded when an
 * operation is added, so a mistake throws where it was made. Reusable: nothing of it changes when it is sent.
 */
export class Transaction<DB> {
  readonly database: DatabaseSpec<DB>;
  readonly #operations: Operation[] = [];
  /** Rows that this transaction inserts or waits for: they are there when later operations run. */
  readonly #present = new Set<string>();

  constructor(database: DatabaseSpec<DB>) {
    this.database = database;
  }

  /** The operations so far; the results of `transact` have the same order. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** Number of operations so far. */
  get size(): number {
    return this.#operations.length;
  }

  /**
   * Inserts a row.
   * @returns what refers to the row: its explicit uuid, or an uuid-name that holds within this transaction (and those it
   * is appended to); the result of `transact` has the UUID then.
   * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value`.
   */
  insert<T extends TableName<DB>>(table: T, row: PartialRow<DB, T>, options: InsertOptions = {}): Ref<T> {
    const spec = this.#table(table);
    const { uuid } = options;
    let { name } = options;
    if (uuid !== undefined && !isUuid(uuid)) {
      throw new OvsdbError('invalid_value', `"${String(uuid)}" is not a UUID`, { table });
    }
    if (uuid === undefined && name === undefined) {
      nameCounter += 1;
      name = `row${nameCounter}`;
    }
    if (name !== undefined && !isUuidName(name)) {
      throw new OvsdbError('invalid_value', `uuid-name "${name}" is not letters, digits and _ with a letter first`, {
        table,
      });
    }
    const encoded = encodeRow(spec, row);
    this.#present.add(uuid ?? name ?? '');
    if (name !== undefined) {
      this.#present.add(name);
    }
    const names =
      uuid === undefined ? { 'uuid-name': name ?? '' } : name === undefined ? { uuid } : { uuid, 'uuid-name': name };
    this.#add('insert', table, uuid, Object.keys(encoded), undefined, { ...names, row: encoded });
    return (uuid ?? name) as Ref<T>;
  }

  /**
   * Sets columns of matching rows.
   * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value`.
   */
  update<T extends TableName<DB>>(
    table: T,
    where: Where<DB, T>,
    row: PartialRow<DB, T>,
    options: CountOptions = {},
  ): this {
    const spec = this.#table(table);
    const encoded = encodeRow(spec, row);
    const conditions = encodeWhere(spec, where);
    this.#add('update', table, whereRow(where), [...Object.keys(encoded), ...conditions.columns], options.expectCount, {
      where: conditions.json,
      row: encoded,
    });
    return this;
  }

  /**
   * Changes a column of matching rows by its present value: adds to numbers, inserts into or deletes from sets and maps.
   * Inserting a map key that is there changes nothing: delete the key first to replace its value.
   *
   * To the server a mutate of a row that is gone is no error, and an inserted child without its parent vanishes. So an
   * insertion of references into one row is guarded: the transaction is refused (`wait_failed`) when the row is gone,
   * and `expectCount` is 1 unless given.
   * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value`.
   */
  mutate<T extends TableName<DB>, M extends Mutator, C extends ColumnName<DB, T> & MutableColumn<DB, T, M>>(
    table: T,
    where: Where<DB, T>,
    column: C,
    mutator: M,
    value: MutationValue<DB[T][C], M>,
    options: CountOptions = {},
  ): this {
    const spec = this.#table(table);
    const conditions = encodeWhere(spec, where);
    const columnSpec = getColumn(spec, column);
    const json = { where: conditions.json, mutations: [[column, mutator, encodeOperand(columnSpec, mutator, value)]] };
    const columns = [column, ...conditions.columns];
    const row = whereRow(where);
    const refers = columnSpec.key.refTable !== undefined || columnSpec.value?.refTable !== undefined;
    if (row === undefined || mutator !== 'insert' || !refers) {
      this.#add('mutate', table, row, columns, options.expectCount, json);
      return this;
    }
    const guard = this.#present.has(row) ? undefined : rowExists(table, row);
    this.#add('mutate', table, row, columns, options.expectCount ?? 1, json, guard);
    return this;
  }

  /**
   * Deletes matching rows.
   * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value`.
   */
  delete<T extends TableName<DB>>(table: T, where: Where<DB, T>, options: CountOptions = {}): this {
    const conditions = encodeWhere(this.#table(table), where);
    this.#add('delete', table, whereRow(where), conditions.columns, options.expectCount, { where: conditions.json });
    return this;
  }

  /**
   * Reads matching rows; they come back, decoded, in the operation's result.
   * @param columns all columns of the spec when absent.
   * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value`.
   */
  select<T extends TableName<DB>>(table: T, where: Where<DB, T>, columns?: readonly ColumnName<DB, T>[]): this {
    const spec = this.#table(table);
    const conditions = encodeWhere(spec, where);
    for (const column of columns ?? []) {
      getColumn(spec, column);
    }
    this.#add('select', table, whereRow(where), [...(columns ?? []), ...conditions.columns], undefined, {
      where: conditions.json,
      ...(columns !== undefined && { columns: ['_uuid', ...columns] }),
    });
    return this;
  }

  /**
   * Refuses the transaction (`wait_failed`) unless the matching rows are, or are not, as told.
   * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value`.
   */
  wait<T extends TableName<DB>>(operation: WaitOperation<DB, T>): this {
    const { table, where, until, timeout = 0 } = operation;
    const spec = this.#table(table);
    const conditions = encodeWhere(spec, where);
    const rows = operation.rows.map((row) => encodeRow(spec, row));
    const columns = operation.columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
    for (const column of columns) {
      getColumn(spec, column);
    }
    this.#add('wait', table, whereRow(where), [...columns, ...conditions.columns], undefined, {
      timeout,
      where: conditions.json,
      columns,
      until,
      rows,
    });
    return this;
  }

  /**
   * Refuses the transaction (`wait_failed`) unless the row exists: the guard of a `mutate`, which is no error to the
   * server when its row is gone, and then loses what it was to insert.
   */
  waitForRow(table: TableName<DB>, uuid: Uuid): this {
    this.#table(table);
    this.#present.add(uuid);
    const { op, table: _, ...body } = rowExists(table, uuid);
    this.#add(op, table, uuid, [], undefined, body);
    return this;
  }

  /** Puts a text into the database log beside the transaction (`ovsdb-tool show-log`). */
  comment(text: string): this {
    this.#add('comment', undefined, undefined, [], undefined, { comment: text });
    return this;
  }

  /** Makes the transaction fail with `aborted`: what the operations before it would have done can so be tried. */
  abort(): this {
    this.#add('abort', undefined, undefined, [], undefined, {});
    return this;
  }

  /** Refuses the transaction (`not_owner`) unless this connection holds the lock. Locks guard nothing across a cluster. */
  assert(lock: string): this {
    this.#add('assert', undefined, undefined, [], undefined, { lock });
    return this;
  }

  /** @param durable whether the reply must wait until the transaction is on disk. */
  commit(durable: boolean): this {
    this.#add('commit', undefined, undefined, [], undefined, { durable });
    return this;
  }

  /** Adds the operations of another transaction after these. */
  append(other: Transaction<DB>): this {
    this.#operations.push(...other.operations);
    for (const row of other.#present) {
      this.#present.add(row);
    }
    return this;
  }

  /** The parameters of `transact` (RFC 7047 §4.1.3). */
  toParams(): Json {
    const params: Json[] = [this.database.name];
    for (const { guard, json } of this.#operations) {
      if (guard !== undefined) {
        params.push(guard);
      }
      params.push(json);
    }
    return params;
  }

  #table(name: string): TableSpec {
    const table = this.database.tables.get(name);
    if (table === undefined) {
      throw new OvsdbError('unknown_table', `${this.database.name} has no table ${name}`, { table: name });
    }
    return table;
  }

  #add(
    op: string,
    table: string | undefined,
    row: string | undefined,
    columns: readonly string[],
    expectCount: number | undefined,
    body: JsonObject,
    guard?: JsonObject,
  ): void {
    const json = table === undefined ? { op, ...body } : { op, table, ...body };
    this.#operations.push({ op, table, row, columns, expectCount, json, guard });
  }
}

/** A `wait` for a row, whatever is in it. */
function rowExists(table: string, uuid: string) {
  return {
    op: 'wait',
    table,
    timeout: 0,
    where: [['_uuid', '==', encodeUuid(uuid)]],
    // No columns: rows compare equal, so the sets of rows are equal when both are non-empty (ovsdb/execution.c,
    // ovsdb_execute_wait compares sets of distinct rows).
    columns: [],
    until: '==',
    rows: [{}],
  };
}

function getColumn(table: TableSpec, name: string): ColumnSpec {
  const column = table.columns.get(name);
  if (column === undefined) {
    throw new OvsdbError('unknown_column', `table ${table.name} has no column ${name}`, {
      table: table.name,
      column: name,
    });
  }
  return column;
}

function encodeRow(table: TableSpec, row: Readonly<Record<string, unknown>>): JsonObject {
  const out: Record<string, Json> = {};
  return inTable(table, () => {
    for (const name of Object.keys(row)) {
      const value = row[name];
      if (value !== undefined) {
        out[name] = encodeValue(getColumn(table, name), value);
      }
    }
    return out;
  });
}

/** Adds the table to what encoding throws. */
function inTable<R>(table: TableSpec, encode: () => R): R {
  try {
    return encode();
  } catch (error) {
    const { code, message, column } = OvsdbError.from(error, 'invalid_value');
    const text = message.slice(code.length + 2);
    throw new OvsdbError(code, text.includes(table.name) ? text : `table ${table.name}: ${text}`, {
      table: table.name,
      column,
    });
  }
}

function encodeUuid(uuid: string): Json {
  return isUuid(uuid) ? ['uuid', uuid] : ['named-uuid', uuid];
}

function whereRow(where: unknown): string | undefined {
  return typeof where === 'string' ? where : undefined;
}

/** Conditions with their values in the database's notation, and the columns they name. */
export function encodeWhere<DB, T extends TableName<DB>>(
  table: TableSpec,
  where: Where<DB, T>,
): { readonly json: Json; readonly columns: readonly string[] } {
  if (typeof where === 'string') {
    return { json: [['_uuid', '==', encodeUuid(where)]], columns: [] };
  }
  const columns: string[] = [];
  const json = where.map((condition): Json => {
    const [name, fn, value] = condition as readonly [string, ConditionFunction, unknown];
    if (name === '_uuid') {
      return [name, fn, encodeUuid(value as string)];
    }
    columns.push(name);
    return [name, fn, inTable(table, () => encodeConditionValue(getColumn(table, name), fn, value))];
  });
  return { json, columns };
}

/** `includes` and `excludes` take any part of a set, so its count is not checked. */
function encodeConditionValue(column: ColumnSpec, fn: ConditionFunction, value: unknown): Json {
  if (column.kind === 'set' && (fn === 'includes' || fn === 'excludes') && Array.isArray(value)) {
    return ['set', value.map((element) => encodeAtom(column, column.key, element))];
  }
  return encodeValue(column, value);
}

function encodeOperand(column: ColumnSpec, mutator: Mutator, value: unknown): Json {
  if (mutator === 'insert' || mutator === 'delete') {
    if (column.kind === 'map' && value instanceof Map) {
      return encodeMap(column, value);
    }
    if (Array.isArray(value) && (column.kind !== 'map' || mutator === 'delete')) {
      return ['set', value.map((element) => encodeAtom(column, column.key, element))];
    }
    throw new OvsdbError(
      'invalid_value',
      `${mutator} on ${column.name} takes ${column.kind === 'map' ? 'a Map' : 'an array'}`,
      {
        column: column.name,
      },
    );
  }
  return encodeAtom(column, column.key, value);
}
