import { MAX_GROUP_PRIORITY, MAX_QOS_RULES } from '@ovenbird/crds';

/**
 * Priorities of everything Ovenbird writes, in one place, highest first; docs/acl-order.md is the page for people. OVN 23.03
 * has no ACL tiers, so all ACLs of a switch and its port groups share one number space (ovn-nb(5), ACL priority 0-32767).
 * Where OVN has tiers, each of them has a number space of its own.
 */
export const aclPriority = {
  /** A node reaches its own pods whatever a policy says: kubelet probes, host-network peers. */
  nodeToPod: 31_000,
  /** Questions of DHCP clients, where OVN itself answers them: without an address there is nothing to keep policies for. */
  dhcp: 31_000,
  /** Nodes reach a private subnet. */
  nodeToPrivate: 3000,
  /** A rule of a NetworkPolicy. Above `private`, as in Kube-OVN: for pods under a policy, the policy alone decides. */
  policyAllow: 2001,
  /** A NetworkPolicy drops the rest, in rows of its own so that drops can be counted. */
  policyDrop: 2000,
  /** `allowEWTraffic`: packets within a subnet. Kube-OVN's number, so that `acls` stand to it as they did. */
  eastWest: 1900,
  /** A private subnet admits itself and its `allowSubnets`. */
  privateAllow: 1001,
  /** A private subnet drops the rest. */
  privateDrop: 1000,
  /** Matches nothing. */
  tracking: 0,
} as const;

/** Values of ACL.tier where OVN has it (0 to 3). An ACL that allows or drops ends the way through the tiers. */
export const aclTier = {
  /** Nodes to their own pods, DHCP: above tier Admin. */
  node: 0,
  admin: 0,
  /** SecurityGroups of tier 0: what they pass is for NetworkPolicies and `acls` to decide. */
  groups: 1,
  /** NetworkPolicies, `acls` of Subnets, nodes to private subnets. */
  network: 2,
  /** Baseline, and below it `private`. */
  baseline: 3,
} as const;

/** Priorities `highest`, `highest - 1` ... for the rules of one policy priority; `levels` of them. */
export interface LadderStep {
  readonly highest: number;
  readonly levels: number;
}

/** A part of a tier: steps for the policy priorities 0, 1 ... `priorities - 1`, and one for a policy without priority. */
export interface BandLadder {
  readonly priorities: number;
  readonly step: LadderStep;
  readonly last: LadderStep;
}

const adminSteps: BandLadder = {
  priorities: 1001,
  step: { highest: 30_999, levels: 25 },
  last: { highest: 30_999, levels: 0 },
};
/**
 * Tier Admin: priorities 0 to 1000. Rules that follow each other with one action share a level, so the 25 rules of a
 * ClusterNetworkPolicy always have room. The same numbers in bands and in tiers, below those of nodes.
 */
export const adminLadder: { readonly bands: BandLadder; readonly tiers: BandLadder } = {
  bands: adminSteps,
  tiers: adminSteps,
};

/** Tier Baseline; a BaselineAdminNetworkPolicy comes last. In bands there is room between `allowEWTraffic` and `private`. */
export const baselineLadder: { readonly bands: BandLadder; readonly tiers: BandLadder } = {
  bands: { priorities: 87, step: { highest: 1899, levels: 10 }, last: { highest: 1029, levels: 28 } },
  tiers: { priorities: 1001, step: { highest: 32_767, levels: 31 }, last: { highest: 1736, levels: 100 } },
};

/** Priorities of SecurityGroups of one tier. */
export interface GroupBand {
  /** What every pod needs to be on the network: ARP needs no rule, neighbour discovery and DHCP do. */
  readonly base: number;
  /** The rule of place 1; the one of place n stands at `first - (n - 1)`. */
  readonly first: number;
  /** How many places there are. */
  readonly places: number;
  /** Rules up to this priority have the place of that number when nothing crowds them out (security-group/places.ts). */
  readonly exact: number;
  /** `allowSameGroupTraffic`. */
  readonly sameGroup: number;
  /** Everything else. */
  readonly drop: number;
}

const groupBands = {
  /** Between tier Admin and what nodes, Subnets and namespaces say; with tiers at Kube-OVN's numbers. */
  0: {
    bands: { base: 5974, first: 5973, places: 2960, exact: 2000, sameGroup: 3004, drop: 3002 },
    tiers: {
      base: 18_484,
      first: 18_483,
      places: MAX_GROUP_PRIORITY,
      exact: MAX_GROUP_PRIORITY,
      sameGroup: 2004,
      drop: 2002,
    },
  },
  /** Behind everything else. */
  1: { base: 999, first: 998, places: 980, exact: 500, sameGroup: 4, drop: 2 },
} as const;

/** Where rules of SecurityGroups of a tier stand. @param tiers OVN has ACL tiers */
export function groupBand(tier: 0 | 1, tiers: boolean): GroupBand {
  return tier === 1 ? groupBands[1] : groupBands[0][tiers ? 'tiers' : 'bands'];
}

/** Logical_Router_Policy priorities; the numbers are Kube-OVN's, because people know them. */
export const policyPriority = {
  /** Traffic inside the VPC is routed, never re-routed. */
  internal: 31_000,
  /** A node's own addresses are reached through its join port, so that pod → node needs no NAT and replies come back. */
  node: 30_000,
  /** Distributed gateway: what leaves the VPC leaves by the pod's own node. */
  egress: 29_000,
} as const;

/** QoS priority of a pod's bandwidth annotations (one row per direction, matches never overlap): below all policies. */
export const bandwidthPriority = 100;

/**
 * QoS priority of a rule of a QoSPolicy: by the policy's priority, then by its place in the list.
 * @param priority of the policy, 0 to 1000
 */
export const qosPriority = (priority: number, index: number): number =>
  1000 + priority * MAX_QOS_RULES + (MAX_QOS_RULES - 1 - index);
