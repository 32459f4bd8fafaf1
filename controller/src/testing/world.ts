import type { SubnetRules } from '../alloc/choose-subnet.ts';
import type { ApiEffects } from '../api-effects.ts';
import { Brain } from '../brain.ts';
import type { QosPolicy } from '../qos/model.ts';
import { IpRecords } from '../records/ip-records.ts';
import { reservationCondition } from '../records/reservation.ts';
import type { SecurityGroup } from '../security-group/model.ts';
import type {
  IpPool,
  IpRecord,
  Key,
  Namespace,
  Node,
  Pod,
  StatefulSet,
  Subnet,
  Tables,
  Vip,
  Vpc,
} from '../store/model.ts';
import { projectIp } from '../store/projections.ts';
import { State } from '../store/state.ts';
import { MemorySink } from './memory-sink.ts';

export const rules: SubnetRules = { defaultVpc: 'ovn-cluster', defaultSubnet: 'ovn-default', joinSubnet: 'join' };
export const clusterUid = '11111111-2222-4333-8444-555555555555';

/** Kinds that come from the API server. */
export const watched = [
  'Vpc',
  'Subnet',
  'IPPool',
  'Vip',
  'QoSPolicy',
  'Namespace',
  'Node',
  'Pod',
  'StatefulSet',
  'VirtualMachine',
  'VirtualMachineInstance',
  'IpRecord',
  'NetworkPolicy',
  'NetworkAttachment',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'SecurityGroup',
] as const;
export type Watched = (typeof watched)[number];

export const serviceCidrs: readonly string[] = ['10.96.0.0/12', 'fd00:10:96::/112'];

let uidCounter = 0;
const meta = (name: string): { name: string; uid: string; created: string; deleting: boolean } => {
  uidCounter += 1;
  return {
    name,
    uid: `uid-${uidCounter}`,
    created: `2026-01-01T00:00:${String(uidCounter % 60).padStart(2, '0')}Z`,
    deleting: false,
  };
};

export const makeVpc = (name: string, more: Partial<Vpc> = {}): Vpc => ({
  ...meta(name),
  namespaces: [],
  finalizers: [],
  generation: 1,
  ...more,
});

export const makeSubnet = (name: string, cidrBlock: string, more: Partial<Subnet> = {}): Subnet => ({
  ...meta(name),
  vpc: rules.defaultVpc,
  cidrBlock,
  gateway: '',
  excludeIps: [],
  namespaces: [],
  namespaceSelectors: [],
  isDefault: false,
  private: false,
  allowSubnets: [],
  aclLogRate: 10,
  allowEastWest: false,
  acls: [],
  natOutgoing: false,
  multicastSnoop: false,
  finalizers: [],
  generation: 1,
  ...more,
});

export const makeNode = (name: string, addresses: readonly string[]): Node => ({
  ...meta(name),
  addresses,
  externalAddresses: [],
  labels: {},
  annotations: {},
});

export const makeNamespace = (name: string, annotations: Record<string, string> = {}): Namespace => ({
  ...meta(name),
  annotations,
  labels: {},
});

export const makePod = (namespace: string, name: string, node: string, more: Partial<Pod> = {}): Pod => ({
  ...meta(name),
  namespace,
  node,
  hostNetwork: false,
  finished: false,
  annotations: {},
  labels: {},
  namedPorts: [],
  ...more,
});

export const makeStatefulSet = (namespace: string, name: string, more: Partial<StatefulSet> = {}): StatefulSet => ({
  ...meta(name),
  namespace,
  firstOrdinal: 0,
  template: {},
  ...more,
});

export const makePool = (name: string, subnet: string, ips: readonly string[], more: Partial<IpPool> = {}): IpPool => ({
  ...meta(name),
  subnet,
  ips,
  namespaces: [],
  addressSet: false,
  generation: 1,
  ...more,
});

export const makeVip = (name: string, subnet: string, namespace: string, more: Partial<Vip> = {}): Vip => ({
  ...meta(name),
  subnet,
  namespace,
  selector: [],
  had: {},
  ...more,
});

export const makeQosPolicy = (name: string, more: Partial<QosPolicy> = {}): QosPolicy => ({
  ...meta(name),
  priority: 100,
  shared: false,
  targets: [],
  allowedNamespaces: [],
  ingress: [],
  egress: [],
  ...more,
});

export const makeGroup = (name: string, more: Partial<SecurityGroup> = {}): SecurityGroup => ({
  ...meta(name),
  vpc: rules.defaultVpc,
  tier: 0,
  sameGroup: false,
  ingress: [],
  egress: [],
  namespaces: [],
  namespaceSelectors: [],
  selectors: [],
  logDropped: false,
  logRate: 10,
  finalizers: [],
  generation: 1,
  ...more,
});

/** A reservation by a person. */
export const makeIp = (name: string, subnet: string, more: Partial<IpRecord> = {}): IpRecord => ({
  ...meta(name),
  subnet,
  managed: false,
  reserved: false,
  ...more,
});

/** The key that an object is stored under. */
export function keyOf<K extends Watched>(kind: K, object: Tables[K]): Key {
  return 'namespace' in object && kind !== 'IpRecord' && kind !== 'Vip'
    ? `${object.namespace}/${object.name}`
    : object.name;
}

/** A brain on a memory sink, with what it tells the API recorded, and IP objects kept as in production. */
export class World {
  readonly state: State = new State();
  readonly sink: MemorySink = new MemorySink();
  readonly events: string[] = [];
  readonly announced: Set<Key> = new Set();
  readonly finalized: Set<string> = new Set();
  readonly errors: unknown[] = [];
  /** Last reason and message of the condition of each IP object made by hand. */
  readonly reservations: Map<Key, string> = new Map();
  brain: Brain;
  readonly records: IpRecords;
  readonly #tiers: boolean;
  readonly #dueRecords = new Set<string>();

  /** @param tiers OVN has ACL tiers */
  constructor(live?: ReturnType<MemorySink['live']>, tiers = false) {
    this.#tiers = tiers;
    this.brain = this.#makeBrain(live ?? { subnets: new Map(), ports: [], bandwidths: new Map() });
    const put = (object: Parameters<typeof projectIp>[0]): Promise<void> => {
      const old = this.state.get('IpRecord', object.metadata.name);
      const more = { uid: old?.uid ?? meta('').uid, generation: (old?.generation ?? 0) + 1 };
      this.set('IpRecord', projectIp({ ...object, metadata: { ...object.metadata, ...more } }));
      return Promise.resolve();
    };
    const api = {
      create: put,
      update: put,
      remove: (name: string): Promise<void> => Promise.resolve(this.delete('IpRecord', name)),
    };
    this.records = new IpRecords(this.state, this.brain.allocator, this.brain.loans, api, {
      freed: (subnet) => this.brain.freed(subnet),
      enqueue: (owner) => void this.#dueRecords.add(owner),
      warn: (record, reason, message) => void this.events.push(`${record.name} ${reason}: ${message}`),
      now: () => '2026-01-01T00:00:00Z',
      statusChanged: (name) => {
        const record = this.state.get('IpRecord', name);
        const problem = this.records.problem(name);
        if (record === undefined) return;
        const { reason, message } = reservationCondition(record, problem, this.brain.allocator, this.state);
        this.reservations.set(name, `${reason}: ${message}`);
      },
    });
  }

  /** The objects every cluster begins with. */
  static standard(tiers = false): World {
    const world = new World(undefined, tiers);
    world.set('Vpc', makeVpc(rules.defaultVpc));
    world.set('Subnet', makeSubnet('ovn-default', '10.16.0.0/16,fd00:10:16::/112', { natOutgoing: true }));
    world.set('Subnet', makeSubnet('join', '100.64.0.0/16,fd00:100:64::/112'));
    world.set('Namespace', makeNamespace('default'));
    for (const index of [1, 2, 3])
      world.set('Node', makeNode(`node-${index}`, [`172.30.1.${index}`, `fd00:172:30::1:${index}`]));
    return world;
  }

  set<K extends Watched>(kind: K, object: Tables[K]): void {
    const key = keyOf(kind, object);
    this.state.set(kind, key, object);
    this.brain.changed(kind, [key]);
  }

  delete(kind: Watched, key: Key): void {
    this.state.delete(kind, key);
    this.brain.changed(kind, [key]);
  }

  /** Runs until nothing is left to do: each committed promise may make more work. */
  async settle(): Promise<void> {
    for (let round = 0; round < 20; round += 1) {
      this.brain.run();
      const due = [...this.#dueRecords];
      this.#dueRecords.clear();
      for (const owner of due) await this.records.write(owner);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.errors.length > 0) throw this.errors[0];
  }

  /**
   * A new controller process that finds these objects and this northbound database.
   * @param prepare called before anything is compiled
   */
  async restarted(prepare: (world: World) => void = () => undefined): Promise<World> {
    const live = this.sink.live();
    const next = new World(live, this.#tiers);
    prepare(next);
    for (const kind of watched) {
      for (const [key, object] of this.state.entries(kind)) next.state.set(kind, key, object);
    }
    const { stale } = next.brain.load();
    next.brain.run();
    next.brain.publishLoaded();
    next.records.loaded();
    for (const owner of stale) next.#dueRecords.add(owner);
    for (const { name } of next.state.list('IpRecord')) next.records.changed(name);
    // Ports that nobody wants any more go with the first comparison.
    for (const { owner } of live.ports) if (!next.sink.units.has(owner)) next.brain.portGone(owner);
    await next.settle();
    return next;
  }

  #makeBrain(live: ReturnType<MemorySink['live']>): Brain {
    const api: ApiEffects = {
      announcePod: (key) => {
        this.announced.add(key);
        this.#dueRecords.add(`Pod/${key}`);
      },
      announceNode: (name) => void this.#dueRecords.add(`Node/${name}`),
      announceContainer: (name) => void this.announced.add(name),
      refuseContainer: (name, reason, message) => void this.events.push(`${name} ${reason}: ${message}`),
      writeRecord: (owner) => void this.#dueRecords.add(owner),
      writeRecordNow: (owner) => void this.#dueRecords.add(owner),
      recordChanged: (name) => this.records.changed(name),
      event: ({ object }, reason, message) => void this.events.push(`${object.name} ${reason}: ${message}`),
      writeStatus: () => undefined,
      writeFinalizer: (kind, name) => void (this.brain.isFinished(kind, name) && this.finalized.add(`${kind}/${name}`)),
    };
    return new Brain({
      state: this.state,
      tiers: this.#tiers,
      rules,
      clusterUid,
      serviceCidrs,
      live,
      sink: this.sink,
      api,
      onError: (_what, error) => this.errors.push(error),
    });
  }
}
