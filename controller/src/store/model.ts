/**
 * What the controller keeps of each watched object: only the fields it compiles from, so that a status heartbeat or a
 * managedFields change is no change here, and 100,000 pods fit in memory.
 */

import type { IPAttachment } from '@ovenbird/crds';
import type { AttachmentAddress, NetworkAttachment } from '../attachment/model.ts';
import type { HostPort } from '../pod/host-ports.ts';
import type { ClusterPlan, ClusterPolicy, NodeSet } from '../policy/cluster-model.ts';
import type {
  Isolation,
  NamedContainerPort,
  NamespaceVpc,
  NetworkPolicy,
  NodeBlock,
  PodSet,
  PortName,
} from '../policy/model.ts';
import type { Selector } from '../policy/selector.ts';
import type { PodBandwidth, PodQos, QosPolicy, QosUse } from '../qos/model.ts';
import type {
  ClosedPods,
  GroupAddress,
  GroupBinding,
  GroupClass,
  GroupOrder,
  PodClasses,
  SecurityGroup,
} from '../security-group/model.ts';
import type { Key, Meta } from './meta.ts';

export type { Key, Meta } from './meta.ts';

/** A pod; `uid` is the one that kubelet runs it under. */
export interface Pod extends Meta {
  readonly namespace: string;
  /** UID of the object, where it is another one: a mirror pod's. */
  readonly objectUid?: string;
  readonly node: string;
  /** True when the pod shares the node's network, and so has no port. */
  readonly hostNetwork: boolean;
  /** Succeeded or Failed: a finished pod gives its address back. */
  readonly finished: boolean;
  /** Annotations with our prefixes only. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * `StatefulSet/namespace/name` of the StatefulSet that controls the pod, or `VirtualMachine/namespace/name` of the virtual
   * machine that it runs: its address is kept when the pod is gone.
   */
  readonly keepFor?: Key;
  /** Container ports that have a name, for policies. */
  readonly namedPorts: readonly NamedContainerPort[];
  /** Container ports that the node publishes. */
  readonly hostPorts?: readonly HostPort[];
}

export interface Namespace extends Meta {
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Node extends Meta {
  /** InternalIP addresses, canonical text. */
  readonly addresses: readonly string[];
  /** ExternalIP addresses, canonical text. */
  readonly externalAddresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface StatefulSet extends Meta {
  readonly namespace: string;
  /** Ordinal of its first pod. */
  readonly firstOrdinal: number;
  /** Annotations with our prefixes in the pod template. */
  readonly template: Readonly<Record<string, string>>;
}

/** A VirtualMachine of KubeVirt, as far as its pods' addresses depend on it. */
export interface VirtualMachine extends Meta {
  readonly namespace: string;
  /** Annotations with our prefixes that its pods get. */
  readonly template: Readonly<Record<string, string>>;
}

/** A VirtualMachineInstance of KubeVirt: a running machine, or one that no VirtualMachine stands behind. */
export interface VirtualMachineInstance extends Meta {
  readonly namespace: string;
}

export interface Vpc extends Meta {
  /** Somebody deleted it, and it stays in force: the cluster cannot be without it. */
  readonly deletionIgnored?: true;
  readonly namespaces: readonly string[];
  readonly finalizers: readonly string[];
  readonly generation: number;
}

/** An ACL of a Subnet, as the user wrote it. */
export interface SubnetAcl {
  readonly direction: 'from-lport' | 'to-lport';
  readonly priority: number;
  readonly match: string;
  readonly action: 'allow' | 'allow-related' | 'allow-stateless' | 'drop' | 'reject';
  readonly log?: boolean;
}

export interface Subnet extends Meta {
  /** See {@link Vpc.deletionIgnored}. */
  readonly deletionIgnored?: true;
  readonly vpc: string;
  readonly cidrBlock: string;
  readonly gateway: string;
  readonly excludeIps: readonly string[];
  readonly namespaces: readonly string[];
  /** Namespaces by label; one of them is enough. */
  readonly namespaceSelectors: readonly Selector[];
  /** Asks to be the default subnet. */
  readonly isDefault: boolean;
  readonly private: boolean;
  readonly allowSubnets: readonly string[];
  readonly acls: readonly SubnetAcl[];
  /** Log entries a second. */
  readonly aclLogRate: number;
  readonly allowEastWest: boolean;
  readonly natOutgoing: boolean;
  /** Whose interfaces the subnet is for (`<nad>.<namespace>.ovn`); absent: pods' first ones. */
  readonly provider?: string;
  readonly mtu?: number;
  /** Options of DHCP by family, as people write them; absent: no DHCP. */
  readonly dhcp?: { readonly v4: string; readonly v6: string };
  /** Content of router advertisements, likewise. */
  readonly ra?: string;
  readonly multicastSnoop: boolean;
  readonly finalizers: readonly string[];
  readonly generation: number;
}

/** Addresses of a subnet set apart for some pods. */
export interface IpPool extends Meta {
  readonly subnet: string;
  /** Addresses, ranges `a..b` and CIDRs. */
  readonly ips: readonly string[];
  readonly namespaces: readonly string[];
  readonly addressSet: boolean;
  readonly generation: number;
}

/** An IPPool in force: inside its subnet, and in conflict with no older one. */
export interface UsablePool {
  readonly name: string;
  readonly subnet: string;
  readonly ips: readonly string[];
  readonly namespaces: readonly string[];
  readonly addressSet: boolean;
}

/** An address that pods share. */
export interface Vip extends Meta {
  readonly subnet: string;
  /** Namespace of the pods that may have it. */
  readonly namespace: string;
  readonly v4?: string;
  readonly v6?: string;
  readonly mac?: string;
  /** Labels, all of which a pod needs. */
  readonly selector: readonly (readonly [key: string, value: string])[];
  /** The address it had by its status. */
  readonly had: { readonly v4?: string; readonly v6?: string };
}

/** The `IP` object: the durable record of an address, or a reservation made by hand. */
export interface IpRecord extends Meta {
  readonly subnet: string;
  readonly v4?: string;
  readonly v6?: string;
  readonly mac?: string;
  readonly podName?: string;
  readonly namespace?: string;
  readonly nodeName?: string;
  readonly ownerUid?: string;
  /** Written by the controller (label `ovenbird.io/managed`); anything else is a reservation by a person. */
  readonly managed: boolean;
  /** Kept for a pod that is gone for now. */
  readonly reserved: boolean;
  /** Name of the Vip whose address it is. */
  readonly vip?: string;
  /** `podName` is a virtual machine, whose pods have other names. */
  readonly ofMachine?: true;
  readonly keepFor?: Key;
  /** The interface that has the address, where it is not a pod's first one. */
  readonly attachment?: IPAttachment;
  /** Its condition `Ready`, where the controller alone makes the object: reason, since when, and of which generation. */
  readonly ready?: { readonly reason: string; readonly since: string; readonly observed?: number };
  /** Of objects that the controller or an agent made. */
  readonly generation?: number;
  /** Of attachments only: annotations with our prefixes. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** One address family of a subnet that passed the cross-object checks. */
export interface FamilyNet {
  readonly cidr: string;
  readonly gateway: string;
  readonly prefix: number;
}

/** A Subnet that may be used: parsed, defaults filled in, in conflict with nothing older. */
export interface UsableSubnet {
  readonly name: string;
  readonly vpc: string;
  readonly v4?: FamilyNet;
  readonly v6?: FamilyNet;
  readonly excludeIps: readonly string[];
  readonly namespaces: readonly string[];
  readonly namespaceSelectors: readonly Selector[];
  readonly isDefault: boolean;
  readonly private: boolean;
  readonly allowSubnets: readonly string[];
  readonly acls: readonly SubnetAcl[];
  /** Log entries a second. */
  readonly aclLogRate: number;
  readonly allowEastWest: boolean;
  readonly natOutgoing: boolean;
  readonly deleting: boolean;
  readonly provider?: string;
  readonly mtu?: number;
  /** Options of DHCP by family, as people write them; absent: no DHCP. */
  readonly dhcp?: { readonly v4: string; readonly v6: string };
  /** Content of router advertisements, likewise. */
  readonly ra?: string;
  readonly multicastSnoop: boolean;
}

/** What alloc decided for a pod or a node; an input to everything that is compiled. */
export interface Address {
  readonly owner: Key;
  readonly uid: string;
  readonly subnet: string;
  readonly v4?: string;
  readonly v6?: string;
  readonly mac: string;
  /** See `Pod.keepFor`: as long as that exists, the address survives the pod. */
  readonly keepFor?: Key;
  /** Who holds the address in alloc, where it is not the owner: `Vip/name` or `VirtualMachine/namespace/name`. */
  readonly via?: Key;
}

/** Kinds of objects that compile units may read. */
export interface Tables {
  Vpc: Vpc;
  Subnet: Subnet;
  UsableSubnet: UsableSubnet;
  Pod: Pod;
  Namespace: Namespace;
  Node: Node;
  StatefulSet: StatefulSet;
  VirtualMachine: VirtualMachine;
  VirtualMachineInstance: VirtualMachineInstance;
  IpRecord: IpRecord;
  IPPool: IpPool;
  Vip: Vip;
  VipAddress: Address;
  QoSPolicy: QosPolicy;
  PodQos: PodQos;
  QosUse: QosUse;
  PodBandwidth: PodBandwidth;
  UsablePool: UsablePool;
  PodAddress: Address;
  NodeAddress: Address;
  AttachmentAddress: AttachmentAddress;
  /** MTU of pods in Subnets that set none, bytes. */
  NetworkMtu: { readonly mtu: number };
  NetworkAttachment: NetworkAttachment;
  NetworkPolicy: NetworkPolicy;
  PodSet: PodSet;
  PortName: PortName;
  NodeBlock: NodeBlock;
  NamespaceVpc: NamespaceVpc;
  Isolation: Isolation;
  AdminNetworkPolicy: ClusterPolicy;
  BaselineAdminNetworkPolicy: ClusterPolicy;
  ClusterNetworkPolicy: ClusterPolicy;
  ClusterPlan: ClusterPlan;
  NodeSet: NodeSet;
  SecurityGroup: SecurityGroup;
  GroupBinding: GroupBinding;
  GroupOrder: GroupOrder;
  GroupAddress: GroupAddress;
  ClosedPods: ClosedPods;
  GroupClass: GroupClass;
  PodClasses: PodClasses;
}
export type Kind = keyof Tables;

/** Kinds that follow from others. */
export type DerivedKind =
  | 'UsableSubnet'
  | 'UsablePool'
  | 'PodAddress'
  | 'NodeAddress'
  | 'VipAddress'
  | 'AttachmentAddress'
  | 'NetworkMtu'
  | 'PodSet'
  | 'PortName'
  | 'NodeBlock'
  | 'NodeSet'
  | 'NamespaceVpc'
  | 'Isolation'
  | 'ClusterPlan'
  | 'PodQos'
  | 'QosUse'
  | 'PodBandwidth'
  | 'GroupBinding'
  | 'GroupOrder'
  | 'GroupAddress'
  | 'ClosedPods'
  | 'GroupClass'
  | 'PodClasses';
/** Kinds that come from the API server. */
export type WatchedKind = Exclude<Kind, DerivedKind>;

export const podKey = (namespace: string, name: string): Key => `${namespace}/${name}`;
