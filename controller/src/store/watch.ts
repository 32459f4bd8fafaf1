import {
  type IP,
  IPPOOLS,
  type IPPool,
  IPS,
  QOSPOLICIES,
  type QoSPolicy,
  SECURITYGROUPS,
  type SecurityGroup,
  SUBNETS,
  type Subnet,
  VIPS,
  type Vip,
  VPCS,
  type Vpc,
} from '@ovenbird/crds';
import {
  ADMINNETWORKPOLICIES,
  BASELINEADMINNETWORKPOLICIES,
  CLUSTERNETWORKPOLICIES,
  type ClusterPolicyObject,
  type KubeObject,
  NAMESPACES,
  NETWORKPOLICIES,
  NODES,
  PODS,
  Reflector,
  type ReflectorNotice,
  type ReflectorSink,
  type ResourceKind,
  STATEFULSETS,
  type StreamRequester,
  systemClock,
} from '@ovenbird/kube';
import { NETWORK_ATTACHMENT_DEFINITIONS, projectNetworkAttachment } from '../attachment/definition.ts';
import {
  projectVirtualMachine,
  projectVirtualMachineInstance,
  VIRTUALMACHINEINSTANCES,
  VIRTUALMACHINES,
} from '../machine/kubevirt.ts';
import { type ClusterPolicyKind, clusterPolicyKinds } from '../policy/cluster-model.ts';
import { MirrorPods } from './mirror-pods.ts';
import type { Key, Tables, WatchedKind } from './model.ts';
import { watchOptional } from './optional-watch.ts';
import {
  lasting,
  projectClusterPolicy,
  projectIp,
  projectIpPool,
  projectNamespace,
  projectNetworkPolicy,
  projectNode,
  projectPod,
  projectQosPolicy,
  projectSecurityGroup,
  projectStatefulSet,
  projectSubnet,
  projectVip,
  projectVpc,
} from './projections.ts';
import type { State } from './state.ts';
import { type Projected, StateSink } from './state-sink.ts';

export interface WatchOptions {
  readonly client: StreamRequester;
  readonly state: State;
  readonly defaultVpc: string;
  /** Names of what the cluster cannot be without. */
  readonly lasting: { readonly vpcs: readonly string[]; readonly subnets: readonly string[] };
  readonly signal: AbortSignal;
  readonly inferred: (change: () => void) => void;
  readonly changed: (kind: WatchedKind, keys: readonly Key[]) => void;
  /** Of these pods only what we announced changed. */
  readonly announced: (pods: readonly Key[]) => void;
  /** Raw objects with a status of ours, as they arrive. */
  readonly seenSubnet: (object: Subnet) => void;
  readonly seenVpc: (object: Vpc) => void;
  readonly seenIpPool: (object: IPPool) => void;
  readonly seenIp: (object: IP) => void;
  readonly seenVip: (object: Vip) => void;
  readonly seenQosPolicy: (object: QoSPolicy) => void;
  readonly seenSecurityGroup: (object: SecurityGroup) => void;
  readonly seenClusterPolicy: (kind: ClusterPolicyKind, object: ClusterPolicyObject) => void;
  readonly onNotice: (kind: WatchedKind, notice: ReflectorNotice) => void;
}

/** Watches every kind that the controller reads. Resolves when all were listed by quorum read (design §3.7). */
export async function watchAll(options: WatchOptions): Promise<void> {
  await Promise.all([
    watch(options, 'Vpc', VPCS, (vpc) => {
      options.seenVpc(vpc);
      return lasting(projectVpc(vpc), options.lasting.vpcs);
    }),
    watch(options, 'Subnet', SUBNETS, (subnet) => {
      options.seenSubnet(subnet);
      return lasting(projectSubnet(subnet, options.defaultVpc), options.lasting.subnets);
    }),
    watch<IP, 'IpRecord'>(options, 'IpRecord', IPS, (ip) => {
      options.seenIp(ip);
      return projectIp(ip);
    }),
    watch(options, 'Vip', VIPS, (vip) => {
      options.seenVip(vip);
      return projectVip(vip);
    }),
    watch(options, 'IPPool', IPPOOLS, (pool) => {
      options.seenIpPool(pool);
      return projectIpPool(pool);
    }),
    watch(options, 'QoSPolicy', QOSPOLICIES, (policy) => {
      options.seenQosPolicy(policy);
      return projectQosPolicy(policy);
    }),
    watch(options, 'SecurityGroup', SECURITYGROUPS, (group) => {
      options.seenSecurityGroup(group);
      return projectSecurityGroup(group, options.defaultVpc);
    }),
    watch(options, 'Namespace', NAMESPACES, projectNamespace),
    watch(options, 'Node', NODES, projectNode),
    watch(options, 'NetworkPolicy', NETWORKPOLICIES, projectNetworkPolicy),
    watch(options, 'StatefulSet', STATEFULSETS, projectStatefulSet),
    watch(
      options,
      'Pod',
      PODS,
      projectPod,
      new MirrorPods({ sink: sinkOf(options, 'Pod'), clock: systemClock, signal: options.signal }),
    ),
    watchIfServed(options, 'VirtualMachine', VIRTUALMACHINES, projectVirtualMachine),
    watchIfServed(options, 'VirtualMachineInstance', VIRTUALMACHINEINSTANCES, projectVirtualMachineInstance),
    watchIfServed(options, 'NetworkAttachment', NETWORK_ATTACHMENT_DEFINITIONS, projectNetworkAttachment),
    ...clusterPolicyKinds.map((kind) =>
      watchIfServed(options, kind, clusterPolicyResources[kind], (policy) => {
        options.seenClusterPolicy(kind, policy);
        return projectClusterPolicy(kind, policy);
      }),
    ),
  ]);
}

/** Resources of the policies of the whole cluster. */
export const clusterPolicyResources: Readonly<Record<ClusterPolicyKind, ResourceKind<ClusterPolicyObject>>> = {
  AdminNetworkPolicy: ADMINNETWORKPOLICIES,
  BaselineAdminNetworkPolicy: BASELINEADMINNETWORKPOLICIES,
  ClusterNetworkPolicy: CLUSTERNETWORKPOLICIES,
};

/** Watches a kind that the cluster may lack, and that may come and go. */
async function watchIfServed<T extends KubeObject, K extends WatchedKind>(
  options: WatchOptions,
  kind: K,
  resource: ResourceKind<T>,
  project: (object: T) => Tables[K],
): Promise<void> {
  const { client, signal, onNotice } = options;
  await watchOptional({
    client,
    kind: resource,
    signal,
    begin: () => begin(options, kind, resource, project),
    gone: () => sinkOf(options, kind).replace([], []),
    onNotice: (notice) => onNotice(kind, notice),
  });
}

async function watch<T extends KubeObject, K extends WatchedKind>(
  options: WatchOptions,
  kind: K,
  resource: ResourceKind<T>,
  project: (object: T) => Tables[K],
  sink?: ReflectorSink<Projected<K>>,
): Promise<void> {
  await begin(options, kind, resource, project, sink).synced;
}

function sinkOf<K extends WatchedKind>(options: WatchOptions, kind: K): StateSink<K> {
  const { state, inferred, changed, announced } = options;
  return new StateSink({ state, kind, inferred, announced, changed: (keys) => changed(kind, keys) });
}

function begin<T extends KubeObject, K extends WatchedKind>(
  options: WatchOptions,
  kind: K,
  resource: ResourceKind<T>,
  project: (object: T) => Tables[K],
  sink: ReflectorSink<Projected<K>> = sinkOf(options, kind),
): Reflector<T, Projected<K>> {
  const { client, signal, onNotice } = options;
  const reflector = new Reflector<T, Projected<K>>({
    client,
    kind: resource,
    signal,
    sink,
    onNotice: (notice) => onNotice(kind, notice),
    project: (object) => {
      const { name, namespace, uid, resourceVersion } = object.metadata;
      return { metadata: { name, namespace, uid, resourceVersion }, slim: project(object) };
    },
  });
  reflector.start();
  return reflector;
}
