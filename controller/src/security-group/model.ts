import type { Selector } from '../policy/selector.ts';
import type { Meta } from '../store/meta.ts';

/** Inclusive. */
export interface Ports {
  readonly from: number;
  readonly to: number;
}

/** A rule of a SecurityGroup. */
export interface GroupRule {
  readonly family: 4 | 6;
  readonly protocol: 'all' | 'icmp' | 'tcp' | 'udp' | 'sctp';
  /** 1 to 16384, the lowest decides. */
  readonly priority: number;
  /** Who is on the other side: a CIDR, or the pods of a group. */
  readonly remote: { readonly cidr: string } | { readonly group: string };
  /** CIDR of the pod's own address; absent = any. */
  readonly local?: string;
  /** Destination ports. */
  readonly ports?: Ports;
  readonly sourcePorts?: Ports;
  readonly policy: 'allow' | 'drop' | 'pass';
  readonly log: boolean;
}

/** Pods of namespaces. */
export interface GroupSelector {
  readonly namespaces: Selector;
  readonly pods: Selector;
}

export type GroupTier = 0 | 1;

/** `ovenbird.io/v1` SecurityGroup. */
export interface SecurityGroup extends Meta {
  readonly vpc: string;
  readonly tier: GroupTier;
  readonly sameGroup: boolean;
  readonly ingress: readonly GroupRule[];
  readonly egress: readonly GroupRule[];
  /** Namespaces whose pods may be in the group ... */
  readonly namespaces: readonly string[];
  /** ... and the same by label; all when both are empty. */
  readonly namespaceSelectors: readonly Selector[];
  readonly selectors: readonly GroupSelector[];
  readonly logDropped: boolean;
  /** Entries a second. */
  readonly logRate: number;
  readonly finalizers: readonly string[];
  readonly generation: number;
}

export const groupDirections = ['ingress', 'egress'] as const;
export type GroupDirection = (typeof groupDirections)[number];

/**
 * Where the rules of the SecurityGroups of a Vpc and tier stand, as far as other priorities are in their way. Derived; there is
 * none where that is nowhere so.
 */
export interface GroupOrder {
  /** Places by priority. */
  readonly moved: Readonly<Record<GroupDirection, Readonly<Record<number, number>>>>;
  /** Groups for whose priorities there are no places left. */
  readonly crowded: readonly string[];
}

/** A SecurityGroup that pods can be in: who may, without what they may do. Derived, so that pods do not follow its rules. */
export interface GroupBinding {
  readonly name: string;
  readonly vpc: string;
  readonly namespaces: readonly string[];
  readonly namespaceSelectors: readonly Selector[];
}

/** What closes pods that name a group in vain. Derived: it is there while some pod names a group. */
export interface ClosedPods {
  readonly reason: 'group';
}

/**
 * Pods of a group that are in other groups as well which pass packets, where OVN cannot pass: what these pass is taken out of
 * the group's rules for them. Derived: it is there while there are such pods.
 */
export interface GroupClass {
  readonly group: string;
  /** The other groups, sorted. */
  readonly with: readonly string[];
}

/** Addresses of an interface that is in groups; keys as in PodQos. Derived, while a group passes what comes from a group. */
export interface GroupAddress {
  readonly groups: readonly string[];
  readonly addresses: readonly string[];
}

/** Which classes an interface of a pod is in, by group; keys as in PodQos. Derived; there is none for one in no class. */
export interface PodClasses {
  readonly classes: Readonly<Record<string, GroupClass>>;
}
