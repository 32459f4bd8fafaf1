import type { ClusterPolicyObject } from './types/cluster-policy.ts';
import type { ConfigMap, KubeEvent, Namespace, Node, Pod, Secret, Service } from './types/core.ts';
import type { CustomResourceDefinition, EndpointSlice, Lease, NetworkPolicy, StatefulSet } from './types/groups.ts';
import type { KubeObject } from './types/meta.ts';

/** Where the objects of one kind live in the API, and (at compile time only) their type. */
export interface ResourceKind<T extends KubeObject = KubeObject> {
  /** `''` for the core group. */
  readonly group: string;
  readonly version: string;
  /** CamelCase singular, as in manifests. */
  readonly kind: string;
  /** Lower-case plural, as in URLs. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** False: the status is no resource of its own but written with the object, and `metadata.generation` counts it too. */
  readonly statusSubresource?: false;
  /** Never present at run time: carries `T`. */
  readonly example?: T;
}

/**
 * Describes a kind.
 *
 * @example const SUBNETS = resourceKind<Subnet>({ group: 'ovenbird.io', version: 'v1', kind: 'Subnet', plural: 'subnets', namespaced: false });
 */
export function resourceKind<T extends KubeObject>(kind: Omit<ResourceKind<T>, 'example'>): ResourceKind<T> {
  return Object.freeze({ ...kind });
}

/** `v1` or `apps/v1`: what manifests call apiVersion. */
export function apiVersionOf(kind: ResourceKind): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

const core = <T extends KubeObject>(kind: string, plural: string, namespaced = true): ResourceKind<T> =>
  resourceKind<T>({ group: '', version: 'v1', kind, plural, namespaced });

export const PODS: ResourceKind<Pod> = core('Pod', 'pods');
export const NODES: ResourceKind<Node> = core('Node', 'nodes', false);
export const NAMESPACES: ResourceKind<Namespace> = core('Namespace', 'namespaces', false);
export const SERVICES: ResourceKind<Service> = core('Service', 'services');
export const EVENTS: ResourceKind<KubeEvent> = core('Event', 'events');
export const CONFIGMAPS: ResourceKind<ConfigMap> = core('ConfigMap', 'configmaps');
export const SECRETS: ResourceKind<Secret> = core('Secret', 'secrets');
export const ENDPOINTSLICES: ResourceKind<EndpointSlice> = resourceKind<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  namespaced: true,
});
export const NETWORKPOLICIES: ResourceKind<NetworkPolicy> = resourceKind<NetworkPolicy>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  namespaced: true,
});
export const STATEFULSETS: ResourceKind<StatefulSet> = resourceKind<StatefulSet>({
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  namespaced: true,
});
export const LEASES: ResourceKind<Lease> = resourceKind<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
});
export const CRDS: ResourceKind<CustomResourceDefinition> = resourceKind<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
});

const clusterPolicy = (version: string, kind: string, plural: string): ResourceKind<ClusterPolicyObject> =>
  resourceKind<ClusterPolicyObject>({ group: 'policy.networking.k8s.io', version, kind, plural, namespaced: false });

export const ADMINNETWORKPOLICIES: ResourceKind<ClusterPolicyObject> = clusterPolicy(
  'v1alpha1',
  'AdminNetworkPolicy',
  'adminnetworkpolicies',
);
export const BASELINEADMINNETWORKPOLICIES: ResourceKind<ClusterPolicyObject> = clusterPolicy(
  'v1alpha1',
  'BaselineAdminNetworkPolicy',
  'baselineadminnetworkpolicies',
);
export const CLUSTERNETWORKPOLICIES: ResourceKind<ClusterPolicyObject> = clusterPolicy(
  'v1alpha2',
  'ClusterNetworkPolicy',
  'clusternetworkpolicies',
);
