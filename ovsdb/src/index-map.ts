/** An index of one table: from lookup key to rows. */
import { OvsdbError } from './error.ts';
import { asArray, type Json } from './json.ts';
import { readColumn, type StoredRow, VALUES } from './row.ts';
import type { ColumnSpec, TableSpec } from './spec.ts';
import type { Atom, Value } from './types.ts';
import { tagged } from './value.ts';

/** Reads one part of the key from a row; undefined when the row has none. */
type PartReader = (row: StoredRow) => Value | undefined;

const NO_ROWS: readonly StoredRow[] = Object.freeze([]);

/** Rows by the values of columns or map keys. Several rows may share a key. */
export class IndexMap {
  readonly #parts: readonly PartReader[];
  /** One row is stored bare: most indexes are unique, and a set each would cost more than the entry. */
  readonly #rows = new Map<Atom, StoredRow | Set<StoredRow>>();

  /** @throws OvsdbError `unknown_column` when a part is not a column of `table`, or has a key and the column is no map. */
  constructor(table: TableSpec, parts: readonly string[]) {
    this.#parts = parts.map((part) => partReader(table, part));
  }

  /** The rows under a key, one value for each part. */
  get(values: readonly Atom[]): readonly StoredRow[] {
    const found = this.#rows.get(joinKey(values));
    return found === undefined ? NO_ROWS : found instanceof Set ? [...found] : [found];
  }

  add(row: StoredRow): void {
    for (const key of this.#keys(row)) {
      const present = this.#rows.get(key);
      if (present === undefined) {
        this.#rows.set(key, row);
      } else if (present instanceof Set) {
        present.add(row);
      } else {
        this.#rows.set(key, new Set([present, row]));
      }
    }
  }

  remove(row: StoredRow): void {
    for (const key of this.#keys(row)) {
      const present = this.#rows.get(key);
      if (present instanceof Set) {
        present.delete(row);
        if (present.size === 0) {
          this.#rows.delete(key);
        }
      } else if (present === row) {
        this.#rows.delete(key);
      }
    }
  }

  /** Puts a row in the place of its predecessor; cheap when the key stays, as most updates have it. */
  replace(old: StoredRow, row: StoredRow): void {
    const [single] = this.#parts;
    if (this.#parts.length === 1 && single !== undefined) {
      const before = single(old);
      if (before === single(row)) {
        if (before === undefined) {
          return;
        }
        if (typeof before !== 'object' && this.#rows.get(before) === old) {
          this.#rows.set(before, row);
          return;
        }
      }
    }
    this.remove(old);
    this.add(row);
  }

  #keys(row: StoredRow): readonly Atom[] {
    const [single] = this.#parts;
    if (this.#parts.length === 1 && single !== undefined) {
      const value = single(row);
      if (value === undefined) {
        return [];
      }
      return typeof value === 'object' ? (value instanceof Map ? [] : [...new Set(value as readonly Atom[])]) : [value];
    }
    const atoms: Atom[] = [];
    for (const part of this.#parts) {
      const value = part(row);
      if (value === undefined || typeof value === 'object') {
        return [];
      }
      atoms.push(value);
    }
    return [joinKey(atoms)];
  }
}

/** A composite key as one text; a single value stays itself. */
function joinKey(values: readonly Atom[]): Atom {
  const [single] = values;
  return values.length === 1 && single !== undefined ? single : JSON.stringify(values);
}

function partReader(table: TableSpec, part: string): PartReader {
  const colon = part.indexOf(':');
  const name = colon < 0 ? part : part.slice(0, colon);
  const column = table.columns.get(name);
  if (column === undefined || colon >= 0 !== (column.kind === 'map')) {
    const reason =
      column === undefined ? 'is not a column' : 'must be column:key for maps and just the column for others';
    throw new OvsdbError('unknown_column', `index part "${part}" of table ${table.name} ${reason}`, {
      table: table.name,
      column: name,
    });
  }
  if (colon < 0) {
    return (row) => readColumn(row[VALUES], column);
  }
  const key = part.slice(colon + 1);
  return (row) => mapEntry(row, column, key);
}

/** One entry of a map column. An unread map is searched in its notation: building it for an index would cost memory for good. */
function mapEntry(row: StoredRow, column: ColumnSpec, key: string): Atom | undefined {
  const stored = row[VALUES][column.name];
  if (stored instanceof Map) {
    return (stored as ReadonlyMap<Atom, Atom>).get(key);
  }
  if (column.key.type !== 'string' || column.value?.type === 'uuid') {
    return (readColumn(row[VALUES], column) as ReadonlyMap<Atom, Atom>).get(key);
  }
  for (const pair of tagged(stored as Json | undefined, 'map') ?? []) {
    const entry = asArray(pair);
    if (entry?.[0] === key) {
      return entry[1] as Atom;
    }
  }
  return undefined;
}
