import {
  controllerOf,
  EventRecorder,
  isKubeError,
  type KubeClient,
  type Node,
  systemClock,
  toTime,
  WorkQueue,
} from '@ovenbird/kube';
import { type WorkloadContext, whenSynced } from './informers.ts';
import { isTerminal, LAB_NODES, LAB_PODS, type LabPod, type Toleration } from './objects.ts';

const NAME = 'default-scheduler';

/** What the choice of a node reads of the cluster. */
export interface Occupancy {
  /** Pods on the node. */
  readonly total: (node: string) => number;
  /** Pods of the same controller on the node. */
  readonly siblings: (node: string) => number;
}

/** Why a node cannot take a pod; undefined when it can. */
export function obstacle(node: Node, pod: LabPod): string | undefined {
  if (node.metadata.deletionTimestamp !== undefined) return 'node(s) were being deleted';
  if (node.spec?.unschedulable === true) return 'node(s) were unschedulable';
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True') return 'node(s) were not ready';
  const labels = node.metadata.labels ?? {};
  const wanted = Object.entries(pod.spec.nodeSelector ?? {});
  if (!wanted.every(([key, value]) => labels[key] === value)) return "node(s) didn't match Pod's node selector";
  const taint = node.spec?.taints?.find(
    (candidate) => candidate.effect !== 'PreferNoSchedule' && !isTolerated(candidate, pod.spec.tolerations ?? []),
  );
  return taint && `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
}

/** Whether one of the tolerations matches the taint (core/v1, Toleration). */
export function isTolerated(
  taint: { readonly key: string; readonly value?: string | undefined; readonly effect: string },
  tolerations: readonly Toleration[],
): boolean {
  return tolerations.some(({ key = '', operator = 'Equal', value = '', effect = '' }) => {
    if (effect !== '' && effect !== taint.effect) return false;
    if (key === '') return operator === 'Exists';
    return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
  });
}

/**
 * The node for a pod: of those without an obstacle the one with the fewest pods of the same controller, then the
 * fewest pods, then the first by name. Otherwise the message that kubectl shows for a pending pod. Pure.
 */
export function chooseNode(
  nodes: readonly Node[],
  pod: LabPod,
  occupancy: Occupancy,
): { readonly node: string } | { readonly message: string } {
  const obstacles = new Map<string, number>();
  const free: string[] = [];
  for (const node of nodes) {
    const why = obstacle(node, pod);
    if (why === undefined) free.push(node.metadata.name);
    else obstacles.set(why, (obstacles.get(why) ?? 0) + 1);
  }
  const [best] = free.toSorted(
    (a, b) =>
      occupancy.siblings(a) - occupancy.siblings(b) ||
      occupancy.total(a) - occupancy.total(b) ||
      a.localeCompare(b, 'en', { numeric: true }),
  );
  if (best !== undefined) return { node: best };
  const reasons = [...obstacles].map(([why, count]) => `${count} ${why}`).join(', ');
  return { message: `0/${nodes.length} nodes are available${reasons === '' ? '' : `: ${reasons}`}.` };
}

/** Pods that were given a node but whose new state the watch has not shown yet: they count. */
class Assumed {
  readonly #nodes = new Map<string, { node: string; owner: string }>();

  add(uid: string, node: string, owner: string): void {
    this.#nodes.set(uid, { node, owner });
  }

  delete(uid: string): void {
    this.#nodes.delete(uid);
  }

  count(node: string, owner?: string): number {
    let count = 0;
    for (const entry of this.#nodes.values()) {
      if (entry.node === node && (owner === undefined || entry.owner === owner)) count += 1;
    }
    return count;
  }
}

/** Gives pods without a node one, and tries those that fit nowhere again when a node changes. */
export function startScheduler(context: WorkloadContext, client: KubeClient): void {
  const { informers, signal, onError } = context;
  const pods = informers.get(LAB_PODS);
  const nodes = informers.get(LAB_NODES);
  const events = new EventRecorder({ client, component: NAME, instance: NAME, signal });
  const assumed = new Assumed();
  const pending = new Set<string>();
  const queue = new WorkQueue<string>({
    concurrency: 16,
    backoff: { initialMs: 50, maxMs: 10_000 },
    signal,
    process: async ({ key }) => {
      const pod = pods.get(key);
      if (pod && isWaiting(pod)) await schedule(key, pod);
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'aborted')) onError(`scheduler: pod ${key}`, failure.error);
    },
  });

  const schedule = async (key: string, pod: LabPod): Promise<void> => {
    const owner = controllerOf(pod)?.uid ?? '';
    const choice = chooseNode([...nodes.values()], pod, {
      total: (node) => pods.indexKeys('node', node).size + assumed.count(node),
      siblings: (node) =>
        owner === '' ? 0 : pods.indexKeys('owner-node', `${owner}/${node}`).size + assumed.count(node, owner),
    });
    if ('message' in choice) {
      pending.add(key);
      await showUnschedulable(pod, choice.message);
      return;
    }
    const uid = pod.metadata.uid ?? '';
    assumed.add(uid, choice.node, owner);
    try {
      await bind(client, pod, choice.node, signal);
    } catch (error) {
      assumed.delete(uid);
      if (!isKubeError(error, 'not-found', 'conflict')) throw error; // gone, or bound by somebody else
    }
    if (pods.get(key)?.spec.nodeName) assumed.delete(uid); // the watch was faster than the answer
  };

  const showUnschedulable = async (pod: LabPod, message: string): Promise<void> => {
    const before = pod.status?.conditions ?? [];
    const old = before.find(({ type }) => type === 'PodScheduled');
    if (old?.status === 'False' && old.message === message) return;
    events.record(LAB_PODS, pod, { type: 'Warning', reason: 'FailedScheduling', message });
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime: old?.status === 'False' ? old.lastTransitionTime : toTime(systemClock.wallMs()),
    };
    const { name, namespace, uid } = pod.metadata;
    const conditions = [...before.filter(({ type }) => type !== 'PodScheduled'), condition];
    try {
      await client
        .resource(LAB_PODS)
        .patchStatus(
          { name, namespace },
          { metadata: { uid }, status: { conditions } },
          { fieldManager: NAME, signal },
        );
    } catch (error) {
      if (!isKubeError(error, 'not-found', 'conflict')) throw error;
    }
  };

  pods.onChange((changes) => {
    for (const { key, old, new: now } of changes) {
      if (old && old.metadata.uid !== now?.metadata.uid) assumed.delete(old.metadata.uid ?? '');
      if (now && isWaiting(now)) {
        if (!old || !isWaiting(old) || old.metadata.uid !== now.metadata.uid) queue.add(key);
      } else {
        pending.delete(key);
        assumed.delete(now?.metadata.uid ?? '');
      }
    }
  });
  nodes.onChange((changes) => {
    // A heartbeat alone frees nothing.
    if (!changes.some(({ old, new: now }) => now && schedulingView(old) !== schedulingView(now))) return;
    for (const key of pending) queue.add(key);
    pending.clear();
  });
  whenSynced(informers, () => queue.start());
}

function isWaiting(pod: LabPod): boolean {
  return (
    !pod.spec.nodeName &&
    pod.metadata.deletionTimestamp === undefined &&
    !isTerminal(pod) &&
    (pod.spec.schedulerName ?? NAME) === NAME &&
    (pod.spec.schedulingGates ?? []).length === 0
  );
}

function schedulingView(node: Node | undefined): string {
  const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return JSON.stringify([node?.metadata.labels, node?.spec?.unschedulable, node?.spec?.taints, ready]);
}

async function bind(client: KubeClient, pod: LabPod, node: string, signal: AbortSignal): Promise<void> {
  const { name, namespace = '', uid } = pod.metadata;
  await client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/binding`,
    body: {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    },
    subject: { verb: 'bind', resource: 'pods', namespace, name },
    signal,
  });
}
