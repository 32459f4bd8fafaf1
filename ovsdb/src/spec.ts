/**
 * A database's tables and columns at run time. Generated files write each column's type as a short text; the server's
 * `get_schema` gives the same as JSON (RFC 7047 §3.2). Both become `ColumnSpec`.
 *
 * Text grammar: BASE[->BASE][COUNT] where BASE is `string`, `integer`, `real`, `boolean`, `uuid` or a table's name in
 * parentheses (a uuid that refers to it); a range may follow a number (`integer[0..4095]`, `real[0..]`) or, of its
 * length in characters, a string (`string[..63]`). COUNT is nothing (exactly one), `?` (0..1), `*` (0..unlimited),
 * `+` (1..unlimited) or `{min,max}`.
 */
import { OvsdbError } from './error.ts';
import { asArray, isJsonObject, type Json } from './json.ts';

/** RFC 7047 §3.2 `<atomic-type>`. */
export type AtomicType = 'string' | 'integer' | 'real' | 'boolean' | 'uuid';

/** RFC 7047 §3.2 `<base-type>`. */
export interface BaseSpec {
  readonly type: AtomicType;
  readonly refTable?: string | undefined;
  /** Bounds of a number, or of a string's length in characters; absent = none. */
  readonly least?: number | undefined;
  readonly most?: number | undefined;
  /** The values of an enum. Only a server's schema has them here; of ours, the row types do. */
  readonly members?: readonly Json[] | undefined;
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
const COLUMN_TEXT = /^((?:\w|\[[^\]]*\]|[()])+)(?:->((?:\w|\[[^\]]*\]|[()])+))?(\?|\*|\+|\{\d+,\d+\})?$/;
const BASE_TEXT = /^(?:(\w+)(?:\[(-?[\d.e+-]*?)\.\.(-?[\d.e+-]*)\])?|\((\w+)\))$/;

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
  const [, type, least = '', most = '', refTable] = BASE_TEXT.exec(text) ?? [];
  if (refTable !== undefined) {
    return { type: 'uuid', refTable };
  }
  if (type === undefined || !ATOMIC_TYPES.has(type)) {
    throw new OvsdbError('invalid_value', `"${text}" is not an atomic type with or without a range`);
  }
  return {
    type: type as AtomicType,
    ...(least !== '' && { least: Number(least) }),
    ...(most !== '' && { most: Number(most) }),
  };
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
  const base = (b: BaseSpec): string =>
    b.refTable === undefined ? `${b.type}${rangeText(b) === '' ? '' : `[${rangeText(b)}]`}` : `(${b.refTable})`;
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

/** The range of a base type as `0..4095`, `1..` or `..63`; empty when it has none. */
export function rangeText({ least, most }: BaseSpec): string {
  return least === undefined && most === undefined ? '' : `${least ?? ''}..${most ?? ''}`;
}

/** A base type that allows what either does. */
export function unionBase(a: BaseSpec, b: BaseSpec): BaseSpec {
  const { type, refTable } = b;
  const least = a.least === undefined || b.least === undefined ? undefined : Math.min(a.least, b.least);
  const most = a.most === undefined || b.most === undefined ? undefined : Math.max(a.most, b.most);
  return {
    type,
    ...(refTable !== undefined && { refTable }),
    ...(least !== undefined && { least }),
    ...(most !== undefined && { most }),
  };
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
