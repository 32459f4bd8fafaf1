/**
 * Why an OVSDB call failed. The set is closed; `server_error` holds what no other code names.
 *
 * Connection:
 * - `disconnected`: there was no connection, so nothing was sent. Retry once `synced()` resolves.
 * - `outcome_unknown`: the connection ended after the request was sent. It may have been carried out: read again first,
 *   or let `commitOnce` do so.
 * - `closed`: the client was closed, or the call's signal was aborted before it was sent.
 * - `connect_failed`: one attempt to reach a remote failed (also TLS). The client keeps trying by itself.
 * - `protocol_error`: the peer sent something that is not valid OVSDB.
 * - `inactive`: the peer was silent for two probe intervals.
 * - `unsuitable_server`: the server does not lead its cluster, is cut off from it, or has older data than seen before.
 *
 * Before sending:
 * - `invalid_value`: a value does not fit its column. - `unknown_table`, `unknown_column`: not in the schema (of this server).
 * - `not_monitored`: the replica was not asked to hold this. - `no_index`: `find` on columns without an index.
 *
 * From the server (RFC 7047 §3.1, §5.2 and ovsdb-server(7)):
 * - `wait_failed`: a `wait` did not hold ("timed out"): the database is not what the transaction assumes.
 * - `constraint_violation`, `referential_integrity_violation`, `duplicate_uuid`, `duplicate_uuid_name`,
 *   `not_owner` (assert), `aborted` (abort operation), `canceled`, `permission_error` (RBAC), `resources_exhausted`,
 *   `io_error`, `unknown_database`, `not_allowed`, `syntax_error`, `server_error`.
 *
 * After the commit:
 * - `count_mismatch`: an `expectCount` did not hold. The transaction IS committed.
 */
export type OvsdbErrorCode =
  | 'disconnected'
  | 'outcome_unknown'
  | 'closed'
  | 'connect_failed'
  | 'protocol_error'
  | 'inactive'
  | 'unsuitable_server'
  | 'invalid_value'
  | 'unknown_table'
  | 'unknown_column'
  | 'not_monitored'
  | 'no_index'
  | 'wait_failed'
  | 'constraint_violation'
  | 'referential_integrity_violation'
  | 'duplicate_uuid'
  | 'duplicate_uuid_name'
  | 'not_owner'
  | 'aborted'
  | 'canceled'
  | 'permission_error'
  | 'resources_exhausted'
  | 'io_error'
  | 'unknown_database'
  | 'not_allowed'
  | 'syntax_error'
  | 'server_error'
  | 'count_mismatch';

/** Codes after which the very same call may simply be made again (later). */
const RETRYABLE: ReadonlySet<OvsdbErrorCode> = new Set<OvsdbErrorCode>([
  'disconnected',
  'connect_failed',
  'inactive',
  'unsuitable_server',
  'resources_exhausted',
]);

/** Where in a transaction or database an error happened; every part is there when it is known. */
export interface OvsdbErrorContext {
  /** Index of the operation within the transaction. Absent when only the commit as a whole failed. */
  readonly op?: number | undefined;
  /** The operation's name, `insert` ... */
  readonly operation?: string | undefined;
  readonly table?: string | undefined;
  /** UUID of the row. */
  readonly row?: string | undefined;
  readonly column?: string | undefined;
  /** The server's own words: RFC 7047 `error` and `details`. */
  readonly serverError?: string | undefined;
  readonly details?: string | undefined;
  readonly cause?: unknown;
}

/** The one error class of this package. */
export class OvsdbError extends Error {
  override readonly name: string = 'OvsdbError';
  readonly code: OvsdbErrorCode;
  /** Whether making the same call again, later, is safe and may succeed. */
  readonly retryable: boolean;
  readonly op: number | undefined;
  readonly operation: string | undefined;
  readonly table: string | undefined;
  readonly row: string | undefined;
  readonly column: string | undefined;
  readonly serverError: string | undefined;
  readonly details: string | undefined;

  constructor(code: OvsdbErrorCode, message: string, context: OvsdbErrorContext = {}) {
    super(`${code}: ${message}`, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.retryable = RETRYABLE.has(code);
    this.op = context.op;
    this.operation = context.operation;
    this.table = context.table;
    this.row = context.row;
    this.column = context.column;
    this.serverError = context.serverError;
    this.details = context.details;
  }

  /** `reason` itself when it is an OvsdbError, else a new one with `reason` as cause. For boundaries. */
  static from(reason: unknown, code: OvsdbErrorCode): OvsdbError {
    if (reason instanceof OvsdbError) {
      return reason;
    }
    return new OvsdbError(code, reason instanceof Error ? reason.message : String(reason), { cause: reason });
  }
}

/** The server's error strings (RFC 7047 §3.1; ovsdb/transaction.c, ovsdb/execution.c, ovsdb/jsonrpc-server.c of OVS). */
const SERVER_ERRORS: ReadonlyMap<string, OvsdbErrorCode> = new Map<string, OvsdbErrorCode>([
  ['timed out', 'wait_failed'],
  ['constraint violation', 'constraint_violation'],
  ['domain error', 'constraint_violation'],
  ['range error', 'constraint_violation'],
  ['referential integrity violation', 'referential_integrity_violation'],
  ['duplicate uuid', 'duplicate_uuid'],
  ['duplicate uuid-name', 'duplicate_uuid_name'],
  ['not owner', 'not_owner'],
  ['aborted', 'aborted'],
  ['canceled', 'canceled'],
  ['permission error', 'permission_error'],
  ['resources exhausted', 'resources_exhausted'],
  ['I/O error', 'io_error'],
  ['unknown database', 'unknown_database'],
  ['unknown table', 'unknown_table'],
  ['unknown column', 'unknown_column'],
  ['not allowed', 'not_allowed'],
  ['syntax error', 'syntax_error'],
]);

/** The code for a server's error string. */
export function serverErrorCode(error: string): OvsdbErrorCode {
  return SERVER_ERRORS.get(error) ?? 'server_error';
}
