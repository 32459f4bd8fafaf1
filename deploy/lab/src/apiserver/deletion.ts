/** What a delete does to an object: nothing stands in the way and it goes, or it is marked and waits. */
import type { Admit } from './admission-policies.ts';
import { at, clone, type KubeObject, listOf, numberOf, stringOf } from './json.ts';
import { groupResource, type Resource } from './resource.ts';

/** metav1.DeleteOptions, as far as it is honoured. */
export interface DeleteOptions {
  readonly dryRun: boolean;
  /** As in WriteOptions. */
  readonly admit?: Admit;
  /** Preconditions. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** Seconds; for pods only. */
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
}

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

/** Whether an object that is being deleted has nothing left to wait for. */
export function removable(resource: Resource, object: KubeObject): boolean {
  if (object.metadata.deletionTimestamp === undefined) return false;
  if ((object.metadata.finalizers ?? []).length > 0) return false;
  if (groupResource(resource) === 'namespaces') return listOf(at(object, 'spec', 'finalizers')).length === 0;
  return (object.metadata.deletionGracePeriodSeconds ?? 0) === 0;
}

function graceOf(resource: Resource, object: KubeObject, options: DeleteOptions): number {
  if (groupResource(resource) !== 'pods') return 0;
  const phase = at(object, 'status', 'phase');
  const nodeName = stringOf(at(object, 'spec', 'nodeName')) ?? '';
  // Nobody would finish the deletion of a pod that has no node or has ended (pod strategy CheckGracefulDelete).
  if (nodeName === '' || phase === 'Succeeded' || phase === 'Failed') return 0;
  const grace = options.gracePeriodSeconds ?? numberOf(at(object, 'spec', 'terminationGracePeriodSeconds')) ?? 30;
  return Math.max(grace, 0);
}

function finalizersFor(object: KubeObject, options: DeleteOptions): string[] {
  const finalizers = object.metadata.finalizers ?? [];
  if (options.propagationPolicy === undefined) return finalizers;
  const kept = finalizers.filter((finalizer) => finalizer !== FOREGROUND && finalizer !== ORPHAN);
  if (options.propagationPolicy === 'Foreground') kept.push(FOREGROUND);
  if (options.propagationPolicy === 'Orphan') kept.push(ORPHAN);
  return kept;
}

/**
 * The object as it must be stored to wait for its end, or `undefined` when it can go at once.
 * @param timestamp the time that many seconds from now, RFC 3339
 */
export function deletionPlan(
  resource: Resource,
  object: KubeObject,
  options: DeleteOptions,
  timestamp: (offsetSeconds: number) => string,
): KubeObject | undefined {
  const finalizers = finalizersFor(object, options);
  const grace = graceOf(resource, object, options);
  const plan = clone(object);
  if (finalizers.length > 0) plan.metadata.finalizers = finalizers;
  else delete plan.metadata.finalizers;
  const pending = object.metadata.deletionGracePeriodSeconds;
  if (object.metadata.deletionTimestamp === undefined) {
    plan.metadata.deletionTimestamp = timestamp(grace);
    plan.metadata.deletionGracePeriodSeconds = grace;
    if (plan.metadata.generation !== undefined) plan.metadata.generation++;
  } else if (pending !== undefined && grace < pending && (options.gracePeriodSeconds !== undefined || grace === 0)) {
    // A second delete may only shorten the wait.
    plan.metadata.deletionTimestamp = timestamp(grace);
    plan.metadata.deletionGracePeriodSeconds = grace;
  }
  if (groupResource(resource) === 'namespaces') {
    const status = (plan['status'] ?? {}) as Record<string, unknown>;
    plan['status'] = { ...status, phase: 'Terminating' };
  }
  return removable(resource, plan) ? undefined : plan;
}
