import type { WorkloadContext } from './informers.ts';
import { isReady, isTerminal, type LabPod, REPLICASETS, type ReplicaSet } from './objects.ts';
import { controlPods, type PodWriter, randomSuffix } from './owned-pods.ts';
import { showStatus } from './status.ts';

/** Keeps as many pods as a ReplicaSet wants; a pod that ended for good is replaced. */
export function startReplicaSets(context: WorkloadContext): void {
  controlPods({
    context,
    kind: REPLICASETS,
    sync: async (replicaSet, pods, writer) => {
      await scale(replicaSet, pods, writer);
      const alive = pods.filter((pod) => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined);
      const ready = alive.filter(isReady).length;
      await showStatus(context.client, REPLICASETS, replicaSet, {
        replicas: alive.length,
        fullyLabeledReplicas: alive.length,
        readyReplicas: ready,
        availableReplicas: ready,
        observedGeneration: replicaSet.metadata.generation,
      });
      return undefined;
    },
  });
}

async function scale(replicaSet: ReplicaSet, pods: readonly LabPod[], writer: PodWriter): Promise<void> {
  const { replicas = 1, template } = replicaSet.spec;
  const alive = pods.filter((pod) => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined);
  const missing = replicas - alive.length;
  if (missing > 0) {
    const names = Array.from({ length: missing }, () => `${replicaSet.metadata.name}-${randomSuffix()}`);
    await writer.create(names.map((name) => ({ name, template })));
  } else if (missing < 0) {
    await writer.delete(alive.toSorted(byUsefulness).slice(0, -missing));
  }
}

/** Least useful first: without a node, then not ready, then the youngest. */
function byUsefulness(a: LabPod, b: LabPod): number {
  const rank = (pod: LabPod): number => (pod.spec.nodeName ? 1 : 0) + (isReady(pod) ? 2 : 0);
  const age = (pod: LabPod): string => pod.metadata.creationTimestamp ?? '';
  return rank(a) - rank(b) || age(b).localeCompare(age(a)) || a.metadata.name.localeCompare(b.metadata.name);
}
