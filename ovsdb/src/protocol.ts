/** The methods of RFC 7047 §4.1 and ovsdb-server(7), one function each, on a connection of one's own. `connect` does without. */
import { OvsdbError } from './error.ts';
import type { FramerLimits } from './framer.ts';
import { asArray, isJsonObject, type Json } from './json.ts';
import { type CallOptions, Session } from './session.ts';
import { openTransport, type TlsFiles } from './transport.ts';
import { toUuid, type Uuid, ZERO_UUID } from './uuid.ts';

/** What `monitor_cond_since` takes for the last transaction of a client that has nothing yet. */
export const NO_TRANSACTION: Uuid = ZERO_UUID;

/** How `openSession` connects. */
export interface OpenSessionOptions {
  /** For `ssl:` remotes. */
  readonly tls?: TlsFiles;
  /** Milliseconds until the connection must stand. Default 5,000. */
  readonly timeoutMs?: number;
  /** Gives up connecting. It does not end a session that stands. */
  readonly signal?: AbortSignal;
  /** `update`, `update2`, `update3`, `monitor_canceled`, `locked`, `stolen`. What it throws ends the session. */
  readonly onNotification?: (method: string, params: Json) => void;
  /** See `SessionOptions`. */
  readonly probeIntervalMs?: number;
  readonly limits?: FramerLimits;
}

/**
 * Opens one connection for calls by hand; it is not kept alive beyond its end.
 * @throws OvsdbError `connect_failed`, `invalid_value` (the remote), `closed`.
 */
export async function openSession(remote: string, options: OpenSessionOptions = {}): Promise<Session> {
  const { tls, timeoutMs = 5_000, signal = new AbortController().signal, probeIntervalMs, limits } = options;
  const stream = await openTransport(remote, tls, timeoutMs, signal);
  return new Session({
    stream,
    onNotification: options.onNotification ?? (() => undefined),
    ...(probeIntervalMs !== undefined && { probeIntervalMs }),
    ...(limits !== undefined && { limits }),
  });
}

/** RFC 7047 §4.1.1: the names of the server's databases, `_Server` among them. @throws OvsdbError */
export async function listDatabases(session: Session): Promise<readonly string[]> {
  const names = asArray(await session.call('list_dbs', []));
  if (names?.every((name) => typeof name === 'string') !== true) {
    throw unexpected('list_dbs', 'a list of names');
  }
  return names;
}

/** RFC 7047 §4.1.2: the `<database-schema>`, unchecked. @throws OvsdbError `unknown_database` */
export function getSchema(session: Session, database: string): Promise<Json> {
  return session.call('get_schema', [database]);
}

/** RFC 7047 §4.1.3: operations as JSON; `Transaction` builds them with types, `readResults` is what `transact` does with the reply. */
export async function transactRaw(
  session: Session,
  database: string,
  operations: readonly Json[],
  options?: Pick<CallOptions, 'signal'>,
): Promise<readonly Json[]> {
  const results = asArray(await session.call('transact', [database, ...operations], options));
  if (results === undefined) {
    throw unexpected('transact', 'a list');
  }
  return results;
}

/** The three dialects of monitoring (RFC 7047 §4.1.5, ovsdb-server(7)). */
export type MonitorCall = 'monitor' | 'monitor_cond' | 'monitor_cond_since';

/**
 * Starts a monitor; its notifications (`update`, `update2`, `update3`) go to `onNotification`.
 * @param id marks them. @param lastTransaction of `monitor_cond_since` only.
 * @throws OvsdbError
 */
export function monitorRaw(
  session: Session,
  method: MonitorCall,
  database: string,
  id: Json,
  requests: Json,
  lastTransaction?: string,
): Promise<Json> {
  const params: Json[] = [database, id, requests];
  if (lastTransaction !== undefined) {
    params.push(lastTransaction);
  }
  return session.call(method, params, { slow: true });
}

/** RFC 7047 §4.1.7: ends a monitor. @throws OvsdbError `server_error` "unknown monitor" */
export async function monitorCancel(session: Session, id: Json): Promise<void> {
  await session.call('monitor_cancel', [id]);
}

/** RFC 7047 §4.1.8: asks for a lock. @returns whether it is held; if not, `locked` tells later. @throws OvsdbError */
export async function lock(session: Session, name: string): Promise<boolean> {
  return lockResult(await session.call('lock', [name]));
}

/** RFC 7047 §4.1.8: takes a lock from whoever holds it; that one is told by `stolen`. @throws OvsdbError */
export async function steal(session: Session, name: string): Promise<boolean> {
  return lockResult(await session.call('steal', [name]));
}

/** RFC 7047 §4.1.8: gives a lock back, or stops to wait for it. @throws OvsdbError */
export async function unlock(session: Session, name: string): Promise<void> {
  await session.call('unlock', [name]);
}

/** RFC 7047 §4.1.11: the server sends `params` back. @throws OvsdbError */
export function echo(session: Session, params: readonly Json[]): Promise<Json> {
  return session.call('echo', params);
}

/** ovsdb-server(7): the UUID of the running server process. @throws OvsdbError */
export async function getServerId(session: Session): Promise<Uuid> {
  const id = await session.call('get_server_id', []);
  return toUuid(typeof id === 'string' ? id : '');
}

/** ovsdb-server(7): whether the connection may stay when databases come, go or change. @throws OvsdbError */
export async function setDbChangeAware(session: Session, aware: boolean): Promise<void> {
  await session.call('set_db_change_aware', [aware]);
}

/** ovsdb-server(7): converts a database to another schema; data that the new one has no place for are lost. @throws OvsdbError */
export async function convert(session: Session, database: string, schema: Json): Promise<void> {
  await session.call('convert', [database, schema]);
}

/** What a server answers to `lock` and `steal`. @throws OvsdbError `protocol_error` */
export function lockResult(result: Json): boolean {
  const held = isJsonObject(result) ? result['locked'] : undefined;
  if (typeof held !== 'boolean') {
    throw unexpected('lock or steal', 'an object with "locked"');
  }
  return held;
}

function unexpected(method: string, expected: string): OvsdbError {
  return new OvsdbError('protocol_error', `the reply to ${method} is not ${expected}`);
}
