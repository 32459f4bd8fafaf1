import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UnitOptions } from './desired.ts';
import type { Drift } from './drift.ts';
import type { NorthboundError } from './error.ts';
import { Fence } from './fence.ts';
import type { HeldUnit } from './holds.ts';
import { Northbound } from './northbound.ts';
import type { BatchLimits } from './queue.ts';
import type { Output } from './rows.ts';
import type { SafetyStop } from './safety.ts';
import { type NbOp, NbTransactError } from './store.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { MemoryStore } from './testing/memory-store.ts';
import { CLUSTER, foreignInsert, groupRow, member, podUnit, row, switchRow } from './testing/units.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

interface Writer {
  readonly northbound: Northbound;
  readonly held: HeldUnit[];
  readonly drifts: [string, readonly Drift[]][];
  readonly stops: SafetyStop[];
  readonly fenced: NorthboundError[];
  readonly committed: string[];
}

let store: MemoryStore;
let clock: ManualClock;
let ends: AbortController;

beforeEach(() => {
  store = new MemoryStore();
  clock = new ManualClock();
  ends = new AbortController();
});

afterEach(() => ends.abort());

/** A writer that holds the fence and is not started. */
async function writer(identity = 'a', limits?: BatchLimits): Promise<Writer> {
  const fence = new Fence({ store, clusterUid: CLUSTER, identity, clock });
  await fence.acquire(ends.signal);
  const lists = { held: [], drifts: [], stops: [], fenced: [], committed: [] } as Omit<Writer, 'northbound'>;
  const northbound = new Northbound({
    store,
    fence,
    clock,
    random: () => 0.999,
    log: silent,
    ...(limits !== undefined && { limits }),
    onHeld: (held) => lists.held.push(held),
    onDrift: (unit, drifts) => lists.drifts.push([unit, drifts]),
    onSafetyStop: (stop) => lists.stops.push(stop),
    onFenced: (error) => lists.fenced.push(error),
    onCommitted: (units) => lists.committed.push(...units),
  });
  return { northbound, ...lists };
}

const network = new Map<string, readonly Output[]>([
  ['Subnet/s', [switchRow('s')]],
  ['Node/n', [groupRow('n')]],
]);

function set(northbound: Northbound, units: ReadonlyMap<string, readonly Output[]>, options?: UnitOptions): void {
  for (const [name, outputs] of units) northbound.setUnit(name, outputs, options);
}

function pods(count: number): ReadonlyMap<string, readonly Output[]> {
  return new Map(Array.from({ length: count }, (_, i) => [`Pod/default/p${i}`, podUnit(`p${i}`, 's', 'n')]));
}

const ports = (): number => [...store.rows('Logical_Switch_Port')].length;

/** A started writer with the network and some pods in the database. */
async function running(count: number, limits?: BatchLimits): Promise<Writer> {
  const all = await writer('a', limits);
  set(all.northbound, network);
  set(all.northbound, pods(count), { rank: 5, lane: 'pod' });
  all.northbound.start(ends.signal);
  await all.northbound.idle();
  expect(ports()).toBe(count);
  store.commits = [];
  return all;
}

describe('northbound writer', () => {
  it('sends what one turn of the event loop set as one transaction, parents first, under the fence', async () => {
    const { northbound, committed } = await writer();
    set(northbound, pods(20), { rank: 5, lane: 'pod' });
    set(northbound, network);
    store.commits = [];
    northbound.start(ends.signal);
    await northbound.committed('Pod/default/p7');
    expect(store.commits.length).toBe(1);
    expect(store.commits[0]?.[0]).toMatchObject({ op: 'fence' });
    expect(ports()).toBe(20);
    await northbound.idle();
    expect(committed.length).toBe(22);
    expect(northbound.stats).toMatchObject({ transactions: 1, failures: 0, queued: 0, held: 0, units: 22 });
  });

  it('writes nothing after a restart with the same input', async () => {
    await running(5);
    ends.abort();
    ends = new AbortController();
    const again = await writer('b');
    set(again.northbound, network);
    set(again.northbound, pods(5));
    store.commits = [];
    again.northbound.start(ends.signal);
    await again.northbound.idle();
    await again.northbound.committed('Pod/default/p0');
    expect(store.commits).toEqual([]);
    expect(again.drifts).toEqual([]);
  });

  it('removes a unit and what it put into sets, and forgets it', async () => {
    const { northbound } = await running(3);
    northbound.removeUnit('Pod/default/p1');
    await northbound.committed('Pod/default/p1');
    expect(store.commits.length).toBe(1);
    expect(ports()).toBe(2);
    expect(store.get('Logical_Switch', switchRow('s').uuid)?.['ports']).toHaveLength(2);
    expect(northbound.stats.units).toBe(4);
  });

  it('rebuilds an emptied database with the same UUIDs, and says nothing of drift', async () => {
    const { northbound, drifts } = await running(10);
    const before = store.dump();
    store.recreate();
    await northbound.idle();
    expect(store.dump()).toEqual(before);
    expect(drifts).toEqual([]);
  });

  it('does not count a lost content as edits that make it wait', async () => {
    const { northbound } = await running(3);
    const before = store.dump();
    for (let time = 0; time < 5; time += 1) {
      store.recreate();
      await northbound.idle();
    }
    store.commit([{ op: 'delete', table: 'Port_Group', uuid: groupRow('n').uuid }]);
    await northbound.idle();
    expect(store.dump()).toEqual(before);
  });

  it('isolates a refused unit; the others commit, and it comes back when its outputs change', async () => {
    const { northbound, held } = await running(0);
    const bad = row('Logical_Switch_Port', 'bad', 'Pod/default/bad', { name: 'bad\0' });
    const badUnit = [bad, member(switchRow('s'), 'ports', bad.uuid, 'Pod/default/bad')];
    set(northbound, pods(40), { rank: 5, lane: 'pod' });
    northbound.setUnit('Pod/default/bad', badUnit, { rank: 5, lane: 'pod' });
    await northbound.idle();
    expect(ports()).toBe(40);
    expect(held.map(({ unit, error }) => [unit, error.code])).toEqual([['Pod/default/bad', 'refused']]);
    expect(northbound.held()).toHaveLength(1);
    // Backoff: one more attempt after a second, then two ...
    clock.advance(1_000);
    await northbound.idle();
    clock.advance(1_000);
    await northbound.idle();
    expect(held.map(({ attempts }) => attempts)).toEqual([1, 2]);
    clock.advance(1_000);
    await northbound.idle();
    expect(held.map(({ attempts }) => attempts)).toEqual([1, 2, 3]);
    northbound.setUnit('Pod/default/bad', podUnit('bad', 's', 'n'));
    await northbound.committed('Pod/default/bad');
    expect(northbound.held()).toEqual([]);
    expect(ports()).toBe(41);
  });

  it('a refused unit that is new does not take apart what changes at once', async () => {
    const { northbound, held } = await running(4);
    northbound.setUnit('Node/m', [groupRow('m')]);
    for (const name of ['p0', 'p1', 'p2', 'p3'])
      northbound.setUnit(`Pod/default/${name}`, podUnit(name, 's', 'm'), { rank: 5, lane: 'pod' });
    // Two ports of one name: the database does not say which of the operations is wrong.
    const twin = row('Logical_Switch_Port', 'twin', 'Pod/default/twin', { name: 'p0.default' });
    const twinUnit = [twin, member(switchRow('s'), 'ports', twin.uuid, 'Pod/default/twin')];
    northbound.setUnit('Pod/default/twin', twinUnit, { rank: 5, lane: 'pod' });
    await northbound.idle();
    expect(held.map(({ unit, error }) => [unit, error.code])).toEqual([['Pod/default/twin', 'refused']]);
    expect(store.commits).toHaveLength(1);
    expect(store.get('Port_Group', groupRow('m').uuid)?.['ports']).toHaveLength(4);
    expect(store.get('Port_Group', groupRow('n').uuid)?.['ports']).toHaveLength(0);
  });

  it('holds who refers to a refused unit, and lets it go when the parent commits', async () => {
    const { northbound } = await running(0);
    const parent = (name: string): Output[] => [row('Logical_Switch', 't', 'Subnet/t', { name })];
    northbound.setUnit('Subnet/t', parent('t\0'), { rank: 1 });
    northbound.setUnit('Pod/default/a', podUnit('a', 't', 'n'), { rank: 5, lane: 'pod' });
    await northbound.idle();
    expect(
      northbound
        .held()
        .map(({ error }) => error.code)
        .sort(),
    ).toEqual(['refused', 'waiting']);
    expect(northbound.held().find(({ error }) => error.code === 'waiting')?.error.message).toContain(
      'Logical_Switch "t" of Subnet/t',
    );
    northbound.setUnit('Subnet/t', parent('t'), { rank: 1 });
    await northbound.committed('Pod/default/a');
    expect(northbound.held()).toEqual([]);
  });

  it('keeps what a unit had when its new outputs make no sense, and reports them', async () => {
    const { northbound, held } = await running(1);
    const [port] = podUnit('p0', 's', 'n');
    northbound.setUnit('Pod/default/p0', [row('Logical_Switch_Port', 'p0', 'Pod/default/p0', { name: 'x', up: true })]);
    expect(held[0]?.error).toMatchObject({ code: 'invalid_output', retryable: false });
    expect(held[0]?.error.message).toContain('Logical_Switch_Port.up');
    await northbound.idle();
    expect(store.get('Logical_Switch_Port', port?.uuid ?? '')).toBeDefined();
    northbound.setUnit('Pod/default/p0', podUnit('p0', 's', 'n'));
    await northbound.committed('Pod/default/p0');
    expect(northbound.held()).toEqual([]);
    expect(store.commits).toEqual([]);
  });

  it('never loses a port to a parent that vanishes: the wait refuses, the unit waits, the parent comes, it commits', async () => {
    const { northbound } = await running(0);
    const { uuid } = switchRow('s');
    // Somebody deletes the switch after the batch was planned and before the server carries it out.
    let once = true;
    store.before = () => {
      if (once) store.commit([{ op: 'delete', table: 'Logical_Switch', uuid }]);
      once = false;
    };
    northbound.setUnit('Pod/default/a', podUnit('a', 's', 'n'), { rank: 5, lane: 'pod' });
    await northbound.committed('Pod/default/a');
    expect(store.get('Logical_Switch', uuid)?.['ports']).toHaveLength(1);
    expect(ports()).toBe(1);
  });

  it('compares again after a lost reply instead of sending again', async () => {
    const { northbound } = await running(0);
    let lose = true;
    store.after = () => {
      if (!lose) return;
      lose = false;
      throw new NbTransactError('unknown', 'connection lost', undefined);
    };
    set(northbound, pods(5), { rank: 5, lane: 'pod' });
    while (clock.pending === 0) await new Promise(setImmediate);
    clock.advance(1_000);
    await northbound.committed('Pod/default/p0');
    expect(ports()).toBe(5);
    expect(store.commits).toHaveLength(1);
  });

  it('heals foreign edits of ours, ever more slowly, and leaves what is not ours', async () => {
    const { northbound, drifts } = await running(1);
    const [port] = podUnit('p0', 's', 'n');
    const uuid = port?.uuid ?? '';
    const edit = (): void =>
      store.commit([
        {
          op: 'update',
          table: 'Logical_Switch_Port',
          uuid,
          row: { addresses: ['dynamic'], dynamic_addresses: 'x', enabled: false },
        },
        {
          op: 'mutate',
          table: 'Logical_Switch_Port',
          uuid,
          mutations: [
            ['options', 'insert', new Map([['theirs', '1']])],
            ['options', 'delete', ['requested-chassis']],
          ],
          mustMatch: true,
        },
      ]);
    edit();
    await northbound.idle();
    const healed = store.get('Logical_Switch_Port', uuid);
    expect(healed).toMatchObject({ addresses: ['0a:00:00:00:00:01 p0'], dynamic_addresses: 'x', enabled: false });
    expect(healed?.['options']).toEqual(
      new Map([
        ['theirs', '1'],
        ['requested-chassis', 'n'],
      ]),
    );
    expect(drifts).toEqual([
      ['Pod/default/p0', [{ table: 'Logical_Switch_Port', uuid, what: 'addresses, options of row "p0" changed' }]],
    ]);
    edit();
    await northbound.idle();
    expect(drifts).toHaveLength(1);
    clock.advance(1_000);
    await northbound.idle();
    expect(drifts).toHaveLength(2);
    edit();
    clock.advance(1_000);
    await northbound.idle();
    expect(drifts).toHaveLength(2);
    clock.advance(1_000);
    await northbound.idle();
    expect(drifts).toHaveLength(3);
  });

  it('heals a removed member and a deleted row, and removes members and rows of ours that nobody wants', async () => {
    const { northbound, drifts } = await running(2);
    const before = store.dump();
    const [port] = podUnit('p0', 's', 'n');
    const uuid = port?.uuid ?? '';
    const ids = new Map([['vendor', 'ovenbird']]);
    store.commit([
      {
        op: 'mutate',
        table: 'Port_Group',
        uuid: groupRow('n').uuid,
        mutations: [['ports', 'delete', [uuid]]],
        mustMatch: true,
      },
      foreignInsert('Port_Group', '33333333-3333-4333-8333-333333333333', { name: 'x', external_ids: ids }),
    ]);
    await northbound.idle();
    expect(store.dump()).toEqual(before);
    const { uuid: parent } = switchRow('s');
    store.commit([
      {
        op: 'mutate',
        table: 'Logical_Switch',
        uuid: parent,
        mutations: [['ports', 'delete', [uuid]]],
        mustMatch: true,
      },
    ]);
    await northbound.idle();
    expect(drifts.map(([unit, [drift]]) => [unit, drift?.what])).toEqual([
      ['Pod/default/p0', `ports lacks ${uuid}`],
      ['Pod/default/p0', 'row "p0" was deleted'],
    ]);
    expect(store.dump()).toEqual(before);
  });
});

describe('fence', () => {
  it('stops a writer that was replaced before it writes anything', async () => {
    const first = await running(1);
    const second = new Fence({ store, clusterUid: CLUSTER, identity: 'b', clock });
    await second.acquire(ends.signal);
    expect(second.epoch).toBe(2);
    const before = store.dump();
    first.northbound.setUnit('Pod/default/late', podUnit('late', 's', 'n'));
    await expect(first.northbound.committed('Pod/default/late')).rejects.toMatchObject({ code: 'fenced' });
    expect(first.fenced).toMatchObject([{ code: 'fenced' }]);
    expect(store.dump()).toEqual(before);
  });

  it('refuses at the server when the replica is behind', async () => {
    const { northbound, fenced } = await running(1);
    const [global] = [...store.rows('NB_Global')];
    store.before = (ops: readonly NbOp[]) => {
      if (ops[0]?.op !== 'fence' || global === undefined) return;
      store.before = () => undefined;
      const mutations = [
        ['external_ids', 'delete', ['ovenbird/epoch']],
        ['external_ids', 'insert', new Map([['ovenbird/epoch', '9']])],
      ] as const;
      store.commit([{ op: 'mutate', table: 'NB_Global', uuid: global[0], mutations, mustMatch: true }]);
    };
    northbound.setUnit('Pod/default/late', podUnit('late', 's', 'n'));
    const refused = expect(northbound.committed('Pod/default/late')).rejects.toMatchObject({ code: 'fenced' });
    while (clock.pending === 0) await new Promise(setImmediate);
    clock.advance(100);
    await refused;
    expect(fenced).toHaveLength(1);
    expect(ports()).toBe(1);
  });

  it('refuses the database of another cluster and that of Kube-OVN', async () => {
    await new Fence({ store, clusterUid: CLUSTER, identity: 'a', clock }).acquire(ends.signal);
    const otherUid = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';
    const other = new Fence({ store, clusterUid: otherUid, identity: 'b', clock });
    await expect(other.acquire(ends.signal)).rejects.toMatchObject({ code: 'other_cluster' });
    const ids = new Map([['vendor', 'kube-ovn']]);
    store.commit([
      foreignInsert('Logical_Switch', '33333333-3333-4333-8333-333333333333', { name: 'x', external_ids: ids }),
    ]);
    const options = { store, clusterUid: CLUSTER, identity: 'c', clock };
    await expect(new Fence(options).acquire(ends.signal)).rejects.toMatchObject({ code: 'other_controller' });
    expect(await new Fence({ ...options, adoptKubeOvn: true }).acquire(ends.signal)).toBe(2);
  });

  it('starts above the number of leaderships that Kubernetes counted', async () => {
    const options = { store, clusterUid: CLUSTER, clock, minimumEpoch: 7 };
    expect(await new Fence({ ...options, identity: 'a' }).acquire(ends.signal)).toBe(7);
    expect(await new Fence({ ...options, identity: 'b' }).acquire(ends.signal)).toBe(8);
  });
});

describe('safety catch', () => {
  const confirm = (token: string): void => {
    const [global] = [...store.rows('NB_Global')];
    const mutations = [['external_ids', 'insert', new Map([['ovenbird/confirm-deletion', token]])]] as const;
    store.commit([{ op: 'mutate', table: 'NB_Global', uuid: global?.[0] ?? '', mutations, mustMatch: true }]);
  };

  it('stops inferred deletions of many ports until they are confirmed', async () => {
    const { northbound, stops } = await running(100, { units: 10, atoms: 1_000 });
    for (let i = 0; i < 31; i++) northbound.removeUnit(`Pod/default/p${i}`, { inferred: true });
    await northbound.idle();
    expect(ports()).toBe(100);
    expect(stops).toMatchObject([{ count: 31, total: 100 }]);
    expect(stops[0]?.owners).toHaveLength(31);
    expect(stops[0]?.owners).toContain('Pod/default/p30');
    expect(northbound.heldUnit('Pod/default/p30')?.error.message).toContain(`confirm-deletion ${stops[0]?.token}`);
    expect(northbound.confirmDeletion('wrong')).toBe(false);
    expect(northbound.held()).toHaveLength(31);
    confirm('wrong');
    await northbound.idle();
    expect(ports()).toBe(100);
    confirm(stops[0]?.token ?? '');
    await northbound.idle();
    expect(ports()).toBe(100);
    // A key that is there already is not replaced by a map insert; ovn-nbctl set does replace it.
    const [global] = [...store.rows('NB_Global')];
    const mutations = [['external_ids', 'delete', ['ovenbird/confirm-deletion']]] as const;
    store.commit([{ op: 'mutate', table: 'NB_Global', uuid: global?.[0] ?? '', mutations, mustMatch: true }]);
    confirm(stops[0]?.token ?? '');
    await northbound.idle();
    expect(ports()).toBe(69);
    expect([...store.rows('NB_Global')][0]?.[1]['external_ids']).not.toContain('ovenbird/confirm-deletion');
    expect(northbound.held()).toEqual([]);
  });

  it('lets deletions seen as events, and few inferred ones, pass', async () => {
    const { northbound, stops } = await running(100);
    for (let i = 0; i < 30; i++) northbound.removeUnit(`Pod/default/p${i}`, { inferred: true });
    await northbound.idle();
    expect(ports()).toBe(70);
    for (let i = 30; i < 100; i++) northbound.removeUnit(`Pod/default/p${i}`);
    await northbound.idle();
    expect(ports()).toBe(0);
    expect(stops).toEqual([]);
  });

  it('counts deletions that come a few at a time together', async () => {
    const { northbound, stops } = await running(100);
    for (let i = 0; i < 60; i++) {
      northbound.removeUnit(`Pod/default/p${i}`, { inferred: true });
      await northbound.idle();
    }
    expect(ports()).toBe(70);
    expect(stops.at(-1)).toMatchObject({ count: 30, total: 100 });
  });

  it('stops at start when the input is empty, also for the switch that would take its ports along', async () => {
    await running(50);
    ends.abort();
    ends = new AbortController();
    const { northbound, stops } = await writer('b');
    northbound.start(ends.signal);
    await northbound.idle();
    expect(ports()).toBe(50);
    expect(stops).toMatchObject([{ count: 50, total: 50 }]);
    confirm(stops[0]?.token ?? '');
    await northbound.idle();
    expect(ports()).toBe(0);
    expect([...store.rows('Logical_Switch'), ...store.rows('Port_Group')]).toEqual([]);
  });

  it('forgets a deletion that was a mistake', async () => {
    const { northbound } = await running(50);
    for (let i = 0; i < 50; i++) northbound.removeUnit(`Pod/default/p${i}`, { inferred: true });
    await northbound.idle();
    set(northbound, pods(50), { rank: 5, lane: 'pod' });
    await northbound.idle();
    expect(northbound.held()).toEqual([]);
    expect(store.commits).toEqual([]);
  });
});
