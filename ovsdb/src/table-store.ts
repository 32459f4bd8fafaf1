/** One table of the replica: its rows and indexes. */
import { OvsdbError } from './error.ts';
import { IndexMap } from './index-map.ts';
import { type RowConstructor, rowClass, type StoredRow } from './row.ts';
import type { ColumnSpec, TableSpec } from './spec.ts';
import type { Atom } from './types.ts';

/** Rows by UUID, and the indexes on them. */
export interface TableContent {
  readonly byUuid: Map<string, StoredRow>;
  readonly indexes: ReadonlyMap<string, IndexMap>;
}

/** The store of one table; the public `TableReplica` is this, seen through the database's type. */
export class TableStore {
  readonly spec: TableSpec;
  /** The monitored columns. */
  readonly columns: ReadonlyMap<string, ColumnSpec>;
  readonly rowClass: RowConstructor;
  /** Who is told of this table's changes; their type is the public `TableListener`'s. */
  readonly listeners: Set<(changes: never) => void> = new Set();
  readonly #indexLists: readonly (readonly string[])[];
  #content: TableContent;

  /** @throws OvsdbError `not_monitored` or `unknown_column` when an index does not fit. */
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
    }
    this.#indexLists = indexes;
    this.#content = this.emptyContent();
  }

  get size(): number {
    return this.#content.byUuid.size;
  }

  get(uuid: string): StoredRow | undefined {
    return this.#content.byUuid.get(uuid);
  }

  rows(): IterableIterator<StoredRow> {
    return this.#content.byUuid.values();
  }

  find(part: string | readonly string[], value: Atom | readonly Atom[]): readonly StoredRow[] {
    const name = typeof part === 'string' ? indexName([part]) : indexName(part);
    const index = this.#content.indexes.get(name);
    if (index === undefined) {
      throw new OvsdbError('no_index', `no index on ${this.spec.name} ${name}: add it to \`indexes\` of connect`, {
        table: this.spec.name,
      });
    }
    return index.get(typeof value === 'object' ? value : [value]);
  }

  onChange(listener: (changes: never) => void): () => void {
    // A wrapper, so that one function registered twice is ended once for each registration.
    const entry = (changes: never): void => listener(changes);
    this.listeners.add(entry);
    return () => {
      this.listeners.delete(entry);
    };
  }

  /** Room for a new content, filled by `addRow` and put in place by `replaceContent`. */
  emptyContent(): TableContent {
    return {
      byUuid: new Map(),
      indexes: new Map(this.#indexLists.map((parts) => [indexName(parts), new IndexMap(this.spec, parts)])),
    };
  }

  replaceContent(content: TableContent): void {
    this.#content = content;
  }

  /** Puts in a row whose UUID is not there. */
  add(row: StoredRow): void {
    addRow(this.#content, row);
  }

  /** Puts a row in the place of another with the same UUID. */
  replace(old: StoredRow, row: StoredRow): void {
    this.#content.byUuid.set(row._uuid, row);
    for (const index of this.#content.indexes.values()) {
      index.replace(old, row);
    }
  }

  /** Takes out a row that is there. */
  remove(old: StoredRow): void {
    for (const index of this.#content.indexes.values()) {
      index.remove(old);
    }
    this.#content.byUuid.delete(old._uuid);
  }
}

/** Puts a row into a content. */
export function addRow(content: TableContent, row: StoredRow): void {
  content.byUuid.set(row._uuid, row);
  for (const index of content.indexes.values()) {
    index.add(row);
  }
}

function indexName(parts: readonly string[]): string {
  return JSON.stringify(parts);
}
