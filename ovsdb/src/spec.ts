/**
 * A database's tables and columns at run time. Generated files write each column's type as a short text; the server's
 * `get_schema` gives the same as JSON (RFC 7047 §3.2). Both become `ColumnSpec`.
 *
 * Text grammar: BASE[->BASE][COUNT] where BASE is `string`, `integer`, `real`, `boolean`, `uuid` or a table's name in
 * parentheses (a uuid that refers to it), and COUNT is nothing (exactly one), `?` (0..1), `*` (0..unlimited),
 * `+` (1..unlimited) or `{min,max}`.
 */
import { OvsdbError } from './error.ts';
import { asArray, isJsonObject, type Json } from './json.ts';

/** RFC 7047 §3.2 `<atomic-type>`. */
export type AtomicType = 'string' | 'integer' | 'real' | 'boolean' | 'uuid';

/** RFC 7047 §3.2 `<base-type>`, without the constraints, which the server enforces. */
export interface BaseSpec {
  readonly type: AtomicType;
  readonly refTable?: string | undefined;
}

/** How a column reads: see the head of `types.ts`. */
export type ColumnKind = 'scalar' | 'optional' | 'set' | 'map';

/** RFC 7047 §3.2 `<column-schema>`. */
export interface ColumnSpec {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly key: BaseSpec;
  /** Maps only. */
  readonly value?: BaseSpec | undefined;
  readonly min: number;
  /** `Infinity` for "unlimited". */
  readonly max: number;
}

/** RFC 7047 §3.2 `<table-schema>`. */
export interface TableSpec {
  readonly name: string;
  readonly columns: ReadonlyMap<string, ColumnSpec>;
}

declare const databaseType: unique symbol;

/** A database's tables, with its type `DB` (a phantom: no value has it). */
export interface DatabaseSpec<DB> {
  /** As the server knows it: `OVN_Northbound`, `OVN_Southbound`, `Open_vSwitch`. */
  readonly name: string;
  readonly tables: ReadonlyMap<string, TableSpec>;
  readonly [databaseType]?: DB;
}

/** RFC 7047 §3.2. */
export const ATOMIC_TYPES: ReadonlySet<string> = new Set<AtomicType>(['string', 'integer', 'real', 'boolean', 'uuid']);
const COLUMN_TEXT = /^(\w+|\(\w+\))(?:->(\w+|\(\w+\)))?(\?|\*|\+|\{\d+,\d+\})?$/;

/**
 * Builds a spec from column texts; generated files call this.
 * @throws OvsdbError `invalid_value` when a text does not follow the grammar above.
 */
export function defineDatabase<DB>(
  name: string,
  tables: { readonly [table: string]: { readonly [column: string]: string } },
): DatabaseSpec<DB> {
  const specs = new Map<string, TableSpec>();
  for (const [table, texts] of Object.entries(tables)) {
    const columns = new Map<string, ColumnSpec>();
    for (const [column, text] of Object.entries(texts)) {
      columns.set(column, columnFromText(column, text));
    }
    specs.set(table, { name: table, columns });
  }
  return { name, tables: specs };
}

function columnFromText(name: string, text: string): ColumnSpec {
  const match = COLUMN_TEXT.exec(text);
  const keyText = match?.[1];
  if (keyText === undefined) {
    throw new OvsdbError('invalid_value', `column type "${text}" is not BASE[->BASE][?|*|+|{min,max}]`, {
      column: name,
    });
  }
  const valueText = match?.[2];
  const [min, max] = countFromText(match?.[3] ?? '');
  return makeColumn(
    name,
    baseFromText(keyText),
    valueText === undefined ? undefined : baseFromText(valueText),
    min,
    max,
  );
}

function baseFromText(text: string): BaseSpec {
  if (text.startsWith('(')) {
    return { type: 'uuid', refTable: text.slice(1, -1) };
  }
  if (!ATOMIC_TYPES.has(text)) {
    throw new OvsdbError('invalid_value', `"${text}" is not an atomic type`);
  }
  return { type: text as AtomicType };
}

function countFromText(text: string): [number, number] {
  switch (text) {
    case '':
      return [1, 1];
    case '?':
      return [0, 1];
    case '*':
      return [0, Infinity];
    case '+':
      return [1, Infinity];
    default: {
      const [min, max] = text.slice(1, -1).split(',');
      return [Number(min), Number(max)];
    }
  }
}

/** The text form of a column type, which `defineDatabase` reads. */
export function columnToText(column: ColumnSpec): string {
  const base = (b: BaseSpec): string => (b.refTable === undefined ? b.type : `(${b.refTable})`);
  const { min, max } = column;
  const count =
    min === 1 && max === 1
      ? ''
      : min === 0 && max === 1
        ? '?'
        : max === Infinity
          ? min === 0
            ? '*'
            : '+'
          : `{${min},${max}}`;
  return `${base(column.key)}${column.value === undefined ? '' : `->${base(column.value)}`}${count}`;
}

/** Makes a column, with its kind derived from the rest. */
export function makeColumn(
  name: string,
  key: BaseSpec,
  value: BaseSpec | undefined,
  min: number,
  max: number,
): ColumnSpec {
  const kind: ColumnKind = value !== undefined ? 'map' : max > 1 ? 'set' : min === 0 ? 'optional' : 'scalar';
  return { name, kind, key, value, min, max };
}

/** The constraint texts of a base type, for doc comments: `0..4095`, `at most 63 characters`. */
export function constraintText(json: Json | undefined): string {
  if (!isJsonObject(json)) {
    return '';
  }
  const parts: string[] = [];
  const range = (lo: Json | undefined, hi: Json | undefined): void => {
    if (typeof lo === 'number' || typeof hi === 'number') {
      parts.push(`${typeof lo === 'number' ? lo : ''}..${typeof hi === 'number' ? hi : ''}`);
    }
  };
  range(json['minInteger'], json['maxInteger']);
  range(json['minReal'], json['maxReal']);
  if (typeof json['maxLength'] === 'number') {
    parts.push(`at most ${json['maxLength']} characters`);
  }
  return parts.join(', ');
}

/** The enum of a base type: its members, or undefined (RFC 7047 §3.2: `["set", [...]]` or one atom). */
export function enumMembers(json: Json | undefined): readonly Json[] | undefined {
  const value = isJsonObject(json) ? json['enum'] : undefined;
  if (value === undefined) {
    return undefined;
  }
  const list = asArray(value);
  return list?.[0] === 'set' ? (asArray(list[1]) ?? []) : [value];
}
