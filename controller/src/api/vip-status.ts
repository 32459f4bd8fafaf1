import type { VipStatus } from '@ovenbird/crds';
import type { Brain } from '../brain.ts';
import type { Vip } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { podsOfVip } from '../vip/members.ts';
import type { HeldReason, WantedCondition } from './subnet-status.ts';

/** The status of a Vip: what it got, who may have it, and the `Ready` condition. */
export function vipStatus(
  vip: Vip,
  brain: Brain,
  state: State,
  held: HeldReason,
): { fields: object; conditions: readonly WantedCondition[] } {
  const address = state.get('VipAddress', vip.name);
  const fields: VipStatus = {
    v4ip: address?.v4 ?? '',
    v6ip: address?.v6 ?? '',
    mac: address?.mac ?? '',
    pods: podsOfVip(vip, state).map((pod) => `${pod.namespace}/${pod.name}`),
  };
  const ready = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  const problem = brain.vips.problem(vip.name);
  const refused = held(`Vip/${vip.name}`);
  if (problem !== undefined) return { fields, conditions: [ready('False', 'NoAddress', problem.message)] };
  if (address === undefined) return { fields, conditions: [ready('False', 'Pending', 'not looked at yet')] };
  if (refused !== undefined) return { fields, conditions: [ready('False', 'RefusedByOVN', refused)] };
  return { fields, conditions: [ready('True', 'Ready', 'in the northbound database')] };
}
