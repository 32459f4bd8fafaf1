/** Replies to `transact` (RFC 7047 §4.1.3): results by operation, or the one error. */
import { OvsdbError, serverErrorCode } from './error.ts';
import { asArray, isJsonObject, type Json, type JsonObject } from './json.ts';
import type { Operation, Transaction } from './transaction.ts';
import type { Value } from './types.ts';
import { toUuid, type Uuid } from './uuid.ts';
import { assertExact, checkNotation, decodeValue, defaultValue } from './value.ts';

/** A row that a `select` gave, decoded; columns at their default are there too. */
export type SelectedRow = Readonly<Record<string, Value | undefined>> & { readonly _uuid?: Uuid };

/** What one operation did. */
export interface OperationResult {
  /** `insert`: the row's UUID. */
  readonly uuid?: Uuid;
  /** `update`, `mutate`, `delete`: how many rows matched. */
  readonly count?: number;
  /** `select`: the rows. */
  readonly rows?: readonly SelectedRow[];
}

/**
 * Reads the reply to a transaction.
 * @returns one result per operation.
 * @throws OvsdbError what the server refused (`op`, `table`, `row`, `column` as far as it says), `count_mismatch`, or
 * `protocol_error`.
 */
export function readResults<DB>(transaction: Transaction<DB>, reply: Json): readonly OperationResult[] {
  const { operations } = transaction;
  const all = asArray(reply);
  if (all === undefined) {
    throw new OvsdbError('protocol_error', 'the reply to transact is not an array');
  }
  const list = withoutGuards(operations, all);
  // A failed operation's error stands in its place, with nulls after it; a failed commit adds one error behind all.
  list.forEach((json, index) => {
    if (isJsonObject(json) && json['error'] !== undefined && json['error'] !== null) {
      throw transactionError(operations, list, index, json);
    }
  });
  if (list.length < operations.length) {
    throw new OvsdbError('protocol_error', `the reply to ${operations.length} operations has ${list.length} results`);
  }
  const results = operations.map((operation, index) => readResult(transaction, operation, index, list[index] ?? null));
  results.forEach(({ count }, index) => {
    const operation = operations[index];
    if (operation?.expectCount !== undefined && operation.expectCount !== count) {
      throw new OvsdbError(
        'count_mismatch',
        `operation ${index} (${operation.op} ${operation.table ?? ''}) matched ${count ?? 'an unknown number of'} rows, ` +
          `not ${operation.expectCount}; the transaction is committed`,
        { op: index, operation: operation.op, table: operation.table, row: operation.row },
      );
    }
  });
  return results;
}

/** The results by operation: those of guards are left out, or stand for their operation when they failed. */
function withoutGuards(operations: readonly Operation[], all: readonly Json[]): readonly Json[] {
  if (operations.every(({ guard }) => guard === undefined)) {
    return all;
  }
  const list: Json[] = [];
  let at = 0;
  for (const { guard } of operations) {
    if (guard !== undefined) {
      const result = all[at];
      at += 1;
      if (isJsonObject(result) && result['error'] !== undefined) {
        return [...list, result];
      }
    }
    if (at < all.length) {
      list.push(all[at] ?? null);
      at += 1;
    }
  }
  return [...list, ...all.slice(at)];
}

function readResult<DB>(
  transaction: Transaction<DB>,
  operation: Operation,
  index: number,
  json: Json,
): OperationResult {
  if (!isJsonObject(json)) {
    throw new OvsdbError('protocol_error', `result ${index} is not an object`, { op: index, operation: operation.op });
  }
  const uuid = asArray(json['uuid'])?.[1];
  if (typeof uuid === 'string') {
    return { uuid: toUuid(uuid) };
  }
  const { count } = json;
  if (typeof count === 'number') {
    return { count };
  }
  const rows = asArray(json['rows']);
  return rows === undefined ? {} : { rows: rows.map((row) => readRow(transaction, operation, row)) };
}

function readRow<DB>(transaction: Transaction<DB>, operation: Operation, json: Json): SelectedRow {
  const table = transaction.database.tables.get(operation.table ?? '');
  if (!isJsonObject(json) || table === undefined) {
    throw new OvsdbError('protocol_error', 'a selected row is not an object');
  }
  const row: Record<string, Value | undefined> = {};
  const uuid = asArray(json['_uuid'])?.[1];
  if (typeof uuid === 'string') {
    row['_uuid'] = toUuid(uuid);
  }
  const asked = asArray(operation.json['columns'])?.map(String);
  for (const column of table.columns.values()) {
    const value = json[column.name];
    if (value !== undefined) {
      checkNotation(column, value);
      row[column.name] = assertExact(column, decodeValue(column, value));
    } else if (asked === undefined || asked.includes(column.name)) {
      row[column.name] = defaultValue(column);
    }
  }
  return row;
}

function insertedUuid(json: Json | undefined): string | undefined {
  const uuid = isJsonObject(json) ? asArray(json['uuid'])?.[1] : undefined;
  return typeof uuid === 'string' ? uuid : undefined;
}

const UUID_IN_TEXT = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g;
const TABLE_IN_TEXT = /(?:table|in) "?(\w+)"?|"(\w+)" table|(\w+) table/g;
const COLUMN_IN_TEXT = /column "?(\w+)"?|"(\w+)" column/;

/**
 * Makes the error of a failed transaction. The server names rows and columns in prose only (`details`), and of a failed
 * commit no operation, so those are looked for there; they are absent when the prose does not say.
 */
function transactionError(
  operations: readonly Operation[],
  results: readonly Json[],
  index: number,
  json: JsonObject,
): OvsdbError {
  const { error } = json;
  const serverError = typeof error === 'string' ? error : JSON.stringify(error);
  const details = typeof json['details'] === 'string' ? json['details'] : undefined;
  const text = details ?? '';
  const uuids: readonly string[] = text.match(UUID_IN_TEXT) ?? [];
  const ofIndex = operations[index];
  // Behind the last operation: the commit failed. An operation on a row that the text names is the likely culprit.
  const rowOf = (operation: Operation, i: number): string | undefined => operation.row ?? insertedUuid(results[i]);
  const byRow = operations.findIndex((operation, i) => uuids.includes(rowOf(operation, i) ?? ''));
  const op = ofIndex !== undefined ? index : byRow >= 0 ? byRow : undefined;
  const operation = op === undefined ? undefined : operations[op];
  const named = [...text.matchAll(TABLE_IN_TEXT)].map((match) => match[1] ?? match[2] ?? match[3]);
  const known = new Set(operations.map((each) => each.table));
  const table = operation?.table ?? named.find((name) => known.has(name));
  const columnMatch = COLUMN_IN_TEXT.exec(text);
  const culprit =
    operation === undefined ? '' : `operation ${op} (${operation.op} ${operation.table ?? ''})`.replace(' )', ')');
  const where = ofIndex !== undefined ? culprit : `at commit${culprit === '' ? '' : `, likely by ${culprit}`}`;
  return new OvsdbError(
    serverErrorCode(serverError),
    `${where}: ${serverError}${details === undefined ? '' : `: ${details}`}`,
    {
      op,
      operation: operation?.op,
      table,
      row: (op === undefined || operation === undefined ? undefined : rowOf(operation, op)) ?? uuids[0],
      column: columnMatch?.[1] ?? columnMatch?.[2],
      serverError,
      details,
    },
  );
}
