import { isKubeError, NAMESPACES, type Namespace, type ResourceKind, WorkQueue } from '@ovenbird/kube';
import { discoverKinds } from './discovery.ts';
import { type WorkloadContext, whenSynced } from './informers.ts';

const FINALIZER = 'kubernetes';
/** Between two looks at a namespace whose content takes its time (grace periods, finalizers). */
const AGAIN_MS = { first: 100, max: 2000 } as const;

/** Empties namespaces that are being deleted, then lets them go. */
export function startNamespaces(context: WorkloadContext): void {
  const { informers, signal, onError } = context;
  const namespaces = informers.get(NAMESPACES);
  const looks = new Map<string, number>();
  const queue = new WorkQueue<string>({
    concurrency: 4,
    backoff: { initialMs: 100, maxMs: 10_000 },
    signal,
    process: async ({ key }) => {
      const namespace = namespaces.get(key);
      if (!namespace || !isEnding(namespace)) {
        looks.delete(key);
        return undefined;
      }
      if (await emptied(context, key)) {
        await finalize(context, namespace);
        return undefined;
      }
      const look = looks.get(key) ?? 0;
      looks.set(key, look + 1);
      return { requeueAfterMs: Math.min(AGAIN_MS.max, AGAIN_MS.first * 2 ** look) };
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'conflict', 'not-found', 'aborted')) {
        onError(`namespace ${key}`, failure.error);
      }
    },
  });
  namespaces.onChange((changes) => {
    for (const { key, new: now } of changes) if (now && isEnding(now)) queue.add(key);
  });
  whenSynced(informers, () => queue.start());
}

function isEnding(namespace: Namespace): boolean {
  return namespace.metadata.deletionTimestamp !== undefined && (namespace.spec?.finalizers ?? []).includes(FINALIZER);
}

/** Deletes what is there. @returns whether nothing was */
async function emptied(context: WorkloadContext, namespace: string): Promise<boolean> {
  const kinds = await discoverKinds(context.client, context.signal);
  const counts = await Promise.all(
    kinds.filter(({ namespaced }) => namespaced).map((kind) => deleteAll(context, kind, namespace)),
  );
  return counts.every((count) => count === 0);
}

async function deleteAll({ client, signal }: WorkloadContext, kind: ResourceKind, namespace: string): Promise<number> {
  const resource = client.resource(kind);
  const { items } = await resource.list({ namespace, signal });
  for (const { metadata } of items) {
    if (metadata.deletionTimestamp !== undefined) continue;
    try {
      const { name, uid } = metadata;
      await resource.delete({ name, namespace }, { uid, propagationPolicy: 'Background', signal });
    } catch (error) {
      if (!isKubeError(error, 'not-found', 'conflict')) throw error;
    }
  }
  return items.length;
}

async function finalize({ client, signal }: WorkloadContext, namespace: Namespace): Promise<void> {
  const { name } = namespace.metadata;
  const finalizers = (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
  await client.request({
    method: 'PUT',
    path: `/api/v1/namespaces/${encodeURIComponent(name)}/finalize`,
    body: { ...namespace, apiVersion: 'v1', kind: 'Namespace', spec: { ...namespace.spec, finalizers } },
    subject: { verb: 'finalize', resource: 'namespaces', name },
    signal,
  });
}
