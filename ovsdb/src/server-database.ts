/** The `_Server` database (ovsdb-server(5)): whether a server is fit to be used. */
import { OvsdbError } from './error.ts';
import { asArray, isJsonObject, type Json } from './json.ts';
import { rethrowUnlessUnknownMethod } from './monitor.ts';
import type { StoredValues } from './row.ts';
import { readColumn } from './row.ts';
import type { Session } from './session.ts';
import { defineDatabase } from './spec.ts';
import { applyRowUpdate } from './update.ts';
import type { Uuid } from './uuid.ts';

const COLUMNS = {
  name: 'string',
  model: 'string',
  connected: 'boolean',
  leader: 'boolean',
  cid: 'uuid?',
  sid: 'uuid?',
  index: 'integer?',
} as const;

const SPEC = defineDatabase<unknown>('_Server', { Database: COLUMNS }).tables.get('Database');

/** What a server says of one database: a row of `_Server.Database` (ovsdb-server(5)). */
export interface ServerStatus {
  /** `standalone`, `clustered` or `relay`. */
  readonly model: string;
  /** Of a cluster member: whether it sees a majority; of a relay: whether it has its source. */
  readonly connected: boolean;
  readonly leader: boolean;
  /** Of the cluster and of the member. */
  readonly cid: Uuid | undefined;
  readonly sid: Uuid | undefined;
  /** The last Raft log entry that the member has applied. */
  readonly index: number | undefined;
}

/** The row of `_Server.Database` that is about our database, and what earlier servers said there. */
export class ServerState {
  /** The `<json-value>` of the monitor of `_Server`. */
  readonly monitorId = '_Server';
  readonly #database: string;
  readonly #leaderOnly: boolean;
  readonly #rows = new Map<string, StoredValues>();
  #watching = false;
  /** Cluster and Raft log index that the replica has been at. */
  #seenCid: Uuid | undefined;
  #seenIndex = 0;

  constructor(database: string, leaderOnly: boolean) {
    this.#database = database;
    this.#leaderOnly = leaderOnly;
  }

  /** Forgets what the previous server said. */
  reset(): void {
    this.#rows.clear();
    this.#watching = false;
  }

  /**
   * Takes in `<table-updates2>` of `_Server`.
   * @throws OvsdbError `unsuitable_server` when the server must not be used (any more), or `protocol_error`.
   */
  update(updates: Json): void {
    this.#watching = true;
    const table = isJsonObject(updates) ? updates['Database'] : undefined;
    if (isJsonObject(table) && SPEC !== undefined) {
      for (const [uuid, row] of Object.entries(table)) {
        const change = applyRowUpdate('monitor_cond', SPEC.columns, this.#rows.get(uuid), row);
        if (change.kind === 'gone') {
          this.#rows.delete(uuid);
        } else {
          this.#rows.set(uuid, change.values);
        }
      }
    }
    this.#check();
  }

  /** Whether the server holds another database than the one the replica is of: a cluster id that was not seen before. */
  isNewDatabase(): boolean {
    const cid = this.status?.cid;
    return cid !== undefined && this.#seenCid !== undefined && cid !== this.#seenCid;
  }

  /** Records that the replica is in step with this server. */
  accept(): void {
    const status = this.status;
    if (status?.cid !== this.#seenCid) {
      this.#seenCid = status?.cid;
      this.#seenIndex = 0;
    }
    this.#seenIndex = Math.max(this.#seenIndex, status?.index ?? 0);
  }

  /** The database's row; undefined before it was sent, and of servers without `_Server`. */
  get status(): ServerStatus | undefined {
    for (const values of this.#rows.values()) {
      const read = (column: keyof typeof COLUMNS): unknown => {
        const spec = SPEC?.columns.get(column);
        return spec === undefined ? undefined : readColumn(values, spec);
      };
      if (read('name') === this.#database) {
        return {
          model: read('model') as string,
          connected: read('connected') as boolean,
          leader: read('leader') as boolean,
          cid: read('cid') as Uuid | undefined,
          sid: read('sid') as Uuid | undefined,
          index: read('index') as number | undefined,
        };
      }
    }
    return undefined;
  }

  #check(): void {
    const status = this.status;
    if (status === undefined) {
      if (this.#watching) {
        throw new OvsdbError('unsuitable_server', `the server has no database ${this.#database}`);
      }
      return;
    }
    if (status.model !== 'standalone' && !status.connected) {
      throw new OvsdbError('unsuitable_server', 'the server is cut off from its cluster');
    }
    if (status.model === 'clustered') {
      if (this.#leaderOnly && !status.leader) {
        throw new OvsdbError('unsuitable_server', 'the server does not lead its cluster');
      }
      if (status.cid === this.#seenCid && status.index !== undefined) {
        if (status.index < this.#seenIndex) {
          throw new OvsdbError(
            'unsuitable_server',
            `the server is at index ${status.index}, behind ${this.#seenIndex} that was already seen`,
          );
        }
        this.#seenIndex = status.index;
      }
    }
  }
}

/**
 * Watches `_Server` on a new session, and asks the server not to drop the connection when databases change.
 * @throws OvsdbError `unsuitable_server` when the server must not be used.
 */
export async function watchServer(session: Session, state: ServerState): Promise<void> {
  const requests = { Database: [{ columns: Object.keys(COLUMNS) }] };
  try {
    await session.call('monitor_cond', ['_Server', state.monitorId, requests], {
      onResult: (result) => {
        if (!isJsonObject(result)) {
          throw new OvsdbError(
            'protocol_error',
            `the reply to monitor_cond is ${asArray(result) ? 'an array' : 'no object'}`,
          );
        }
        state.update(result);
      },
    });
    await session.call('set_db_change_aware', [true]);
  } catch (error) {
    // Before 2.9 there is no _Server; such a server is standalone.
    if (error instanceof OvsdbError && error.code === 'unknown_database') {
      return;
    }
    rethrowUnlessUnknownMethod(error);
  }
}
