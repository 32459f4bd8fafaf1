import type { IntOrString, Pod, Protocol } from './core.ts';
import type { Condition, KubeObject, LabelSelector } from './meta.ts';

/** Objects of API groups other than core, as far as Ovenbird reads them. */

/** One endpoint of a slice. */
export interface Endpoint {
  readonly addresses: readonly string[];
  readonly conditions?:
    | {
        /** Absent means unknown, and unknown is to be read as ready. */
        readonly ready?: boolean | undefined;
        readonly serving?: boolean | undefined;
        readonly terminating?: boolean | undefined;
      }
    | undefined;
  readonly hostname?: string | undefined;
  readonly nodeName?: string | undefined;
  readonly zone?: string | undefined;
  readonly targetRef?:
    | {
        readonly kind?: string | undefined;
        readonly name?: string | undefined;
        readonly namespace?: string | undefined;
        readonly uid?: string | undefined;
      }
    | undefined;
}

/** `discovery.k8s.io/v1` EndpointSlice. The Service is the label `kubernetes.io/service-name`. */
export interface EndpointSlice extends KubeObject {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints?: readonly Endpoint[] | null | undefined;
  readonly ports?:
    | readonly {
        readonly name?: string | undefined;
        readonly protocol?: Protocol | undefined;
        readonly port?: number | undefined;
        readonly appProtocol?: string | undefined;
      }[]
    | null
    | undefined;
}

/** Ports of a policy rule; absent `port` = all ports of the protocol. */
export interface NetworkPolicyPort {
  readonly protocol?: Protocol | undefined;
  readonly port?: IntOrString | undefined;
  readonly endPort?: number | undefined;
}

/** A peer of a policy rule: selectors, or a block. */
export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector | undefined;
  readonly namespaceSelector?: LabelSelector | undefined;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] | undefined } | undefined;
}

/** `networking.k8s.io/v1` NetworkPolicy. */
export interface NetworkPolicy extends KubeObject {
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes?: readonly ('Ingress' | 'Egress')[] | undefined;
    readonly ingress?:
      | readonly {
          readonly from?: readonly NetworkPolicyPeer[] | undefined;
          readonly ports?: readonly NetworkPolicyPort[] | undefined;
        }[]
      | undefined;
    readonly egress?:
      | readonly {
          readonly to?: readonly NetworkPolicyPeer[] | undefined;
          readonly ports?: readonly NetworkPolicyPort[] | undefined;
        }[]
      | undefined;
  };
}

/** `apps/v1` StatefulSet: its existence and size decide how long its pods' addresses are kept. */
export interface StatefulSet extends KubeObject {
  readonly spec: {
    readonly replicas?: number | undefined;
    readonly ordinals?: { readonly start?: number | undefined } | undefined;
    readonly serviceName?: string | undefined;
    readonly template?: { readonly metadata?: Partial<Pod['metadata']> | undefined } | undefined;
  };
}

/** `coordination.k8s.io/v1` Lease. Times are MicroTime: RFC 3339 with six digits. */
export interface Lease extends KubeObject {
  readonly spec?:
    | {
        readonly holderIdentity?: string | null | undefined;
        readonly leaseDurationSeconds?: number | null | undefined;
        readonly acquireTime?: string | null | undefined;
        readonly renewTime?: string | null | undefined;
        readonly leaseTransitions?: number | null | undefined;
      }
    | undefined;
}

/** `apiextensions.k8s.io/v1` CustomResourceDefinition, without the schema. */
export interface CustomResourceDefinition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly scope: 'Cluster' | 'Namespaced';
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly { readonly name: string; readonly served: boolean; readonly storage: boolean }[];
  };
  readonly status?: { readonly conditions?: readonly Omit<Condition, 'observedGeneration'>[] | undefined } | undefined;
}
