import type { Protocol } from './core.ts';
import type { Condition, KubeObject, LabelSelector } from './meta.ts';

/** Objects of `policy.networking.k8s.io`, as far as Ovenbird reads them. */

/** Pods by labels of their namespace and their own; an absent namespaceSelector selects all namespaces. */
export interface NamespacedPods {
  readonly namespaceSelector?: LabelSelector | undefined;
  readonly podSelector: LabelSelector;
}

/** Exactly one field is set. One without a known field was written for a newer API. */
export interface ClusterPolicySubject {
  readonly namespaces?: LabelSelector | undefined;
  readonly pods?: NamespacedPods | undefined;
}

/** Exactly one field is set; `nodes`, `networks` and `domainNames` for egress only. */
export interface ClusterPolicyPeer {
  readonly namespaces?: LabelSelector | undefined;
  readonly pods?: NamespacedPods | undefined;
  readonly nodes?: LabelSelector | undefined;
  readonly networks?: readonly string[] | undefined;
  readonly domainNames?: readonly string[] | undefined;
}

/** A port of v1alpha1; exactly one field is set. */
export interface AdminNetworkPolicyPort {
  readonly portNumber?: { readonly protocol: Protocol; readonly port: number } | undefined;
  readonly namedPort?: string | undefined;
  readonly portRange?:
    | { readonly protocol?: Protocol | undefined; readonly start: number; readonly end: number }
    | undefined;
}

/** Destination ports of one protocol of v1alpha2; without `destinationPort` all. */
export interface ProtocolMatch {
  readonly destinationPort?:
    | {
        readonly number?: number | undefined;
        readonly range?: { readonly start: number; readonly end: number } | undefined;
      }
    | undefined;
}

/** A protocol of v1alpha2; exactly one field is set. */
export interface ClusterNetworkPolicyProtocol {
  readonly tcp?: ProtocolMatch | undefined;
  readonly udp?: ProtocolMatch | undefined;
  readonly sctp?: ProtocolMatch | undefined;
  readonly destinationNamedPort?: string | undefined;
}

interface Rule {
  readonly name?: string | undefined;
  readonly action: string;
  /** v1alpha1 */
  readonly ports?: readonly AdminNetworkPolicyPort[] | null | undefined;
  /** v1alpha2 */
  readonly protocols?: readonly ClusterNetworkPolicyProtocol[] | null | undefined;
}

/** What the three kinds have in common. */
export interface ClusterPolicyObject extends KubeObject {
  readonly spec: {
    readonly subject: ClusterPolicySubject;
    readonly ingress?: readonly (Rule & { readonly from: readonly ClusterPolicyPeer[] })[] | null | undefined;
    readonly egress?: readonly (Rule & { readonly to: readonly ClusterPolicyPeer[] })[] | null | undefined;
    /** Not of BaselineAdminNetworkPolicy. */
    readonly priority?: number | undefined;
    /** Of ClusterNetworkPolicy. */
    readonly tier?: string | undefined;
  };
  readonly status?: { readonly conditions?: readonly Condition[] | undefined } | undefined;
}
