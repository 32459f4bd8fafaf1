/** What monitors send, and how it changes rows (RFC 7047 §4.1.6 `update`; ovsdb-server(7) `update2`, `update3`). */
import { OvsdbError } from './error.ts';
import { isJsonObject, type Json, type JsonObject } from './json.ts';
import { readColumn, type Stored, type StoredValues } from './row.ts';
import type { ColumnSpec } from './spec.ts';
import type { Atom } from './types.ts';
import { checkNotation, decodeValue, tagged, valuesEqual } from './value.ts';

/** The dialects of monitoring, newest first. `monitor_cond_since` resumes, `monitor` sends whole rows. */
export type MonitorMethod = 'monitor_cond_since' | 'monitor_cond' | 'monitor';

/** What became of one row: its new values, or undefined when it is gone. */
export type RowUpdate = { readonly kind: 'set'; readonly values: StoredValues } | { readonly kind: 'gone' };

/**
 * Applies one row of a message.
 * @param old the row's values so far, undefined when the replica does not have it.
 * @throws OvsdbError `protocol_error` when the message does not fit the row or the schema; the replica must be loaded anew.
 */
export function applyRowUpdate(
  method: MonitorMethod,
  columns: ReadonlyMap<string, ColumnSpec>,
  old: StoredValues | undefined,
  json: Json,
): RowUpdate {
  if (!isJsonObject(json)) {
    throw new OvsdbError('protocol_error', 'a row update is not an object');
  }
  return method === 'monitor' ? applyUpdate1(columns, old, json) : applyUpdate2(columns, old, json);
}

/** RFC 7047 §4.1.6: `new` holds all columns of the row after the change, its absence means deletion. */
function applyUpdate1(
  columns: ReadonlyMap<string, ColumnSpec>,
  old: StoredValues | undefined,
  json: JsonObject,
): RowUpdate {
  const after = json['new'];
  if (after !== undefined) {
    // On a modification only, older servers leave out columns that are not monitored for "modify"; we ask for all.
    return { kind: 'set', values: checkedValues(columns, after) };
  }
  if (old === undefined) {
    throw new OvsdbError('protocol_error', 'deletion of a row that the replica does not have');
  }
  return { kind: 'gone' };
}

/** ovsdb-server(7) "Update2 Notification": `initial`, `insert`, `delete`, or `modify` with differences. */
function applyUpdate2(
  columns: ReadonlyMap<string, ColumnSpec>,
  old: StoredValues | undefined,
  json: JsonObject,
): RowUpdate {
  const whole = json['initial'] ?? json['insert'];
  if (whole !== undefined) {
    return { kind: 'set', values: checkedValues(columns, whole) };
  }
  if (old === undefined) {
    throw new OvsdbError('protocol_error', 'change of a row that the replica does not have');
  }
  const modify = json['modify'];
  if (modify !== undefined) {
    return { kind: 'set', values: applyModify(columns, old, modify) };
  }
  if ('delete' in json) {
    return { kind: 'gone' };
  }
  throw new OvsdbError('protocol_error', 'a row update has none of initial, insert, modify, delete');
}

/**
 * The values of a row after `<modify>`: new values of scalars and optionals, differences of sets and maps.
 * @throws OvsdbError `protocol_error`
 */
export function applyModify(columns: ReadonlyMap<string, ColumnSpec>, old: StoredValues, modify: Json): StoredValues {
  if (!isJsonObject(modify)) {
    throw new OvsdbError('protocol_error', '"modify" is not an object');
  }
  const values: StoredValues = { ...old };
  for (const name in modify) {
    const column = columns.get(name);
    const diff = modify[name];
    if (column !== undefined && diff !== undefined) {
      checkNotation(column, diff);
      values[name] = column.kind === 'set' || column.kind === 'map' ? applyDiff(column, old, diff) : diff;
    }
  }
  return values;
}

/** The values of a whole row; the object becomes the replica's own. @throws OvsdbError `protocol_error` */
export function checkedValues(columns: ReadonlyMap<string, ColumnSpec>, json: Json): StoredValues {
  if (!isJsonObject(json)) {
    throw new OvsdbError('protocol_error', 'a row is not an object');
  }
  for (const name in json) {
    const column = columns.get(name);
    if (column !== undefined) {
      checkNotation(column, json[name]);
    }
  }
  return json;
}

/**
 * Applies the difference of a set or map: elements in just one of both remain; of a map, a pair equal to the row's is
 * removed, one with another value replaces it, one with a new key is added (ovsdb/ovsdb-data.c, ovsdb_datum_apply_diff).
 */
export function applyDiff(column: ColumnSpec, old: StoredValues, diff: Json): Stored {
  const raw = column.kind === 'map' ? applyRawMapDiff(column, old[column.name], diff) : undefined;
  if (raw !== undefined) {
    return raw;
  }
  const before = readColumn(old, column);
  const change = decodeValue(column, diff);
  if (before instanceof Map && change instanceof Map) {
    const map = new Map<Atom, Atom>(before as ReadonlyMap<Atom, Atom>);
    for (const [key, value] of change as ReadonlyMap<Atom, Atom>) {
      if (map.get(key) === value) {
        map.delete(key);
      } else {
        map.set(key, value);
      }
    }
    return map;
  }
  return symmetricDifference(before as readonly Atom[], change as readonly Atom[]);
}

/** Maps up to this size are searched key by key rather than hashed. */
const SMALL_MAP = 32;

/** The same on a map that nobody has read yet, in its notation: a `Map` is not made for rows that only change. */
function applyRawMapDiff(column: ColumnSpec, stored: Stored | undefined, diff: Json): Json | undefined {
  const before = stored === undefined ? [] : stored instanceof Map ? undefined : tagged(stored as Json, 'map');
  const change = tagged(diff, 'map') ?? [];
  if (
    before === undefined ||
    before.length + change.length > SMALL_MAP ||
    column.key.type === 'uuid' ||
    column.value?.type === 'uuid'
  ) {
    return undefined;
  }
  const after = [...(before as readonly (readonly Json[])[])];
  for (const pair of change as readonly (readonly Json[])[]) {
    const at = after.findIndex((each) => each[0] === pair[0]);
    if (at < 0) {
      after.push(pair);
    } else if (after[at]?.[1] === pair[1]) {
      after.splice(at, 1);
    } else {
      after[at] = pair;
    }
  }
  return ['map', after];
}

/** Differences up to this size are applied by linear search: a port joins a switch of thousands without hashing them all. */
const SMALL_DIFFERENCE = 4;

function symmetricDifference(before: readonly Atom[], change: readonly Atom[]): readonly Atom[] {
  if (change.length > SMALL_DIFFERENCE) {
    const elements = new Set(before);
    for (const element of change) {
      if (!elements.delete(element)) {
        elements.add(element);
      }
    }
    return [...elements];
  }
  const after = before.slice();
  for (const element of change) {
    const at = after.indexOf(element);
    if (at < 0) {
      after.push(element);
    } else {
      after.splice(at, 1);
    }
  }
  return after;
}

/** Whether two rows hold the same values; a missing column is at its default. */
export function sameValues(columns: ReadonlyMap<string, ColumnSpec>, a: StoredValues, b: StoredValues): boolean {
  for (const [name, column] of columns) {
    const left = a[name];
    const right = b[name];
    if (left !== right && !(left !== undefined && right !== undefined && sameJson(left, right))) {
      if (!valuesEqual(readColumn(a, column), readColumn(b, column))) {
        return false;
      }
    }
  }
  return true;
}

/** Cheap test for the usual case, two unread notations of the same value; anything else is decided by decoding. */
function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) {
    return true;
  }
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) {
    return false;
  }
  return a.every((element, i) => sameJson(element, b[i]));
}
