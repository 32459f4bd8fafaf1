import type { NodeSet } from '../policy/cluster-model.ts';
import type { NodeBlock, PodSet } from '../policy/model.ts';
import { closedPods } from '../security-group/closed-pods.ts';
import type { GroupClass } from '../security-group/model.ts';
import {
  balancerGroupName,
  closedGroupName,
  groupClassName,
  internalSetName,
  nodeBlockName,
  nodePortGroupName,
  nodeSetName,
  ownerOf,
  peerSetName,
  policyGroupName,
  qosGroupName,
  routerName,
  securityGroupName,
  subjectsGroupName,
  switchName,
} from './names.ts';
import { RowBuilder, type RowRef, rowRef } from './rows-builder.ts';

/** Settings that every unit may use, and the references between units: the only place that knows which unit owns a shared row. */
export class CompileContext {
  readonly clusterUid: string;
  readonly defaultVpc: string;
  readonly joinSubnet: string;
  readonly #tiers: boolean;

  /** @param options `tiers`: OVN has the column ACL.tier */
  constructor(options: { clusterUid: string; defaultVpc: string; joinSubnet: string; tiers: boolean }) {
    this.clusterUid = options.clusterUid;
    this.defaultVpc = options.defaultVpc;
    this.joinSubnet = options.joinSubnet;
    this.#tiers = options.tiers;
  }

  builder(kind: string, key: string): RowBuilder {
    return new RowBuilder(this.clusterUid, ownerOf(kind, key));
  }

  switch(subnet: string): RowRef {
    return rowRef(this.clusterUid, 'Logical_Switch', switchName(subnet), ownerOf('Subnet', subnet));
  }

  router(vpc: string): RowRef {
    return rowRef(this.clusterUid, 'Logical_Router', routerName(vpc), ownerOf('Vpc', vpc));
  }

  nodePortGroup(node: string): RowRef {
    return rowRef(this.clusterUid, 'Port_Group', nodePortGroupName(node), ownerOf('Node', node));
  }

  internalSet(vpc: string, family: 4 | 6): RowRef {
    return rowRef(this.clusterUid, 'Address_Set', internalSetName(vpc, family), ownerOf('Vpc', vpc));
  }

  /** The Load_Balancer_Group of a VPC's switches. */
  balancerGroup(vpc: string): RowRef {
    return rowRef(this.clusterUid, 'Load_Balancer_Group', balancerGroupName(vpc), ownerOf('Vpc', vpc));
  }

  /** A VPC's name when it is not the default one: address sets of policies are kept apart by it. */
  customVpc(vpc: string): string | undefined {
    return vpc === this.defaultVpc ? undefined : vpc;
  }

  /** Whether OVN has ACL tiers. */
  get tiers(): boolean {
    return this.#tiers;
  }

  /** The tier of an ACL as a column, where OVN has it. */
  tier(tier: number): { readonly tier?: number } {
    return this.#tiers ? { tier } : {};
  }

  /** Name of the Port_Group of a set that holds ports. */
  podSetGroupName(set: PodSet): string {
    if (set.group !== undefined) return set.group.name;
    const [namespace = '', policy = ''] = (set.policy ?? '').split('/');
    return set.holds === 'policy'
      ? policyGroupName(namespace, policy)
      : subjectsGroupName(namespace, policy, set.port, set.vpc);
  }

  podSetGroup(set: PodSet): RowRef {
    const policy = set.group?.owner ?? ownerOf('NetworkPolicy', set.policy ?? '');
    const owner = set.holds === 'policy' || set.holds === 'group' ? policy : ownerOf('PodSet', set.id);
    return rowRef(this.clusterUid, 'Port_Group', this.podSetGroupName(set), owner);
  }

  /** @param key of the row: the family */
  dhcpOptions(subnet: string, key: string): RowRef {
    return rowRef(this.clusterUid, 'DHCP_Options', key, ownerOf('Subnet', subnet));
  }

  qosGroup(policy: string): RowRef {
    return rowRef(this.clusterUid, 'Port_Group', qosGroupName(policy), ownerOf('QoSPolicy', policy));
  }

  securityGroup(name: string): RowRef {
    return rowRef(this.clusterUid, 'Port_Group', securityGroupName(name), ownerOf('SecurityGroup', name));
  }

  groupClass(of: GroupClass): RowRef {
    return rowRef(this.clusterUid, 'Port_Group', groupClassName(of), ownerOf('SecurityGroup', of.group));
  }

  /** The Port_Group of pods that name a group in vain. */
  closedGroup(): RowRef {
    return rowRef(this.clusterUid, 'Port_Group', closedGroupName, ownerOf('ClosedPods', closedPods));
  }

  peerSet(id: string, family: 4 | 6): RowRef {
    return rowRef(this.clusterUid, 'Address_Set', peerSetName(id, family), ownerOf('PodSet', id));
  }

  nodeBlock({ id, family }: NodeBlock): RowRef & { readonly name: string } {
    const name = nodeBlockName(id, family);
    return { name, ...rowRef(this.clusterUid, 'Address_Set', name, ownerOf('NodeBlock', id)) };
  }

  nodeSet({ id }: NodeSet, family: 4 | 6): RowRef {
    return rowRef(this.clusterUid, 'Address_Set', nodeSetName(id, family), ownerOf('NodeSet', id));
  }
}
