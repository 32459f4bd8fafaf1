import { announcement } from '@ovenbird/crds';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasPort } from '../pod/life.ts';
import type { Pod } from '../store/model.ts';
import { CrashCluster } from '../testing/crash-cluster.ts';
import {
  makeIp,
  makeNamespace,
  makeNode,
  makePod,
  makePool,
  makeStatefulSet,
  makeSubnet,
  makeVip,
  makeVpc,
  rules,
} from '../testing/world.ts';
import { isKept, keeperExists } from './kept.ts';
import { ownerOfRecord } from './load.ts';

/**
 * The allocator against a model, with the controller dying before and after each single write to the API server and to the
 * northbound database: no address is handed out twice, and none is lost.
 */

const machine = 'default/vm';
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const runs = Number(process.env['RUNS'] ?? 120);
const P = 'ovn.kubernetes.io/';

/** A subnet of five IPv4 and six IPv6 addresses, of which a pool has one each. */
const spec = { cidrBlock: '10.50.0.0/29,fd00:10:50::/125', pool: ['10.50.0.6', 'fd00:10:50::6'] };
const requests: Readonly<Record<string, Record<string, string>>> = {
  any: {},
  four: { ip_family: 'IPv4' },
  static: { ip_address: '10.50.0.4' },
  pool: { ip_pool: 'spare' },
  list: { ip_pool: '10.50.0.3,fd00:10:50::3;10.50.0.4,fd00:10:50::4' },
  vip: { vip: 'front' },
  share: { aaps: 'front' },
};
const annotationsOf = (name: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ logical_switch: 'tiny', ...requests[name] }).map(([key, value]) => [`${P}${key}`, value]),
  );

/** What happens: somebody does something, or one of the steps under way is taken, perhaps with a crash beside it. */
type Happening =
  | { readonly what: 'create'; readonly pod: number; readonly request: string }
  | { readonly what: 'delete' | 'finish' | 'recreate'; readonly pod: number }
  | { readonly what: 'create machine' | 'delete machine' | 'vip' | 'no vip' }
  | { readonly what: 'create set' | 'delete set' | 'reserve' | 'unreserve' | 'release' | 'pool' | 'no pool' }
  | { readonly what: 'step' | 'crash before' | 'crash after'; readonly which: number };

/** Pods of nobody, of a StatefulSet, and of a virtual machine: the last two have one address between them. */
const pods = ['p0', 'p1', 'p2', 'p3', 'db-0', 'db-1', 'vm-a', 'vm-b'];
const pod = fc.nat(pods.length - 1);
const which = fc.nat(1000);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('create' as const),
      pod,
      request: fc.constantFrom(...Object.keys(requests)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constantFrom('delete' as const, 'delete' as const, 'finish' as const, 'recreate' as const),
      pod,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constantFrom(
        'create set' as const,
        'create set' as const,
        'delete set' as const,
        'reserve' as const,
        'unreserve' as const,
        'release' as const,
        'pool' as const,
        'no pool' as const,
        'vip' as const,
        'vip' as const,
        'no vip' as const,
        'create machine' as const,
        'create machine' as const,
        'delete machine' as const,
      ),
    }),
  },
  { weight: 30, arbitrary: fc.record({ what: fc.constant('step' as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constantFrom('crash before' as const, 'crash after' as const), which }),
  },
);

class Model {
  readonly cluster = new CrashCluster();
  /** Addresses that pods of the StatefulSet were told, and have to find again. */
  readonly kept = new Map<string, string>();
  /** The address that the virtual machine's pods were told. */
  machine: string | undefined;
  /** The set that each pod was made by. */
  readonly #setOf = new Map<string, string>();

  constructor() {
    const { cluster } = this;
    cluster.put('Vpc', rules.defaultVpc, makeVpc(rules.defaultVpc));
    cluster.put('Subnet', 'join', makeSubnet('join', '100.64.0.0/16,fd00:100:64::/112'));
    cluster.put('Subnet', 'ovn-default', makeSubnet('ovn-default', '10.16.0.0/16'));
    cluster.put('Subnet', 'tiny', makeSubnet('tiny', spec.cidrBlock));
    cluster.put('Namespace', 'default', makeNamespace('default'));
    cluster.put('Node', 'node-1', makeNode('node-1', ['172.30.1.1']));
    cluster.start();
  }

  async happen(now: Happening): Promise<void> {
    const { cluster } = this;
    switch (now.what) {
      case 'create':
      case 'recreate':
      case 'delete':
      case 'finish':
        this.#pod(now);
        break;
      case 'create set':
        if (cluster.objects.get('StatefulSet', 'default/db') === undefined)
          cluster.put(
            'StatefulSet',
            'default/db',
            makeStatefulSet('default', 'db', { template: annotationsOf('any') }),
          );
        break;
      case 'delete set':
        cluster.remove('StatefulSet', 'default/db');
        this.kept.clear();
        break;
      case 'reserve':
        if (cluster.objects.get('IpRecord', 'aaa') === undefined)
          cluster.put('IpRecord', 'aaa', makeIp('aaa', 'tiny', { v4: '10.50.0.2' }));
        break;
      case 'unreserve':
        cluster.remove('IpRecord', 'aaa');
        break;
      case 'release':
        for (const { name, managed } of cluster.objects.list('IpRecord')) if (managed) cluster.remove('IpRecord', name);
        this.kept.clear();
        this.machine = undefined;
        break;
      case 'pool':
        if (cluster.objects.get('IPPool', 'spare') === undefined)
          cluster.put('IPPool', 'spare', makePool('spare', 'tiny', spec.pool));
        break;
      case 'vip':
        if (cluster.objects.get('Vip', 'front') === undefined)
          cluster.put('Vip', 'front', { ...makeVip('front', 'tiny', 'default'), uid: cluster.uid() });
        break;
      case 'no vip':
        cluster.remove('Vip', 'front');
        break;
      case 'create machine':
        if (cluster.objects.get('VirtualMachine', machine) === undefined)
          cluster.put('VirtualMachine', machine, {
            ...{ name: 'vm', namespace: 'default', uid: cluster.uid(), created: '', deleting: false },
            template: annotationsOf('any'),
          });
        break;
      case 'delete machine':
        cluster.remove('VirtualMachine', machine);
        this.machine = undefined;
        break;
      case 'no pool':
        cluster.remove('IPPool', 'spare');
        break;
      case 'step':
      case 'crash before':
      case 'crash after':
        if (cluster.process === undefined) cluster.start();
        else this.#step(now);
        break;
    }
    await cluster.settle();
    this.#look();
  }

  #pod(now: Extract<Happening, { pod: number }>): void {
    const { cluster } = this;
    const name = pods[now.pod] ?? '';
    const key = `default/${name}`;
    const stored = cluster.objects.get('Pod', key);
    const inSet = name.startsWith('db-');
    const inMachine = name.startsWith('vm-');
    const create = (request: string): void => {
      const set = cluster.objects.get('StatefulSet', 'default/db')?.uid;
      const vm = cluster.objects.get('VirtualMachine', machine)?.uid;
      if ((inSet && set === undefined) || (inMachine && vm === undefined)) return;
      const uid = cluster.uid();
      const more = inSet
        ? { keepFor: 'StatefulSet/default/db' }
        : inMachine
          ? { keepFor: `VirtualMachine/${machine}` }
          : {};
      const annotations = annotationsOf(inSet || inMachine ? 'any' : request);
      cluster.put('Pod', key, { ...makePod('default', name, 'node-1', { annotations, ...more }), uid });
      if (inSet) this.#setOf.set(uid, set ?? '');
      if (inMachine) this.#setOf.set(uid, vm ?? '');
    };
    if (now.what === 'create' && stored === undefined) create(now.request);
    else if (now.what === 'recreate' && stored !== undefined) create('any');
    else if (now.what === 'delete') cluster.remove('Pod', key);
    else if (now.what === 'finish' && stored !== undefined && !inSet && !inMachine)
      cluster.put('Pod', key, { ...stored, finished: true });
  }

  #step({ what, which }: Extract<Happening, { which: number }>): void {
    const steps = this.cluster.steps();
    const step = steps[which % Math.max(1, steps.length)];
    if (what !== 'crash before') step?.act();
    if (what === 'step') step?.reply();
    else this.cluster.crash();
  }

  /** What has to be true after each step. */
  #look(): void {
    const { objects, database } = this.cluster;
    const live = new Map(database.live().ports.map((port) => [port.owner, port]));
    const borrowed = new Set([...live.values()].map(({ via }) => via));
    // A virtual port goes a moment after its address became a pod's own; OVN does not answer for it.
    const ports = [...live.values()].filter(
      ({ owner }) => owner.startsWith('Pod/') || (owner.startsWith('Vip/') && !borrowed.has(owner)),
    );
    const addresses = ports.flatMap((port) => port.addresses.split(' ').map((text) => `${port.subnet} ${text}`));
    expect(new Set(addresses).size, `twice in the northbound database: ${addresses.join(', ')}`).toBe(addresses.length);
    for (const [key, live] of objects.entries('Pod')) {
      if (live.annotations[announcement.announcedUid] !== live.uid || !hasPort(live)) continue;
      const told = live.annotations[announcement.ipAddress] ?? '';
      const port = ports.find(({ owner, uid }) => owner === `Pod/${key}` && uid === live.uid);
      expect(port?.addresses.split(' ').slice(1).join(','), `${key} was told ${told}, and its port has`).toBe(told);
      const vm = objects.get('VirtualMachine', machine)?.uid;
      if (live.keepFor === `VirtualMachine/${machine}` && vm !== undefined && this.#setOf.get(live.uid) === vm) {
        expect(told, `${key} was told another address than the machine's last pod`).toBe(this.machine ?? told);
        if (this.cluster.recordsOf(`VirtualMachine/${machine}`).length > 0) this.machine = told;
        continue;
      }
      const set = objects.get('StatefulSet', 'default/db')?.uid;
      if (live.keepFor !== 'StatefulSet/default/db') continue;
      if (set === undefined || this.#setOf.get(live.uid) !== set) continue;
      expect(told, `${key} was told another address than its predecessor`).toBe(this.kept.get(key) ?? told);
      // Somebody may have deleted its IP object, and the pod right after: nobody can tell in which order.
      if (this.cluster.recordsOf(`Pod/${key}`).length > 0) this.kept.set(key, told);
    }
  }

  /** What has to be true when nothing happens any more. */
  async end(): Promise<void> {
    const { cluster } = this;
    if (cluster.process === undefined) cluster.start();
    await cluster.drain();
    this.#look();
    this.#nobodyWaitsForNothing();
    this.#nothingIsLost();
    const before = [cluster.database.content(), cluster.objects.list('IpRecord'), this.#usage()];
    cluster.crash();
    cluster.start();
    await cluster.drain();
    expect([cluster.database.content(), cluster.objects.list('IpRecord'), this.#usage()]).toEqual(before);
  }

  #usage(): unknown {
    const { allocator } = this.#brain();
    return (['v4', 'v6'] as const).map((family) => allocator.usage('tiny', family));
  }

  #state(): NonNullable<CrashCluster['process']>['state'] {
    const { process } = this.cluster;
    if (process === undefined) throw new Error('no controller');
    return process.state;
  }

  #brain(): NonNullable<CrashCluster['process']>['brain'] {
    const { process } = this.cluster;
    if (process === undefined) throw new Error('no controller');
    return process.brain;
  }

  #nobodyWaitsForNothing(): void {
    const { allocator } = this.#brain();
    const free = (pool: string): bigint => allocator.usage('tiny', 'v4', pool)?.available ?? 0n;
    const free6 = (pool: string): bigint => allocator.usage('tiny', 'v6', pool)?.available ?? 0n;
    for (const [key, waiting] of this.cluster.objects.entries('Pod')) {
      if (!hasPort(waiting) || this.#state().get('PodAddress', key)?.uid === waiting.uid) continue;
      expect(this.#hasReason(waiting, free, free6), `${key} waits: ${this.cluster.events.at(-1)}`).toBe(true);
    }
  }

  #hasReason(waiting: Pod, free: (pool: string) => bigint, free6: (pool: string) => bigint): boolean {
    // The garbage collector is about to remove it, or to take its owner away.
    if (waiting.keepFor !== undefined && !keeperExists(waiting.keepFor, this.cluster.objects)) return true;
    const { allocator, loans } = this.#brain();
    // Another pod of the machine has it.
    if (waiting.keepFor !== undefined && loans.userOf(waiting.keepFor) !== undefined) return true;
    if (waiting.annotations[`${P}vip`] !== undefined)
      return allocator.held('Vip/front') === undefined || loans.userOf('Vip/front') !== undefined;
    const taken = (address: string): boolean => allocator.holder('tiny', address) !== undefined;
    const pool = waiting.annotations[`${P}ip_pool`];
    const address = waiting.annotations[`${P}ip_address`];
    const four = waiting.annotations[`${P}ip_family`] === 'IPv4';
    if (address !== undefined) return taken(address) || free6('') === 0n;
    if (pool === 'spare')
      return this.cluster.objects.get('IPPool', 'spare') === undefined || free('spare') === 0n || free6('spare') === 0n;
    if (pool !== undefined) return pool.split(';').every((pair) => pair.split(',').some(taken));
    return free('') === 0n || (!four && free6('') === 0n);
  }

  #nothingIsLost(): void {
    const { allocator } = this.#brain();
    const { objects } = this.cluster;
    const records = objects.list('IpRecord').filter(({ managed, subnet }) => managed && subnet === 'tiny');
    for (const record of records) {
      const held = allocator.held(ownerOfRecord(record));
      expect([held?.v4, held?.v6], `IP ${record.name}`).toEqual([record.v4, record.v6]);
      const live = objects.get('Pod', `${record.namespace}/${record.podName}`);
      const kept =
        isKept(record, objects) || (record.vip !== undefined && objects.get('Vip', record.vip) !== undefined);
      expect(hasPort(live) || kept, `IP ${record.name} stands for nobody`).toBe(true);
    }
    for (const [key, told] of this.kept) {
      const held = allocator.held(`Pod/${key}`);
      expect([held?.v4, held?.v6].join(), `${key} keeps its address`).toBe(told);
    }
    const vm = allocator.held(`VirtualMachine/${machine}`);
    if (this.machine !== undefined) expect([vm?.v4, vm?.v6].join(), 'the machine keeps its address').toBe(this.machine);
    const reserved = allocator.holder('tiny', '10.50.0.2') === 'IP/aaa' ? 1 : 0;
    const four = records.filter(({ v4 }) => v4 !== undefined).length + reserved;
    const six = records.filter(({ v6 }) => v6 !== undefined).length;
    expect(allocator.usage('tiny', 'v4')?.using, 'IPv4 addresses in use and their IP objects').toBe(four);
    expect(allocator.usage('tiny', 'v6')?.using, 'IPv6 addresses in use and their IP objects').toBe(six);
  }
}

describe('addresses under crashes', () => {
  it('are never handed out twice and never lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 20, maxLength: 150, size: 'max' }), async (happenings) => {
        const model = new Model();
        for (const now of happenings) await model.happen(now);
        await model.end();
      }),
      { seed, numRuns: runs },
    );
  });
});
