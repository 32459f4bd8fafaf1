/** The columns that `kubectl get` shows for built-in kinds, as k8s.io/kubernetes/pkg/printers/internalversion prints them. */

import { duration } from './duration.ts';
import {
  at,
  isObject,
  type JsonObject,
  type KubeObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
  textOf,
} from './json.ts';
import type { Column } from './resource.ts';

type Cell = (object: KubeObject, now: number) => unknown;

function column(name: string, type: string, cell: Cell, priority = 0): Column {
  return { name, type, priority, cell };
}

const NONE = '<none>';

/** `Name`, the first column of nearly everything. */
export const NAME: Column = { ...column('Name', 'string', (object) => object.metadata.name), format: 'name' };

/** `Age`: time since creation. */
export const AGE: Column = column('Age', 'string', (object, now) => age(object.metadata.creationTimestamp, now));

/** How long ago `timestamp` (RFC 3339) was, for people. */
export function age(timestamp: unknown, now: number): string {
  const time = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(time) ? '<unknown>' : duration(now - time);
}

function joined(values: readonly unknown[]): string {
  const text = values.filter((value) => typeof value === 'string' && value !== '').join(',');
  return text === '' ? NONE : text;
}

function labels(value: unknown): string {
  return joined(Object.entries(objectOf(value)).map(([key, label]) => `${key}=${String(label)}`));
}

function selector(value: unknown): string {
  const parts = Object.entries(objectOf(at(value, 'matchLabels'))).map(([key, label]) => `${key}=${String(label)}`);
  for (const expression of objectsOf(at(value, 'matchExpressions'))) {
    const key = String(expression['key']);
    const values = listOf(expression['values']).join(',');
    switch (expression['operator']) {
      case 'In':
        parts.push(`${key} in (${values})`);
        break;
      case 'NotIn':
        parts.push(`${key} notin (${values})`);
        break;
      case 'DoesNotExist':
        parts.push(`!${key}`);
        break;
      default:
        parts.push(key);
    }
  }
  return joined(parts);
}

function templateContainers(object: KubeObject, field: string): string {
  return joined(objectsOf(at(object, 'spec', 'template', 'spec', 'containers')).map((item) => item[field]));
}

const CONTAINERS: Column = column('Containers', 'string', (object) => templateContainers(object, 'name'), 1);
const IMAGES: Column = column('Images', 'string', (object) => templateContainers(object, 'image'), 1);
const SELECTOR: Column = column('Selector', 'string', (object) => selector(at(object, 'spec', 'selector')), 1);

function count(object: KubeObject, ...path: string[]): number {
  return numberOf(at(object, ...path)) ?? 0;
}

function condition(object: KubeObject, type: string): JsonObject | undefined {
  return objectsOf(at(object, 'status', 'conditions')).find((item) => item['type'] === type);
}

/** The STATUS of a pod as kubectl shows it: a container's reason before the pod's phase. */
export function podStatus(pod: KubeObject): string {
  let status = stringOf(at(pod, 'status', 'reason')) ?? stringOf(at(pod, 'status', 'phase')) ?? 'Unknown';
  let running = false;
  for (const container of objectsOf(at(pod, 'status', 'containerStatuses')).reverse()) {
    const waiting = stringOf(at(container, 'state', 'waiting', 'reason'));
    const terminated = at(container, 'state', 'terminated');
    if (waiting !== undefined) {
      status = waiting;
    } else if (isObject(terminated)) {
      const signal = numberOf(terminated['signal']) ?? 0;
      status =
        stringOf(terminated['reason']) ??
        (signal === 0 ? `ExitCode:${String(terminated['exitCode'])}` : `Signal:${signal}`);
    } else if (container['ready'] === true && isObject(at(container, 'state', 'running'))) {
      running = true;
    }
  }
  if (status === 'Completed' && running)
    status = condition(pod, 'Ready')?.['status'] === 'True' ? 'Running' : 'NotReady';
  if (pod.metadata.deletionTimestamp !== undefined) {
    return at(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
  }
  return status;
}

function nodeStatus(node: KubeObject): string {
  const ready = condition(node, 'Ready');
  const status = ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady';
  return at(node, 'spec', 'unschedulable') === true ? `${status},SchedulingDisabled` : status;
}

function nodeRoles(node: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  return joined(
    Object.keys(node.metadata.labels ?? {})
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length)),
  );
}

function nodeAddress(type: string): Cell {
  return (node) =>
    objectsOf(at(node, 'status', 'addresses')).find((item) => item['type'] === type)?.['address'] ?? NONE;
}

function servicePorts(service: KubeObject): string {
  return joined(
    objectsOf(at(service, 'spec', 'ports')).map((port) => {
      const node = numberOf(port['nodePort']);
      return `${String(port['port'])}${node === undefined ? '' : `:${node}`}/${stringOf(port['protocol']) ?? 'TCP'}`;
    }),
  );
}

function externalIp(service: KubeObject): string {
  const ingress = objectsOf(at(service, 'status', 'loadBalancer', 'ingress')).map(
    (item) => item['ip'] ?? item['hostname'],
  );
  const spec = objectOf(service['spec']);
  const addresses = [...ingress, ...listOf(spec['externalIPs'])];
  if (spec['type'] === 'ExternalName') return stringOf(spec['externalName']) ?? NONE;
  if (spec['type'] === 'LoadBalancer' && addresses.length === 0) return '<pending>';
  return joined(addresses);
}

function endpoints(object: KubeObject): string {
  const parts: string[] = [];
  for (const subset of objectsOf(object['subsets'])) {
    const ports = objectsOf(subset['ports']);
    for (const address of objectsOf(subset['addresses'])) {
      const ip = String(address['ip']);
      const host = ip.includes(':') ? `[${ip}]` : ip;
      if (ports.length === 0) parts.push(ip);
      for (const port of ports) parts.push(`${host}:${String(port['port'])}`);
    }
  }
  return parts.length > 3 ? `${parts.slice(0, 3).join(',')} + ${parts.length - 3} more...` : joined(parts);
}

function slicePorts(slice: KubeObject): string {
  const ports = objectsOf(slice['ports']).map((port) => textOf(port['port'] ?? '*'));
  return ports.length === 0 ? '<unset>' : ports.join(',');
}

function sliceEndpoints(slice: KubeObject): string {
  const addresses = objectsOf(slice['endpoints']).flatMap((item) => listOf(item['addresses']));
  if (addresses.length === 0) return '<unset>';
  return addresses.length > 3
    ? `${addresses.slice(0, 3).join(',')} + ${addresses.length - 3} more...`
    : addresses.join(',');
}

function jobStatus(job: KubeObject): string {
  if (condition(job, 'Complete')?.['status'] === 'True') return 'Complete';
  if (condition(job, 'Failed')?.['status'] === 'True') return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return condition(job, 'Suspended')?.['status'] === 'True' ? 'Suspended' : 'Running';
}

function jobDuration(job: KubeObject, now: number): string {
  const start = Date.parse(stringOf(at(job, 'status', 'startTime')) ?? '');
  if (Number.isNaN(start)) return '';
  const end = Date.parse(stringOf(at(job, 'status', 'completionTime')) ?? '');
  return duration((Number.isNaN(end) ? now : end) - start);
}

function lastSeen(event: KubeObject, now: number): string {
  return age(
    at(event, 'series', 'lastObservedTime') ??
      event['lastTimestamp'] ??
      event['eventTime'] ??
      event.metadata.creationTimestamp,
    now,
  );
}

function reference(value: unknown): string {
  return `${(stringOf(at(value, 'kind')) ?? '').toLowerCase()}/${stringOf(at(value, 'name')) ?? ''}`;
}

function subjects(kind: string): Cell {
  return (object) =>
    objectsOf(object['subjects'])
      .filter((item) => item['kind'] === kind)
      .map((item) =>
        kind === 'ServiceAccount' ? `${String(item['namespace'])}/${String(item['name'])}` : item['name'],
      )
      .join(', ');
}

const ROLE_REF: Column = column(
  'Role',
  'string',
  (object) => `${String(at(object, 'roleRef', 'kind'))}/${String(at(object, 'roleRef', 'name'))}`,
);
const SUBJECTS: readonly Column[] = [
  column('Users', 'string', subjects('User'), 1),
  column('Groups', 'string', subjects('Group'), 1),
  column('ServiceAccounts', 'string', subjects('ServiceAccount'), 1),
];
const CREATED: Column = column('Created At', 'date', (object) => object.metadata.creationTimestamp);

/** Columns by resource (`pods`, `deployments.apps`). Resources that are not named have Name and Age. */
export const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  pods: [
    NAME,
    column('Ready', 'string', (pod) => {
      const total = objectsOf(at(pod, 'spec', 'containers')).length;
      const ready = objectsOf(at(pod, 'status', 'containerStatuses')).filter((item) => item['ready'] === true).length;
      return `${ready}/${total}`;
    }),
    column('Status', 'string', podStatus),
    column('Restarts', 'string', (pod) =>
      String(
        objectsOf(at(pod, 'status', 'containerStatuses')).reduce(
          (sum, item) => sum + (numberOf(item['restartCount']) ?? 0),
          0,
        ),
      ),
    ),
    AGE,
    column('IP', 'string', (pod) => stringOf(at(pod, 'status', 'podIP')) ?? NONE, 1),
    column('Node', 'string', (pod) => stringOf(at(pod, 'spec', 'nodeName')) ?? NONE, 1),
    column('Nominated Node', 'string', (pod) => stringOf(at(pod, 'status', 'nominatedNodeName')) ?? NONE, 1),
    column('Readiness Gates', 'string', () => NONE, 1),
  ],
  nodes: [
    NAME,
    column('Status', 'string', nodeStatus),
    column('Roles', 'string', nodeRoles),
    AGE,
    column('Version', 'string', (node) => at(node, 'status', 'nodeInfo', 'kubeletVersion') ?? ''),
    column('Internal-IP', 'string', nodeAddress('InternalIP'), 1),
    column('External-IP', 'string', nodeAddress('ExternalIP'), 1),
    column('OS-Image', 'string', (node) => at(node, 'status', 'nodeInfo', 'osImage') ?? '<unknown>', 1),
    column('Kernel-Version', 'string', (node) => at(node, 'status', 'nodeInfo', 'kernelVersion') ?? '<unknown>', 1),
    column(
      'Container-Runtime',
      'string',
      (node) => at(node, 'status', 'nodeInfo', 'containerRuntimeVersion') ?? '<unknown>',
      1,
    ),
  ],
  namespaces: [NAME, column('Status', 'string', (object) => at(object, 'status', 'phase') ?? ''), AGE],
  services: [
    NAME,
    column('Type', 'string', (service) => at(service, 'spec', 'type') ?? ''),
    column('Cluster-IP', 'string', (service) => stringOf(at(service, 'spec', 'clusterIP')) || NONE),
    column('External-IP', 'string', externalIp),
    column('Port(s)', 'string', servicePorts),
    AGE,
    column('Selector', 'string', (service) => labels(at(service, 'spec', 'selector')), 1),
  ],
  endpoints: [NAME, column('Endpoints', 'string', endpoints), AGE],
  'endpointslices.discovery.k8s.io': [
    NAME,
    column('AddressType', 'string', (slice) => slice['addressType']),
    column('Ports', 'string', slicePorts),
    column('Endpoints', 'string', sliceEndpoints),
    AGE,
  ],
  configmaps: [
    NAME,
    column('Data', 'string', (object) =>
      String(Object.keys(objectOf(object['data'])).length + Object.keys(objectOf(object['binaryData'])).length),
    ),
    AGE,
  ],
  secrets: [
    NAME,
    column('Type', 'string', (object) => object['type']),
    column('Data', 'string', (object) => String(Object.keys(objectOf(object['data'])).length)),
    AGE,
  ],
  serviceaccounts: [NAME, column('Secrets', 'string', (object) => String(listOf(object['secrets']).length)), AGE],
  events: [
    column('Last Seen', 'string', lastSeen),
    column('Type', 'string', (event) => event['type']),
    column('Reason', 'string', (event) => event['reason']),
    column('Object', 'string', (event) => reference(event['involvedObject'])),
    column('Subobject', 'string', (event) => at(event, 'involvedObject', 'fieldPath') ?? '', 1),
    column(
      'Source',
      'string',
      (event) => joined([at(event, 'source', 'component') ?? event['reportingComponent'], at(event, 'source', 'host')]),
      1,
    ),
    column('Message', 'string', (event) => (stringOf(event['message']) ?? '').trim()),
    column('First Seen', 'string', (event, now) => age(event['firstTimestamp'] ?? event['eventTime'], now), 1),
    column('Count', 'string', (event) => textOf(at(event, 'series', 'count') ?? event['count'] ?? 1), 1),
    { ...column('Name', 'string', (event) => event.metadata.name, 1), format: 'name' },
  ],
  'deployments.apps': [
    NAME,
    column(
      'Ready',
      'string',
      (object) => `${count(object, 'status', 'readyReplicas')}/${count(object, 'spec', 'replicas')}`,
    ),
    column('Up-to-date', 'string', (object) => String(count(object, 'status', 'updatedReplicas'))),
    column('Available', 'string', (object) => String(count(object, 'status', 'availableReplicas'))),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  'replicasets.apps': [
    NAME,
    column('Desired', 'integer', (object) => count(object, 'spec', 'replicas')),
    column('Current', 'integer', (object) => count(object, 'status', 'replicas')),
    column('Ready', 'integer', (object) => count(object, 'status', 'readyReplicas')),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  'statefulsets.apps': [
    NAME,
    column(
      'Ready',
      'string',
      (object) => `${count(object, 'status', 'readyReplicas')}/${count(object, 'spec', 'replicas')}`,
    ),
    AGE,
    CONTAINERS,
    IMAGES,
  ],
  'daemonsets.apps': [
    NAME,
    column('Desired', 'integer', (object) => count(object, 'status', 'desiredNumberScheduled')),
    column('Current', 'integer', (object) => count(object, 'status', 'currentNumberScheduled')),
    column('Ready', 'integer', (object) => count(object, 'status', 'numberReady')),
    column('Up-to-date', 'integer', (object) => count(object, 'status', 'updatedNumberScheduled')),
    column('Available', 'integer', (object) => count(object, 'status', 'numberAvailable')),
    column('Node Selector', 'string', (object) => labels(at(object, 'spec', 'template', 'spec', 'nodeSelector'))),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  'jobs.batch': [
    NAME,
    column('Status', 'string', jobStatus),
    column(
      'Completions',
      'string',
      (job) => `${count(job, 'status', 'succeeded')}/${count(job, 'spec', 'completions') || 1}`,
    ),
    column('Duration', 'string', jobDuration),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
  ],
  'leases.coordination.k8s.io': [
    NAME,
    column('Holder', 'string', (lease) => at(lease, 'spec', 'holderIdentity') ?? ''),
    AGE,
  ],
  'networkpolicies.networking.k8s.io': [
    NAME,
    column('Pod-Selector', 'string', (policy) => selector(at(policy, 'spec', 'podSelector'))),
    AGE,
  ],
  'clusterroles.rbac.authorization.k8s.io': [NAME, CREATED],
  'roles.rbac.authorization.k8s.io': [NAME, CREATED],
  'clusterrolebindings.rbac.authorization.k8s.io': [NAME, ROLE_REF, AGE, ...SUBJECTS],
  'rolebindings.rbac.authorization.k8s.io': [NAME, ROLE_REF, AGE, ...SUBJECTS],
  'customresourcedefinitions.apiextensions.k8s.io': [NAME, CREATED],
};
