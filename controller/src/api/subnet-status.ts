import { type SubnetStatus, statusCount, type VpcStatus } from '@ovenbird/crds';
import type { Brain } from '../brain.ts';
import type { Subnet } from '../store/model.ts';
import type { State } from '../store/state.ts';

/** One condition before `lastTransitionTime` is known. */
export interface WantedCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** Why the northbound writer holds a unit back, if it does. */
export type HeldReason = (unit: string) => string | undefined;

/** The status of a Subnet: counts, and the `Ready` condition that tells the story. */
export function subnetStatus(
  subnet: Subnet,
  brain: Brain,
  state: State,
  held: HeldReason,
): { fields: object; conditions: readonly WantedCondition[] } {
  const v4 = brain.allocator.usage(subnet.name, 'v4');
  const v6 = brain.allocator.usage(subnet.name, 'v6');
  const usable = state.get('UsableSubnet', subnet.name);
  const nets = [usable?.v4, usable?.v6].filter((net) => net !== undefined);
  const fields: SubnetStatus = {
    vpc: subnet.vpc,
    protocol: v4 !== undefined && v6 !== undefined ? 'Dual' : v6 !== undefined ? 'IPv6' : 'IPv4',
    gateway: nets.map((net) => net.gateway).join(','),
    v4availableIPs: statusCount(v4?.available ?? 0n),
    v4usingIPs: v4?.using ?? 0,
    v6availableIPs: statusCount(v6?.available ?? 0n),
    v6usingIPs: v6?.using ?? 0,
  };
  return { fields, conditions: [ready(subnet, brain, state, held(`Subnet/${subnet.name}`))] };
}

function ready(subnet: Subnet, brain: Brain, state: State, held: string | undefined): WantedCondition {
  const condition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  if (subnet.deleting) {
    const users = state.index('PodAddress', 'subnet', subnet.name);
    const count = brain.allocator.usersOf(subnet.name);
    const names = users.slice(0, 5).map((address) => address.owner.replace('Pod/', 'pod '));
    const list = names.length === 0 ? '' : `: ${names.join(', ')}${count > names.length ? ', ...' : ''}`;
    return condition(
      'False',
      'Deleting',
      count === 0 ? 'being removed' : `waits for ${count} address${count === 1 ? '' : 'es'} in use${list}`,
    );
  }
  const verdict = brain.subnets.verdict(subnet.name);
  if (verdict === undefined) return condition('False', 'Pending', 'not looked at yet');
  if (!verdict.ok) return condition('False', verdict.reason, verdict.message);
  if (held !== undefined) return condition('False', 'RefusedByOVN', held);
  const vpc = state.get('Vpc', subnet.vpc);
  if (vpc?.deleting === true)
    return condition('True', 'VpcDeleting', `vpc "${subnet.vpc}" is being deleted and waits for this subnet`);
  return condition('True', 'Ready', 'in the northbound database');
}

/** The `Ready` condition and fields of a Vpc. */
export function vpcStatus(
  name: string,
  defaultVpc: string,
  state: State,
  held: HeldReason,
): { fields: object; conditions: readonly WantedCondition[] } {
  const vpc = state.get('Vpc', name);
  const subnets = state
    .index('UsableSubnet', 'vpc', name)
    .map((subnet) => subnet.name)
    .sort();
  const fields: VpcStatus = { default: name === defaultVpc, standby: true, router: name, subnets };
  const condition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  const refused = held(`Vpc/${name}`);
  if (vpc?.deleting === true) {
    const left =
      subnets.length === 0 ? 'being removed' : `waits for its subnets: ${subnets.slice(0, 10).join(', ')}; delete them`;
    return { fields, conditions: [condition('False', 'Deleting', left)] };
  }
  if (refused !== undefined) return { fields, conditions: [condition('False', 'RefusedByOVN', refused)] };
  return { fields, conditions: [condition('True', 'Ready', 'in the northbound database')] };
}
