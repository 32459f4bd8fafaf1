import type { Key, Meta } from '../store/meta.ts';
import type { Selector } from './selector.ts';

/** Transport protocols of policies, named as the field prefixes of ovn-sb(5): `tcp.dst` ... */
export type PolicyProtocol = 'tcp' | 'udp' | 'sctp';

/** A container port that has a name. */
export interface NamedContainerPort {
  readonly name: string;
  readonly protocol: PolicyProtocol;
  readonly number: number;
}

/** Pods chosen by labels; `namespaces` absent = those of the policy's own namespace. */
export interface SelectorPeer {
  readonly namespaces?: Selector;
  readonly pods: Selector;
}

/** A block of addresses: canonical CIDRs, of one family. */
export interface BlockPeer {
  readonly cidr: string;
  readonly except: readonly string[];
}

/** `port` absent = all ports of the protocol; text = a container port's name. */
export interface PolicyPort {
  readonly protocol: PolicyProtocol;
  readonly port?: number | string;
  readonly endPort?: number;
}

/** One rule: any of the peers (absent: everybody) on any of the ports (absent: everything, ICMP included). */
export interface PolicyRule {
  readonly peers?: readonly (SelectorPeer | BlockPeer)[];
  readonly ports?: readonly PolicyPort[];
}

/** Packets of a policy that are logged. */
export interface PolicyLog {
  readonly allow: boolean;
  readonly drop: boolean;
  /** Entries a second. */
  readonly rate: number;
}

/** `networking.k8s.io/v1` NetworkPolicy; a direction that is absent is not isolated. */
export interface NetworkPolicy extends Meta {
  readonly namespace: string;
  readonly pods: Selector;
  readonly ingress?: readonly PolicyRule[];
  readonly egress?: readonly PolicyRule[];
  /** Which packets are logged; absent = none. */
  readonly log?: PolicyLog;
  /** What of the object cannot be honoured, for an event; such a peer or port matches nothing. */
  readonly problems: readonly string[];
}

/**
 * A set of pods that policies speak of, with a row of its own in the northbound database. Pods ask an index which sets
 * hold them, and emit their own memberships.
 */
export interface PodSet {
  readonly id: string;
  /**
   * `policy`: ports in the policy's Port_Group; `subjects`: ports of a policy's pods that have a named port, in a
   * Port_Group; `group`: ports of pods that a SecurityGroup selects, in the Port_Group `group`; `addresses`: addresses of peers, in one Address_Set per family, shared by all policies that mean the same.
   */
  readonly holds: 'policy' | 'subjects' | 'group' | 'addresses';
  /** Of `policy` and `subjects`: the NetworkPolicy. */
  readonly policy?: Key;
  /** Of those of cluster policies and SecurityGroups instead: the Port_Group, and the owner of its row when that is the policy. */
  readonly group?: { readonly name: string; readonly owner: string };
  /** Pods of this namespace ... */
  readonly namespace?: string;
  /** ... or of the namespaces selected. */
  readonly namespaces?: Selector;
  readonly pods: Selector;
  /** Only pods with this container port. */
  readonly port?: NamedContainerPort;
  /** Only pods with all of these. */
  readonly ports?: readonly NamedContainerPort[];
  /** Without pods like these. */
  readonly not?: readonly {
    readonly namespaces: Selector;
    readonly pods: Selector;
    readonly ports: readonly NamedContainerPort[];
  }[];
  /** Only pods of this VPC; absent = the default VPC, for `policy` all. VPCs may share addresses. */
  readonly vpc?: string;
}

/** A container port name in use: which numbers it stands for in a namespace. Derived from pods, for named ports of rules. */
export interface PortName extends NamedContainerPort {
  readonly namespace: string;
}

/**
 * A block that holds addresses of nodes. A node's own packets come from its address on the join subnet, so that policies
 * that admit the node's address admit that one too. Derived from policies and nodes; there is none for other blocks.
 */
export interface NodeBlock {
  readonly id: string;
  readonly family: 4 | 6;
  readonly cidrs: readonly string[];
}

/** A VPC in which a namespace has pods. Derived from addresses: rules are written for each VPC apart. */
export interface NamespaceVpc {
  readonly namespace: string;
  readonly vpc: string;
}

/** Directions in which at least one policy or SecurityGroup drops packets of pods. Derived. */
export interface Isolation {
  readonly direction: 'Ingress' | 'Egress';
}
