import { Backoff, type Clock, sleep, systemClock } from '@ovenbird/kube';
import { type Client, type MonitorSpec, type OvnSouthbound, ovnSouthbound, Transaction } from '@ovenbird/ovsdb';
import type { Logger } from 'pino';

/** What is watched of the southbound database: one row and a half per node. */
export const chassisMonitor: MonitorSpec<OvnSouthbound> = {
  Chassis: ['name', 'other_config'],
  Chassis_Private: ['name'],
};

/** Word in a chassis' `other_config:ovn-cms-options` that an Ovenbird agent put there (ovn-controller(8)). */
const MARK = 'ovenbird';

/** As with pods' ports: a list that lacks many nodes at once is not believed. */
const LIMIT = { count: 20, share: 0.3 } as const;

/** A chassis as far as it matters here. */
export interface ChassisRow {
  readonly name: string;
  readonly other_config: ReadonlyMap<string, string>;
}

/** Names of agents' chassis whose nodes do not exist. `tooMany`: so many that nothing is done about it. */
export function staleChassis(
  rows: Iterable<ChassisRow>,
  hasNode: (name: string) => boolean,
): { readonly names: readonly string[]; readonly tooMany: boolean } {
  const ours = [...rows].filter(({ other_config }) =>
    (other_config.get('ovn-cms-options') ?? '').split(',').includes(MARK),
  );
  const names = ours.filter(({ name }) => !hasNode(name)).map(({ name }) => name);
  return { names, tooMany: names.length > LIMIT.count && names.length > LIMIT.share * ours.length };
}

/** What {@link ChassisKeeper} needs. */
export interface ChassisKeeperOptions {
  readonly southbound: Client<OvnSouthbound>;
  readonly hasNode: (name: string) => boolean;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Removes the chassis of nodes that were removed from the cluster: a machine that was switched off cannot do it itself, and
 * all others would keep their tunnels to it. A machine that still runs makes its chassis anew, so the pauses grow.
 */
export class ChassisKeeper {
  readonly #options: ChassisKeeperOptions;
  readonly #clock: Clock;
  readonly #backoff = new Backoff({ initialMs: 1000, maxMs: 300_000 });
  #wanted = false;
  #running = false;

  constructor(options: ChassisKeeperOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    options.southbound.replica.onChange((changes) => {
      if (changes.some(({ table }) => table === 'Chassis')) this.look();
    });
  }

  /** Nodes or chassis are different. */
  look(): void {
    this.#wanted = true;
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    const { signal, log } = this.#options;
    this.#running = true;
    while (this.#wanted && !signal.aborted) {
      this.#wanted = false;
      try {
        if (!(await this.#removeStale())) continue;
      } catch (err) {
        if (signal.aborted) break;
        this.#wanted = true;
        log.warn({ err }, 'the chassis of removed nodes could not be removed, is tried again');
      }
      await sleep(this.#clock, this.#backoff.next(), signal);
    }
    this.#running = false;
  }

  /** @returns whether something was done */
  async #removeStale(): Promise<boolean> {
    const { southbound, hasNode, log, signal } = this.#options;
    await southbound.synced(signal);
    const { names, tooMany } = staleChassis(southbound.replica.table('Chassis').rows(), hasNode);
    if (names.length === 0) {
      this.#backoff.reset();
      return false;
    }
    if (tooMany) {
      log.error(
        { count: names.length, some: names.slice(0, 5) },
        'so many chassis have no Node that the list of Nodes is not believed; if the nodes are gone: ovn-sbctl chassis-del NAME',
      );
      return false;
    }
    const transaction = new Transaction(ovnSouthbound);
    for (const table of ['Chassis', 'Chassis_Private'] as const) {
      for (const row of southbound.replica.table(table).rows())
        if (names.includes(row.name)) transaction.delete(table, row._uuid);
    }
    transaction.comment('ovenbird: nodes that were removed');
    await southbound.transact(transaction);
    log.info({ chassis: names }, 'removed the chassis of nodes that are gone');
    return true;
  }
}
