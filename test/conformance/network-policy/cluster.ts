import {
  ADMINNETWORKPOLICIES,
  BASELINEADMINNETWORKPOLICIES,
  CLUSTERNETWORKPOLICIES,
  KubeClient,
  KubeError,
  type KubeObject,
  NAMESPACES,
  NETWORKPOLICIES,
  PODS,
  type Resource,
  type ResourceKind,
} from '@ovenbird/kube';
import type { TestLab } from '../../src/lab.ts';
import { addressesOf, type PodObject as RunningPod } from '../../src/objects.ts';
import type { Fixture, FixtureObject, NamespaceObject, PodObject, Removal, Step } from './case.ts';

/** A pod of the cluster, as OVN sees it. */
export interface PlacedPod {
  readonly addresses: readonly string[];
  readonly mac: string;
  readonly logicalSwitch: string;
  readonly logicalPort: string;
}

/** Marks namespaces that were made here, so that nobody else's are taken over or deleted. */
const mark = 'ovenbird.io/conformance';

type Labels = Readonly<Record<string, string>>;

const kinds = {
  Namespace: NAMESPACES as ResourceKind,
  Pod: PODS as ResourceKind,
  NetworkPolicy: NETWORKPOLICIES as ResourceKind,
  AdminNetworkPolicy: ADMINNETWORKPOLICIES as ResourceKind,
  BaselineAdminNetworkPolicy: BASELINEADMINNETWORKPOLICIES as ResourceKind,
  ClusterNetworkPolicy: CLUSTERNETWORKPOLICIES as ResourceKind,
} as const;

const keyOf = (kind: string, namespace: string | undefined, name: string): string =>
  `${kind}/${namespace ?? ''}/${name}`;

/** The pods of a fixture on a lab, and what a case changes of them. Objects go through the Kubernetes API only. */
export class PolicyCluster {
  readonly #lab: TestLab;
  readonly #client: KubeClient;
  readonly #fixture: Fixture;
  /** What there is now. */
  readonly #present = new Map<string, FixtureObject>();
  #netns: ReadonlyMap<string, string> = new Map();
  readonly #pods = new Map<string, PlacedPod>();

  private constructor(lab: TestLab, client: KubeClient, fixture: Fixture) {
    this.#lab = lab;
    this.#client = client;
    this.#fixture = fixture;
  }

  /** Creates a fixture's objects and waits until its pods answer. */
  static async open(lab: TestLab, fixture: Fixture): Promise<PolicyCluster> {
    const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
    const cluster = new PolicyCluster(lab, client, fixture);
    await cluster.#zeroSnat('remove');
    for (const object of fixture.objects) await cluster.#apply(object);
    await cluster.#settle();
    return cluster;
  }

  /** Addresses of pods by `namespace/name`. @param family of the addresses; pods without one are left out */
  addresses(family: 4 | 6): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const [key, { addresses }] of this.#pods) {
      const address = addresses.find((text) => text.includes(':') === (family === 6));
      if (address !== undefined) found.set(key, address);
    }
    return found;
  }

  /** Pods by `namespace/name`. */
  get pods(): ReadonlyMap<string, PlacedPod> {
    return this.#pods;
  }

  /** Network namespaces of pods by `namespace/name`. */
  get netns(): ReadonlyMap<string, string> {
    return this.#netns;
  }

  async step({ apply = [], delete: removals = [] }: Pick<Step, 'apply' | 'delete'>): Promise<void> {
    for (const object of apply) await this.#apply(object);
    for (const removal of removals) await this.#remove(removal);
    await this.#settle();
  }

  /** Back to the bare fixture. */
  async reset(): Promise<void> {
    const wanted = new Map(this.#fixture.objects.map((object) => [objectKey(object), object]));
    for (const [key, { kind, metadata }] of this.#present)
      if (!wanted.has(key)) await this.#remove({ kind, ...metadata });
    for (const [key, object] of wanted) {
      const present = this.#present.get(key);
      if (present === undefined || !sameLabels(labelsOf(present), labelsOf(object))) await this.#apply(object);
    }
    await this.#settle();
  }

  /** Deletes everything. */
  async close(): Promise<void> {
    for (const { kind, metadata } of this.#present.values())
      if (isClusterPolicy(kind)) await this.#delete(kind, undefined, metadata.name);
    const namespaces = [...this.#present.values()].filter(({ kind }) => kind === 'Namespace');
    for (const { metadata } of namespaces) await this.#delete('Namespace', undefined, metadata.name);
    for (const { metadata } of namespaces) await this.#gone('Namespace', undefined, metadata.name);
    await this.#client.close();
    await this.#zeroSnat('add');
  }

  /** {@link TestLab.clearCaches}. */
  async clearCaches(): Promise<void> {
    await this.#lab.clearCaches();
  }

  /**
   * Tells ovn-controller whether the datapath can do all-zero SNAT, which it then uses for every connection that an ACL
   * commits. In the userspace datapath of OVS 3.1 that makes a second, never expiring entry of each connection, and a packet
   * of the same addresses and ports between the connection's end and the next sweep aborts vswitchd (conntrack.c:1063):
   * thousands of short connections between few pods meet that every few seconds.
   */
  async #zeroSnat(change: 'add' | 'remove'): Promise<void> {
    for (const node of this.#lab.nodes) {
      const rows = await this.#lab.vsctl(
        node,
        '--bare',
        '--columns=_uuid',
        'find',
        'Datapath',
        'capabilities:ct_state=true',
      );
      for (const row of rows.split('\n').filter((text) => text !== ''))
        await this.#lab.vsctl(node, change, 'Datapath', row, 'capabilities', 'ct_zero_snat=true');
    }
  }

  async #apply(object: FixtureObject): Promise<void> {
    if (object.kind === 'Service' || object.kind === 'Node') return;
    const { kind, metadata } = object;
    const key = objectKey(object);
    const known = this.#present.get(key);
    this.#present.set(key, object);
    if (object.kind !== 'Namespace' && object.kind !== 'Pod') await this.#put(object.kind, object);
    else if (known === undefined) await this.#create(object);
    else {
      const labels: Record<string, string | null> = {};
      for (const label of Object.keys(labelsOf(known))) labels[label] = null;
      await this.#resource(kind).patch(metadata, { metadata: { labels: { ...labels, ...labelsOf(object) } } });
    }
  }

  async #create(object: NamespaceObject | PodObject): Promise<void> {
    const { kind, metadata } = object;
    if (kind === 'Namespace') {
      const found = await this.#resource(kind).find(metadata);
      if (found !== undefined && found.metadata.annotations?.[mark] === undefined)
        throw new Error(`namespace ${metadata.name} is there already: delete it, or use another lab`);
      await this.#put(kind, { metadata: { ...metadata, annotations: { [mark]: 'true' } } });
      return;
    }
    const containers = object.spec.containers.map((container) => ({ image: 'lab', ...container }));
    const node = this.#lab.nodes[(Number(object.spec.nodeName.slice(1)) - 1) % this.#lab.nodes.length];
    const { hostNetwork } = object.spec;
    const spec = { terminationGracePeriodSeconds: 0, nodeName: node, containers, hostNetwork };
    try {
      await this.#resource(kind).create({ metadata, spec } as KubeObject);
    } catch (error) {
      // An earlier run was interrupted.
      if (!(error instanceof KubeError) || error.code !== 'already-exists') throw error;
    }
  }

  async #put(kind: Exclude<keyof typeof kinds, 'Pod'>, object: object): Promise<void> {
    const resource = this.#resource(kind);
    try {
      await resource.create(object as KubeObject);
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 'already-exists') throw error;
      await resource.replace(object as KubeObject);
    }
  }

  async #remove({ kind, namespace, name }: Removal): Promise<void> {
    if (kind === 'Service' || kind === 'Node') return;
    this.#present.delete(keyOf(kind, namespace, name));
    if (kind === 'Namespace')
      for (const [key, object] of this.#present) if (object.metadata.namespace === name) this.#present.delete(key);
    await this.#delete(kind, namespace, name);
    // A name is used again only when the old object is gone.
    await this.#gone(kind, namespace, name);
  }

  async #delete(kind: keyof typeof kinds, namespace: string | undefined, name: string): Promise<void> {
    try {
      await this.#resource(kind).delete({ namespace, name });
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 'not-found') throw error;
    }
  }

  async #gone(kind: keyof typeof kinds, namespace: string | undefined, name: string): Promise<void> {
    await this.#lab.waitFor(
      `${kind} ${name} is gone`,
      async () => (await this.#resource(kind).find({ namespace, name })) === undefined || 'still there',
      30_000,
    );
  }

  /** Waits until exactly the pods there should be are Ready, and knows their addresses. */
  async #settle(): Promise<void> {
    const pods = [...this.#present.values()].filter(({ kind }) => kind === 'Pod').map(({ metadata }) => metadata);
    const known = new Set(pods.map(({ namespace, name }) => `${namespace}/${name}`));
    let changed = false;
    for (const key of this.#pods.keys()) if (!known.has(key)) changed = this.#pods.delete(key);
    for (const { namespace, name } of pods) {
      if (this.#pods.has(`${namespace}/${name}`)) continue;
      changed = true;
      const placed = await this.#lab.waitFor(
        `pod ${namespace}/${name} is Ready`,
        async () => {
          const pod = (await this.#resource('Pod').find({ namespace, name })) as (RunningPod & KubeObject) | undefined;
          return pod !== undefined && isReady(pod)
            ? await this.#placedPod(pod)
            : (pod?.status.phase ?? 'does not exist');
        },
        30_000,
      );
      this.#pods.set(`${namespace}/${name}`, placed);
    }
    if (changed) this.#netns = await this.#lab.podNamespaces();
  }

  /** A pod in its node's network is the node: packets to it go by the router to the node's port. */
  async #placedPod(pod: RunningPod & KubeObject): Promise<PlacedPod> {
    const placed = placedPod(pod);
    if (placed.logicalSwitch !== '') return placed;
    const mac = await this.#lab.nbctl('--bare', 'get', 'Logical_Router_Port', 'ovn-cluster_ovn-default', 'mac');
    return { ...placed, mac: mac.trim().replaceAll('"', ''), logicalPort: `node_${pod.spec.nodeName ?? ''}` };
  }

  #resource(kind: keyof typeof kinds): Resource<KubeObject> {
    return this.#client.resource(kinds[kind]);
  }
}

const objectKey = ({ kind, metadata }: FixtureObject): string => keyOf(kind, metadata.namespace, metadata.name);
const labelsOf = ({ metadata }: FixtureObject): Labels => metadata.labels ?? {};
const sameLabels = (a: Labels, b: Labels): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value);

const clusterPolicies: readonly string[] = ['AdminNetworkPolicy', 'BaselineAdminNetworkPolicy', 'ClusterNetworkPolicy'];
const isClusterPolicy = (kind: string): kind is keyof typeof kinds => clusterPolicies.includes(kind);

function placedPod(pod: RunningPod & KubeObject): PlacedPod {
  const { namespace, name, annotations = {} } = pod.metadata;
  return {
    addresses: addressesOf(pod),
    mac: annotations['ovn.kubernetes.io/mac_address'] ?? '',
    logicalSwitch: annotations['ovn.kubernetes.io/logical_switch'] ?? '',
    logicalPort: `${name}.${namespace}`,
  };
}

function isReady(pod: KubeObject): boolean {
  const { status } = pod as { status?: { conditions?: readonly { type: string; status: string }[] } };
  return status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
}
