import { afterEach, describe, expect, it } from 'vitest';
import type { ApiEffects } from './api-effects.ts';
import { Brain } from './brain.ts';
import { Fence } from './northbound/fence.ts';
import { Northbound } from './northbound/northbound.ts';
import { ManualClock } from './northbound/testing/manual-clock.ts';
import { MemoryStore } from './northbound/testing/memory-store.ts';
import { isAnnounced, podAnnouncement } from './pod/announcement.ts';
import { type IpApi, IpRecords } from './records/ip-records.ts';
import type { Key, Tables } from './store/model.ts';
import { projectIp } from './store/projections.ts';
import { State } from './store/state.ts';
import {
  clusterUid,
  makeNamespace,
  makeNode,
  makePod,
  makeSubnet,
  makeVpc,
  rules,
  serviceCidrs,
  type Watched,
} from './testing/world.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What a cluster costs: rows, elements of sets and maps, transactions and their operations, writes to the API server. */
interface Cost {
  readonly rows: number;
  readonly cells: number;
  readonly transactions: number;
  readonly operations: number;
  readonly apiWrites: number;
}

/** The real controller on the real northbound writer, with a database and an API server in memory that count. */
class Counted {
  readonly state: State = new State();
  readonly store = new MemoryStore();
  readonly #ends = new AbortController();
  readonly #dueRecords = new Set<string>();
  readonly #dueAnnouncements = new Set<Key>();
  readonly #errors: unknown[] = [];
  #apiWrites = 0;
  readonly #northbound: Northbound;
  readonly #brain: Brain;
  readonly #records: IpRecords;

  constructor(fence: Fence, store: MemoryStore, clock: ManualClock) {
    this.store = store;
    this.#northbound = new Northbound({ store, fence, clock, random: () => 0.5, log: silent });
    const api: ApiEffects = {
      announcePod: (key) => void this.#dueAnnouncements.add(key),
      announceNode: (name) => void this.#dueRecords.add(`Node/${name}`),
      announceContainer: () => undefined,
      refuseContainer: () => undefined,
      writeRecord: (owner) => void this.#dueRecords.add(owner),
      writeRecordNow: (owner) => void this.#dueRecords.add(owner),
      recordChanged: (name) => this.#records.changed(name),
      event: (_object, reason, message) => void this.#errors.push(new Error(`${reason}: ${message}`)),
      writeStatus: () => undefined,
      writeFinalizer: () => undefined,
    };
    this.#brain = new Brain({
      state: this.state,
      tiers: false,
      rules,
      clusterUid,
      serviceCidrs,
      live: { subnets: new Map(), ports: [], bandwidths: new Map() },
      sink: this.#northbound,
      api,
      onError: (_what, error) => void this.#errors.push(error),
    });
    const put: IpApi['create'] = (object) => {
      this.#apiWrites += 1;
      this.set('IpRecord', object.metadata.name, projectIp(object));
      return Promise.resolve();
    };
    const remove: IpApi['remove'] = (name) => {
      this.#apiWrites += 1;
      this.delete('IpRecord', name);
      return Promise.resolve();
    };
    this.#records = new IpRecords(
      this.state,
      this.#brain.allocator,
      this.#brain.loans,
      { create: put, update: put, remove },
      {
        freed: (subnet) => this.#brain.freed(subnet),
        enqueue: (owner) => void this.#dueRecords.add(owner),
        warn: () => undefined,
        statusChanged: () => undefined,
        now: () => '2026-01-01T00:00:00Z',
      },
    );
  }

  static async start(): Promise<Counted> {
    const store = new MemoryStore();
    const clock = new ManualClock();
    const fence = new Fence({ store, clusterUid, identity: 'scale', clock });
    const made = new Counted(fence, store, clock);
    await fence.acquire(made.#ends.signal);
    made.#northbound.start(made.#ends.signal);
    made.set('Vpc', rules.defaultVpc, makeVpc(rules.defaultVpc));
    made.set(
      'Subnet',
      'ovn-default',
      makeSubnet('ovn-default', '10.16.0.0/16,fd00:10:16::/112', { natOutgoing: true }),
    );
    made.set('Subnet', 'join', makeSubnet('join', '100.64.0.0/16,fd00:100:64::/112'));
    made.set('Namespace', 'default', makeNamespace('default'));
    await made.settle();
    return made;
  }

  set<K extends Watched>(kind: K, key: Key, object: Tables[K]): void {
    this.state.set(kind, key, object);
    this.#brain.changed(kind, [key]);
  }

  delete(kind: Watched, key: Key): void {
    this.state.delete(kind, key);
    this.#brain.changed(kind, [key]);
  }

  addSubnets(from: number, to: number): void {
    for (let index = from; index < to; index += 1) {
      const cidr = `10.${200 + (index >> 8)}.${index & 255}.0/24,fd00:10:${(0x200 + index).toString(16)}::/112`;
      const more = { natOutgoing: index % 2 === 0, private: index % 3 === 0, allowSubnets: ['10.16.0.0/16'] };
      this.set('Subnet', `subnet-${index}`, makeSubnet(`subnet-${index}`, cidr, more));
    }
  }

  addNodes(from: number, to: number): void {
    for (let index = from; index < to; index += 1)
      this.set(
        'Node',
        `node-${index}`,
        makeNode(`node-${index}`, [`172.30.1.${index + 1}`, `fd00:172:30::1:${index + 1}`]),
      );
  }

  /** Spread over nodes and subnets, both of which have to be there. */
  addPods(from: number, to: number, nodes: number, subnets: number): void {
    for (let index = from; index < to; index += 1) {
      const annotations = { 'ovn.kubernetes.io/logical_switch': `subnet-${index % subnets}` };
      this.set(
        'Pod',
        `default/pod-${index}`,
        makePod('default', `pod-${index}`, `node-${index % nodes}`, { annotations }),
      );
    }
  }

  cost(): Cost {
    let rows = 0;
    let cells = 0;
    for (const table of Object.values(this.store.dump()))
      for (const row of Object.values(table)) {
        rows += 1;
        for (const value of Object.values(row))
          if (typeof value === 'object' && value !== null) cells += Object.keys(value).length;
      }
    const operations = this.store.commits.reduce((sum, ops) => sum + ops.length, 0);
    return { rows, cells, transactions: this.store.commits.length, operations, apiWrites: this.#apiWrites };
  }

  /** What doing something costs. */
  async costOf(what: () => void): Promise<Cost> {
    const before = this.cost();
    what();
    await this.settle();
    const after = this.cost();
    const keys = Object.keys(before) as (keyof Cost)[];
    return Object.fromEntries(keys.map((key) => [key, after[key] - before[key]])) as unknown as Cost;
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#brain.run();
      await this.#northbound.idle();
      for (const key of this.#dueAnnouncements) {
        this.#dueAnnouncements.delete(key);
        this.#announce(key);
        quiet = 0;
      }
      for (const owner of this.#dueRecords) {
        this.#dueRecords.delete(owner);
        await this.#records.write(owner);
        quiet = 0;
      }
    }
    if (this.#errors.length > 0) throw this.#errors[0];
  }

  #announce(key: Key): void {
    const pod = this.state.get('Pod', key);
    const address = this.state.get('PodAddress', key);
    const subnet = this.state.get('UsableSubnet', address?.subnet ?? '');
    if (pod === undefined || address === undefined || subnet === undefined) return;
    const annotations = podAnnouncement(address, subnet);
    if (!isAnnounced(pod, annotations)) {
      this.#apiWrites += 1;
      this.set('Pod', key, { ...pod, annotations: { ...pod.annotations, ...annotations } });
    }
    this.#dueRecords.add(`Pod/${key}`);
  }

  end(): void {
    this.#brain.stop();
    this.#ends.abort();
  }
}

describe('the shape of scale (design §3)', () => {
  const running: Counted[] = [];
  const cluster = async (subnets: number, nodes: number, pods: number): Promise<Counted> => {
    const made = await Counted.start();
    running.push(made);
    made.addSubnets(0, subnets);
    made.addNodes(0, nodes);
    await made.settle();
    made.addPods(0, pods, Math.max(1, nodes), Math.max(1, subnets));
    await made.settle();
    return made;
  };
  afterEach(() => {
    for (const made of running.splice(0)) made.end();
  });

  it('nothing grows as the product of two counts: rows and elements are sums', async () => {
    const size = async (subnets: number, nodes: number, pods: number): Promise<Pick<Cost, 'rows' | 'cells'>> => {
      const { rows, cells } = (await cluster(subnets, nodes, pods)).cost();
      return { rows, cells };
    };
    const few = 12;
    const many = 36;
    const base = await size(few, few, few);
    for (const pair of ['subnets and nodes', 'nodes and pods', 'pods and subnets'] as const) {
      const grown = (first: boolean, second: boolean): [number, number, number] => {
        const counts = { subnets: few, nodes: few, pods: few };
        const [a, b] = pair.split(' and ') as [keyof typeof counts, keyof typeof counts];
        if (first) counts[a] = many;
        if (second) counts[b] = many;
        return [counts.subnets, counts.nodes, counts.pods];
      };
      const [one, other, both] = [
        await size(...grown(true, false)),
        await size(...grown(false, true)),
        await size(...grown(true, true)),
      ];
      // f(a, b) = g(a) + h(b) exactly when the mixed difference is 0.
      for (const what of ['rows', 'cells'] as const)
        expect(both[what] - one[what] - other[what] + base[what], `${what} by ${pair}`).toBe(0);
    }
  });

  it('a pod is one row, one transaction and two API writes, however large the cluster is', async () => {
    const costs = [];
    for (const [subnets, nodes, pods] of [
      [2, 2, 2],
      [40, 5, 20],
      [5, 40, 20],
      [5, 5, 200],
    ] as const) {
      const made = await cluster(subnets, nodes, pods);
      const created = await made.costOf(() => made.addPods(1000, 1001, 2, 2));
      const deleted = await made.costOf(() => made.delete('Pod', 'default/pod-1000'));
      expect({ rows: created.rows, transactions: created.transactions, apiWrites: created.apiWrites }).toEqual({
        rows: 1,
        transactions: 1,
        apiWrites: 2,
      });
      expect({ rows: deleted.rows, transactions: deleted.transactions, apiWrites: deleted.apiWrites }).toEqual({
        rows: -1,
        transactions: 1,
        apiWrites: 1,
      });
      costs.push({ create: created.operations, delete: deleted.operations, cells: created.cells });
    }
    expect(new Set(costs.map((cost) => JSON.stringify(cost))).size, JSON.stringify(costs)).toBe(1);
  });

  it('pods that come together share transactions', async () => {
    const made = await cluster(4, 4, 0);
    const { rows, transactions } = await made.costOf(() => made.addPods(0, 300, 4, 4));
    expect(rows).toBe(300);
    expect(transactions).toBeLessThanOrEqual(2);
  });

  it('a subnet costs the same with few nodes and with many, and a node with few subnets and with many', async () => {
    const subnet = async (nodes: number): Promise<number> => {
      const made = await cluster(2, nodes, 0);
      return (await made.costOf(() => made.addSubnets(50, 51))).operations;
    };
    const node = async (subnets: number): Promise<number> => {
      const made = await cluster(subnets, 2, 0);
      return (await made.costOf(() => made.addNodes(50, 51))).operations;
    };
    expect(await subnet(2)).toBeGreaterThan(3);
    expect(await subnet(40)).toBe(await subnet(2));
    expect(await node(40)).toBe(await node(2));
  });

  it('egress is one port group for each node, and one router policy for each node and family', async () => {
    const made = await cluster(7, 9, 30);
    const rows = (table: string): number => [...made.store.rows(table)].length;
    expect(rows('Port_Group')).toBe(9);
    const reroutes = [...made.store.rows('Logical_Router_Policy')].filter(([, row]) => row['action'] === 'reroute');
    expect(reroutes.length).toBeLessThanOrEqual(2 * 2 * 9);
    expect(rows('Logical_Switch')).toBe(7 + 2);
    expect(rows('Logical_Router')).toBe(1);
    // Pods, nodes, and a port to the router for each switch.
    expect(rows('Logical_Switch_Port')).toBe(30 + 9 + 9);
  });
});
