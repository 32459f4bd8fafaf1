/** The copy in memory of the monitored part of a database. */
import { OvsdbError } from './error.ts';
import { IndexMap } from './index-map.ts';
import { isJsonObject, type Json } from './json.ts';
import { type RowConstructor, rowClass, type StoredRow, type StoredValues, VALUES } from './row.ts';
import type { ColumnSpec, DatabaseSpec, TableSpec } from './spec.ts';
import type { Atom, IndexPart, IndexSpec, IndexValue, MonitorSpec, Row, RowChange, TableName } from './types.ts';
import { applyRowUpdate, type MonitorMethod, sameValues } from './update.ts';
import { isUuid, type Ref } from './uuid.ts';

/** Hears of the rows that one message of the server changed; the replica already has all of them. */
export type ChangeListener<DB> = (changes: readonly RowChange<DB>[]) => void;

/** One table of the replica. Reading is synchronous and always sees a whole server update, never part of one. */
export interface TableReplica<DB, T extends TableName<DB>> {
  /** Number of rows. */
  readonly size: number;
  /** The row, or undefined. */
  get(uuid: string): Row<DB, T> | undefined;
  /** All rows, in no particular order. */
  rows(): IterableIterator<Row<DB, T>>;
  /**
   * The rows whose column (or map key, `column:key`) has this value, by an index.
   * @throws OvsdbError `no_index` when `connect` was not asked for that index.
   */
  find<P extends IndexPart<DB, T>>(part: P, value: IndexValue<DB, T, P>): readonly Row<DB, T>[];
  /** The same for an index of several parts, in the order of its declaration. */
  find(parts: readonly IndexPart<DB, T>[], values: readonly Atom[]): readonly Row<DB, T>[];
}

/** What users see of the replica. It stays readable, if old, while the connection is down. */
export interface Replica<DB> {
  /** 0 before the first snapshot; grows whenever the content was loaded from nothing instead of followed. */
  readonly generation: number;
  /** @throws OvsdbError `not_monitored` when the table is not in `monitor`. */
  table<T extends TableName<DB>>(name: T): TableReplica<DB, T>;
  /** Whether `table(name)` works. */
  monitors(name: string): boolean;
  /** Calls `listener` once per server update (also for a reload, with the differences). Returns what ends it. */
  onChange(listener: ChangeListener<DB>): () => void;
}

class TableStore {
  readonly spec: TableSpec;
  /** The monitored columns. */
  readonly columns: ReadonlyMap<string, ColumnSpec>;
  readonly rowClass: RowConstructor;
  readonly byUuid = new Map<string, StoredRow>();
  readonly indexes = new Map<string, IndexMap>();

  constructor(spec: TableSpec, columns: ReadonlySet<string>, indexes: readonly (readonly string[])[]) {
    this.spec = spec;
    this.columns = new Map([...spec.columns].filter(([name]) => columns.has(name)));
    this.rowClass = rowClass(spec, columns);
    for (const parts of indexes) {
      for (const part of parts) {
        const column = part.split(':', 1)[0] ?? part;
        if (!columns.has(column)) {
          throw new OvsdbError('not_monitored', `index on ${spec.name}.${part}, which \`monitor\` leaves out`, {
            table: spec.name,
            column,
          });
        }
      }
      this.indexes.set(indexName(parts), new IndexMap(spec, parts));
    }
  }

  get size(): number {
    return this.byUuid.size;
  }

  get(uuid: string): StoredRow | undefined {
    return this.byUuid.get(uuid);
  }

  rows(): IterableIterator<StoredRow> {
    return this.byUuid.values();
  }

  find(part: string | readonly string[], value: Atom | readonly Atom[]): readonly StoredRow[] {
    const name = typeof part === 'string' ? indexName([part]) : indexName(part);
    const index = this.indexes.get(name);
    if (index === undefined) {
      throw new OvsdbError('no_index', `no index on ${this.spec.name} ${name}: add it to \`indexes\` of connect`, {
        table: this.spec.name,
      });
    }
    return index.get(typeof value === 'object' ? value : [value]);
  }
}

function indexName(parts: readonly string[]): string {
  return JSON.stringify(parts);
}

/** One row's change, with names as data. */
interface StoredChange {
  readonly table: string;
  readonly uuid: Ref<string>;
  readonly old: StoredRow | undefined;
  readonly new: StoredRow | undefined;
}

/** The replica and what feeds it. `client.ts` owns it and hands out the `Replica` side. */
export class ReplicaStore<DB> implements Replica<DB> {
  readonly #tables = new Map<string, TableStore>();
  readonly #listeners = new Set<ChangeListener<DB>>();
  readonly #onListenerError: (error: unknown) => void;
  #generation = 0;

  /**
   * @param onListenerError told of what a listener threw: a listener's mistake must not cost the connection.
   * @throws OvsdbError `unknown_table`, `unknown_column` or `not_monitored` when `monitor` or `indexes` do not fit the spec.
   */
  constructor(
    database: DatabaseSpec<DB>,
    monitor: MonitorSpec<DB>,
    indexes: IndexSpec<DB>,
    onListenerError: (error: unknown) => void,
  ) {
    this.#onListenerError = onListenerError;
    const indexLists = indexes as { readonly [table: string]: readonly (readonly string[])[] | undefined };
    for (const [table, columns] of monitoredColumns(database, monitor)) {
      const spec = database.tables.get(table);
      if (spec !== undefined) {
        this.#tables.set(table, new TableStore(spec, columns, indexLists[table] ?? []));
      }
    }
    for (const table of Object.keys(indexes)) {
      if (!this.#tables.has(table)) {
        throw new OvsdbError('not_monitored', `index on table ${table}, which is not in \`monitor\``, { table });
      }
    }
  }

  get generation(): number {
    return this.#generation;
  }

  /** Number of rows of all tables. */
  get size(): number {
    return this.#tables.values().reduce((sum, table) => sum + table.size, 0);
  }

  monitors(name: string): boolean {
    return this.#tables.has(name);
  }

  table<T extends TableName<DB>>(name: T): TableReplica<DB, T> {
    const table = this.#tables.get(name);
    if (table === undefined) {
      throw new OvsdbError('not_monitored', `table ${name} is not in the replica: add it to \`monitor\``, {
        table: name,
      });
    }
    // Rows of the store have the columns of DB[T] as accessors, made from the same spec.
    return table as unknown as TableReplica<DB, T>;
  }

  onChange(listener: ChangeListener<DB>): () => void {
    // A wrapper, so that one function registered twice is ended once for each registration.
    const entry: ChangeListener<DB> = (changes) => listener(changes);
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  /**
   * Applies one message and tells the listeners.
   * @param updates `<table-updates>` or `<table-updates2>`.
   * @throws OvsdbError `protocol_error`; nothing was applied then.
   */
  apply(method: MonitorMethod, updates: Json): void {
    this.#commit(this.#read(method, updates, true));
  }

  /**
   * Replaces the content by a whole snapshot, keeping the row objects that did not change, and tells the listeners the
   * differences.
   * @throws OvsdbError `protocol_error`; nothing was applied then.
   */
  reload(method: MonitorMethod, snapshot: Json): void {
    const changes = this.#read(method, snapshot, false);
    const seen = new Set(changes.map((change) => change.uuid));
    for (const [table, store] of this.#tables) {
      for (const old of store.rows()) {
        if (!seen.has(old._uuid)) {
          changes.push({ table, uuid: old._uuid, old, new: undefined });
        }
      }
    }
    this.#generation += 1;
    this.#commit(
      changes.filter((change) => {
        const columns = this.#tables.get(change.table)?.columns;
        const { old, new: after } = change;
        return !(
          columns !== undefined &&
          old !== undefined &&
          after !== undefined &&
          sameValues(columns, old[VALUES], after[VALUES])
        );
      }),
    );
  }

  /** Reads a message into changes without touching the tables. */
  #read(method: MonitorMethod, updates: Json, following: boolean): StoredChange[] {
    if (!isJsonObject(updates)) {
      throw new OvsdbError('protocol_error', 'table updates are not an object');
    }
    const changes: StoredChange[] = [];
    for (const [table, rows] of Object.entries(updates)) {
      const store = this.#tables.get(table);
      if (store === undefined || !isJsonObject(rows)) {
        throw new OvsdbError('protocol_error', `update of table ${table}, which was not asked for`, { table });
      }
      for (const uuid of Object.keys(rows)) {
        const row = rows[uuid];
        if (row === undefined || !isUuid(uuid)) {
          throw new OvsdbError('protocol_error', `"${uuid}" is not a UUID`, { table });
        }
        const old = store.byUuid.get(uuid);
        const before: StoredValues | undefined = following ? old?.[VALUES] : undefined;
        let after: StoredRow | undefined;
        try {
          const update = applyRowUpdate(method, store.columns, before, row);
          after = update.kind === 'gone' ? undefined : new store.rowClass(uuid as Ref<string>, update.values);
        } catch (error) {
          const { code, message, column } = OvsdbError.from(error, 'protocol_error');
          throw new OvsdbError(code, message.slice(code.length + 2), { table, row: uuid, column, cause: error });
        }
        changes.push({ table, uuid: uuid as Ref<string>, old, new: after });
      }
    }
    return changes;
  }

  /** Removes all, then adds all: within one message a name may move from one row to another. */
  #commit(changes: readonly StoredChange[]): void {
    for (const { table, uuid, old } of changes) {
      const store = this.#tables.get(table);
      if (store !== undefined && old !== undefined) {
        for (const index of store.indexes.values()) {
          index.remove(old);
        }
        store.byUuid.delete(uuid);
      }
    }
    for (const { table, uuid, new: after } of changes) {
      const store = this.#tables.get(table);
      if (store !== undefined && after !== undefined) {
        store.byUuid.set(uuid, after);
        for (const index of store.indexes.values()) {
          index.add(after);
        }
      }
    }
    if (changes.length === 0) {
      return;
    }
    for (const listener of this.#listeners) {
      try {
        listener(changes as unknown as readonly RowChange<DB>[]);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}

/**
 * The tables and columns that `monitor` asks for.
 * @throws OvsdbError `unknown_table` or `unknown_column` for what the spec does not have.
 */
export function monitoredColumns<DB>(
  database: DatabaseSpec<DB>,
  monitor: MonitorSpec<DB>,
): Map<string, ReadonlySet<string>> {
  const tables = new Map<string, ReadonlySet<string>>();
  for (const [table, request] of Object.entries(monitor as Record<string, unknown>)) {
    const spec = database.tables.get(table);
    if (spec === undefined) {
      throw new OvsdbError('unknown_table', `${database.name} has no table ${table}`, { table });
    }
    if (request !== undefined) {
      const listed = Array.isArray(request)
        ? (request as readonly string[])
        : (request as { readonly columns?: readonly string[] }).columns;
      for (const column of listed ?? []) {
        if (!spec.columns.has(column)) {
          throw new OvsdbError('unknown_column', `table ${table} has no column ${column}`, { table, column });
        }
      }
      tables.set(table, new Set(listed ?? spec.columns.keys()));
    }
  }
  return tables;
}
