/** The schema that a server has, which may be older or newer than the spec (RFC 7047 §3.2). */
import { OvsdbError } from './error.ts';
import { asArray, isJsonObject, type Json } from './json.ts';
import {
  ATOMIC_TYPES,
  type AtomicType,
  type BaseSpec,
  type ColumnSpec,
  enumMembers,
  makeColumn,
  type TableSpec,
} from './spec.ts';
import type { Transaction } from './transaction.ts';
import { tagged } from './value.ts';

/** What `get_schema` tells of a database. */
export interface ServerSchema {
  readonly name: string;
  /** `x.y.z` */
  readonly version: string;
  readonly tables: ReadonlyMap<string, TableSpec>;
  /** The columns with an enum, by table. */
  readonly enums: ReadonlyMap<string, readonly ColumnSpec[]>;
}

/**
 * Reads a `<database-schema>` (RFC 7047 §3.2).
 * @throws OvsdbError `protocol_error` naming the table and column that is not as the RFC says.
 */
export function parseSchema(json: Json): ServerSchema {
  if (!isJsonObject(json) || typeof json['name'] !== 'string' || !isJsonObject(json['tables'])) {
    throw new OvsdbError('protocol_error', 'the schema is not an object with "name" and "tables"');
  }
  const tables = new Map<string, TableSpec>();
  for (const [table, body] of Object.entries(json['tables'])) {
    const columnsJson = isJsonObject(body) ? body['columns'] : undefined;
    if (!isJsonObject(columnsJson)) {
      throw new OvsdbError('protocol_error', `table ${table} of the schema has no "columns"`, { table });
    }
    const columns = new Map<string, ColumnSpec>();
    for (const [column, columnJson] of Object.entries(columnsJson)) {
      columns.set(column, parseColumn(table, column, columnJson));
    }
    tables.set(table, { name: table, columns });
  }
  const version = json['version'];
  const enums = new Map<string, readonly ColumnSpec[]>();
  for (const { name, columns } of tables.values()) {
    enums.set(
      name,
      [...columns.values()].filter(({ key, value }) => key.members ?? value?.members),
    );
  }
  return { name: json['name'], version: typeof version === 'string' ? version : '', tables, enums };
}

function parseColumn(table: string, name: string, json: Json): ColumnSpec {
  const type = isJsonObject(json) ? json['type'] : undefined;
  if (typeof type === 'string') {
    return makeColumn(name, parseBase(table, name, type), undefined, 1, 1);
  }
  if (!isJsonObject(type)) {
    throw new OvsdbError('protocol_error', `column ${table}.${name} of the schema has no type`, {
      table,
      column: name,
    });
  }
  const min = type['min'] ?? 1;
  const max = type['max'] ?? 1;
  const value = type['value'];
  return makeColumn(
    name,
    parseBase(table, name, type['key']),
    value === undefined ? undefined : parseBase(table, name, value),
    typeof min === 'number' ? min : 1,
    typeof max === 'number' ? max : Infinity,
  );
}

function parseBase(table: string, column: string, json: Json | undefined): BaseSpec {
  const type = isJsonObject(json) ? json['type'] : json;
  if (typeof type !== 'string' || !ATOMIC_TYPES.has(type)) {
    throw new OvsdbError('protocol_error', `column ${table}.${column} of the schema has an unknown type`, {
      table,
      column,
    });
  }
  const read = (name: string): Json | undefined => (isJsonObject(json) ? json[name] : undefined);
  const refTable = read('refTable');
  const least = read('minInteger') ?? read('minReal') ?? read('minLength');
  const members = enumMembers(json);
  const most = read('maxInteger') ?? read('maxReal') ?? read('maxLength');
  return {
    type: type as AtomicType,
    ...(typeof refTable === 'string' && { refTable }),
    ...(typeof least === 'number' && { least }),
    ...(typeof most === 'number' && { most }),
    ...(members !== undefined && { members }),
  };
}

/**
 * Whether a column of the server can be read and written as the spec says: same types, and a count that the spec's kind
 * can express. A server that made a scalar into a set would otherwise lose elements silently.
 */
export function compatible(spec: ColumnSpec, server: ColumnSpec): boolean {
  if (spec.key.type !== server.key.type || spec.value?.type !== server.value?.type) {
    return false;
  }
  switch (spec.kind) {
    case 'map':
    case 'set':
      return true;
    case 'optional':
      return server.max <= 1;
    case 'scalar':
      return server.kind === 'scalar';
  }
}

/**
 * A server without a table or column refuses with a bare "syntax error", and one without a member of an enum does not
 * name the column; this says what is wrong, before anything is sent.
 * @throws OvsdbError `unknown_table`, `unknown_column` or `invalid_value` naming the operation.
 */
export function checkAgainstSchema<DB>(transaction: Transaction<DB>, schema: ServerSchema): void {
  transaction.operations.forEach(({ op, table, columns, json }, index) => {
    if (table === undefined) {
      return;
    }
    const at = { op: index, operation: op, table };
    const serverTable = schema.tables.get(table);
    if (serverTable === undefined) {
      throw new OvsdbError(
        'unknown_table',
        `table ${table} is not in this server's schema ${schema.version}: ask hasTable first`,
        at,
      );
    }
    const column = columns.find((name) => !serverTable.columns.has(name));
    if (column !== undefined) {
      throw new OvsdbError(
        'unknown_column',
        `column ${table}.${column} is not in this server's schema ${schema.version}: ask hasColumn first`,
        { ...at, column },
      );
    }
    const row = json['row'];
    if (isJsonObject(row)) {
      for (const enumColumn of schema.enums.get(table) ?? []) {
        const { name } = enumColumn;
        const foreign = foreignMember(enumColumn, row[name]);
        if (foreign !== undefined) {
          throw new OvsdbError(
            'invalid_value',
            `column ${table}.${name} of this server's schema ${schema.version} does not know ${JSON.stringify(foreign)}`,
            { ...at, column: name },
          );
        }
      }
    }
  });
}

/** A value that the server's enum lacks, though our own, newer one may have it. */
function foreignMember(column: ColumnSpec, json: Json | undefined): Json | undefined {
  if (json === undefined) {
    return undefined;
  }
  const lacks = ({ members }: BaseSpec, atom: Json | undefined): boolean =>
    members !== undefined && atom !== undefined && !members.includes(atom);
  if (column.value === undefined) {
    return (tagged(json, 'set') ?? [json]).find((atom) => lacks(column.key, atom));
  }
  for (const pair of tagged(json, 'map') ?? []) {
    const [key, value] = asArray(pair) ?? [];
    const foreign = lacks(column.key, key) ? key : lacks(column.value, value) ? value : undefined;
    if (foreign !== undefined) {
      return foreign;
    }
  }
  return undefined;
}
