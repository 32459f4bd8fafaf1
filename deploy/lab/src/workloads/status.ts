import { isDeepStrictEqual } from 'node:util';
import { isKubeError, type KubeClient, type KubeObject, type ResourceKind, toTime } from '@ovenbird/kube';

/** A condition without the time it changed at. */
export interface ConditionWish {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** The wished conditions, each with the time of its last change taken over from `before` where its status is the same. */
export function stamp(before: unknown, wishes: readonly ConditionWish[], nowMs: number): Record<string, unknown>[] {
  const known = Array.isArray(before) ? (before as Partial<ConditionWish & { lastTransitionTime: string }>[]) : [];
  return wishes.map((wish) => {
    const old = known.find((condition) => condition.type === wish.type);
    const same = old?.status === wish.status && old.lastTransitionTime !== undefined;
    return { ...wish, lastTransitionTime: same ? old.lastTransitionTime : toTime(nowMs) };
  });
}

/** Writes the members of `status` that the object does not show yet; nothing when there are none. */
export async function showStatus<T extends KubeObject>(
  client: KubeClient,
  kind: ResourceKind<T>,
  object: T,
  status: Readonly<Record<string, unknown>>,
): Promise<void> {
  const before = ((object as { status?: unknown }).status ?? {}) as Record<string, unknown>;
  const missing = Object.entries(status).filter(([key, value]) => !isDeepStrictEqual(before[key], value));
  if (missing.length === 0) return;
  const { name, namespace, uid } = object.metadata;
  try {
    await client
      .resource(kind)
      .patchStatus(
        { name, namespace },
        { metadata: { uid }, status: Object.fromEntries(missing) },
        { fieldManager: 'kube-controller-manager' },
      );
  } catch (error) {
    if (!isKubeError(error, 'not-found', 'conflict')) throw error; // gone, or another of that name
  }
}
