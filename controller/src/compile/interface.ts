import type { FurtherInterface } from '@ovenbird/crds';
import { groupsOf } from '../security-group/members.ts';
import type { Key, Namespace, Pod, UsableSubnet } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { CompileContext } from './context.ts';
import { bandwidthRows, policyRows } from './qos.ts';
import type { RowBuilder } from './rows-builder.ts';

/** An interface of a pod whose port is among the rows. */
export interface CompiledInterface {
  /** The pod's, with `/<interface>` for a further one. */
  readonly key: Key;
  readonly pod: Pod;
  readonly namespace: Namespace | undefined;
  /** UUID of the Logical_Switch_Port. */
  readonly port: string;
  readonly portName: string;
  readonly subnet: UsableSubnet;
  /** Absent for the pod's first interface. */
  readonly further?: FurtherInterface;
}

/** Memberships in the Port_Groups of SecurityGroups: those that select the pod, and those that are named for the interface. */
export function joinSecurityGroups(
  context: CompileContext,
  rows: RowBuilder,
  reader: Reader,
  { key, pod, namespace, port, subnet: { vpc }, further }: CompiledInterface,
): void {
  const customVpc = context.customVpc(vpc);
  const own = { pod, namespace, vpc, customVpc, ...(further === undefined ? {} : { further }) };
  const { groups, inVain } = groupsOf(own, reader);
  const classes = groups.size < 2 ? undefined : reader.get('PodClasses', key)?.classes;
  for (const name of groups) {
    const narrowed = classes?.[name];
    const group = narrowed === undefined ? context.securityGroup(name) : context.groupClass(narrowed);
    rows.member(group, 'ports', port);
  }
  if (inVain) rows.member(context.closedGroup(), 'ports', port);
}

/** What limits and marks the traffic of an interface: annotations, and QoSPolicies that are not shared. */
export function limitInterface(
  context: CompileContext,
  rows: RowBuilder,
  reader: Reader,
  { key, pod, port, portName, subnet }: CompiledInterface,
): void {
  const limits = reader.get('PodBandwidth', key)?.limits ?? [];
  const qos = [...bandwidthRows(rows, portName, pod.uid, limits)];
  for (const policyName of reader.get('PodQos', key)?.policies ?? []) {
    const policy = reader.get('QoSPolicy', policyName);
    if (policy?.shared === true) rows.member(context.qosGroup(policyName), 'ports', port);
    else if (policy !== undefined) qos.push(...policyRows(rows, policy, { port: portName }, limits));
  }
  const logicalSwitch = context.switch(subnet.name);
  for (const { uuid } of qos) rows.member(logicalSwitch, 'qos_rules', uuid);
}
