import { type KubeClient, type ResourceKind, resourceKind } from '@ovenbird/kube';

interface ResourceList {
  readonly resources?: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

interface GroupList {
  readonly groups?: readonly {
    readonly name: string;
    readonly preferredVersion?: { readonly version: string };
    readonly versions?: readonly { readonly version: string }[];
  }[];
}

/** All kinds that can be listed, watched and deleted, each in the version its group prefers. */
export async function discoverKinds(client: KubeClient, signal: AbortSignal): Promise<ResourceKind[]> {
  const get = <T>(path: string): Promise<T> => client.request<T>({ path, signal });
  const { groups = [] } = await get<GroupList>('/apis');
  const lists = await Promise.all([
    get<ResourceList>('/api/v1').then((list) => kindsOf('', 'v1', list)),
    ...groups.map(async ({ name, preferredVersion, versions }) => {
      const version = preferredVersion?.version ?? versions?.[0]?.version;
      if (version === undefined) return [];
      return kindsOf(name, version, await get<ResourceList>(`/apis/${name}/${version}`));
    }),
  ]);
  return lists.flat();
}

function kindsOf(group: string, version: string, { resources = [] }: ResourceList): ResourceKind[] {
  return resources
    .filter(({ name, verbs }) => !name.includes('/') && ['list', 'watch', 'delete'].every((v) => verbs.includes(v)))
    .map(({ name, kind, namespaced }) => resourceKind({ group, version, kind, plural: name, namespaced }));
}
