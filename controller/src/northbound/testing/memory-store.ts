import { readFileSync } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';
import { sameValue } from '../atoms.ts';
import type { Scalar, Value } from '../rows.ts';
import { type NbChange, type NbOp, type NbRow, type NbStore, NbTransactError } from '../store.ts';

interface ColumnSchema {
  readonly kind: 'scalar' | 'optional' | 'set' | 'map';
  readonly min: number;
  readonly type: string;
  readonly references?: { readonly table: string; readonly strong: boolean };
}

interface TableSchema {
  readonly root: boolean;
  readonly maxRows: number;
  readonly indexes: readonly (readonly string[])[];
  readonly columns: ReadonlyMap<string, ColumnSchema>;
}

type Tables = Map<string, Map<string, NbRow>>;

/**
 * A northbound database in memory with the semantics of ovsdb-server that the writer depends on (RFC 7047 §3.2, §4.1.3,
 * §5.2): all or nothing, referential integrity, weak references that vanish, collection of unreferenced rows, unique
 * indexes. For property tests, which need thousands of databases.
 */
export class MemoryStore implements NbStore {
  readonly #schema: ReadonlyMap<string, TableSchema>;
  readonly #listeners = new Set<(changes: readonly NbChange[]) => void>();
  #tables: Tables = new Map();
  generation = 1;
  /** Committed transactions. */
  commits: (readonly NbOp[])[] = [];
  /** Called before each transaction; what it throws fails the transaction. */
  before: (ops: readonly NbOp[]) => void = () => undefined;
  /** Called after each commit, before the caller hears of it; what it throws makes the outcome unknown. */
  after: () => void = () => undefined;

  constructor(schema: ReadonlyMap<string, TableSchema> = northboundSchema()) {
    this.#schema = schema;
    for (const table of schema.keys()) this.#tables.set(table, new Map());
  }

  get(table: string, uuid: string): NbRow | undefined {
    return this.#tables.get(table)?.get(uuid);
  }

  rows(table: string): Iterable<readonly [string, NbRow]> {
    return this.#tables.get(table) ?? [];
  }

  hasTable(table: string): boolean {
    return this.#schema.has(table);
  }

  hasColumn(table: string, column: string): boolean {
    return this.#schema.get(table)?.columns.has(column) ?? false;
  }

  synced(signal: AbortSignal): Promise<void> {
    return signal.aborted ? Promise.reject(new Error('aborted')) : Promise.resolve();
  }

  onChange(listener: (changes: readonly NbChange[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async transact(ops: readonly NbOp[], _signal?: AbortSignal): Promise<void> {
    // A turn of the event loop each way, in which units may change.
    await immediate();
    this.before(ops);
    this.commit(ops);
    this.commits.push(ops);
    await immediate();
    this.after();
  }

  /** A transaction by somebody else. */
  commit(ops: readonly NbOp[]): void {
    const tables: Tables = new Map([...this.#tables].map(([name, rows]) => [name, new Map(rows)]));
    for (const [index, op] of ops.entries()) this.#apply(tables, op, index);
    this.#collect(tables);
    this.#check(tables);
    const changes = difference(this.#tables, tables);
    this.#tables = tables;
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes);
  }

  /** Loses everything, as a new database in place of the old. */
  recreate(): void {
    const empty: Tables = new Map([...this.#schema.keys()].map((table) => [table, new Map()]));
    const changes = difference(this.#tables, empty);
    this.#tables = empty;
    this.generation += 1;
    for (const listener of this.#listeners) listener(changes);
  }

  /** All rows, for comparisons: table → uuid → columns. */
  dump(): Record<string, Record<string, Record<string, unknown>>> {
    const out: Record<string, Record<string, Record<string, unknown>>> = {};
    for (const [table, rows] of this.#tables) {
      for (const [uuid, row] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) {
        out[table] ??= {};
        out[table][uuid] = Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plain(value)]));
      }
    }
    return out;
  }

  #apply(tables: Tables, op: NbOp, index: number): void {
    const rows = tables.get(op.table);
    const schema = this.#schema.get(op.table);
    if (rows === undefined || schema === undefined) throw new NbTransactError('refused', `no table ${op.table}`, index);
    const row = rows.get(op.uuid);
    switch (op.op) {
      case 'insert':
        if (row !== undefined) throw new NbTransactError('refused', 'duplicate uuid', index);
        rows.set(op.uuid, { ...defaults(schema), ...known(schema, op.row, index) });
        return;
      case 'update':
        if (row !== undefined) rows.set(op.uuid, { ...row, ...known(schema, op.row, index) });
        return;
      case 'mutate': {
        let changed = row;
        for (const [column, mutator, value] of op.mutations) {
          if (changed === undefined) return;
          changed = { ...changed, [column]: mutate(changed[column], mutator, value) };
          rows.set(op.uuid, changed);
        }
        return;
      }
      case 'delete':
        rows.delete(op.uuid);
        return;
      case 'exists':
        if (row === undefined) throw new NbTransactError('wait_failed', `no ${op.table} ${op.uuid}`, index);
        return;
      case 'fence': {
        const ids = (row?.['external_ids'] ?? new Map()) as ReadonlyMap<string, Scalar>;
        const holds = row !== undefined && [...op.includes].every(([key, value]) => ids.get(key) === value);
        if (!holds) throw new NbTransactError('wait_failed', 'timed out', index);
        return;
      }
      case 'unchanged':
        if (row === undefined || !sameValue(row['external_ids'], op.externalIds)) {
          throw new NbTransactError('wait_failed', 'timed out', index);
        }
        return;
    }
  }

  /** Removes rows of non-root tables that nothing refers to strongly, then weak references to rows that are gone. */
  #collect(tables: Tables): void {
    for (let again = true; again; ) {
      again = false;
      const referred = new Set<string>();
      this.#eachReference(tables, (target, strong) => {
        if (strong) referred.add(target);
      });
      for (const [name, rows] of tables) {
        if (this.#schema.get(name)?.root !== false) continue;
        for (const uuid of rows.keys()) if (!referred.has(uuid)) again = rows.delete(uuid) || again;
      }
    }
    for (const [name, rows] of tables) {
      for (const [uuid, row] of rows) {
        for (const [column, { references, kind }] of this.#schema.get(name)?.columns ?? []) {
          if (references === undefined || references.strong) continue;
          const targets = tables.get(references.table);
          const values = elements(row[column]);
          const alive = values.filter((value) => targets?.has(String(value)));
          if (alive.length === values.length) continue;
          rows.set(uuid, { ...rows.get(uuid), [column]: kind === 'set' ? alive : alive[0] });
        }
      }
    }
  }

  #check(tables: Tables): void {
    this.#eachReference(tables, (target, strong, table) => {
      if (strong && tables.get(table)?.has(target) !== true) {
        throw new NbTransactError('refused', `referential integrity violation: no ${table} ${target}`, undefined);
      }
    });
    for (const [name, rows] of tables) {
      const schema = this.#schema.get(name);
      if (rows.size > (schema?.maxRows ?? Infinity))
        throw new NbTransactError('refused', `too many ${name}`, undefined);
      for (const index of schema?.indexes ?? []) {
        const seen = new Set<string>();
        for (const row of rows.values()) {
          const key = JSON.stringify(index.map((column) => row[column]));
          if (seen.has(key)) throw new NbTransactError('refused', `${name} ${key}: not unique`, undefined);
          seen.add(key);
        }
      }
    }
  }

  #eachReference(tables: Tables, visit: (target: string, strong: boolean, table: string) => void): void {
    for (const [name, rows] of tables) {
      const columns = [...(this.#schema.get(name)?.columns ?? [])].filter(([, { references }]) => references);
      for (const row of rows.values()) {
        for (const [column, { references }] of columns) {
          if (references === undefined) continue;
          for (const value of elements(row[column])) visit(String(value), references.strong, references.table);
        }
      }
    }
  }
}

function elements(value: Value): readonly Scalar[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value as readonly Scalar[];
  return value instanceof Map ? [] : [value as Scalar];
}

function mutate(value: Value, mutator: 'insert' | 'delete', operand: Value): Value {
  if (value instanceof Map) {
    const map = new Map(value as ReadonlyMap<string, Scalar>);
    if (mutator === 'delete') for (const key of operand as readonly string[]) map.delete(key);
    else for (const [key, item] of operand as ReadonlyMap<string, Scalar>) if (!map.has(key)) map.set(key, item);
    return map;
  }
  const set = new Set(value as readonly Scalar[]);
  const items = new Set(operand as readonly Scalar[]);
  return [...(mutator === 'insert' ? set.union(items) : set.difference(items))];
}

function known(schema: TableSchema, row: NbRow, index: number): NbRow {
  for (const [column, value] of Object.entries(row)) {
    const spec = schema.columns.get(column);
    if (spec === undefined) throw new NbTransactError('refused', `unknown column ${column}`, index);
    const shape = Array.isArray(value) ? 'set' : value instanceof Map ? 'map' : 'atom';
    if ((spec.kind === 'set' || spec.kind === 'map' ? spec.kind : 'atom') !== shape) {
      throw new NbTransactError('refused', `column ${column}: expected a ${spec.kind}`, index);
    }
    if (typeof value === 'string' && value.includes('\0')) {
      throw new NbTransactError('refused', `constraint violation: column ${column} holds a null byte`, index);
    }
  }
  return row;
}

function defaults({ columns }: TableSchema): NbRow {
  const row: Record<string, Value> = {};
  for (const [name, { kind, type }] of columns) {
    if (kind === 'set') row[name] = [];
    else if (kind === 'map') row[name] = new Map();
    else if (kind === 'scalar') row[name] = type === 'integer' ? 0 : type === 'boolean' ? false : '';
    else row[name] = undefined;
  }
  return row;
}

function difference(before: Tables, after: Tables): NbChange[] {
  const changes: NbChange[] = [];
  for (const [table, rows] of after) {
    const old = before.get(table);
    for (const [uuid, row] of rows) {
      const was = old?.get(uuid);
      if (was !== row) changes.push({ table, uuid, old: was, new: row });
    }
    for (const [uuid, row] of old ?? []) if (!rows.has(uuid)) changes.push({ table, uuid, old: row, new: undefined });
  }
  return changes;
}

function plain(value: Value): unknown {
  if (value instanceof Map) return Object.fromEntries(value as ReadonlyMap<string, Scalar>);
  const byText = (a: Scalar, b: Scalar): number => (String(a) < String(b) ? -1 : 1);
  return Array.isArray(value) ? (value as readonly Scalar[]).toSorted(byText) : value;
}

interface SchemaJson {
  readonly tables: Readonly<
    Record<
      string,
      {
        readonly isRoot?: boolean;
        readonly maxRows?: number;
        readonly indexes?: string[][];
        readonly columns: Readonly<Record<string, { readonly type: TypeJson }>>;
      }
    >
  >;
}
type BaseJson = string | { readonly type: string; readonly refTable?: string; readonly refType?: string };
type TypeJson =
  | string
  | { readonly key: BaseJson; readonly value?: BaseJson; readonly min?: number; readonly max?: number | 'unlimited' };

/** The schema of a release that the ovsdb package carries, as this store reads it. */
export function northboundSchema(release = '23.03'): ReadonlyMap<string, TableSchema> {
  const file = new URL(`../../../../ovsdb/schemas/${release}/ovn-nb.ovsschema`, import.meta.url);
  const json = JSON.parse(readFileSync(file, 'utf8')) as SchemaJson;
  return new Map(
    Object.entries(json.tables).map(([name, { isRoot, maxRows, indexes, columns }]) => [
      name,
      {
        root: isRoot === true,
        maxRows: maxRows ?? Infinity,
        indexes: indexes ?? [],
        columns: new Map(Object.entries(columns).map(([column, { type }]) => [column, columnOf(type)])),
      },
    ]),
  );
}

function columnOf(type: TypeJson): ColumnSchema {
  if (typeof type === 'string') return { kind: 'scalar', min: 1, type };
  const { key, value, min = 1, max = 1 } = type;
  const base = typeof key === 'string' ? { type: key } : key;
  const kind = value !== undefined ? 'map' : max !== 1 ? 'set' : min === 0 ? 'optional' : 'scalar';
  return {
    kind,
    min,
    type: base.type,
    ...(base.refTable !== undefined && {
      references: { table: base.refTable, strong: base.refType !== 'weak' },
    }),
  };
}
