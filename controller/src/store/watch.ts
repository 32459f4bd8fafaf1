import { type IP, IPPOOLS, type IPPool, IPS, SUBNETS, type Subnet, VPCS, type Vpc } from '@ovenbird/crds';
import {
  type KubeObject,
  NAMESPACES,
  NETWORKPOLICIES,
  NODES,
  PODS,
  Reflector,
  type ReflectorNotice,
  type ResourceKind,
  STATEFULSETS,
  type StreamRequester,
} from '@ovenbird/kube';
import { NETWORK_ATTACHMENT_DEFINITIONS, projectNetworkAttachment } from '../attachment/definition.ts';
import type { Key, Kind, Tables } from './model.ts';
import {
  projectIp,
  projectIpPool,
  projectNamespace,
  projectNetworkPolicy,
  projectNode,
  projectPod,
  projectStatefulSet,
  projectSubnet,
  projectVpc,
} from './projections.ts';
import type { State } from './state.ts';
import { type Projected, StateSink } from './state-sink.ts';

export interface WatchOptions {
  readonly client: StreamRequester;
  readonly state: State;
  readonly defaultVpc: string;
  readonly signal: AbortSignal;
  readonly inferred: (change: () => void) => void;
  readonly changed: (kind: Kind, keys: readonly Key[]) => void;
  /** Raw objects with a status of ours, as they arrive. */
  readonly seenSubnet: (object: Subnet) => void;
  readonly seenVpc: (object: Vpc) => void;
  readonly seenIpPool: (object: IPPool) => void;
  readonly onNotice: (kind: Kind, notice: ReflectorNotice) => void;
}

/** Watches every kind that the controller reads. Resolves when all were listed by quorum read (design §3.7). */
export async function watchAll(options: WatchOptions): Promise<void> {
  await Promise.all([
    watch(options, 'Vpc', VPCS, (vpc) => {
      options.seenVpc(vpc);
      return projectVpc(vpc);
    }),
    watch(options, 'Subnet', SUBNETS, (subnet) => {
      options.seenSubnet(subnet);
      return projectSubnet(subnet, options.defaultVpc);
    }),
    watch<IP, 'IpRecord'>(options, 'IpRecord', IPS, projectIp),
    watch(options, 'IPPool', IPPOOLS, (pool) => {
      options.seenIpPool(pool);
      return projectIpPool(pool);
    }),
    watch(options, 'Namespace', NAMESPACES, projectNamespace),
    watch(options, 'Node', NODES, projectNode),
    watch(options, 'NetworkPolicy', NETWORKPOLICIES, projectNetworkPolicy),
    watch(options, 'StatefulSet', STATEFULSETS, projectStatefulSet),
    watch(options, 'Pod', PODS, projectPod),
    watchIfThere(options, 'NetworkAttachment', NETWORK_ATTACHMENT_DEFINITIONS, projectNetworkAttachment),
  ]);
}

/**
 * Watches a kind that the cluster may lack: until its CRD appears there are no objects, which is as good as a list. The
 * reflector goes on asking, at the longest delay of its backoff.
 */
async function watchIfThere<T extends KubeObject, K extends Kind>(
  options: WatchOptions,
  kind: K,
  resource: ResourceKind<T>,
  project: (object: T) => Tables[K],
): Promise<void> {
  const absent = Promise.withResolvers<void>();
  const onNotice = (of: Kind, notice: ReflectorNotice): void => {
    if (notice.type === 'error' && notice.error.code === 'not-found') absent.resolve();
    else options.onNotice(of, notice);
  };
  await Promise.race([watch({ ...options, onNotice }, kind, resource, project), absent.promise]);
}

async function watch<T extends KubeObject, K extends Kind>(
  options: WatchOptions,
  kind: K,
  resource: ResourceKind<T>,
  project: (object: T) => Tables[K],
): Promise<void> {
  const { client, state, signal, inferred, changed, onNotice } = options;
  const reflector = new Reflector<T, Projected<K>>({
    client,
    kind: resource,
    signal,
    sink: new StateSink({ state, kind, inferred, changed: (keys) => changed(kind, keys) }),
    onNotice: (notice) => onNotice(kind, notice),
    project: (object) => {
      const { name, namespace, uid, resourceVersion } = object.metadata;
      return { metadata: { name, namespace, uid, resourceVersion }, slim: project(object) };
    },
  });
  reflector.start();
  await reflector.synced;
}
