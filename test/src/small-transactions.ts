import { expect } from 'vitest';
import { podPortName } from '../../controller/src/compile/names.ts';
import { Fence } from '../../controller/src/northbound/fence.ts';
import { Northbound } from '../../controller/src/northbound/northbound.ts';
import type { Value } from '../../controller/src/northbound/rows.ts';
import { ManualClock } from '../../controller/src/northbound/testing/manual-clock.ts';
import type { MemoryStore } from '../../controller/src/northbound/testing/memory-store.ts';
import { clusterUid, type World } from '../../controller/src/testing/world.ts';
import { CompiledPolicies, type PolicyRows } from './compiled-policies.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What a database holds, as {@link CompiledPolicies} reads it. */
class StoredRows implements PolicyRows {
  readonly #store: MemoryStore;
  constructor(store: MemoryStore) {
    this.#store = store;
  }
  rows(table: string): readonly { uuid: string; columns: Readonly<Record<string, Value>> }[] {
    return [...this.#store.rows(table)].map(([uuid, columns]) => ({ uuid, columns }));
  }
  members(): readonly string[] {
    const of = (table: string, column: string): readonly string[] =>
      this.rows(table).flatMap(({ uuid, columns }) =>
        (columns[column] as readonly string[]).map((value) => `${table} ${uuid} ${column} ${value}`),
      );
    return [...of('Port_Group', 'ports'), ...of('Address_Set', 'addresses')];
  }
}

/** A controller whose writer sends one unit at a time, unless it has to send more: the worst backlog there can be. */
export class SmallTransactions implements Disposable {
  readonly store: MemoryStore;
  readonly world: World;
  readonly #ends = new AbortController();
  readonly #fence: Fence;
  readonly #northbound: Northbound;

  constructor(world: World, store: MemoryStore) {
    this.world = world;
    this.store = store;
    const { sink } = world;
    const clock = new ManualClock();
    this.#fence = new Fence({ store, clusterUid, identity: 'a', clock });
    const limits = { units: 1, atoms: 1 };
    const northbound = new Northbound({ store, fence: this.#fence, clock, random: () => 0.5, log: silent, limits });
    this.#northbound = northbound;
    sink.onUnit = (unit, outputs, options) => northbound.setUnit(unit, outputs, options);
    sink.onWait = (unit) => northbound.committed(unit);
  }

  async start(): Promise<void> {
    await this.#fence.acquire(this.#ends.signal);
    await this.world.settle();
    this.#northbound.start(this.#ends.signal);
    await this.settle();
  }

  /** Another controller on the same database, after this one has ended; it is not started yet. */
  async successor(): Promise<SmallTransactions> {
    this[Symbol.dispose]();
    const made: SmallTransactions[] = [];
    await this.world.restarted((world) => made.push(new SmallTransactions(world, this.store)));
    const [next] = made;
    if (next === undefined) throw new Error('no world was made');
    return next;
  }

  /** Until nothing more follows from what was committed. */
  async settle(): Promise<void> {
    for (let before = -1; this.store.commits.length !== before; ) {
      before = this.store.commits.length;
      await this.#northbound.idle();
      await this.world.settle();
      await this.#northbound.idle();
    }
    expect(this.#northbound.held()).toEqual([]);
  }

  [Symbol.dispose](): void {
    this.#ends.abort();
  }
}

/** `true` for each new connection between pods that passes, by what it is. */
export function verdicts(controller: SmallTransactions): ReadonlyMap<string, boolean> {
  const compiled = new CompiledPolicies(new StoredRows(controller.store));
  const { state } = controller.world;
  const found = new Map<string, boolean>();
  const pods = state.list('PodAddress').flatMap(({ owner, v4, v6, uid, subnet }) => {
    const key = owner.slice('Pod/'.length);
    const [namespace = '', name = ''] = key.split('/');
    return [v4, v6].flatMap((address) =>
      address === undefined
        ? []
        : [
            {
              key: `${key} ${uid}`,
              port: podPortName(namespace, name),
              address,
              vpc: state.get('UsableSubnet', subnet)?.vpc,
            },
          ],
    );
  });
  const ports = new Set([...controller.store.rows('Logical_Switch_Port')].map(([, row]) => row['name']));
  for (const from of pods.filter(({ port }) => ports.has(port)))
    for (const to of pods.filter(({ port }) => ports.has(port)))
      if (from.key !== to.key && from.vpc === to.vpc && from.address.includes(':') === to.address.includes(':'))
        for (const protocol of ['tcp', 'udp'] as const)
          for (const port of [80, 81]) {
            const packet = { source: from.address, destination: to.address, protocol, port };
            found.set(
              `${from.key} -> ${to.key} ${to.address} ${protocol}/${port}`,
              compiled.allows(from.port, to.port, packet),
            );
          }
  return found;
}
