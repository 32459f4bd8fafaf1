/**
 * Priorities of everything Ovenbird writes, in one place, highest first. OVN 23.03 has no ACL tiers, so all ACLs of a switch
 * and its port groups share one number space (ovn-nb(5), ACL priority 0-32767).
 */
export const aclPriority = {
  /** A node reaches its pods whatever a private subnet or a policy says: kubelet probes, host-network peers. */
  nodeToPod: 3000,
  /** A rule of a NetworkPolicy. Above `private`, as in Kube-OVN: for pods under a policy, the policy alone decides. */
  policyAllow: 2001,
  /** A NetworkPolicy drops the rest, in rows of its own so that drops can be counted. */
  policyDrop: 2000,
  /** A private subnet admits itself and its `allowSubnets`. */
  privateAllow: 1001,
  /** A private subnet drops the rest. */
  privateDrop: 1000,
} as const;

/** Logical_Router_Policy priorities; the numbers are Kube-OVN's, because people know them. */
export const policyPriority = {
  /** Traffic inside the VPC is routed, never re-routed. */
  internal: 31_000,
  /** A node's own addresses are reached through its join port, so that pod → node needs no NAT and replies come back. */
  node: 30_000,
  /** Distributed gateway: what leaves the VPC leaves by the pod's own node. */
  egress: 29_000,
} as const;

/** QoS priority of a pod's bandwidth limits (one row per direction, matches never overlap). */
export const bandwidthPriority = 100;
