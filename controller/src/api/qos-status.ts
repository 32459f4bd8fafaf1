import type { QoSPolicyStatus } from '@ovenbird/crds';
import type { QosPolicy } from '../qos/model.ts';
import type { State } from '../store/state.ts';
import type { HeldReason, WantedCondition } from './subnet-status.ts';

/** The status of a QoSPolicy: how many pods have it, and the `Ready` condition. */
export function qosStatus(
  policy: QosPolicy,
  state: State,
  held: HeldReason,
): { fields: QoSPolicyStatus; conditions: readonly WantedCondition[] } {
  const fields = { pods: state.countIndex('PodQos', 'policy', policy.name) };
  const ready = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  const missing = policy.targets.flatMap(({ subnets = [] }) =>
    subnets.filter((subnet) => state.get('Subnet', subnet) === undefined),
  );
  const refused = held(`QoSPolicy/${policy.name}`);
  if (refused !== undefined) return { fields, conditions: [ready('False', 'RefusedByOVN', refused)] };
  if (missing.length > 0) {
    const names = [...new Set(missing)].map((name) => `"${name}"`).join(', ');
    const message = `spec.appliesTo names subnets that do not exist: ${names}; the rest is in force`;
    return { fields, conditions: [ready('False', 'SubnetNotFound', message)] };
  }
  return { fields, conditions: [ready('True', 'Ready', 'in the northbound database')] };
}
