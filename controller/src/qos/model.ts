import type { BandwidthLimit } from '../pod/bandwidth.ts';
import type { Selector } from '../policy/selector.ts';
import type { Meta } from '../store/meta.ts';

/** A range of ports, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A rule of a QoSPolicy; what is absent or empty matches everything. */
export interface QosRule {
  readonly rateKbit?: number;
  readonly burstKbit?: number;
  readonly dscp?: number;
  readonly cidrs: readonly string[];
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'icmp';
  readonly localPorts: readonly PortRange[];
  readonly remotePorts: readonly PortRange[];
}

/** Pods that a QoSPolicy chooses: all that is said must hold. */
export interface QosTarget {
  readonly namespaces?: readonly string[];
  readonly namespaceSelector?: Selector;
  readonly pods: Selector;
  readonly subnets?: readonly string[];
}

/** `ovenbird.io/v1` QoSPolicy. */
export interface QosPolicy extends Meta {
  readonly priority: number;
  readonly shared: boolean;
  readonly targets: readonly QosTarget[];
  /** Namespaces whose pods may name it; `*` is all. */
  readonly allowedNamespaces: readonly string[];
  readonly ingress: readonly QosRule[];
  readonly egress: readonly QosRule[];
}

/**
 * The QoSPolicies that an interface of a pod has, highest priority first; its key is the pod's, with `/<interface>` for a further
 * one. Derived; there is none for one without policies.
 */
export interface PodQos {
  readonly policies: readonly string[];
  readonly subnet: string;
  /** Not the pod's first interface. */
  readonly further?: true;
}

/** A switch on which pods of a policy are. Derived; the rows of a shared policy are on these. */
export interface QosUse {
  readonly policy: string;
  readonly subnet: string;
}

/**
 * What holds of the bandwidth annotations about an interface of a pod (keys as in {@link PodQos}): what they say, and what they
 * last said properly where they do not.
 */
export interface PodBandwidth {
  readonly uid: string;
  readonly limits: readonly BandwidthLimit[];
}
