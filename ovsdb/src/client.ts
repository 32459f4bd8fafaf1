/** Keeps one connection to one of several servers, and the replica in step with it. */
import { Backoff } from './backoff.ts';
import type { Client, ClientEvent, ClientState, ConnectOptions } from './client-api.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { OvsdbError } from './error.ts';
import { asArray, type Json } from './json.ts';
import { buildMonitor, type MonitorPlan, startMonitor } from './monitor.ts';
import { type Replica, ReplicaStore } from './replica.ts';
import { type OperationResult, readResults } from './result.ts';
import { ServerState, watchServer } from './server-database.ts';
import { Session } from './session.ts';
import { compatible, type DatabaseSpec, parseSchema, type ServerSchema } from './spec.ts';
import type { Transaction } from './transaction.ts';
import { openTransport, parseRemote } from './transport.ts';
import { ZERO_UUID } from './uuid.ts';

/**
 * Connects, and stays connected. Never throws for a server that is absent: it is waited for.
 * @throws OvsdbError when the options make no sense: a malformed remote, a table or column that the spec does not have.
 */
export function connect<DB>(options: ConnectOptions<DB>): Client<DB> {
  return new DatabaseClient(options);
}

class DatabaseClient<DB> implements Client<DB> {
  readonly database: DatabaseSpec<DB>;
  readonly #options: ConnectOptions<DB>;
  readonly #replica: ReplicaStore<DB>;
  readonly #closing = new AbortController();
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #server: ServerState;
  readonly #finished: Promise<void>;
  readonly #waiters = new Set<() => void>();
  #state: ClientState = 'connecting';
  #session: Session | undefined;
  #remote: string | undefined;
  #schema: ServerSchema | undefined;
  /** The monitor of the present session. */
  #plan: MonitorPlan | undefined;
  /** When the present session came into sync. */
  #syncedAt: number | undefined;
  /** The last transaction in the replica, as `monitor_cond_since` names it. */
  #lastTransaction: string = ZERO_UUID;

  constructor(options: ConnectOptions<DB>) {
    this.#options = options;
    this.database = options.database;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#server = new ServerState(options.database.name, options.leaderOnly ?? false);
    if (options.remotes.length === 0) {
      throw new OvsdbError('invalid_value', '`remotes` is empty: name at least one, as unix:/path or tcp:host:port');
    }
    options.remotes.forEach((remote) => parseRemote(remote));
    this.#replica = new ReplicaStore(this.database, options.monitor ?? {}, options.indexes ?? {}, (error) =>
      this.#emit({ type: 'listener_error', error }),
    );
    // Conditions are checked now, where the mistake was made, not at some later connection.
    buildMonitor(this.database, options.monitor ?? {}, () => true);
    const stop = (): void => this.#closing.abort();
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted === true) {
      stop();
    }
    this.#finished = this.#run().finally(() => options.signal?.removeEventListener('abort', stop));
  }

  get state(): ClientState {
    return this.#state;
  }

  get replica(): Replica<DB> {
    return this.#replica;
  }

  get remote(): string | undefined {
    return this.#remote;
  }

  get schemaVersion(): string | undefined {
    return this.#schema?.version;
  }

  hasTable(table: string): boolean {
    return this.#schema?.tables.has(table) ?? false;
  }

  hasColumn(table: string, column: string): boolean {
    return this.#schema !== undefined && this.#fits(this.#schema, table, column);
  }

  synced(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.#state === 'synced') {
          settle();
          resolve();
        } else if (this.#state === 'closed' || signal?.aborted === true) {
          settle();
          reject(
            new OvsdbError(
              'closed',
              this.#state === 'closed' ? 'the client is closed' : 'aborted while waiting for the replica',
            ),
          );
        }
      };
      const settle = (): void => {
        this.#waiters.delete(check);
        signal?.removeEventListener('abort', check);
      };
      this.#waiters.add(check);
      signal?.addEventListener('abort', check);
      check();
    });
  }

  async transact(
    transaction: Transaction<DB>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly OperationResult[]> {
    const session = this.#session;
    const schema = this.#schema;
    if (this.#state === 'closed') {
      throw new OvsdbError('closed', 'the client is closed');
    }
    if (this.#state !== 'synced' || session === undefined || schema === undefined) {
      throw new OvsdbError('disconnected', `not connected to ${this.database.name}: wait for synced() and try again`);
    }
    this.#checkSchema(transaction, schema);
    const reply = await session.call('transact', transaction.toParams(), { signal: options.signal });
    return readResults(transaction, reply);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#finished;
  }

  /** A server without a column refuses with a bare "syntax error"; say what is wrong instead. */
  #checkSchema(transaction: Transaction<DB>, schema: ServerSchema): void {
    transaction.operations.forEach(({ op, table, columns }, index) => {
      const serverTable = table === undefined ? undefined : schema.tables.get(table);
      const at = { op: index, operation: op, table };
      if (table !== undefined && serverTable === undefined) {
        throw new OvsdbError(
          'unknown_table',
          `table ${table} is not in this server's schema ${schema.version}: ask hasTable first`,
          at,
        );
      }
      const column = columns.find((name) => serverTable?.columns.has(name) === false);
      if (column !== undefined) {
        throw new OvsdbError(
          'unknown_column',
          `column ${table ?? ''}.${column} is not in this server's schema ${schema.version}: ask hasColumn first`,
          { ...at, column },
        );
      }
    });
  }

  #fits(schema: ServerSchema, table: string, column: string): boolean {
    const own = this.database.tables.get(table)?.columns.get(column);
    const theirs = schema.tables.get(table)?.columns.get(column);
    return theirs !== undefined && (own === undefined || compatible(own, theirs));
  }

  /** Connects again and again until closed. */
  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { remotes } = this.#options;
    const backoff = new Backoff(remotes.length, this.#random);
    let next = Math.floor(this.#random() * remotes.length);
    while (!signal.aborted) {
      const remote = remotes[next % remotes.length] ?? '';
      next += 1;
      this.#setState('connecting');
      this.#emit({ type: 'connecting', remote });
      this.#syncedAt = undefined;
      const error = await this.#runSession(remote, signal);
      this.#session = undefined;
      this.#plan = undefined;
      this.#remote = undefined;
      if (signal.aborted) {
        break;
      }
      const retryMs = backoff.next(this.#syncedAt === undefined ? undefined : this.#clock.now() - this.#syncedAt);
      this.#setState('waiting');
      this.#emit({ type: 'disconnected', remote, error, retryMs });
      await pause(this.#clock, retryMs, signal);
    }
    this.#setState('closed');
  }

  /** One connection from start to end; resolves with why it ended. */
  async #runSession(remote: string, signal: AbortSignal): Promise<OvsdbError> {
    let session: Session | undefined;
    const stop = (): void => session?.close(new OvsdbError('closed', 'the client was closed'));
    try {
      const stream = await openTransport(remote, this.#options.tls, this.#options.connectTimeoutMs ?? 5_000, signal);
      session = new Session({
        stream,
        onNotification: (method, params) => this.#onNotification(method, params),
        clock: this.#clock,
        ...(this.#options.probeIntervalMs !== undefined && { probeIntervalMs: this.#options.probeIntervalMs }),
      });
      signal.addEventListener('abort', stop);
      if (signal.aborted) {
        stop();
      }
      this.#session = session;
      this.#remote = remote;
      await this.#handshake(session, remote);
      return await session.ended;
    } catch (error) {
      const reason = OvsdbError.from(error, 'protocol_error');
      if (reason.code === 'protocol_error') {
        // What it could not resume from, it would not resume from the next time either.
        this.#lastTransaction = ZERO_UUID;
      }
      session?.close(reason);
      return session?.reason ?? reason;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** From an open stream to a replica in sync. */
  async #handshake(session: Session, remote: string): Promise<void> {
    this.#server.reset();
    await watchServer(session, this.#server);
    const schema = parseSchema(await session.call('get_schema', [this.database.name]));
    const plan = buildMonitor(this.database, this.#options.monitor ?? {}, (table, column) =>
      this.#fits(schema, table, column),
    );
    this.#schema = schema;
    this.#emit({ type: 'connected', remote, schemaVersion: schema.version, missing: plan.missing });
    const newDatabase = this.#server.isNewDatabase();
    await startMonitor(
      session,
      plan,
      newDatabase ? ZERO_UUID : this.#lastTransaction,
      this.#replica,
      ({ method, found, lastTransaction, load }) => {
        // In the turn of the reply: the first notifications may be in the same chunk.
        this.#plan = { ...plan, method };
        this.#replica.commit(load, found);
        this.#lastTransaction = lastTransaction;
        this.#server.accept();
        this.#syncedAt = this.#clock.now();
        this.#setState('synced');
        this.#emit({
          type: 'synced',
          remote,
          generation: this.#replica.generation,
          reloaded: !found,
          rows: this.#replica.size,
        });
      },
    );
  }

  /** What it throws ends the session, and the next one loads everything anew. */
  #onNotification(method: string, params: Json): void {
    const list = asArray(params) ?? [];
    if (list[0] === this.#server.monitorId) {
      this.#server.update(list[list.length - 1] ?? null);
      return;
    }
    switch (method) {
      case 'update':
      case 'update2':
      case 'update3': {
        const plan = this.#plan;
        if (plan === undefined || list[0] !== plan.id) {
          throw new OvsdbError('protocol_error', `${method} of a monitor that was not asked for`);
        }
        const since = method === 'update3';
        try {
          this.#replica.apply(plan.method, list[since ? 2 : 1] ?? null);
        } catch (error) {
          this.#lastTransaction = ZERO_UUID;
          throw error;
        }
        if (since && typeof list[1] === 'string') {
          this.#lastTransaction = list[1];
        }
        break;
      }
      case 'monitor_canceled':
        // The schema was converted or the database went away; a new session finds out.
        throw new OvsdbError('disconnected', 'the server canceled the monitor: its database changed');
      default:
      // locked, stolen: nobody here holds locks. Unknown notifications are allowed to newer servers.
    }
  }

  #setState(state: ClientState): void {
    if (this.#state !== state) {
      this.#state = state;
      // Waiters remove themselves, which a Set's iteration allows.
      for (const waiter of this.#waiters) {
        waiter();
      }
    }
  }

  #emit(event: ClientEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      // A mistake of the listener: it must surface, but not stop the client half-way.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
