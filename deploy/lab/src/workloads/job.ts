import { systemClock, toTime } from '@ovenbird/kube';
import type { WorkloadContext } from './informers.ts';
import { isReady, isTerminal, JOBS, type Job, type LabPod } from './objects.ts';
import { controlPods, randomSuffix } from './owned-pods.ts';
import { type ConditionWish, showStatus, stamp } from './status.ts';

/** Where a Job stands and what is next. */
export interface JobPlan {
  readonly active: readonly LabPod[];
  readonly succeeded: number;
  readonly failed: number;
  /** Pods to create now. */
  readonly create: number;
  readonly delete: readonly LabPod[];
  /** Set when the Job is over. */
  readonly end?: { readonly type: 'Complete' | 'Failed'; readonly reason: string; readonly message: string };
  /** Milliseconds until it should be looked at again: a back-off or the active deadline. */
  readonly againMs?: number;
}

/** First delay after a failed pod; a cluster starts at 10 s, a lab should not. */
const BACKOFF_MS = { first: 1000, max: 360_000 } as const;

/** The next step of a Job. Pure. */
export function planJob(job: Job, pods: readonly LabPod[], nowMs: number): JobPlan {
  const { completions, parallelism = 1, backoffLimit = 6, suspend, activeDeadlineSeconds } = job.spec;
  const alive = pods.filter((pod) => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined);
  // A pod that was deleted after it ended still counts.
  const succeeded = Math.max(count(pods, 'Succeeded'), job.status?.succeeded ?? 0);
  const failedPods = Math.max(count(pods, 'Failed'), job.status?.failed ?? 0);
  const restarts = alive.reduce((sum, pod) => sum + restartsOf(pod), 0);
  const base = { active: alive, succeeded, failed: failedPods, create: 0, delete: [] };
  const goal = completions ?? 1;
  if (succeeded >= goal && (completions !== undefined || alive.length === 0)) {
    const message = 'Reached expected number of succeeded pods';
    return { ...base, delete: alive, end: { type: 'Complete', reason: 'CompletionsReached', message } };
  }
  if (failedPods + restarts > backoffLimit) {
    const message = 'Job has reached the specified backoff limit';
    return { ...base, delete: alive, end: { type: 'Failed', reason: 'BackoffLimitExceeded', message } };
  }
  const started = Date.parse(job.status?.startTime ?? toTime(nowMs));
  const left = activeDeadlineSeconds === undefined ? undefined : started + 1000 * activeDeadlineSeconds - nowMs;
  if (left !== undefined && left <= 0) {
    const message = 'Job was active longer than specified deadline';
    return { ...base, delete: alive, end: { type: 'Failed', reason: 'DeadlineExceeded', message } };
  }
  const again = left === undefined ? {} : { againMs: left };
  if (suspend === true) return { ...base, ...again, delete: alive };
  // Without completions any success means that the others may finish but no new one is started.
  const wanted =
    completions === undefined ? (succeeded > 0 ? 0 : parallelism) : Math.min(parallelism, goal - succeeded);
  const missing = wanted - alive.length;
  if (missing < 0 && completions !== undefined) return { ...base, ...again, delete: alive.slice(missing) };
  const wait = failedPods === 0 ? 0 : backoffLeft(pods, failedPods, nowMs);
  if (missing > 0 && wait > 0) return { ...base, againMs: Math.min(wait, left ?? wait) };
  return { ...base, ...again, create: Math.max(0, missing) };
}

/** Runs Jobs: completions, parallelism, backoffLimit, deadline, suspend, time to live. */
export function startJobs(context: WorkloadContext): void {
  controlPods({
    context,
    kind: JOBS,
    sync: async (job, pods, writer) => {
      const now = systemClock.wallMs();
      const over = endOf(job);
      if (over !== undefined) return await expire(context, job, over, now);
      const plan = planJob(job, pods, now);
      await writer.delete(plan.delete);
      const labels = {
        'job-name': job.metadata.name,
        'batch.kubernetes.io/job-name': job.metadata.name,
        'controller-uid': job.metadata.uid ?? '',
        'batch.kubernetes.io/controller-uid': job.metadata.uid ?? '',
      };
      const { template } = job.spec;
      await writer.create(
        Array.from({ length: plan.create }, () => ({
          name: `${job.metadata.name}-${randomSuffix()}`,
          template,
          labels,
          spec: { restartPolicy: template.spec.restartPolicy ?? 'Never' },
        })),
      );
      await report(context, job, plan, now);
      return plan.againMs === undefined ? undefined : { requeueAfterMs: plan.againMs };
    },
  });
}

async function report(context: WorkloadContext, job: Job, plan: JobPlan, now: number): Promise<void> {
  const { end } = plan;
  const wishes: ConditionWish[] = end ? [{ ...end, status: 'True' }] : [];
  if (end?.type === 'Complete') wishes.unshift({ ...end, type: 'SuccessCriteriaMet', status: 'True' });
  if (job.spec.suspend === true) {
    wishes.push({ type: 'Suspended', status: 'True', reason: 'JobSuspended', message: 'Job suspended' });
  }
  await showStatus(context.client, JOBS, job, {
    startTime: job.status?.startTime ?? toTime(now),
    active: end ? 0 : plan.active.length + plan.create,
    ready: plan.active.filter(isReady).length,
    succeeded: plan.succeeded,
    failed: plan.failed,
    ...(end?.type === 'Complete' ? { completionTime: toTime(now) } : {}),
    ...(wishes.length > 0 || job.status?.conditions ? { conditions: stamp(job.status?.conditions, wishes, now) } : {}),
  });
}

/** When a Job ended, milliseconds since 1970; undefined while it runs. */
function endOf(job: Job): number | undefined {
  const end = job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  );
  return end && Date.parse(end.lastTransitionTime ?? '');
}

async function expire(
  { client }: WorkloadContext,
  job: Job,
  ended: number,
  now: number,
): Promise<{ requeueAfterMs: number } | undefined> {
  const { ttlSecondsAfterFinished } = job.spec;
  if (ttlSecondsAfterFinished === undefined) return undefined;
  const left = ended + 1000 * ttlSecondsAfterFinished - now;
  if (left > 0) return { requeueAfterMs: left };
  const { uid } = job.metadata;
  await client.resource(JOBS).delete(job.metadata, { uid, propagationPolicy: 'Background' });
  return undefined;
}

function count(pods: readonly LabPod[], phase: 'Succeeded' | 'Failed'): number {
  return pods.filter((pod) => pod.status?.phase === phase).length;
}

function restartsOf(pod: LabPod): number {
  return (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** Milliseconds until a pod may replace the one that failed last. */
function backoffLeft(pods: readonly LabPod[], failures: number, nowMs: number): number {
  const ends = pods
    .filter((pod) => pod.status?.phase === 'Failed')
    .flatMap((pod) => pod.status?.containerStatuses ?? [])
    .map(({ state }) => Date.parse(state.terminated?.finishedAt ?? ''));
  const last = Math.max(0, ...ends.filter((end) => !Number.isNaN(end)));
  const delay = Math.min(BACKOFF_MS.max, BACKOFF_MS.first * 2 ** Math.min(failures - 1, 20));
  return Math.max(0, last + delay - nowMs);
}
