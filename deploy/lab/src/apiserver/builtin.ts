/** The resources that the server has without any CustomResourceDefinition. */
import { pruneBuiltin } from './builtin-schemas.ts';
import { AGE, COLUMNS, NAME } from './columns.ts';
import { builtinMergeType } from './merge-types.ts';
import {
  groupResource,
  type NameRule,
  type Resource,
  type ScalePaths,
  type Strategy,
  type Subresource,
} from './resource.ts';

interface Definition {
  readonly group?: string;
  readonly version?: string;
  readonly kind: string;
  readonly plural?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly clusterScoped?: boolean;
  readonly nameRule?: NameRule;
  readonly status?: boolean;
  readonly scale?: ScalePaths;
  readonly extra?: readonly Subresource[];
  readonly selectable?: readonly string[];
  readonly generation?: boolean;
}

const SCALE: ScalePaths = {
  specReplicas: ['spec', 'replicas'],
  statusReplicas: ['status', 'replicas'],
  labelSelector: ['spec', 'selector'],
};

const RBAC = 'rbac.authorization.k8s.io';

const DEFINITIONS: readonly Definition[] = [
  {
    kind: 'Namespace',
    shortNames: ['ns'],
    clusterScoped: true,
    nameRule: 'label',
    status: true,
    selectable: ['status.phase'],
    extra: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  },
  { kind: 'Node', shortNames: ['no'], clusterScoped: true, status: true, selectable: ['spec.unschedulable'] },
  {
    kind: 'Pod',
    shortNames: ['po'],
    categories: ['all'],
    status: true,
    generation: true,
    selectable: [
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.schedulerName',
      'spec.serviceAccountName',
      'spec.hostNetwork',
      'status.phase',
      'status.podIP',
      'status.nominatedNodeName',
    ],
    extra: [
      { name: 'attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
      { name: 'binding', kind: 'Binding', verbs: ['create'] },
      { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
      { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
      { name: 'log', kind: 'Pod', verbs: ['get'] },
    ],
  },
  {
    kind: 'Service',
    shortNames: ['svc'],
    categories: ['all'],
    nameRule: 'label1035',
    status: true,
    selectable: ['spec.clusterIP', 'spec.type'],
  },
  { kind: 'Endpoints', plural: 'endpoints', shortNames: ['ep'] },
  { kind: 'ConfigMap', shortNames: ['cm'] },
  { kind: 'Secret', selectable: ['type'] },
  { kind: 'ServiceAccount', shortNames: ['sa'] },
  {
    kind: 'Event',
    shortNames: ['ev'],
    selectable: [
      'involvedObject.kind',
      'involvedObject.namespace',
      'involvedObject.name',
      'involvedObject.uid',
      'involvedObject.apiVersion',
      'involvedObject.resourceVersion',
      'involvedObject.fieldPath',
      'reason',
      'reportingComponent',
      'source',
      'type',
    ],
  },
  {
    group: 'apps',
    kind: 'Deployment',
    shortNames: ['deploy'],
    categories: ['all'],
    status: true,
    scale: SCALE,
    generation: true,
  },
  {
    group: 'apps',
    kind: 'ReplicaSet',
    shortNames: ['rs'],
    categories: ['all'],
    status: true,
    scale: SCALE,
    generation: true,
  },
  {
    group: 'apps',
    kind: 'StatefulSet',
    shortNames: ['sts'],
    categories: ['all'],
    status: true,
    scale: SCALE,
    generation: true,
  },
  { group: 'apps', kind: 'DaemonSet', shortNames: ['ds'], categories: ['all'], status: true, generation: true },
  { group: 'apps', kind: 'ControllerRevision' },
  {
    group: 'batch',
    kind: 'Job',
    categories: ['all'],
    status: true,
    generation: true,
    selectable: ['status.successful'],
  },
  {
    group: 'admissionregistration.k8s.io',
    kind: 'ValidatingAdmissionPolicy',
    plural: 'validatingadmissionpolicies',
    clusterScoped: true,
    generation: true,
  },
  { group: 'admissionregistration.k8s.io', kind: 'ValidatingAdmissionPolicyBinding', clusterScoped: true },
  { group: 'coordination.k8s.io', kind: 'Lease' },
  { group: 'discovery.k8s.io', kind: 'EndpointSlice', generation: true },
  {
    group: 'networking.k8s.io',
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    shortNames: ['netpol'],
    generation: true,
  },
  { group: RBAC, kind: 'ClusterRole', clusterScoped: true, nameRule: 'path' },
  { group: RBAC, kind: 'ClusterRoleBinding', clusterScoped: true, nameRule: 'path' },
  { group: RBAC, kind: 'Role', nameRule: 'path' },
  { group: RBAC, kind: 'RoleBinding', nameRule: 'path' },
  {
    group: 'apiextensions.k8s.io',
    kind: 'CustomResourceDefinition',
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    clusterScoped: true,
    status: true,
    generation: true,
  },
];

/** The built-in resources; `strategies` by resource (`pods`, `deployments.apps`). */
export function builtinResources(strategies: Readonly<Record<string, Strategy>>): Resource[] {
  return DEFINITIONS.map((definition) => {
    const group = definition.group ?? '';
    const plural = definition.plural ?? `${definition.kind.toLowerCase()}s`;
    const key = groupResource({ group, plural });
    return {
      group,
      version: definition.version ?? 'v1',
      plural,
      singular: definition.kind.toLowerCase(),
      kind: definition.kind,
      listKind: `${definition.kind}List`,
      namespaced: definition.clusterScoped !== true,
      shortNames: definition.shortNames ?? [],
      categories: definition.categories ?? [],
      nameRule: definition.nameRule ?? 'subdomain',
      hasStatus: definition.status ?? false,
      ...(definition.scale === undefined ? {} : { scale: definition.scale }),
      extra: definition.extra ?? [],
      selectable: new Set(definition.selectable),
      columns: COLUMNS[key] ?? [NAME, AGE],
      generation: definition.generation ?? false,
      mergeType: builtinMergeType(definition.kind),
      strategy: { prune: pruneBuiltin, ...strategies[key] },
      custom: false,
    };
  });
}
