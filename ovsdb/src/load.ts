/** From the rows of a message to changes of the replica, all of which take effect at once at the end. */
import { OvsdbError } from './error.ts';
import { isJsonObject, type Json } from './json.ts';
import { FOLD, FOLDED, type StoredRow, VALUES } from './row.ts';
import { addRow, type TableContent, type TableStore } from './table-store.ts';
import { applyModify, applyRowUpdate, checkedValues, type MonitorMethod, sameValues } from './update.ts';
import { isUuid, type Ref } from './uuid.ts';

/** One row's change, with names as data. */
export interface StoredChange {
  readonly table: string;
  readonly uuid: Ref<string>;
  readonly old: StoredRow | undefined;
  readonly new: StoredRow | undefined;
}

/** Takes the rows of one message, and changes nothing that can be seen until `finish`. */
export interface Load {
  /**
   * @param text what `json` was parsed from, where that is at hand.
   * @throws OvsdbError `protocol_error` naming table, row and column; the load is then of no use.
   */
  row(table: string, uuid: string, json: Json, text?: string): void;
  /** Puts the rows in place. Returns what changed. */
  finish(): readonly StoredChange[];
}

/** Reads a whole `<table-updates>` or `<table-updates2>` into a load. @throws OvsdbError `protocol_error` */
export function readUpdates(load: Load, tables: ReadonlyMap<string, TableStore>, updates: Json): void {
  if (!isJsonObject(updates)) {
    throw new OvsdbError('protocol_error', 'table updates are not an object');
  }
  for (const table in updates) {
    const rows = updates[table];
    if (!isJsonObject(rows) || !tables.has(table)) {
      throw unknownTable(table);
    }
    for (const uuid in rows) {
      load.row(table, uuid, rows[uuid] ?? null);
    }
  }
}

/** Rows that follow from what the replica holds: a notification, or a resumed monitor. */
export class UpdateLoad implements Load {
  readonly #tables: ReadonlyMap<string, TableStore>;
  readonly #method: MonitorMethod;
  readonly #streamed: boolean;
  readonly #fold: boolean;
  readonly #changes: StoredChange[] = [];
  /** Texts of inserted rows, by their place in `#changes`. */
  readonly #texts = new Map<number, string>();
  /** UUIDs so far by table. JSON.parse lets no key come twice, a reply that is cut by row could. */
  #seen: Map<string, Set<string>> | undefined;

  /**
   * @param streamed whether the rows come one by one, not out of `JSON.parse`.
   * @param fold whether nobody is going to read new rows at once: they are then kept as texts.
   */
  constructor(tables: ReadonlyMap<string, TableStore>, method: MonitorMethod, streamed: boolean, fold: boolean) {
    this.#tables = tables;
    this.#method = method;
    this.#streamed = streamed;
    this.#fold = fold;
  }

  row(table: string, uuid: string, json: Json, text?: string): void {
    const store = this.#tables.get(table);
    if (store === undefined) {
      throw unknownTable(table);
    }
    if (this.#streamed) {
      this.#seen ??= new Map();
      const seen = this.#seen.get(table) ?? new Set();
      if (seen.has(uuid)) {
        throw twice(table, uuid);
      }
      this.#seen.set(table, seen.add(uuid));
    }
    const old = store.get(uuid);
    if (old === undefined && this.#fold && text !== undefined) {
      this.#texts.set(this.#changes.length, text);
    }
    this.#changes.push({ table, uuid: uuid as Ref<string>, old, new: readRow(store, this.#method, uuid, old, json) });
  }

  /** Takes all old rows out of the indexes, then puts all in: within one message a name may move between rows. */
  finish(): readonly StoredChange[] {
    const changes = this.#changes;
    const [only] = changes;
    if (changes.length === 1 && only?.old !== undefined && only.new !== undefined) {
      this.#tables.get(only.table)?.replace(only.old, only.new);
      return changes;
    }
    for (const { table, old } of changes) {
      if (old !== undefined) {
        this.#tables.get(table)?.remove(old);
      }
    }
    for (const { table, new: after } of changes) {
      if (after !== undefined) {
        this.#tables.get(table)?.add(after);
      }
    }
    // Not before: the indexes have read them.
    for (const [at, text] of this.#texts) {
      changes[at]?.new?.[FOLD](text);
    }
    return changes;
  }
}

/** A whole snapshot beside the present content, whose place it takes at the end; rows that did not change stay the same objects. */
export class SnapshotLoad implements Load {
  readonly #tables: ReadonlyMap<string, TableStore>;
  readonly #method: MonitorMethod;
  readonly #contents: ReadonlyMap<string, TableContent>;
  readonly #fold: boolean;
  readonly #changes: StoredChange[] = [];

  /** @param fold whether nobody is going to read new rows at once: they are then kept as texts. */
  constructor(tables: ReadonlyMap<string, TableStore>, method: MonitorMethod, fold: boolean) {
    this.#tables = tables;
    this.#method = method;
    this.#fold = fold;
    this.#contents = new Map([...tables].map(([name, store]) => [name, store.emptyContent()]));
  }

  row(table: string, uuid: string, json: Json, text?: string): void {
    const store = this.#tables.get(table);
    const content = this.#contents.get(table);
    if (store === undefined || content === undefined) {
      throw unknownTable(table);
    }
    if (content.byUuid.has(uuid)) {
      throw twice(table, uuid);
    }
    const after = readRow(store, this.#method, uuid, undefined, json);
    if (after === undefined) {
      throw new OvsdbError('protocol_error', 'a snapshot holds a deletion', { table, row: uuid });
    }
    const old = store.get(uuid);
    if (old !== undefined) {
      const same = (text !== undefined && old[FOLDED](text)) || sameValues(store.columns, old[VALUES], after[VALUES]);
      if (same) {
        addRow(content, old);
        return;
      }
    }
    addRow(content, after);
    if (this.#fold && text !== undefined) {
      after[FOLD](text);
    }
    this.#changes.push({ table, uuid: after._uuid, old, new: after });
  }

  finish(): readonly StoredChange[] {
    const changes = this.#changes;
    for (const [table, store] of this.#tables) {
      const content = this.#contents.get(table);
      if (content !== undefined) {
        for (const old of store.rows()) {
          if (!content.byUuid.has(old._uuid)) {
            changes.push({ table, uuid: old._uuid, old, new: undefined });
          }
        }
        store.replaceContent(content);
      }
    }
    return changes;
  }
}

/**
 * The row after `<modify>`; undefined when `modify` is, which means deletion.
 * @throws OvsdbError `protocol_error` naming table, row and column.
 */
export function modifiedRow(store: TableStore, old: StoredRow, modify: Json | undefined): StoredRow | undefined {
  if (modify === undefined) {
    return undefined;
  }
  try {
    return new store.rowClass(old._uuid, applyModify(store.columns, old[VALUES], modify));
  } catch (error) {
    throw atRow(error, store, old._uuid);
  }
}

/** The row of `<insert>`. @throws OvsdbError `protocol_error` naming table, row and column. */
export function insertedRow(store: TableStore, uuid: string, insert: Json): StoredRow {
  try {
    if (!isUuid(uuid)) {
      throw new OvsdbError('protocol_error', `"${uuid}" is not a UUID`);
    }
    return new store.rowClass(uuid as Ref<string>, checkedValues(store.columns, insert));
  } catch (error) {
    throw atRow(error, store, uuid);
  }
}

/** The row after one row of a message; undefined when it is gone. */
function readRow(
  store: TableStore,
  method: MonitorMethod,
  uuid: string,
  old: StoredRow | undefined,
  json: Json,
): StoredRow | undefined {
  try {
    if (old === undefined && !isUuid(uuid)) {
      throw new OvsdbError('protocol_error', `"${uuid}" is not a UUID`);
    }
    const update = applyRowUpdate(method, store.columns, old?.[VALUES], json);
    return update.kind === 'gone' ? undefined : new store.rowClass(uuid as Ref<string>, update.values);
  } catch (error) {
    throw atRow(error, store, uuid);
  }
}

function atRow(error: unknown, store: TableStore, row: string): OvsdbError {
  const { code, message, column } = OvsdbError.from(error, 'protocol_error');
  return new OvsdbError(code, message.slice(code.length + 2), { table: store.spec.name, row, column, cause: error });
}

function unknownTable(table: string): OvsdbError {
  return new OvsdbError('protocol_error', `update of table ${table}, which was not asked for`, { table });
}

function twice(table: string, uuid: string): OvsdbError {
  return new OvsdbError('protocol_error', `row ${uuid} of table ${table} stands twice in one message`, {
    table,
    row: uuid,
  });
}
