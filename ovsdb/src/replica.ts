/** The copy in memory of the monitored part of a database. */
import { OvsdbError } from './error.ts';
import type { Json } from './json.ts';
import {
  insertedRow,
  type Load,
  modifiedRow,
  readUpdates,
  SnapshotLoad,
  type StoredChange,
  UpdateLoad,
} from './load.ts';
import type { StoredRow } from './row.ts';
import type { RowFrame } from './row-frame.ts';
import type { DatabaseSpec } from './spec.ts';
import { TableStore } from './table-store.ts';
import type { Atom, IndexPart, IndexSpec, IndexValue, MonitorSpec, Row, RowChange, TableName } from './types.ts';
import type { MonitorMethod } from './update.ts';
import type { Ref } from './uuid.ts';

/** Hears of the rows that one message of the server changed; the replica already has all of them. */
export type ChangeListener<DB> = (changes: readonly RowChange<DB>[]) => void;

/** The same for one table. */
export type TableListener<DB, T extends TableName<DB>> = (
  changes: readonly Extract<RowChange<DB>, { readonly table: T }>[],
) => void;

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
  /** Calls `listener` once per server update that changes rows of this table, with those. Returns what ends it. */
  onChange(listener: TableListener<DB, T>): () => void;
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
   * Applies one notification and tells the listeners.
   * @param updates `<table-updates>` or `<table-updates2>`.
   * @throws OvsdbError `protocol_error`; nothing was applied then.
   */
  apply(method: MonitorMethod, updates: Json): void {
    const load = new UpdateLoad(this.#tables, method, false, !this.isListenedTo);
    this.readInto(load, updates);
    this.commit(load, true);
  }

  /**
   * Applies a frame of one row.
   * @returns false when it does not fit what the replica holds; nothing was done then.
   * @throws OvsdbError `protocol_error`; nothing was applied then.
   */
  applyRow({ table, uuid, insert, modify }: RowFrame): boolean {
    const store = this.#tables.get(table);
    const old = store?.get(uuid);
    if (store === undefined || (old === undefined) !== (insert !== undefined)) {
      return false;
    }
    let after: StoredRow | undefined;
    if (old === undefined) {
      after = insertedRow(store, uuid, insert ?? null);
      store.add(after);
    } else {
      after = modifiedRow(store, old, modify);
      if (after === undefined) {
        store.remove(old);
      } else {
        store.replace(old, after);
      }
    }
    if (this.#listeners.size > 0 || store.listeners.size > 0) {
      // Names of the store, not of the frame: those are slices that keep the text of the whole chunk in memory.
      this.#tell([{ table: store.spec.name, uuid: (after ?? old)?._uuid ?? (uuid as Ref<string>), old, new: after }]);
    }
    return true;
  }

  /**
   * Replaces the content by a whole snapshot, keeping the row objects that did not change, and tells the listeners the
   * differences.
   * @throws OvsdbError `protocol_error`; nothing was applied then.
   */
  reload(method: MonitorMethod, snapshot: Json): void {
    const load = this.load(method, false);
    this.readInto(load, snapshot);
    this.commit(load, false);
  }

  /** Begins to take in the reply to a monitor request. @param following whether they continue from the present content, or replace it. */
  load(method: MonitorMethod, following: boolean): Load {
    const fold = !this.isListenedTo;
    return following ? new UpdateLoad(this.#tables, method, true, fold) : new SnapshotLoad(this.#tables, method, fold);
  }

  /** Takes in the rows of a whole message. @throws OvsdbError `protocol_error` */
  readInto(load: Load, updates: Json): void {
    readUpdates(load, this.#tables, updates);
  }

  /** Puts a load's rows in place and tells the listeners. */
  commit(load: Load, following: boolean): void {
    const changes = load.finish();
    if (!following) {
      this.#generation += 1;
    }
    if (changes.length > 0) {
      this.#tell(changes);
    }
  }

  /** Listeners read what changed: to fold it for them would mean to parse it twice. */
  get isListenedTo(): boolean {
    return this.#listeners.size > 0 || this.#tables.values().some(({ listeners }) => listeners.size > 0);
  }

  #tell(changes: readonly StoredChange[]): void {
    const call = (listener: (changes: never) => void, list: readonly StoredChange[]): void => {
      try {
        // Rows of the store have the columns of DB[T] as accessors, made from the same spec.
        listener(list as never);
      } catch (error) {
        this.#onListenerError(error);
      }
    };
    for (const listener of this.#listeners) {
      call(listener, changes);
    }
    for (const [name, { listeners }] of this.#tables) {
      if (listeners.size > 0) {
        const ofTable = changes.filter(({ table }) => table === name);
        for (const listener of ofTable.length > 0 ? listeners : []) {
          call(listener, ofTable);
        }
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
