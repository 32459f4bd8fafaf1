import { type ClusterPlan, type ClusterPolicy, clusterPolicyKey } from '../policy/cluster-model.ts';
import type { HeldReason, WantedCondition } from './subnet-status.ts';

/**
 * Conditions of a cluster policy: `Ready` = all of it is in the northbound database; `NeedsNewerOVN` while nothing of it is
 * in force because the connected OVN has no room for it.
 * @param old types of the conditions that the object has: what was said once is taken back
 */
export function clusterPolicyStatus(
  policy: ClusterPolicy,
  plan: ClusterPlan | undefined,
  held: HeldReason,
  old: readonly string[],
): readonly WantedCondition[] {
  const newer = plan?.unfit?.reason === 'NeedsNewerOVN' ? plan.unfit.message : undefined;
  const needs: WantedCondition = {
    type: 'NeedsNewerOVN',
    status: newer === undefined ? 'False' : 'True',
    reason: newer === undefined ? 'Fits' : 'NoRoom',
    message: newer ?? 'has room in the connected OVN',
  };
  const shown = newer !== undefined || old.includes(needs.type);
  return [ready(policy, plan, held(clusterPolicyKey(policy))), ...(shown ? [needs] : [])];
}

function ready({ problems }: ClusterPolicy, plan: ClusterPlan | undefined, held: string | undefined): WantedCondition {
  const condition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  if (plan === undefined) return condition('False', 'Pending', 'not looked at yet');
  if (plan.unfit !== undefined)
    return condition('False', plan.unfit.reason, `nothing of it is in force: ${plan.unfit.message}`);
  if (held !== undefined) return condition('False', 'RefusedByOVN', held);
  if (problems.length > 0) return condition('False', 'RuleNotHonoured', problems.join('; '));
  return condition('True', 'Ready', 'in the northbound database');
}
