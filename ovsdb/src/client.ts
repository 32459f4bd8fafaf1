/** Keeps one connection to one of several servers, and the replica in step with it. */
import { Backoff, shuffled } from './backoff.ts';
import type { Client, ClientEvent, ClientState, ConnectOptions } from './client-api.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { OvsdbError } from './error.ts';
import { DEFAULT_LIMITS } from './framer.ts';
import { asArray, isJsonObject, type Json } from './json.ts';
import { type Lock, LockTable } from './lock.ts';
import { buildMonitor, ConditionOverrides, type MonitorPlan, startMonitor } from './monitor.ts';
import { convert, getServerId, listDatabases } from './protocol.ts';
import { type Replica, ReplicaStore } from './replica.ts';
import { type OperationResult, readResults } from './result.ts';
import { RowFrameReader } from './row-frame.ts';
import { ServerState, type ServerStatus, watchServer } from './server-database.ts';
import { checkAgainstSchema, compatible, parseSchema, type ServerSchema } from './server-schema.ts';
import { Session } from './session.ts';
import type { DatabaseSpec } from './spec.ts';
import { takeFrame } from './take-frame.ts';
import type { Transaction } from './transaction.ts';
import { openTransport, parseRemote } from './transport.ts';
import type { Condition, TableName } from './types.ts';
import { type Uuid, ZERO_UUID } from './uuid.ts';

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
  readonly #locks = new LockTable((error) => this.#emit({ type: 'listener_error', error }));
  /** The conditions that are wanted, and those that the replica's content meets. */
  #conditions = new ConditionOverrides();
  #applied: ConditionOverrides = this.#conditions;
  /** Changes of conditions, one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #state: ClientState = 'connecting';
  #session: Session | undefined;
  #remote: string | undefined;
  #schema: ServerSchema | undefined;
  /** The monitor of the present session. */
  #plan: MonitorPlan | undefined;
  #frames: RowFrameReader | undefined;
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
    buildMonitor(this.database, options.monitor ?? {}, () => true, this.#conditions);
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

  get server(): ServerStatus | undefined {
    return this.#session === undefined ? undefined : this.#server.status;
  }

  hasTable(table: string): boolean {
    return this.#schema?.tables.has(table) ?? false;
  }

  hasColumn(table: string, column: string): boolean {
    return this.#schema !== undefined && this.#fits(this.#schema, table, column);
  }

  synced(signal?: AbortSignal): Promise<void> {
    if (this.#state === 'synced') return Promise.resolve();
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
    const session = this.#connected();
    if (this.#schema !== undefined) {
      checkAgainstSchema(transaction, this.#schema);
    }
    const reply = await session.call('transact', transaction.toParams(), { signal: options.signal });
    return readResults(transaction, reply);
  }

  async setConditions<T extends TableName<DB>>(
    table: T,
    where: readonly Condition<DB, T>[] | undefined,
  ): Promise<void> {
    if (!this.#replica.monitors(table)) {
      throw new OvsdbError('not_monitored', `table ${table} is not in \`monitor\``, { table });
    }
    const wanted = this.#conditions.with(table, where);
    buildMonitor(this.database, this.#options.monitor ?? {}, () => true, wanted);
    this.#conditions = wanted;
    // A connection that ends meanwhile is no failure: the next one begins with the new conditions.
    while (this.#applied.version < wanted.version) {
      await this.synced(this.#closing.signal);
      this.#changing = this.#changing.catch(() => undefined).then(() => this.#applyConditions());
      await this.#changing;
    }
  }

  /** Has the server send what meets the new conditions, which it does before it replies. */
  async #applyConditions(): Promise<void> {
    const [session, plan, schema, wanted] = [this.#session, this.#plan, this.#schema, this.#conditions];
    if (this.#state !== 'synced' || session === undefined || plan === undefined || schema === undefined) {
      return;
    }
    const next = this.#buildPlan(schema);
    const changes: Record<string, Json> = {};
    for (const table of wanted.since(this.#applied)) {
      const request = asArray(next.requests[table])?.[0];
      if (isJsonObject(request)) {
        changes[table] = [{ where: request['where'] ?? [true] }];
      }
    }
    if (plan.method === 'monitor') {
      throw new OvsdbError('unsuitable_server', 'the server is too old for monitors with conditions (monitor_cond)');
    }
    try {
      await session.call('monitor_cond_change', [plan.id, plan.id, changes]);
      this.#applied = wanted;
    } catch (error) {
      // Of a connection or monitor that ended meanwhile, the next one begins with the new conditions.
      if (session.reason === undefined && this.#plan === plan) {
        throw error;
      }
    }
  }

  lock(name: string, options: { readonly steal?: boolean } = {}): Lock {
    if (this.#state === 'closed') {
      throw new OvsdbError('closed', 'the client is closed');
    }
    const holder = this.#locks.add(name, options.steal ?? false);
    const session = this.#session;
    if (this.#state === 'synced' && session !== undefined) {
      holder.request(session).catch((error: unknown) => session.close(OvsdbError.from(error, 'protocol_error')));
    }
    return holder;
  }

  listDatabases(): Promise<readonly string[]> {
    return listDatabases(this.#connected());
  }

  serverId(): Promise<Uuid> {
    return getServerId(this.#connected());
  }

  convert(schema: Json): Promise<void> {
    return convert(this.#connected(), this.database.name, schema);
  }

  /** @throws OvsdbError `closed` or `disconnected` */
  #connected(): Session {
    if (this.#state === 'closed') {
      throw new OvsdbError('closed', 'the client is closed');
    }
    if (this.#state !== 'synced' || this.#session === undefined) {
      throw new OvsdbError('disconnected', `not connected to ${this.database.name}: wait for synced() and try again`);
    }
    return this.#session;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#finished;
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
    const order = shuffled(remotes, this.#random);
    let next = 0;
    while (!signal.aborted) {
      const remote = order[next % order.length] ?? '';
      next += 1;
      this.#setState('connecting');
      this.#emit({ type: 'connecting', remote });
      this.#syncedAt = undefined;
      const error = await this.#runSession(remote, signal);
      this.#session = undefined;
      this.#plan = undefined;
      this.#frames = undefined;
      this.#remote = undefined;
      if (signal.aborted) {
        break;
      }
      const retryMs = backoff.next(this.#syncedAt === undefined ? undefined : this.#clock.now() - this.#syncedAt);
      this.#setState('waiting');
      this.#emit({ type: 'disconnected', remote, error, retryMs });
      await pause(this.#clock, retryMs, signal);
    }
    this.#locks.end();
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
        takeMessage: (text, from) => this.#takeFrame(text, from),
        // At once: who waits for `synced()` after a call that failed must not find the old state.
        onEnd: () => {
          this.#locks.lost();
          this.#setState('waiting');
        },
        clock: this.#clock,
        ...(this.#options.limits !== undefined && { limits: { ...DEFAULT_LIMITS, ...this.#options.limits } }),
        ...(this.#options.probeIntervalMs !== undefined && { probeIntervalMs: this.#options.probeIntervalMs }),
      });
      signal.addEventListener('abort', stop);
      if (signal.aborted) {
        stop();
      }
      this.#session = session;
      this.#remote = remote;
      this.#server.reset();
      await watchServer(session, this.#server);
      await this.#synchronize(session, remote);
      await this.#locks.request(session);
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

  /** From the schema to a replica in sync. */
  async #synchronize(session: Session, remote: string): Promise<void> {
    const schema = parseSchema(await session.call('get_schema', [this.database.name]));
    const conditions = this.#conditions;
    const plan = this.#buildPlan(schema);
    this.#schema = schema;
    this.#emit({ type: 'connected', remote, schemaVersion: schema.version, missing: plan.missing });
    // Rows that newly meet conditions are not in the history from which a monitor is resumed.
    const newDatabase = this.#server.isNewDatabase();
    const anew = newDatabase || this.#applied.version !== conditions.version;
    await startMonitor(
      session,
      plan,
      anew ? ZERO_UUID : this.#lastTransaction,
      this.#replica,
      ({ method, found, lastTransaction, load }) => {
        // In the turn of the reply: the first notifications may be in the same chunk.
        this.#applied = conditions;
        this.#plan = { ...plan, method };
        this.#frames = method === 'monitor_cond_since' ? new RowFrameReader(plan.id) : undefined;
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
          newDatabase,
          rows: this.#replica.size,
        });
      },
    );
  }

  /** Takes the frames that come most often without parsing what they have in common. */
  #takeFrame(text: string, from: number): number {
    try {
      const taken = this.#frames && takeFrame(this.#frames, this.#replica, text, from);
      if (taken === undefined) {
        return -1;
      }
      this.#lastTransaction = taken.lastTransaction;
      return taken.end;
    } catch (error) {
      this.#lastTransaction = ZERO_UUID;
      throw error;
    }
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
        this.#onMonitorCanceled(list[0]);
        break;
      case 'locked':
      case 'stolen':
        this.#locks.notify(list[0], method === 'locked');
        break;
      default:
      // Unknown notifications are allowed to newer servers.
    }
  }

  /** The schema was converted, or the database went away: ask again, on the same connection. */
  #onMonitorCanceled(id: Json | undefined): void {
    const session = this.#session;
    const remote = this.#remote;
    if (session === undefined || remote === undefined || id !== this.#plan?.id) {
      return;
    }
    this.#plan = undefined;
    this.#frames = undefined;
    this.#lastTransaction = ZERO_UUID;
    this.#setState('connecting');
    this.#synchronize(session, remote)
      .then(() => this.#locks.request(session))
      .catch((error: unknown) => {
        session.close(OvsdbError.from(error, 'protocol_error'));
      });
  }

  #buildPlan(schema: ServerSchema): MonitorPlan {
    const has = (table: string, column: string): boolean => this.#fits(schema, table, column);
    return buildMonitor(this.database, this.#options.monitor ?? {}, has, this.#conditions);
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
