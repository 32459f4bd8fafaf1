/** Asking a server to send a part of its database and its changes. */
import { OvsdbError } from './error.ts';
import { asArray, type Json, type JsonObject } from './json.ts';
import type { Load } from './load.ts';
import { monitoredColumns } from './replica.ts';
import type { Session } from './session.ts';
import type { DatabaseSpec } from './spec.ts';
import { encodeWhere } from './transaction.ts';
import type { MonitorSpec, Where } from './types.ts';
import type { MonitorMethod } from './update.ts';
import { ZERO_UUID } from './uuid.ts';

/** What is asked of one server. */
export interface MonitorPlan {
  /** The `<json-value>` that marks the monitor's notifications. */
  readonly id: string;
  readonly database: string;
  readonly method: MonitorMethod;
  readonly requests: JsonObject;
  /** Whether a table has conditions, which the plain `monitor` does not know. */
  readonly conditional: boolean;
  /** Tables and `Table.column`s that the server lacks. */
  readonly missing: readonly string[];
}

/** Conditions that were changed at run time; a new object for each change. */
export class ConditionOverrides {
  /** Grows with each change. */
  readonly version: number;
  readonly #tables: ReadonlyMap<string, { readonly version: number; readonly where: unknown }>;

  constructor(
    version = 0,
    tables: ReadonlyMap<string, { readonly version: number; readonly where: unknown }> = new Map(),
  ) {
    this.version = version;
    this.#tables = tables;
  }

  /** With one table's conditions changed; undefined = all rows. */
  with(table: string, where: unknown): ConditionOverrides {
    const version = this.version + 1;
    return new ConditionOverrides(version, new Map(this.#tables).set(table, { version, where }));
  }

  /** The tables changed after an older state. */
  since(older: ConditionOverrides): readonly string[] {
    return [...this.#tables].filter(([, { version }]) => version > older.version).map(([table]) => table);
  }

  /** What holds for a table whose conditions were `original`. */
  of<W>(table: string, original: W): W {
    const override = this.#tables.get(table);
    return override === undefined ? original : (override.where as W);
  }
}

/**
 * Plans the monitor, leaving out what the server lacks.
 * @param has whether the server has a column that fits the spec. @param overrides replace the conditions in `monitor`.
 * @throws OvsdbError `unknown_table`, `unknown_column`, `invalid_value` when `monitor` does not fit the spec.
 */
export function buildMonitor<DB>(
  database: DatabaseSpec<DB>,
  monitor: MonitorSpec<DB>,
  has: (table: string, column: string) => boolean,
  overrides: ConditionOverrides = new ConditionOverrides(),
): MonitorPlan {
  const requests: Record<string, Json> = {};
  const missing: string[] = [];
  let conditional = false;
  for (const [table, wanted] of monitoredColumns(database, monitor)) {
    const spec = database.tables.get(table);
    const columns = [...wanted].filter((column) => has(table, column));
    if (spec === undefined || (columns.length === 0 && wanted.size > 0)) {
      missing.push(table);
      continue;
    }
    missing.push(...[...wanted].filter((column) => !columns.includes(column)).map((column) => `${table}.${column}`));
    const entry = (monitor as Readonly<Record<string, unknown>>)[table];
    const original =
      typeof entry === 'object' && entry !== null && !Array.isArray(entry)
        ? (entry as { readonly where?: Where<DB, never> }).where
        : undefined;
    const where = overrides.of(table, original);
    const request: Record<string, Json> = { columns };
    if (where !== undefined) {
      request['where'] = encodeWhere(spec, where).json;
      conditional = true;
    }
    requests[table] = [request];
  }
  return { id: database.name, database: database.name, method: 'monitor_cond_since', requests, conditional, missing };
}

/** What `startMonitor` puts rows into. */
export interface MonitorTarget {
  /** Begins to take in rows. @param found whether they continue from `lastTransaction`, or are the whole content. */
  load(method: MonitorMethod, found: boolean): Load;
  /** Takes in the rows of `updates` as well (all of them, where the reply was not cut). */
  readInto(load: Load, updates: Json): void;
}

/** The reply to a monitor request, with its rows taken in. */
export interface MonitorReply {
  readonly method: MonitorMethod;
  readonly found: boolean;
  readonly lastTransaction: string;
  readonly load: Load;
}

/**
 * Starts the monitor in the newest dialect that the server knows.
 * @param lastTransaction the transaction that the replica is at; the zero UUID for a whole snapshot.
 * @param onReply called in the turn of the reply; the load's rows are not in place yet.
 * @throws OvsdbError the server's refusal, or `protocol_error`.
 */
export async function startMonitor(
  session: Session,
  plan: MonitorPlan,
  lastTransaction: string,
  target: MonitorTarget,
  onReply: (reply: MonitorReply) => void,
): Promise<void> {
  const { database, id, requests } = plan;
  const ask = async (method: MonitorMethod, params: Json): Promise<void> => {
    let load: Load | undefined;
    const begin = (found: boolean): Load => (load ??= target.load(method, found));
    await session.call(method, params, {
      slow: true,
      rows: {
        begin: (leading) => {
          begin(leading[0] === true);
        },
        row: (table, uuid, json, text) => begin(false).row(table, uuid, json, text),
      },
      onResult: (result) => {
        const reply =
          method === 'monitor_cond_since' ? sinceReply(result) : { found: false, last: ZERO_UUID, rest: result };
        const taken = begin(reply.found);
        target.readInto(taken, reply.rest);
        onReply({ method, found: reply.found, lastTransaction: reply.last, load: taken });
      },
    });
  };
  try {
    await ask('monitor_cond_since', [database, id, requests, lastTransaction]);
    return;
  } catch (error) {
    rethrowUnlessUnknownMethod(error);
  }
  try {
    await ask('monitor_cond', [database, id, requests]);
    return;
  } catch (error) {
    rethrowUnlessUnknownMethod(error);
  }
  if (plan.conditional) {
    throw new OvsdbError('unsuitable_server', 'the server is too old for monitors with conditions (monitor_cond)');
  }
  await ask('monitor', [database, id, requests]);
}

/** `[found, last-txn-id, updates]` (ovsdb-server(7), "Monitor_cond_since"). */
function sinceReply(result: Json): { readonly found: boolean; readonly last: string; readonly rest: Json } {
  const [found, last, rest] = asArray(result) ?? [];
  if (typeof found !== 'boolean' || typeof last !== 'string' || rest === undefined) {
    throw new OvsdbError('protocol_error', 'the reply to monitor_cond_since is not [found, last-txn-id, updates]');
  }
  return { found, last, rest };
}

/** ovsdb-server answers a method it does not know with the error "unknown method" (ovsdb/jsonrpc-server.c). */
export function rethrowUnlessUnknownMethod(error: unknown): void {
  if (!(error instanceof OvsdbError && error.serverError === 'unknown method')) {
    throw error;
  }
}
