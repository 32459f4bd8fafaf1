/** What users of a client see: options, events, the client itself. `client.ts` does it. */
import type { Clock } from './clock.ts';
import type { OvsdbError } from './error.ts';
import type { FramerLimits } from './framer.ts';
import type { Json } from './json.ts';
import type { Lock } from './lock.ts';
import type { Replica } from './replica.ts';
import type { OperationResult } from './result.ts';
import type { ServerStatus } from './server-database.ts';
import type { DatabaseSpec } from './spec.ts';
import type { Transaction } from './transaction.ts';
import type { TlsFiles } from './transport.ts';
import type { Condition, IndexSpec, MonitorSpec, TableName } from './types.ts';
import type { Uuid } from './uuid.ts';

/**
 * - `waiting`: no connection; the next attempt comes by itself.
 * - `connecting`: opening the stream, asking for the schema, loading the replica.
 * - `synced`: the replica follows the server; `transact` works.
 * - `closed`: for good, by `close` or the signal.
 */
export type ClientState = 'waiting' | 'connecting' | 'synced' | 'closed';

/** What happens to a client, for logs and metrics. */
export type ClientEvent =
  | { readonly type: 'connecting'; readonly remote: string }
  /** `missing`: tables and `Table.column`s that `monitor` asks for and this server's schema lacks. */
  | {
      readonly type: 'connected';
      readonly remote: string;
      readonly schemaVersion: string;
      readonly missing: readonly string[];
    }
  /**
   * `reloaded`: the content was loaded from nothing, not resumed; generation has grown. `newDatabase`: it is another
   * database than before, by its cluster id: the old one's rows are gone, not deleted.
   */
  | {
      readonly type: 'synced';
      readonly remote: string;
      readonly generation: number;
      readonly reloaded: boolean;
      readonly newDatabase: boolean;
      readonly rows: number;
    }
  /** `retryMs`: milliseconds until the next attempt. */
  | { readonly type: 'disconnected'; readonly remote: string; readonly error: OvsdbError; readonly retryMs: number }
  /** A listener of `replica.onChange` threw. */
  | { readonly type: 'listener_error'; readonly error: unknown };

/** How `connect` finds, watches and keeps a database. */
export interface ConnectOptions<DB> {
  /** `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT`; shuffled once, then tried in turn. */
  readonly remotes: readonly string[];
  readonly database: DatabaseSpec<DB>;
  /** Tables and columns of the replica; nothing by default. What the server's schema lacks is left out and reads as default. */
  readonly monitor?: MonitorSpec<DB>;
  readonly indexes?: IndexSpec<DB>;
  /** Of a Raft cluster, use the leader only: what it sends is never stale. Without effect on a standalone server. */
  readonly leaderOnly?: boolean;
  /** For `ssl:` remotes. */
  readonly tls?: TlsFiles;
  /** Closes the client. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: ClientEvent) => void;
  /** Milliseconds of silence before the server is probed; see `SessionOptions`. Default 10,000. */
  readonly probeIntervalMs?: number;
  /** Milliseconds until a connection (not the dump) must stand. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** What a server may make the client hold; see `FramerLimits` for the defaults. */
  readonly limits?: Partial<FramerLimits>;
  readonly clock?: Clock;
  /** 0 ≤ random() < 1, for the order of remotes and the jitter of waits. */
  readonly random?: () => number;
}

/** A database: its replica, and transactions. */
export interface Client<DB> {
  readonly database: DatabaseSpec<DB>;
  readonly state: ClientState;
  readonly replica: Replica<DB>;
  /** The remote of the present connection. */
  readonly remote: string | undefined;
  /** What the connected server says of itself and the database; undefined without a connection. */
  readonly server: ServerStatus | undefined;
  /** `x.y.z` of the connected server's schema, or of the last one connected. */
  readonly schemaVersion: string | undefined;
  /** Whether the (last) connected server has the table; false before the first connection. */
  hasTable(table: string): boolean;
  /** Whether the (last) connected server has the column, with a type that fits the spec; false before the first connection. */
  hasColumn(table: string, column: string): boolean;
  /**
   * Resolves when the replica is a consistent snapshot that follows a server; at once if it is now.
   * @throws OvsdbError `closed` when the signal aborts or the client is closed before.
   */
  synced(signal?: AbortSignal): Promise<void>;
  /**
   * Commits a transaction. When it resolves, the replica holds what it did: ovsdb-server sends the update first.
   * @throws OvsdbError `disconnected` (nothing was sent), `outcome_unknown` (sent, no reply), `unknown_table` or
   * `unknown_column` (this server lacks it), or what the server refused.
   */
  transact(
    transaction: Transaction<DB>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly OperationResult[]>;
  /**
   * Changes at run time which rows of a monitored table the replica holds: those that meet one of the conditions;
   * undefined = all. Resolves when it holds them.
   * @throws OvsdbError `not_monitored`, `unknown_column`, `invalid_value`; `unsuitable_server` when the server is too old;
   * `closed`.
   */
  setConditions<T extends TableName<DB>>(table: T, where: readonly Condition<DB, T>[] | undefined): Promise<void>;
  /**
   * Asks for a lock, now and on every later connection. `steal` takes it from its holder, once.
   * @throws OvsdbError `invalid_value` when it is already asked for; `closed`.
   */
  lock(name: string, options?: { readonly steal?: boolean }): Lock;
  /** The databases of the connected server. @throws OvsdbError `disconnected`, `closed` */
  listDatabases(): Promise<readonly string[]>;
  /** UUID of the server process, which changes when it restarts. @throws OvsdbError `disconnected`, `closed` */
  serverId(): Promise<Uuid>;
  /**
   * Converts the database to another schema, as `ovsdb-client convert` does: data that the new one has no place for are
   * lost. All clients then load the database anew.
   * @throws OvsdbError `disconnected`, `outcome_unknown`, `closed`, or the server's refusal.
   */
  convert(schema: Json): Promise<void>;
  /** Closes for good; calls in flight are rejected. */
  close(): Promise<void>;
}
