/** Values between their JSON notation (RFC 7047 §5.1 `<value>`) and what users see (head of `types.ts`). */
import { OvsdbError } from './error.ts';
import { asArray, type Json } from './json.ts';
import { type BaseSpec, type ColumnSpec, rangeText } from './spec.ts';
import type { Atom, Value } from './types.ts';
import { isUuid, isUuidName, ZERO_UUID } from './uuid.ts';

const EMPTY_SET: readonly Atom[] = Object.freeze([]);
/** One shared empty map: a column at its default costs nothing. Typed read-only to everyone. */
const EMPTY_MAP: ReadonlyMap<Atom, Atom> = new Map<Atom, Atom>();

/** The value a column has when nothing was written to it (RFC 7047 §5.2.1): what the server leaves out of snapshots. */
export function defaultValue(column: ColumnSpec): Value | undefined {
  switch (column.kind) {
    case 'optional':
      return undefined;
    case 'set':
      return EMPTY_SET;
    case 'map':
      return EMPTY_MAP;
    case 'scalar':
      switch (column.key.type) {
        case 'string':
          return '';
        case 'integer':
        case 'real':
          return 0;
        case 'boolean':
          return false;
        case 'uuid':
          return ZERO_UUID;
      }
  }
}

/**
 * Checks that `json` has the notation of `column`, without building anything, so that decoding later cannot fail on
 * shape. Integers beyond 2^53 pass here and fail when they are read.
 * @throws OvsdbError `protocol_error` naming the column.
 */
export function checkNotation(column: ColumnSpec, json: Json | undefined): void {
  if (column.kind === 'map') {
    const pairs = tagged(json, 'map');
    if (pairs !== undefined && column.value !== undefined) {
      for (const pair of pairs) {
        const entry = asArray(pair);
        if (entry?.length !== 2 || !isAtom(column.key, entry[0]) || !isAtom(column.value, entry[1])) {
          throw badNotation(column, pair);
        }
      }
      return;
    }
  } else {
    const elements = tagged(json, 'set');
    if (elements === undefined) {
      if (isAtom(column.key, json)) {
        return;
      }
    } else if (column.kind === 'set' || elements.length <= 1) {
      for (const element of elements) {
        if (!isAtom(column.key, element)) {
          throw badNotation(column, element);
        }
      }
      if (elements.length === 1 || column.kind !== 'scalar') {
        return;
      }
    }
  }
  throw badNotation(column, json);
}

function badNotation(column: ColumnSpec, json: Json | undefined): OvsdbError {
  const text = JSON.stringify(json) ?? 'nothing';
  const type = column.kind === 'map' ? `map of ${column.key.type}` : `${column.kind} of ${column.key.type}`;
  return new OvsdbError('protocol_error', `the server sent ${text.slice(0, 80)} for a ${type}`, {
    column: column.name,
  });
}

function isAtom(base: BaseSpec, json: Json | undefined): boolean {
  switch (base.type) {
    case 'string':
      return typeof json === 'string';
    case 'boolean':
      return typeof json === 'boolean';
    case 'real':
      return typeof json === 'number';
    case 'integer':
      return typeof json === 'number' && Number.isInteger(json);
    case 'uuid': {
      const pair = asArray(json);
      return pair?.length === 2 && pair[0] === 'uuid' && typeof pair[1] === 'string' && isUuid(pair[1]);
    }
  }
}

/** The list of `["set", [...]]` or `["map", [...]]`. */
export function tagged(json: Json | undefined, tag: 'set' | 'map'): readonly Json[] | undefined {
  const pair = asArray(json);
  return pair?.length === 2 && pair[0] === tag ? asArray(pair[1]) : undefined;
}

/** Decodes a value that `checkNotation` has passed. Integers are as exact as `JSON.parse` makes them: see `assertExact`. */
export function decodeValue(column: ColumnSpec, json: Json): Value | undefined {
  if (column.kind === 'map' && column.value !== undefined) {
    const map = new Map<Atom, Atom>();
    for (const pair of tagged(json, 'map') ?? []) {
      const entry = asArray(pair) ?? [];
      map.set(decodeAtom(column.key, entry[0]), decodeAtom(column.value, entry[1]));
    }
    return map;
  }
  const elements = tagged(json, 'set');
  if (column.kind === 'set') {
    return (elements ?? [json]).map((element) => decodeAtom(column.key, element));
  }
  if (elements === undefined) {
    return decodeAtom(column.key, json);
  }
  return elements.length === 0 ? undefined : decodeAtom(column.key, elements[0]);
}

/** Decodes one atom; the notation has been checked. */
function decodeAtom(base: BaseSpec, json: Json | undefined): Atom {
  return base.type === 'uuid' ? (asArray(json)?.[1] as string) : (json as Atom);
}

/**
 * Returns `value` if its integers are exact. OVSDB's are 64 bits wide, JavaScript's numbers hold 53; a counter beyond
 * that is an error to whoever reads it, but not to the connection.
 * @throws OvsdbError `invalid_value` for an integer beyond 2^53.
 */
export function assertExact(column: ColumnSpec, value: Value | undefined): Value | undefined {
  const check = (base: BaseSpec | undefined, atoms: Iterable<Atom>): void => {
    if (base?.type === 'integer') {
      for (const atom of atoms) {
        if (!Number.isSafeInteger(atom)) {
          throw new OvsdbError('invalid_value', `integer ${atom} is beyond 2^53 and would not be exact`, {
            column: column.name,
          });
        }
      }
    }
  };
  if (value === undefined) {
    return value;
  }
  if (value instanceof Map) {
    const map = value as ReadonlyMap<Atom, Atom>;
    check(column.key, map.keys());
    check(column.value, map.values());
  } else {
    check(column.key, isSet(value) ? value : [value as Atom]);
  }
  return value;
}

/**
 * Encodes what users write. `null` is the empty optional. A uuid string that is not a UUID is an uuid-name.
 * @throws OvsdbError `invalid_value` when the value does not fit the column's type or count.
 */
export function encodeValue(column: ColumnSpec, value: unknown): Json {
  if (column.kind === 'map') {
    if (!(value instanceof Map)) {
      throw badValue(column, value, 'a Map');
    }
    return encodeMap(column, value);
  }
  if (column.kind === 'set') {
    if (!Array.isArray(value)) {
      throw badValue(column, value, 'an array');
    }
    const elements = value as readonly unknown[];
    if (elements.length < column.min || elements.length > column.max) {
      throw badValue(column, value, `${column.min} to ${column.max} elements`);
    }
    return ['set', elements.map((element) => encodeAtom(column, column.key, element))];
  }
  if (value === null && column.kind === 'optional') {
    return ['set', []];
  }
  return encodeAtom(column, column.key, value);
}

/** Encodes a map's pairs, also as the operand of a mutation. */
export function encodeMap(column: ColumnSpec, map: ReadonlyMap<unknown, unknown>): Json {
  const pairs: Json[] = [];
  for (const [key, value] of map) {
    pairs.push([encodeAtom(column, column.key, key), encodeAtom(column, column.value ?? column.key, value)]);
  }
  return ['map', pairs];
}

/** Encodes one atom. */
export function encodeAtom(column: ColumnSpec, base: BaseSpec, value: unknown): Json {
  switch (base.type) {
    case 'string':
      // ovsdb strings are C strings: the server refuses NUL with a syntax error for the whole transaction.
      if (typeof value === 'string' && !value.includes('\0') && inRange(base, value)) {
        return value;
      }
      break;
    case 'boolean':
      if (typeof value === 'boolean') {
        return value;
      }
      break;
    case 'integer':
      if (Number.isSafeInteger(value) && inRange(base, value as number)) {
        return value as number;
      }
      break;
    case 'real':
      if (Number.isFinite(value) && inRange(base, value as number)) {
        return value as number;
      }
      break;
    case 'uuid':
      if (typeof value === 'string') {
        if (isUuid(value)) {
          return ['uuid', value];
        }
        if (isUuidName(value)) {
          return ['named-uuid', value];
        }
      }
      break;
  }
  const range = rangeText(base);
  const expected = `${base.type}${range === '' ? '' : base.type === 'string' ? ` of ${range} characters` : ` in ${range}`}`;
  throw badValue(column, value, base.refTable === undefined ? expected : `a row of ${base.refTable}`);
}

/** Whether a number, or the number of characters of a string, is in the column's range. */
function inRange({ least, most }: BaseSpec, value: number | string): boolean {
  if (least === undefined && most === undefined) {
    return true;
  }
  // Characters, not UTF-16 units (ovsdb/ovsdb-types.c, check_string_constraints).
  const size = typeof value === 'string' ? Array.from(value).length : value;
  return (least === undefined || size >= least) && (most === undefined || size <= most);
}

function badValue(column: ColumnSpec, value: unknown, expected: string): OvsdbError {
  const shown = value instanceof Map ? 'a Map' : (JSON.stringify(value) ?? String(value)).slice(0, 80);
  return new OvsdbError('invalid_value', `column ${column.name} takes ${expected}, not ${shown}`, {
    column: column.name,
  });
}

/**
 * Whether two decoded values are the same to OVSDB: sets and maps have no order. `null` and `undefined` are both the
 * empty optional.
 */
export function valuesEqual(a: Value | null | undefined, b: Value | null | undefined): boolean {
  if (a === b) {
    return true;
  }
  if (a === null || a === undefined || b === null || b === undefined) {
    return (a ?? undefined) === (b ?? undefined);
  }
  if (isSet(a)) {
    return isSet(b) && setsEqual(a, b);
  }
  if (typeof a === 'object') {
    if (typeof b !== 'object' || isSet(b) || a.size !== b.size) {
      return false;
    }
    for (const [key, value] of a) {
      // No atom is undefined, so a missing key never equals.
      if (b.get(key) !== value) {
        return false;
      }
    }
    return true;
  }
  return false;
}

function isSet(value: Value): value is readonly Atom[] {
  return Array.isArray(value);
}

function setsEqual(a: readonly Atom[], b: readonly Atom[]): boolean {
  if (a.length !== b.length) {
    return false;
  }
  // The server prints sets sorted, so equal sets most often have equal order.
  if (a.every((element, i) => element === b[i])) {
    return true;
  }
  const other = new Set(b);
  return other.size === new Set(a).size && a.every((element) => other.has(element));
}
