import type { QoSPolicyStatus } from '@ovenbird/crds';
import { splitInterface } from '../qos/binding.ts';
import { missingSubnets } from '../qos/missing.ts';
import type { QosPolicy } from '../qos/model.ts';
import type { State } from '../store/state.ts';
import type { HeldReason, WantedCondition } from './subnet-status.ts';

/** The status of a QoSPolicy: how many pods have it, and the `Ready` condition. */
export function qosStatus(
  policy: QosPolicy,
  state: State,
  held: HeldReason,
): { fields: QoSPolicyStatus; conditions: readonly WantedCondition[] } {
  const fields = { pods: podsOf(policy.name, state) };
  const ready = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  const refused = held(`QoSPolicy/${policy.name}`);
  if (refused !== undefined) return { fields, conditions: [ready('False', 'RefusedByOVN', refused)] };
  const missing = missingSubnets(policy, state);
  if (missing !== undefined) return { fields, conditions: [ready('False', 'SubnetNotFound', missing)] };
  return { fields, conditions: [ready('True', 'Ready', 'in the northbound database')] };
}

/** How many pods have a policy on any of their interfaces. */
function podsOf(policy: string, state: State): number {
  // Counted one by one only where a pod may have it twice.
  if (state.countIndex('PodQos', 'further', policy) === 0) return state.countIndex('PodQos', 'policy', policy);
  return new Set(state.indexKeys('PodQos', 'policy', policy).map((key) => splitInterface(key).pod)).size;
}
