import { Backoff, type Clock, sleep } from '@ovenbird/kube';
import { NorthboundError } from './error.ts';
import { vendorOf } from './ours.ts';
import { rowUuid, type Scalar } from './rows.ts';
import { type NbOp, type NbStore, NbTransactError } from './store.ts';

/** NB_Global.external_ids: number of the leadership term that may write. */
const EPOCH_KEY = 'ovenbird/epoch';
/** NB_Global.external_ids: who leads in that term. Two leaders of an emptied database could pick the same number. */
const LEADER_KEY = 'ovenbird/leader';
/** NB_Global.external_ids: UID of namespace kube-system of the cluster that the database belongs to. */
const CLUSTER_KEY = 'ovenbird/cluster';

const TABLE = 'NB_Global';
/** Another writer of NB_Global.external_ids won, which is rare, or the database refuses. */
const BACKOFF = { initialMs: 50, maxMs: 5_000 };

export interface FenceOptions {
  readonly store: NbStore;
  /** UID of namespace kube-system. */
  readonly clusterUid: string;
  /** Unique to this process: the lease's holder identity. */
  readonly identity: string;
  /** The epoch is at least this: the lease's number of transitions, so that an emptied database does not count anew. */
  readonly minimumEpoch?: number;
  /** Take over a database with Kube-OVN's rows in it. */
  readonly adoptKubeOvn?: boolean;
  readonly clock: Clock;
}

/** What NB_Global says about this process. */
export type FenceState =
  /** Our epoch is in the database. */
  | 'held'
  /** No epoch, or an older one: the database was emptied, re-created or restored. */
  | 'missing'
  /** A later leader raised it. */
  | 'lost';

/**
 * Keeps a leader that does not know it was replaced from writing. OVSDB locks cannot: each server of a Raft cluster
 * grants its own. A `wait` on the epoch in every transaction does, through any server.
 */
export class Fence {
  readonly #options: FenceOptions;
  #epoch = 0;

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  /** The epoch of this process; 0 before {@link acquire}. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Raises the epoch; resolves when ours was seen in the replica.
   * @throws NorthboundError `other_cluster` or `other_controller`: nothing was written. `closed` when `signal` aborts.
   */
  async acquire(signal: AbortSignal): Promise<number> {
    await this.#store.synced(signal);
    this.#refuseForeign();
    const backoff = new Backoff(BACKOFF);
    for (;;) {
      const { epoch } = this.#read();
      const wanted = Math.max((epoch ?? 0) + 1, this.#options.minimumEpoch ?? 1, 1);
      if (await this.#write(wanted, signal)) {
        this.#epoch = wanted;
        if (this.state() === 'held') return wanted;
      }
      await this.#pause(backoff, signal);
    }
  }

  /** What the replica says now. */
  state(): FenceState {
    const { epoch, leader } = this.#read();
    if (epoch === undefined || epoch < this.#epoch) return 'missing';
    return epoch === this.#epoch && leader === this.#options.identity ? 'held' : 'lost';
  }

  /**
   * Puts our epoch back into a database that lost it.
   * @throws NorthboundError `fenced` when somebody else's later one is there; `other_cluster`; `closed`.
   */
  async restore(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(BACKOFF);
    for (;;) {
      await this.#store.synced(signal);
      const state = this.state();
      if (state === 'held') return;
      if (state === 'lost') throw this.lost();
      this.#refuseForeign();
      if (!(await this.#write(this.#epoch, signal))) await this.#pause(backoff, signal);
    }
  }

  /** The `wait` that begins every transaction. Call in state `held`. */
  guard(): NbOp {
    const { uuid } = this.#read();
    const includes = new Map([
      [EPOCH_KEY, String(this.#epoch)],
      [LEADER_KEY, this.#options.identity],
    ]);
    return { op: 'fence', table: TABLE, uuid: uuid ?? this.#uuid, includes };
  }

  /** The error of a process that was fenced. */
  lost(): NorthboundError {
    const { epoch, leader } = this.#read();
    return new NorthboundError(
      'fenced',
      `${leader ?? 'another controller'} leads with epoch ${epoch}, ours is ${this.#epoch}: this process must not write any more`,
    );
  }

  get #store(): NbStore {
    return this.#options.store;
  }

  get #uuid(): string {
    return rowUuid(this.#options.clusterUid, TABLE, '', '');
  }

  #read(): {
    uuid: string | undefined;
    ids: ReadonlyMap<string, Scalar>;
    epoch: number | undefined;
    leader: string | undefined;
  } {
    const [row] = this.#store.rows(TABLE);
    const value = row?.[1]['external_ids'];
    const ids = value instanceof Map ? (value as ReadonlyMap<string, Scalar>) : new Map<string, Scalar>();
    const text = ids.get(EPOCH_KEY);
    // What is not a number was not written by a leader; raising from 0 replaces it.
    const epoch = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    const leader = ids.get(LEADER_KEY);
    return { uuid: row?.[0], ids, epoch, leader: typeof leader === 'string' ? leader : undefined };
  }

  /** Compare-and-set of our three keys. @returns whether it was committed. */
  async #write(epoch: number, signal: AbortSignal): Promise<boolean> {
    const { uuid, ids } = this.#read();
    const wanted = new Map<string, string>([
      [EPOCH_KEY, String(epoch)],
      [LEADER_KEY, this.#options.identity],
      [CLUSTER_KEY, this.#options.clusterUid],
    ]);
    const ops: readonly NbOp[] =
      uuid === undefined
        ? // The table holds one row at most (maxRows of ovn-nb.ovsschema): against northd's own insert one of the two fails.
          [{ op: 'insert', table: TABLE, uuid: this.#uuid, row: { external_ids: wanted } }]
        : [
            { op: 'unchanged', table: TABLE, uuid, externalIds: ids },
            {
              op: 'mutate',
              table: TABLE,
              uuid,
              mutations: [
                ['external_ids', 'delete', [...wanted.keys()]],
                ['external_ids', 'insert', wanted],
              ],
              mustMatch: true,
            },
          ];
    try {
      await this.#store.transact(ops, signal);
      return true;
    } catch (error) {
      if (error instanceof NbTransactError) return false;
      throw error;
    }
  }

  async #pause(backoff: Backoff, signal: AbortSignal): Promise<void> {
    await sleep(this.#options.clock, backoff.next(), signal);
    if (signal.aborted) throw new NorthboundError('closed', 'stopped while taking the northbound epoch');
    await this.#store.synced(signal);
  }

  #refuseForeign(): void {
    const { clusterUid, adoptKubeOvn } = this.#options;
    const cluster = this.#read().ids.get(CLUSTER_KEY);
    if (cluster !== undefined && cluster !== clusterUid) {
      throw new NorthboundError(
        'other_cluster',
        `this northbound database belongs to cluster ${cluster}, ours is ${clusterUid} (UIDs of namespace kube-system). ` +
          `Point the controller at its own database, or, if that cluster is gone for good, run: ` +
          `ovn-nbctl remove NB_Global . external_ids ${CLUSTER_KEY}`,
      );
    }
    if (adoptKubeOvn === true) return;
    for (const table of ['Logical_Router', 'Logical_Switch', 'Port_Group']) {
      for (const [uuid, row] of this.#store.rows(table)) {
        if (vendorOf(row) !== 'kube-ovn') continue;
        throw new NorthboundError(
          'other_controller',
          `${table} ${uuid} was written by Kube-OVN (external_ids:vendor): two controllers on one database ` +
            'destroy each other. Use a database of its own, or start with --adopt kube-ovn',
        );
      }
    }
  }
}
