/** The roles that a fresh cluster has, cut down to what the lab's components and users need. */
import type { JsonObject } from './json.ts';

const GROUP = 'rbac.authorization.k8s.io';
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];

function rule(apiGroups: string[], resources: string[], verbs: string[]): JsonObject {
  return { apiGroups, resources, verbs };
}

function clusterRole(name: string, rules: JsonObject[], labels: Record<string, string> = {}): JsonObject {
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'ClusterRole',
    metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels } },
    rules,
  };
}

function binding(name: string, kind: 'User' | 'Group', ...subjects: string[]): JsonObject {
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } },
    roleRef: { apiGroup: GROUP, kind: 'ClusterRole', name },
    subjects: subjects.map((subject) => ({ kind, apiGroup: GROUP, name: subject })),
  };
}

const VIEWABLE: readonly [string[], string[]][] = [
  [
    [''],
    [
      'configmaps',
      'endpoints',
      'events',
      'namespaces',
      'pods',
      'pods/log',
      'pods/status',
      'serviceaccounts',
      'services',
      'services/status',
    ],
  ],
  [
    ['apps'],
    [
      'controllerrevisions',
      'daemonsets',
      'deployments',
      'deployments/scale',
      'replicasets',
      'replicasets/scale',
      'statefulsets',
      'statefulsets/scale',
    ],
  ],
  [['batch'], ['jobs']],
  [['discovery.k8s.io'], ['endpointslices']],
  [['networking.k8s.io'], ['networkpolicies']],
];

const EDITABLE: readonly [string[], string[]][] = [
  [[''], ['configmaps', 'pods', 'pods/attach', 'pods/eviction', 'pods/exec', 'secrets', 'serviceaccounts', 'services']],
  [
    ['apps'],
    [
      'daemonsets',
      'deployments',
      'deployments/scale',
      'replicasets',
      'replicasets/scale',
      'statefulsets',
      'statefulsets/scale',
    ],
  ],
  [['batch'], ['jobs']],
  [['networking.k8s.io'], ['networkpolicies']],
];

function aggregated(name: string, ...from: string[]): JsonObject {
  return {
    ...clusterRole(name, []),
    aggregationRule: {
      clusterRoleSelectors: from.map((role) => ({
        matchLabels: { [`${GROUP}/aggregate-to-${role}`]: 'true' },
      })),
    },
  };
}

/** ClusterRoles and ClusterRoleBindings, created at start where they are missing. */
export function bootstrapRoles(): JsonObject[] {
  const view = VIEWABLE.map(([groups, resources]) => rule(groups, resources, READ));
  const edit = [
    ...EDITABLE.map(([groups, resources]) => rule(groups, resources, WRITE)),
    rule([''], ['pods/attach', 'pods/exec', 'secrets'], READ),
  ];
  return [
    clusterRole('cluster-admin', [rule(['*'], ['*'], ['*']), { nonResourceURLs: ['*'], verbs: ['*'] }]),
    binding('cluster-admin', 'Group', 'system:masters'),
    clusterRole('system:public-info-viewer', [
      { nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'], verbs: ['get'] },
    ]),
    binding('system:public-info-viewer', 'Group', 'system:authenticated', 'system:unauthenticated'),
    clusterRole('system:discovery', [
      {
        nonResourceURLs: [
          '/api',
          '/api/*',
          '/apis',
          '/apis/*',
          '/healthz',
          '/livez',
          '/openapi',
          '/openapi/*',
          '/readyz',
          '/version',
          '/version/',
        ],
        verbs: ['get'],
      },
    ]),
    binding('system:discovery', 'Group', 'system:authenticated'),
    clusterRole('system:basic-user', [
      rule(['authorization.k8s.io'], ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
      rule(['authentication.k8s.io'], ['selfsubjectreviews'], ['create']),
    ]),
    binding('system:basic-user', 'Group', 'system:authenticated'),
    aggregated('view', 'view'),
    aggregated('edit', 'edit', 'view'),
    aggregated('admin', 'admin', 'edit', 'view'),
    clusterRole('system:aggregate-to-view', view, { [`${GROUP}/aggregate-to-view`]: 'true' }),
    clusterRole('system:aggregate-to-edit', edit, { [`${GROUP}/aggregate-to-edit`]: 'true' }),
    clusterRole('system:aggregate-to-admin', [rule([GROUP], ['rolebindings', 'roles'], [...READ, ...WRITE])], {
      [`${GROUP}/aggregate-to-admin`]: 'true',
    }),
    // A real cluster limits a kubelet to its own node's objects by the node authorizer; here it is a plain role.
    clusterRole('system:node', [
      rule([''], ['configmaps', 'namespaces', 'secrets', 'services'], READ),
      rule([''], ['nodes'], [...READ, 'create', 'patch', 'update']),
      rule([''], ['nodes/status', 'pods/status'], ['get', 'patch', 'update']),
      rule([''], ['pods'], [...READ, 'create', 'delete', 'patch']),
      rule([''], ['events'], ['create', 'patch', 'update']),
      // The lab's kubelet does what Multus does on a real node.
      rule(['k8s.cni.cncf.io'], ['network-attachment-definitions'], ['get']),
      rule(['coordination.k8s.io'], ['leases'], [...READ, 'create', 'delete', 'patch', 'update']),
    ]),
    binding('system:node', 'Group', 'system:nodes'),
    clusterRole('system:kube-scheduler', [
      rule([''], ['namespaces', 'nodes', 'pods'], READ),
      rule([''], ['pods/binding'], ['create']),
      rule([''], ['pods/status'], ['patch', 'update']),
      rule([''], ['events'], ['create', 'patch', 'update']),
      rule(['coordination.k8s.io'], ['leases'], ['create', 'get', 'list', 'patch', 'update', 'watch']),
    ]),
    binding('system:kube-scheduler', 'User', 'system:kube-scheduler'),
    clusterRole('system:kube-controller-manager', [rule(['*'], ['*'], ['*'])]),
    binding('system:kube-controller-manager', 'User', 'system:kube-controller-manager'),
  ];
}
