import { isDeepStrictEqual } from 'node:util';
import { announcement } from '@ovenbird/crds';
import { bucketsOf } from '../policy/pod-set.ts';
import { namedPolicies, policiesOfNamespace, targetBuckets } from '../qos/binding.ts';
import { namedGroups } from '../security-group/members.ts';
import type { Key, Kind, Pod, Tables } from './model.ts';

/** Names what was read: an object, a whole kind, or one bucket of an index. */
export type ReadKey = string;

/** How compile units see the cluster. Every call is recorded (see `Engine`), so a unit re-runs when what it read changes. */
export interface Reader {
  get<K extends Kind>(kind: K, key: Key): Tables[K] | undefined;
  list<K extends Kind>(kind: K): readonly Tables[K][];
  /** Objects of `kind` whose index `name` has `value`. Unknown index names throw: they are programming errors. */
  index<K extends Kind>(kind: K, name: string, value: string): readonly Tables[K][];
}

type IndexFunctions = { readonly [K in Kind]?: Readonly<Record<string, (object: Tables[K]) => readonly string[]>> };

const indexFunctions: IndexFunctions = {
  Pod: {
    namespace: (pod) => [pod.namespace],
    node: (pod) => [pod.node],
    securityGroup: namedGroups,
    qosPolicy: namedPolicies,
  },
  Namespace: { qosPolicy: policiesOfNamespace },
  /** By what their pods have (policy/pod-set.ts). */
  QoSPolicy: { targets: targetBuckets },
  PodQos: {
    policy: ({ policies }) => policies,
    /** Of further interfaces only. */
    further: ({ policies, further = false }) => (further ? policies : []),
  },
  QosUse: { policy: ({ policy }) => [policy] },
  PodAddress: {
    subnet: (address) => [address.subnet],
    /** The pod that has the address of a Vip or virtual machine. */
    via: ({ via }) => (via === undefined ? [] : [via]),
  },
  AttachmentAddress: {
    subnet: (address) => [address.subnet],
    pod: ({ pod }) => (pod === undefined ? [] : [pod]),
  },
  /** What people reserved, by subnet. */
  IpRecord: {
    reservation: (record) => (record.managed || record.attachment ? [] : [record.subnet]),
    /** Containers outside of Kubernetes, by node. */
    container: ({ attachment, podName, nodeName = '' }) =>
      attachment !== undefined && podName === undefined ? [nodeName] : [],
  },
  Subnet: { vpc: (subnet) => [subnet.vpc] },
  UsableSubnet: {
    vpc: (subnet) => [subnet.vpc],
    namespace: (subnet) => subnet.namespaces,
    /** Those that have to be asked about every namespace. */
    selecting: (subnet) => (subnet.namespaceSelectors.length > 0 ? ['yes'] : []),
    default: (subnet) => (subnet.isDefault ? ['yes'] : []),
    provider: ({ provider }) => (provider === undefined ? [] : [provider]),
  },
  IPPool: { subnet: (pool) => [pool.subnet] },
  Vip: { namespace: (vip) => [vip.namespace] },
  UsablePool: { subnet: (pool) => [pool.subnet], namespace: (pool) => pool.namespaces },
  /** Sets of pods by what their members have (policy/pod-set.ts). */
  PodSet: {
    ports: (set) => (set.holds === 'addresses' ? [] : bucketsOf(set)),
    addresses: (set) => (set.holds === 'addresses' ? bucketsOf(set) : []),
  },
  PortName: {
    name: ({ namespace, protocol, name }) => [namespace, '*'].map((scope) => `${scope}\0${protocol}\0${name}`),
  },
  SecurityGroup: {
    /** Groups whose rules name a group. */
    remote: ({ ingress, egress }) => [
      ...new Set([...ingress, ...egress].flatMap(({ remote }) => ('group' in remote ? [remote.group] : []))),
    ],
  },
  GroupClass: { group: ({ group }) => [group] },
  GroupAddress: { group: ({ groups }) => groups },
  NetworkPolicy: { namespace: (policy) => [policy.namespace] },
  NamespaceVpc: { namespace: ({ namespace }) => [namespace] },
};

export const objectRead = (kind: Kind, key: Key): ReadKey => `${kind}/${key}`;
export const listRead = (kind: Kind): ReadKey => `${kind}/*`;
export const indexRead = (kind: Kind, name: string, value: string): ReadKey => `${kind}#${name}=${value}`;

interface Table {
  readonly objects: Map<Key, unknown>;
  readonly indexes: Map<string, Map<string, Map<Key, unknown>>>;
}

export type TouchListener = (kind: Kind, key: Key, reads: readonly ReadKey[]) => void;

/** The watched objects and alloc's decisions, with indexes; the single input of `compile/`. */
export class State implements Reader {
  readonly #tables = new Map<Kind, Table>();
  readonly #listeners = new Set<TouchListener>();

  /** Puts an object; nothing happens when it equals what is there. Returns whether something changed. */
  set<K extends Kind>(kind: K, key: Key, object: Tables[K]): boolean {
    return this.put(kind, key, object) !== 'same';
  }

  /** {@link set}, which tells a pod on which only what we announced changed (`announced`) from other changes. */
  put<K extends Kind>(kind: K, key: Key, object: Tables[K]): 'same' | 'announced' | 'changed' {
    const table = this.#table(kind);
    const old = table.objects.get(key) as Tables[K] | undefined;
    if (old !== undefined && isDeepStrictEqual(old, object)) return 'same';
    const silent = old !== undefined && kind === 'Pod' && isAnnouncementOnly(old as Pod, object as Pod);
    this.#replace(kind, key, old, object, silent);
    return silent ? 'announced' : 'changed';
  }

  delete(kind: Kind, key: Key): boolean {
    const old = this.#table(kind).objects.get(key);
    if (old === undefined) return false;
    this.#replace(kind, key, old, undefined);
    return true;
  }

  get<K extends Kind>(kind: K, key: Key): Tables[K] | undefined {
    return this.#table(kind).objects.get(key) as Tables[K] | undefined;
  }

  list<K extends Kind>(kind: K): readonly Tables[K][] {
    return [...(this.#table(kind).objects.values() as Iterable<Tables[K]>)];
  }

  entries<K extends Kind>(kind: K): IterableIterator<[Key, Tables[K]]> {
    return this.#table(kind).objects.entries() as IterableIterator<[Key, Tables[K]]>;
  }

  keys(kind: Kind): IterableIterator<Key> {
    return this.#table(kind).objects.keys();
  }

  index<K extends Kind>(kind: K, name: string, value: string): readonly Tables[K][] {
    const index = this.#table(kind).indexes.get(name);
    if (index === undefined) throw new Error(`no index ${name} on ${kind}; declare it in store/state.ts`);
    return [...((index.get(value)?.values() ?? []) as Iterable<Tables[K]>)];
  }

  /** Keys of the objects in an index bucket. */
  indexKeys(kind: Kind, name: string, value: string): readonly Key[] {
    return [...(this.#table(kind).indexes.get(name)?.get(value)?.keys() ?? [])];
  }

  /** How many objects an index bucket holds, without copying it. */
  countIndex(kind: Kind, name: string, value: string): number {
    return this.#table(kind).indexes.get(name)?.get(value)?.size ?? 0;
  }

  onTouch(listener: TouchListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #table(kind: Kind): Table {
    let table = this.#tables.get(kind);
    if (table === undefined) {
      const names = Object.keys(indexFunctions[kind] ?? {});
      table = {
        objects: new Map(),
        indexes: new Map(names.map((name) => [name, new Map<string, Map<Key, unknown>>()])),
      };
      this.#tables.set(kind, table);
    }
    return table;
  }

  #replace(kind: Kind, key: Key, old: unknown, object: unknown, silent = false): void {
    const table = this.#table(kind);
    if (object === undefined) table.objects.delete(key);
    else table.objects.set(key, object);
    const reads: ReadKey[] = [objectRead(kind, key), listRead(kind)];
    const functions = (indexFunctions[kind] ?? {}) as Readonly<Record<string, (object: unknown) => readonly string[]>>;
    for (const [name, valuesOf] of Object.entries(functions)) {
      const index = table.indexes.get(name);
      if (index === undefined) continue;
      const touched = new Set<string>();
      for (const value of old === undefined ? [] : valuesOf(old)) {
        touched.add(value);
        const bucket = index.get(value);
        bucket?.delete(key);
        if (bucket?.size === 0) index.delete(value);
      }
      for (const value of object === undefined ? [] : valuesOf(object)) {
        touched.add(value);
        const bucket = index.get(value) ?? new Map<Key, unknown>();
        bucket.set(key, object);
        index.set(value, bucket);
      }
      for (const value of touched) reads.push(indexRead(kind, name, value));
    }
    if (!silent) for (const listener of this.#listeners) listener(kind, key, reads);
  }
}

const announced: ReadonlySet<string> = new Set(Object.values(announcement));

/**
 * Whether two versions of a pod differ in nothing but what we announced on it, which comes back with every new pod: no unit
 * compiles from that (the addresses in it are alloc's), so none runs again.
 */
function isAnnouncementOnly(old: Pod, now: Pod): boolean {
  const { annotations: before, ...oldRest } = old;
  const { annotations: after, ...newRest } = now;
  const same = (key: string): boolean => announced.has(key) || before[key] === after[key];
  return Object.keys(before).every(same) && Object.keys(after).every(same) && isDeepStrictEqual(oldRest, newRest);
}
