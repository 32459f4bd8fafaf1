import type { WorkloadContext } from './informers.ts';
import { isReady, isTerminal, LAB_STATEFULSETS, type LabPod, type LabStatefulSet } from './objects.ts';
import { controlPods, type NewPod, templateHash } from './owned-pods.ts';
import { showStatus } from './status.ts';

const REVISION = 'controller-revision-hash';

/** What to do next for a StatefulSet. */
export interface StatefulPlan {
  /** Ordinals to create. */
  readonly create: readonly number[];
  readonly delete: readonly LabPod[];
}

/**
 * The next step of a StatefulSet. Pure. `OrderedReady` does one thing at a time: it creates an ordinal when all before
 * it are ready, and deletes from the highest; `Parallel` creates and deletes at once. A pod that has ended for good is
 * deleted so that it can be made again under its name. Updates go one pod at a time, from the highest ordinal down to
 * the partition.
 */
export function planStatefulSet(set: LabStatefulSet, pods: readonly LabPod[], revision: string): StatefulPlan {
  const { replicas = 1, ordinals, podManagementPolicy, updateStrategy } = set.spec;
  const start = ordinals?.start ?? 0;
  const wanted = Array.from({ length: replicas }, (_, index) => start + index);
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod), pod]));
  const parallel = podManagementPolicy === 'Parallel';
  const surplus = [...byOrdinal]
    .filter(([ordinal]) => ordinal === undefined || ordinal < start || ordinal >= start + replicas)
    .toSorted(([a = -1], [b = -1]) => b - a)
    .map(([, pod]) => pod);
  const ended = wanted.flatMap((ordinal) => byOrdinal.get(ordinal) ?? []).filter(isTerminal);
  const missing = wanted.filter((ordinal) => !byOrdinal.has(ordinal));
  if (parallel) {
    const gone = [...surplus, ...ended].filter(isAlive);
    if (missing.length > 0 || gone.length > 0) return { create: missing, delete: gone };
  } else {
    for (const ordinal of wanted) {
      const pod = byOrdinal.get(ordinal);
      if (!pod) return { create: [ordinal], delete: [] };
      if (isTerminal(pod)) return { create: [], delete: isAlive(pod) ? [pod] : [] };
      if (!isAlive(pod) || !isReady(pod)) return { create: [], delete: [] };
    }
    const [highest] = surplus;
    if (highest) return { create: [], delete: isAlive(highest) ? [highest] : [] };
  }
  if (updateStrategy?.type === 'OnDelete') return { create: [], delete: [] };
  const partition = updateStrategy?.rollingUpdate?.partition ?? 0;
  for (const ordinal of wanted.toReversed()) {
    const pod = byOrdinal.get(ordinal);
    if (!pod || ordinal < partition) break;
    if (!isAlive(pod)) return { create: [], delete: [] };
    if (pod.metadata.labels?.[REVISION] !== revision) return { create: [], delete: [pod] };
    if (!isReady(pod)) return { create: [], delete: [] };
  }
  return { create: [], delete: [] };
}

/** Runs StatefulSets. Volumes and stored revisions are not part of the lab: a pod always gets the current template. */
export function startStatefulSets(context: WorkloadContext): void {
  controlPods({
    context,
    kind: LAB_STATEFULSETS,
    sync: async (set, pods, writer) => {
      const revision = revisionOf(set);
      const plan = planStatefulSet(set, pods, revision);
      await writer.create(plan.create.map((ordinal) => podOf(set, ordinal, revision)));
      await writer.delete(plan.delete);
      await report(context, set, pods, revision);
      return undefined;
    },
  });
}

function podOf(set: LabStatefulSet, ordinal: number, revision: string): NewPod {
  const name = `${set.metadata.name}-${ordinal}`;
  return {
    name,
    template: set.spec.template,
    labels: {
      'apps.kubernetes.io/pod-index': String(ordinal),
      'statefulset.kubernetes.io/pod-name': name,
      [REVISION]: revision,
    },
    spec: { hostname: name, subdomain: set.spec.serviceName },
  };
}

async function report(
  context: WorkloadContext,
  set: LabStatefulSet,
  pods: readonly LabPod[],
  revision: string,
): Promise<void> {
  const alive = pods.filter((pod) => isAlive(pod) && !isTerminal(pod));
  const ready = alive.filter(isReady).length;
  const updated = alive.filter(({ metadata }) => metadata.labels?.[REVISION] === revision).length;
  const before = (set.status as { currentRevision?: string } | undefined)?.currentRevision;
  const current = updated === (set.spec.replicas ?? 1) || before === undefined ? revision : before;
  await showStatus(context.client, LAB_STATEFULSETS, set, {
    observedGeneration: set.metadata.generation,
    replicas: alive.length,
    readyReplicas: ready,
    availableReplicas: ready,
    updatedReplicas: updated,
    currentReplicas: alive.filter(({ metadata }) => metadata.labels?.[REVISION] === current).length,
    currentRevision: current,
    updateRevision: revision,
    collisionCount: 0,
  });
}

function revisionOf(set: LabStatefulSet): string {
  return `${set.metadata.name}-${templateHash(set.spec.template)}`.slice(-63);
}

function ordinalOf(set: LabStatefulSet, pod: LabPod): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const rest = pod.metadata.name.startsWith(prefix) ? pod.metadata.name.slice(prefix.length) : '';
  return /^(0|[1-9]\d*)$/.test(rest) ? Number(rest) : undefined;
}

function isAlive(pod: LabPod): boolean {
  return pod.metadata.deletionTimestamp === undefined;
}
