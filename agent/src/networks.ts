import {
  announcement,
  cidrContains,
  dualValues,
  ipFamily,
  isIpamOnly,
  type Subnet,
  splitDualCidr,
} from '@ovenbird/crds';
import type { Node, Store } from '@ovenbird/kube';
import { type AddressAnnotations, readAddresses } from './pod/announcement.ts';

/** The VPC of Subnets that name none, until the controller has written the name into their status. */
const DEFAULT_VPC = 'ovn-cluster';

const vpcOf = (subnet: Subnet | undefined): string => subnet?.spec.vpc ?? subnet?.status?.vpc ?? DEFAULT_VPC;

/** A subnet's CIDRs by family; what the API server let pass and we cannot read counts as none. */
function cidrsOf(subnet: Subnet): readonly string[] {
  try {
    return dualValues(splitDualCidr(subnet.spec.cidrBlock));
  } catch {
    return [];
  }
}

/** Whether a Subnet gives IPv6 addresses. */
export function hasIpv6({ spec }: Subnet): boolean {
  return spec.cidrBlock.includes(':');
}

/** What the controller announced for this node: how `ovn0` is connected. */
export interface NodeNetwork extends AddressAnnotations {
  /** Logical switch port of `ovn0`. */
  readonly portName: string;
}

/**
 * Reads the announcement on a Node; undefined while there is none.
 * @throws Error, AddressError when it cannot be read
 */
export function nodeNetwork(node: Node | undefined): NodeNetwork | undefined {
  const annotations = node?.metadata.annotations ?? {};
  const portName = annotations[announcement.portName];
  if (annotations[announcement.allocated] !== 'true' || portName === undefined) return undefined;
  return { portName, ...readAddresses(annotations) };
}

/** The networks of this node's (default) VPC as the host sees them. */
export interface HostNetworks {
  /** CIDRs of all its subnets, the join subnet included. */
  readonly cidrs: readonly string[];
  /** Those whose pods leave the cluster with the node's address. */
  readonly natOutgoing: readonly string[];
  /** Addresses of all nodes, this one included. */
  readonly nodes: readonly string[];
}

/**
 * Collects the CIDRs of the VPC that the join subnet belongs to, in a stable order. Those of Subnets that are in no VPC, because
 * another plugin makes the interfaces, are left out: the host may have networks of its own there.
 */
export function hostNetworks(subnets: Store<Subnet>, joinSubnet: string): HostNetworks {
  const vpc = vpcOf(subnets.get(joinSubnet));
  const members = [...subnets.values()].filter((subnet) => vpcOf(subnet) === vpc && !isIpamOnly(subnet.spec.provider));
  const nat = members.filter((subnet) => subnet.spec.natOutgoing === true && subnet.metadata.name !== joinSubnet);
  return {
    cidrs: members.flatMap(cidrsOf).sort(),
    natOutgoing: nat.flatMap(cidrsOf).sort(),
    nodes: (subnets.get(joinSubnet)?.status?.nodes ?? []).flatMap(({ addresses }) => addresses).sort(),
  };
}

/** One route of the host into the overlay. */
export interface HostRoute {
  readonly cidr: string;
  readonly gateway: string;
}

/**
 * Routes over `ovn0`: every CIDR of the VPC by the join network's router, except what `ovn0` is connected to itself, and
 * except families that `ovn0` has no address of.
 */
export function hostRoutes(networks: HostNetworks, node: NodeNetwork): readonly HostRoute[] {
  return networks.cidrs.flatMap((cidr) => {
    const own = node.addresses.find(({ address }) => ipFamily(address) === ipFamily(cidr));
    if (own === undefined || cidrContains(cidr, own.address)) return [];
    return [{ cidr, gateway: own.gateway }];
  });
}
