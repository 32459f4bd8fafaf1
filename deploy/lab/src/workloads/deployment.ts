import { type IntOrString, isKubeError, systemClock, WorkQueue } from '@ovenbird/kube';
import { ownersTouched, type WorkloadContext, whenSynced } from './informers.ts';
import { DEPLOYMENTS, type Deployment, type PodTemplate, REPLICASETS, type ReplicaSet } from './objects.ts';
import { controllerReference, templateHash } from './owned-pods.ts';
import { showStatus, stamp } from './status.ts';

const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';

/** What a rollout decides from. */
export interface RolloutInput {
  readonly desired: number;
  readonly strategy: NonNullable<Deployment['spec']['strategy']>;
  /** The ReplicaSet of the current template. */
  readonly current: ReplicaState;
  /** All others, oldest first. */
  readonly old: readonly ReplicaState[];
}

/** A ReplicaSet's wish and reality. */
export interface ReplicaState {
  readonly name: string;
  readonly replicas: number;
  readonly available: number;
  /** Pods that exist. */
  readonly actual: number;
}

/**
 * The sizes the ReplicaSets should have next, by name; only those that change. Pure. Never more than
 * desired + maxSurge pods in all, never fewer than desired - maxUnavailable available ones by our doing.
 */
export function planRollout({ desired, strategy, current, old }: RolloutInput): ReadonlyMap<string, number> {
  const plan = new Map<string, number>();
  const set = (state: ReplicaState, replicas: number): void => {
    if (replicas !== state.replicas) plan.set(state.name, replicas);
  };
  if (strategy.type === 'Recreate') {
    for (const state of old) set(state, 0);
    if (old.every(({ actual, replicas }) => actual === 0 && replicas === 0)) set(current, desired);
    return plan;
  }
  const { surge, unavailable } = limits(desired, strategy);
  const total = current.replicas + old.reduce((sum, { replicas }) => sum + replicas, 0);
  const room = Math.max(0, desired + surge - total);
  const next = current.replicas > desired ? desired : Math.min(desired, current.replicas + room);
  set(current, next);
  // Pods that are not available cost nothing to remove; of the others, as many as the new ones make up for.
  const available = current.available + old.reduce((sum, state) => sum + state.available, 0);
  let spare = Math.max(0, available - (desired - unavailable));
  for (const state of old) {
    const broken = Math.max(0, state.replicas - state.available);
    const removable = Math.min(state.replicas, broken + Math.min(state.available, spare));
    spare -= Math.max(0, removable - broken);
    set(state, state.replicas - removable);
  }
  return plan;
}

/** maxSurge rounds up, maxUnavailable down; both zero would never move, so one pod may be missing then. */
function limits(desired: number, strategy: RolloutInput['strategy']): { surge: number; unavailable: number } {
  const { maxSurge = '25%', maxUnavailable = '25%' } = strategy.rollingUpdate ?? {};
  const surge = portion(maxSurge, desired, Math.ceil);
  const unavailable = portion(maxUnavailable, desired, Math.floor);
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

function portion(value: IntOrString, of: number, round: (value: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = Number.parseInt(value, 10);
  return Number.isNaN(percent) ? 0 : round((percent * of) / 100);
}

/** Rolls Deployments out over ReplicaSets. */
export function startDeployments(context: WorkloadContext): void {
  const { informers, signal, onError } = context;
  const deployments = informers.get(DEPLOYMENTS);
  const replicaSets = informers.get(REPLICASETS);
  const keyByUid = new Map<string, string>();
  const queue = new WorkQueue<string>({
    concurrency: 4,
    backoff: { initialMs: 50, maxMs: 30_000 },
    signal,
    process: async ({ key }) => {
      const deployment = deployments.get(key);
      if (!deployment || deployment.metadata.deletionTimestamp !== undefined) return;
      await sync(context, deployment, replicaSets.byIndex('owner', deployment.metadata.uid ?? ''));
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'conflict', 'already-exists', 'aborted')) {
        onError(`Deployment ${key}`, failure.error);
      }
    },
  });
  deployments.onChange((changes) => {
    for (const { key, old, new: now } of changes) {
      if (old && old.metadata.uid !== now?.metadata.uid) keyByUid.delete(old.metadata.uid ?? '');
      if (now) keyByUid.set(now.metadata.uid ?? '', key);
      if (now) queue.add(key);
    }
  });
  replicaSets.onChange((changes) => {
    for (const change of changes) {
      for (const uid of ownersTouched(change)) {
        const key = keyByUid.get(uid);
        if (key !== undefined) queue.add(key);
      }
    }
  });
  whenSynced(informers, () => queue.start());
}

async function sync(context: WorkloadContext, deployment: Deployment, owned: readonly ReplicaSet[]): Promise<void> {
  const { client } = context;
  const alive = owned.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const hash = templateHash(deployment.spec.template);
  const current = alive.find(({ metadata }) => metadata.labels?.[HASH] === hash);
  const old = alive.filter((replicaSet) => replicaSet !== current).toSorted((a, b) => revisionOf(a) - revisionOf(b));
  const revision = Math.max(current ? revisionOf(current) : 0, 1 + Math.max(0, ...old.map(revisionOf)));
  if (!current) {
    if (deployment.spec.paused === true && old.length > 0) return;
    await createReplicaSet(context, deployment, hash, revision);
    return; // its appearance comes through the watch
  }
  await keepRevision(context, deployment, current, revision);
  if (deployment.spec.paused !== true) {
    const plan = planRollout({
      desired: deployment.spec.replicas ?? 1,
      strategy: deployment.spec.strategy ?? {},
      current: stateOf(current),
      old: old.map(stateOf),
    });
    const replicaSets = client.resource(REPLICASETS);
    for (const replicaSet of [current, ...old]) {
      const replicas = plan.get(replicaSet.metadata.name);
      if (replicas === undefined) continue;
      // The version guards the plan: it was made from exactly this state.
      const metadata = { resourceVersion: replicaSet.metadata.resourceVersion };
      await replicaSets.patch(replicaSet.metadata, { metadata, spec: { replicas } }, by);
    }
    await prune(context, deployment, old);
  }
  await report(context, deployment, current, old);
}

const by = { fieldManager: 'kube-controller-manager' } as const;

async function createReplicaSet(
  { client }: WorkloadContext,
  deployment: Deployment,
  hash: string,
  revision: number,
): Promise<void> {
  const { name, namespace } = deployment.metadata;
  const template: PodTemplate = {
    metadata: {
      ...deployment.spec.template.metadata,
      labels: { ...deployment.spec.template.metadata?.labels, [HASH]: hash },
    },
    spec: deployment.spec.template.spec,
  };
  await client.resource(REPLICASETS).create(
    {
      metadata: {
        name: `${name}-${hash}`,
        namespace,
        labels: template.metadata?.labels,
        annotations: { [REVISION]: String(revision) },
        ownerReferences: [controllerReference(DEPLOYMENTS, deployment)],
      },
      spec: {
        replicas: 0,
        selector: {
          ...deployment.spec.selector,
          matchLabels: { ...deployment.spec.selector.matchLabels, [HASH]: hash },
        },
        template,
      },
    },
    by,
  );
}

/** `kubectl rollout history` reads the revision from both. */
async function keepRevision(
  { client }: WorkloadContext,
  deployment: Deployment,
  current: ReplicaSet,
  revision: number,
): Promise<void> {
  const patch = { metadata: { annotations: { [REVISION]: String(revision) } } };
  if (revisionOf(current) !== revision) await client.resource(REPLICASETS).patch(current.metadata, patch, by);
  if (deployment.metadata.annotations?.[REVISION] !== String(revision)) {
    await client.resource(DEPLOYMENTS).patch(deployment.metadata, patch, by);
  }
}

async function prune({ client }: WorkloadContext, deployment: Deployment, old: readonly ReplicaSet[]): Promise<void> {
  const empty = old.filter((replicaSet) => replicaSet.spec.replicas === 0 && (replicaSet.status?.replicas ?? 0) === 0);
  const surplus = empty.length - (deployment.spec.revisionHistoryLimit ?? 10);
  for (const replicaSet of empty.slice(0, Math.max(0, surplus))) {
    await client.resource(REPLICASETS).delete(replicaSet.metadata, { uid: replicaSet.metadata.uid });
  }
}

async function report(
  { client }: WorkloadContext,
  deployment: Deployment,
  current: ReplicaSet,
  old: readonly ReplicaSet[],
): Promise<void> {
  const sum = (read: (replicaSet: ReplicaSet) => number | undefined): number =>
    [current, ...old].reduce((total, replicaSet) => total + (read(replicaSet) ?? 0), 0);
  const desired = deployment.spec.replicas ?? 1;
  const replicas = sum(({ status }) => status?.replicas);
  const available = sum(({ status }) => status?.availableReplicas);
  const updated = current.status?.replicas ?? 0;
  const { unavailable } = limits(desired, deployment.spec.strategy ?? {});
  const enough = available >= desired - unavailable;
  const complete = updated === desired && replicas === desired && available === desired;
  const before = (deployment.status as { conditions?: unknown } | undefined)?.conditions;
  const conditions = stamp(
    before,
    [
      {
        type: 'Available',
        status: enough ? 'True' : 'False',
        reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: `Deployment ${enough ? 'has' : 'does not have'} minimum availability.`,
      },
      {
        type: 'Progressing',
        status: 'True',
        reason: complete ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated',
        message: `ReplicaSet "${current.metadata.name}" ${complete ? 'has successfully progressed' : 'is progressing'}.`,
      },
    ],
    systemClock.wallMs(),
  );
  await showStatus(client, DEPLOYMENTS, deployment, {
    observedGeneration: deployment.metadata.generation,
    replicas,
    updatedReplicas: updated,
    readyReplicas: sum(({ status }) => status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, desired - available),
    conditions,
  });
}

function stateOf(replicaSet: ReplicaSet): ReplicaState {
  return {
    name: replicaSet.metadata.name,
    replicas: replicaSet.spec.replicas ?? 1,
    available: replicaSet.status?.availableReplicas ?? 0,
    actual: replicaSet.status?.replicas ?? 0,
  };
}

function revisionOf(replicaSet: ReplicaSet): number {
  return Number(replicaSet.metadata.annotations?.[REVISION] ?? 0);
}
