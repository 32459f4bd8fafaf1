import type { Node } from '@ovenbird/kube';
import type { WorkloadContext } from './informers.ts';
import { DAEMONSETS, type DaemonSet, isReady, isTerminal, LAB_NODES, type LabPod, type Toleration } from './objects.ts';
import { controlPods, randomSuffix, templateHash } from './owned-pods.ts';
import { isTolerated } from './scheduler.ts';
import { showStatus } from './status.ts';

const REVISION = 'controller-revision-hash';

/** What every daemon tolerates: it often is what makes the node ready (DaemonSet documentation, "Taints and tolerations"). */
const TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' },
];

/** What to do next for a DaemonSet. */
export interface DaemonPlan {
  /** Names of nodes that lack their pod. */
  readonly create: readonly string[];
  readonly delete: readonly LabPod[];
}

/** Whether the node should run the daemon; readiness does not matter. */
export function wantsDaemon(set: DaemonSet, node: Node): boolean {
  const { nodeSelector = {}, tolerations = [] } = set.spec.template.spec;
  const labels = node.metadata.labels ?? {};
  const all = [...tolerations, ...TOLERATIONS];
  return (
    node.metadata.deletionTimestamp === undefined &&
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value) &&
    (node.spec?.taints ?? []).every((taint) => taint.effect === 'PreferNoSchedule' || isTolerated(taint, all))
  );
}

/** The next step of a DaemonSet: one pod per node that wants it. Updates replace one pod at a time. Pure. */
export function planDaemonSet(
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly LabPod[],
  revision: string,
): DaemonPlan {
  const wanted = new Set(nodes.filter((node) => wantsDaemon(set, node)).map((node) => node.metadata.name));
  const kept = new Map<string, LabPod>();
  const gone: LabPod[] = [];
  for (const pod of pods.toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)))) {
    const node = pod.spec.nodeName ?? '';
    if (!wanted.has(node) || kept.has(node) || isTerminal(pod)) gone.push(pod);
    else kept.set(node, pod);
  }
  const create = [...wanted].filter(
    (node) => !kept.has(node) && !gone.some((pod) => pod.spec.nodeName === node && !isTerminal(pod)),
  );
  const settled = create.length === 0 && [...kept.values()].every((pod) => isAlive(pod) && isReady(pod));
  if (settled && set.spec.updateStrategy?.type !== 'OnDelete') {
    const outdated = [...kept.values()].find(({ metadata }) => metadata.labels?.[REVISION] !== revision);
    if (outdated) gone.push(outdated);
  }
  return { create, delete: gone.filter(isAlive) };
}

/** Runs DaemonSets; their pods are bound at birth. */
export function startDaemonSets(context: WorkloadContext): void {
  const { informers } = context;
  const nodes = informers.get(LAB_NODES);
  const sets = informers.get(DAEMONSETS);
  const again = controlPods({
    context,
    kind: DAEMONSETS,
    sync: async (set, pods, writer) => {
      const all = [...nodes.values()];
      const { template } = set.spec;
      const revision = templateHash(template);
      const plan = planDaemonSet(set, all, pods, revision);
      await writer.delete(plan.delete);
      await writer.create(
        plan.create.map((nodeName) => ({
          name: `${set.metadata.name}-${randomSuffix()}`,
          template,
          labels: { [REVISION]: revision },
          spec: { nodeName, tolerations: [...(template.spec.tolerations ?? []), ...TOLERATIONS] },
        })),
      );
      await report(context, set, all, pods, revision);
      return undefined;
    },
  });
  nodes.onChange((changes) => {
    const moved = changes.some(({ old, new: now }) => !old || !now || viewOf(old) !== viewOf(now));
    if (moved) for (const key of sets.keys()) again(key);
  });
}

async function report(
  context: WorkloadContext,
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly LabPod[],
  revision: string,
): Promise<void> {
  const wanted = new Set(nodes.filter((node) => wantsDaemon(set, node)).map((node) => node.metadata.name));
  const alive = pods.filter((pod) => isAlive(pod) && !isTerminal(pod));
  const placed = alive.filter((pod) => wanted.has(pod.spec.nodeName ?? ''));
  const ready = placed.filter(isReady).length;
  await showStatus(context.client, DAEMONSETS, set, {
    observedGeneration: set.metadata.generation,
    desiredNumberScheduled: wanted.size,
    currentNumberScheduled: placed.length,
    numberMisscheduled: alive.length - placed.length,
    numberReady: ready,
    numberAvailable: ready,
    numberUnavailable: wanted.size - ready,
    updatedNumberScheduled: placed.filter(({ metadata }) => metadata.labels?.[REVISION] === revision).length,
  });
}

function viewOf(node: Node): string {
  return JSON.stringify([node.metadata.labels, node.spec?.taints, node.metadata.deletionTimestamp]);
}

function isAlive(pod: LabPod): boolean {
  return pod.metadata.deletionTimestamp === undefined;
}
