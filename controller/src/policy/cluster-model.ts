import type { Key, Meta } from '../store/meta.ts';
import type { PodSet, PolicyProtocol } from './model.ts';
import type { Networks } from './networks.ts';
import type { PortSet } from './port-set.ts';
import type { Selector } from './selector.ts';

/** Kinds of `policy.networking.k8s.io`; each has a table of its own. */
export const clusterPolicyKinds = ['AdminNetworkPolicy', 'BaselineAdminNetworkPolicy', 'ClusterNetworkPolicy'] as const;
export type ClusterPolicyKind = (typeof clusterPolicyKinds)[number];

/** Admin is looked at before NetworkPolicies, Baseline after them and only for what they do not decide. */
export type PolicyTier = 'Admin' | 'Baseline';

/** Pods by labels of their namespace and their own. */
export interface PodSelection {
  readonly namespaces: Selector;
  readonly pods: Selector;
}

/** Networks are canonical CIDRs of both families. */
export type ClusterPeer =
  | { readonly kind: 'pods'; readonly pods: PodSelection }
  | { readonly kind: 'nodes'; readonly nodes: Selector }
  | { readonly kind: 'networks'; readonly networks: readonly string[] };

/** Destination ports of a protocol, or a container port's name in any protocol. */
export type ClusterPort =
  | { readonly protocol: PolicyProtocol; readonly from: number; readonly to: number }
  | { readonly name: string };

/** One rule. Without peers it matches nothing; `ports` absent = everything, ICMP included. */
export interface ClusterRule {
  readonly action: 'Allow' | 'Deny' | 'Pass';
  readonly peers: readonly ClusterPeer[];
  readonly ports?: readonly ClusterPort[];
  /** The rule's own name, for people. */
  readonly name?: string;
}

/** A policy of any of the three kinds. */
export interface ClusterPolicy extends Meta {
  readonly kind: ClusterPolicyKind;
  readonly tier: PolicyTier;
  /** Lower is looked at first; absent = after all others of the tier (BaselineAdminNetworkPolicy). */
  readonly priority?: number;
  readonly subject: PodSelection;
  readonly ingress: readonly ClusterRule[];
  readonly egress: readonly ClusterRule[];
  /** What of the object cannot be honoured, for its status. */
  readonly problems: readonly string[];
  readonly generation: number;
}

/** Addresses of the nodes that a selector chooses, with an Address_Set per family of its own. */
export interface NodeSet {
  readonly id: string;
  readonly nodes: Selector;
  readonly not: readonly Selector[];
}

/** Peers of one ACL: any of these. */
export interface PlannedPeers {
  readonly pods: readonly { readonly set: PodSet; readonly within?: Networks }[];
  readonly nodes: readonly { readonly set: NodeSet; readonly within?: Networks }[];
  readonly networks: Networks;
}

/** One ACL of a cluster policy, as sets and networks. */
export interface PlannedAcl {
  readonly direction: 'ingress' | 'egress';
  /** Position of the rule in the policy. */
  readonly index: number;
  /** Of several ACLs of one rule, which; part of the row's key, so that the row stays over edits. */
  readonly part: string;
  readonly action: 'allow-related' | 'drop' | 'pass';
  readonly priority: number;
  /** The rule's pods, when not all of the policy's. */
  readonly subjects?: PodSet;
  readonly peers: PlannedPeers;
  readonly ports?: PortSet;
  readonly vpc?: string;
  readonly rule?: string;
}

/** What a cluster policy is in the northbound database. Derived: policies of one tier depend on each other. */
export interface ClusterPlan {
  readonly kind: ClusterPolicyKind;
  readonly name: string;
  readonly tier: PolicyTier;
  /** Pods under the policy. */
  readonly subjects: PodSet;
  readonly acls: readonly PlannedAcl[];
  /** Why nothing of it is in force. */
  readonly unfit?: { readonly reason: 'NeedsNewerOVN' | 'DoesNotFit'; readonly message: string };
}

/** Of a policy or plan, the key in the table of plans and in names of owners. */
export const clusterPolicyKey = ({ kind, name }: { kind: ClusterPolicyKind; name: string }): Key => `${kind}/${name}`;
