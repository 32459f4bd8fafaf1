import { isKubeError, WorkQueue } from '@ovenbird/kube';
import { type WorkloadContext, whenSynced } from './informers.ts';
import { LAB_NODES, LAB_PODS, type LabPod } from './objects.ts';
import { isTolerated } from './scheduler.ts';

/**
 * Removes pods that no kubelet will finish: those bound to a node that is gone. Pods on a node with a NoExecute taint
 * that they do not tolerate are deleted normally.
 */
export function startPodGc(context: WorkloadContext): void {
  const { informers, client, signal, onError } = context;
  const pods = informers.get(LAB_PODS);
  const nodes = informers.get(LAB_NODES);
  const resource = client.resource(LAB_PODS);
  const queue = new WorkQueue<string>({
    concurrency: 8,
    backoff: { initialMs: 100, maxMs: 30_000 },
    signal,
    process: async ({ key }) => {
      const pod = pods.get(key);
      const name = pod?.spec.nodeName;
      if (!pod || !name) return;
      const { metadata } = pod;
      if (nodes.has(name)) {
        if (metadata.deletionTimestamp === undefined && isDriven(pod)) {
          await resource.delete(metadata, { uid: metadata.uid, signal });
        }
        return;
      }
      // Ask the server itself: the store of nodes may be behind that of pods.
      if (await client.resource(LAB_NODES).find({ name }, { signal })) return;
      await resource.delete(metadata, { uid: metadata.uid, gracePeriodSeconds: 0, signal });
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'conflict', 'not-found', 'aborted')) {
        onError(`garbage collection of pod ${key}`, failure.error);
      }
    },
  });

  /** Whether a taint of its node drives the pod away now; tolerationSeconds are taken as for ever. */
  const isDriven = (pod: LabPod): boolean =>
    (nodes.get(pod.spec.nodeName ?? '')?.spec?.taints ?? []).some(
      (taint) => taint.effect === 'NoExecute' && !isTolerated(taint, pod.spec.tolerations ?? []),
    );

  pods.onChange((changes) => {
    for (const { key, new: now } of changes) {
      if (now?.spec.nodeName && (!nodes.has(now.spec.nodeName) || isDriven(now))) queue.add(key);
    }
  });
  nodes.onChange((changes) => {
    for (const { old, new: now } of changes) {
      const tainted = now?.spec?.taints?.some(({ effect }) => effect === 'NoExecute');
      if (now && !tainted) continue;
      for (const key of pods.indexKeys('node', (now ?? old)?.metadata.name ?? '')) queue.add(key);
    }
  });
  whenSynced(informers, () => queue.start());
}
