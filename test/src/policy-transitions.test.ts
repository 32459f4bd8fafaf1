import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { podPortName } from '../../controller/src/compile/names.ts';
import { Fence } from '../../controller/src/northbound/fence.ts';
import { Northbound } from '../../controller/src/northbound/northbound.ts';
import type { Value } from '../../controller/src/northbound/rows.ts';
import { ManualClock } from '../../controller/src/northbound/testing/manual-clock.ts';
import { MemoryStore, northboundSchema } from '../../controller/src/northbound/testing/memory-store.ts';
import { clusterUid, type World } from '../../controller/src/testing/world.ts';
import { CompiledPolicies, type PolicyRows } from './compiled-policies.ts';
import { ClusterBoth, type ClusterChange, clusterChange } from './random-cluster-policies.ts';
import { Both, change } from './random-policies.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
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
class SmallTransactions implements Disposable {
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
function verdicts(controller: SmallTransactions): ReadonlyMap<string, boolean> {
  const compiled = new CompiledPolicies(new StoredRows(controller.store));
  const { state } = controller.world;
  const found = new Map<string, boolean>();
  const pods = state.list('PodAddress').flatMap(({ owner, v4, v6, uid }) => {
    const key = owner.slice('Pod/'.length);
    const [namespace = '', name = ''] = key.split('/');
    return [v4, v6].flatMap((address) =>
      address === undefined ? [] : [{ key: `${key} ${uid}`, port: podPortName(namespace, name), address }],
    );
  });
  const ports = new Set([...controller.store.rows('Logical_Switch_Port')].map(([, row]) => row['name']));
  for (const from of pods.filter(({ port }) => ports.has(port)))
    for (const to of pods.filter(({ port }) => ports.has(port)))
      if (from.key !== to.key && from.address.includes(':') === to.address.includes(':'))
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

/** What {@link Both} and {@link ClusterBoth} have in common. */
interface Changing<T> {
  readonly world: World;
  apply(item: T): void;
  disagreements(): readonly string[];
}

async function check<T>(both: Changing<T>, store: MemoryStore, changes: readonly T[]): Promise<void> {
  using controller = new SmallTransactions(both.world, store);
  await controller.start();
  for (const item of changes) {
    const before = verdicts(controller);
    const between: ReadonlyMap<string, boolean>[] = [];
    store.after = () => between.push(verdicts(controller));
    both.apply(item);
    await controller.settle();
    store.after = () => undefined;
    const now = verdicts(controller);
    const wrong = between.flatMap((moment, at) =>
      [...now]
        .filter(([packet, verdict]) => before.get(packet) === verdict)
        .filter(([packet, verdict]) => moment.has(packet) && moment.get(packet) !== verdict)
        .map(
          ([packet, verdict]) => `transaction ${at + 1} of ${between.length} ${verdict ? 'closes' : 'opens'} ${packet}`,
        ),
    );
    expect(wrong, JSON.stringify(item)).toEqual([]);
  }
  expect(both.disagreements()).toEqual([]);
}

describe(`no transaction opens or closes what the states before and after a change treat alike (SEED=${seed})`, () => {
  it('of NetworkPolicies, pods and namespaces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 10, maxLength: 40 }), (changes) =>
        check(new Both(), new MemoryStore(), changes),
      ),
      { seed, numRuns: 15 },
    );
  }, 120_000);

  it.each([
    ['priority bands', '23.03', false],
    ['ACL tiers', '25.03', true],
  ] as const)(
    'of cluster policies in %s',
    async (_name, release, tiers) => {
      await fc.assert(
        fc.asyncProperty(fc.array(clusterChange, { minLength: 10, maxLength: 30 }), (changes) =>
          check(new ClusterBoth(tiers), new MemoryStore(northboundSchema(release)), changes),
        ),
        { seed, numRuns: 6 },
      );
    },
    120_000,
  );

  it('of a set that a pod has not been in any of before', async () => {
    const pod = (namespace: string) =>
      ({ type: 'pod', namespace, name: 'a', labels: {}, ports: [], node: 'node-1' }) as const;
    const policy = (spec: object) =>
      ({
        type: 'policy',
        policy: {
          kind: 'ClusterNetworkPolicy',
          metadata: { name: 'b' },
          spec: { subject: { namespaces: {} }, priority: 0, tier: 'Admin', ...spec },
        },
      }) as const;
    const toNetworks = { action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] };
    const fromLabelled = { action: 'Accept', from: [{ namespaces: { matchLabels: { app: 'db' } } }] };
    const changes: readonly ClusterChange[] = [
      pod('x'),
      { type: 'namespace', namespace: 'x', labels: { app: 'db' } },
      pod('y'),
      policy({ ingress: [fromLabelled], egress: [toNetworks] }),
      policy({ egress: [{ action: 'Deny', to: [{ namespaces: {} }] }] }),
    ];
    await check(new ClusterBoth(false), new MemoryStore(northboundSchema('23.03')), changes);
  });
});
