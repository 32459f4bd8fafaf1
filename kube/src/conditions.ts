import { toTime } from './timestamp.ts';
import type { Condition } from './types/meta.ts';

/** What a controller says about an object; times and generations are filled in. */
export type ConditionInput = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Longest message the API machinery accepts (`metav1.Condition`). */
const maxMessage = 32_768;

/**
 * Brings conditions up to date: ours by type, those of others stay, in their places. `lastTransitionTime` moves only
 * when `status` does; a condition that says nothing new is returned as it was, so that nothing is written for it.
 *
 * @param generation `metadata.generation` of the object that was judged
 */
export function mergeConditions(
  existing: readonly Condition[],
  inputs: Iterable<ConditionInput>,
  generation: number | undefined,
  wallMs: number,
): Condition[] {
  const result = [...existing];
  for (const input of inputs) {
    const at = result.findIndex((condition) => condition.type === input.type);
    const old = result[at];
    const merged: Condition = {
      type: input.type,
      status: input.status,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime: old !== undefined && old.status === input.status ? old.lastTransitionTime : toTime(wallMs),
      reason: input.reason,
      message: input.message.slice(0, maxMessage),
    };
    if (at === -1) result.push(merged);
    else result[at] = merged;
  }
  return result;
}

/** Whether a condition of `type` has `status` True. */
export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;
}
