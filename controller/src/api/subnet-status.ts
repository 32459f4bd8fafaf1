import { type SubnetNode, type SubnetStatus, statusCount, type VpcStatus } from '@ovenbird/crds';
import type { Brain } from '../brain.ts';
import { splitOwner } from '../compile/names.ts';
import type { Subnet } from '../store/model.ts';
import type { State } from '../store/state.ts';

/** One condition before `lastTransitionTime` is known. */
export interface WantedCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** Ranges that a status writes out; fragmented subnets have more than anybody reads, and etcd has to store. */
export const shownRanges = 100;

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
  const v4Ranges = brain.allocator.ranges(subnet.name, 'v4', shownRanges);
  const v6Ranges = brain.allocator.ranges(subnet.name, 'v6', shownRanges);
  const usable = state.get('UsableSubnet', subnet.name);
  const nets = [usable?.v4, usable?.v6].filter((net) => net !== undefined);
  const fields: SubnetStatus = {
    vpc: subnet.vpc,
    protocol: v4 !== undefined && v6 !== undefined ? 'Dual' : v6 !== undefined ? 'IPv6' : 'IPv4',
    gateway: nets.map((net) => net.gateway).join(','),
    v4availableIPs: statusCount(v4?.available ?? 0n),
    v4usingIPs: v4?.using ?? 0,
    v4availableIPrange: v4Ranges?.available ?? '',
    v4usingIPrange: v4Ranges?.using ?? '',
    v6availableIPs: statusCount(v6?.available ?? 0n),
    v6usingIPs: v6?.using ?? 0,
    v6availableIPrange: v6Ranges?.available ?? '',
    v6usingIPrange: v6Ranges?.using ?? '',
    ...(subnet.name === brain.allocator.joinSubnet ? { nodes: joinedNodes(state) } : {}),
  };
  const conditions = [ready(subnet, brain, state, held(`Subnet/${subnet.name}`))];
  if (usable !== undefined) conditions.push(addressesLeft(subnet, brain));
  return { fields, conditions };
}

/** The nodes on the join subnet, which agents need to know: what comes from a node is not from outside of the cluster. */
function joinedNodes(state: State): readonly SubnetNode[] {
  return [...state.keys('NodeAddress')].sort().flatMap((name) => {
    const [node, address] = [state.get('Node', name), state.get('NodeAddress', name)];
    if (node === undefined || address === undefined) return [];
    const join = [address.v4, address.v6].filter((text) => text !== undefined);
    return [{ name, addresses: node.addresses, join }];
  });
}

/** Whether the next pod finds an address: `AddressesAvailable`. */
function addressesLeft({ name }: Subnet, brain: Brain): WantedCondition {
  // What IPPools have set apart does not help a pod that uses none.
  const [v4, v6] = (['v4', 'v6'] as const).map((family) => brain.allocator.usage(name, family, '')?.available);
  const missing = [v4 === 0n ? 'IPv4' : undefined, v6 === 0n ? 'IPv6' : undefined].filter((text) => text !== undefined);
  if (missing.length === 0)
    return { type: 'AddressesAvailable', status: 'True', reason: 'Free', message: 'addresses are free' };
  const waiting = brain.pods.waitingFor(name).length;
  const message = `no ${missing.join(' and no ')} address is free; ${waiting} pod${waiting === 1 ? ' waits' : 's wait'}. Delete pods, or let cidrBlock grow`;
  return { type: 'AddressesAvailable', status: 'False', reason: 'Exhausted', message };
}

/** Who holds an address, for people. */
function holderText(owner: string, brain: Brain, state: State): string {
  const [kind, key] = splitOwner(owner);
  const user = brain.loans.userOf(owner);
  if (user !== undefined) return `${kind} ${key} for ${user.replace('Pod/', 'pod ')}`;
  if (kind === 'Pod') return state.get('PodAddress', key) === undefined ? `kept for pod ${key}` : `pod ${key}`;
  return `${kind === 'Attachment' ? 'attachment' : kind} ${key}`;
}

const deletionIgnored =
  'it was deleted, and stays in force: it is named in the configuration of the controller, which would make it again; no pod is touched';

function ready(subnet: Subnet, brain: Brain, state: State, held: string | undefined): WantedCondition {
  const condition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  if (subnet.deleting) {
    const count = brain.allocator.usersOf(subnet.name);
    const names = brain.allocator.ownersIn(subnet.name, 5).map((owner) => holderText(owner, brain, state));
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
  if (subnet.deletionIgnored === true) return condition('True', 'DeletionIgnored', deletionIgnored);
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
  if (vpc?.deletionIgnored === true)
    return { fields, conditions: [condition('True', 'DeletionIgnored', deletionIgnored)] };
  return { fields, conditions: [condition('True', 'Ready', 'in the northbound database')] };
}
