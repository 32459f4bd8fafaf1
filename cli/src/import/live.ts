import {
  KubeClient,
  KubeError,
  type KubeObject,
  NAMESPACES,
  PODS,
  type ResourceKind,
  resourceKind,
  STATEFULSETS,
} from '@ovenbird/kube';
import type { Manifest } from './report.ts';

interface ApiResourceList {
  readonly resources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

const workload = (kind: string, plural: string): ResourceKind =>
  resourceKind<KubeObject>({ group: 'apps', version: 'v1', kind, plural, namespaced: true });

/** Objects of Kubernetes that have annotations of Kube-OVN. */
const annotated: readonly ResourceKind[] = [
  NAMESPACES,
  PODS,
  STATEFULSETS,
  workload('Deployment', 'deployments'),
  workload('DaemonSet', 'daemonsets'),
];

/**
 * Reads what a cluster with Kube-OVN has: all kinds that it serves in `kubeovn.io/v1`, and what may carry annotations.
 * @throws KubeError, and Error when Kube-OVN's kinds are not served
 */
export async function readCluster(kubeconfig: string, signal: AbortSignal): Promise<readonly Manifest[]> {
  const client = await KubeClient.load({ kubeconfig });
  const served = await client
    .request<ApiResourceList>({ method: 'GET', path: '/apis/kubeovn.io/v1', signal })
    .catch((error: unknown) => {
      if (error instanceof KubeError && error.code === 'not-found') return undefined;
      throw error;
    });
  const theirs = (served?.resources ?? [])
    .filter(({ name, verbs }) => !name.includes('/') && verbs.includes('list'))
    .map(({ name, kind, namespaced }) =>
      resourceKind<KubeObject>({ group: 'kubeovn.io', version: 'v1', kind, plural: name, namespaced }),
    );
  const objects: Manifest[] = [];
  for (const kind of [...theirs, ...annotated]) {
    const { items } = await client.resource(kind).list({ signal });
    // Lists of typed kinds leave these two out of their items.
    const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
    for (const item of items) objects.push({ ...(item as Manifest), apiVersion, kind: kind.kind });
  }
  if (theirs.length === 0)
    throw new KubeError('not-found', 'the cluster does not serve kubeovn.io/v1: Kube-OVN is not installed');
  return objects;
}
