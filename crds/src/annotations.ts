/**
 * Every annotation, label and finalizer key.
 *
 * The prefix `ovn.kubernetes.io/` is Kube-OVN's, so that manifests carry over; what Ovenbird adds has its own prefix.
 * Values are strings; units and forms are given with each key.
 */

/** Prefix of keys shared with Kube-OVN. */
export const OVN_PREFIX = 'ovn.kubernetes.io/';
/** Prefix of Ovenbird's own keys, and its API group. */
export const OVENBIRD_PREFIX = 'ovenbird.io/';

/**
 * Announced by the controller on a Pod, and (without `routed` and `pod_nic_type`) on a Node for `ovn0`. The keys
 * `ip_address`, `mac_address` and `logical_switch` are requests as long as the pod has no port.
 */
export const announcement = {
  /** `"true"` once an address is held. */
  allocated: 'ovn.kubernetes.io/allocated',
  /** `"true"` once the northbound database holds the port. */
  routed: 'ovn.kubernetes.io/routed',
  /** `v4`, `v6` or `v4,v6`. */
  ipAddress: 'ovn.kubernetes.io/ip_address',
  macAddress: 'ovn.kubernetes.io/mac_address',
  /** CIDR of the subnet: `v4`, `v6` or `v4,v6`. */
  cidr: 'ovn.kubernetes.io/cidr',
  gateway: 'ovn.kubernetes.io/gateway',
  /** Subnet name. */
  logicalSwitch: 'ovn.kubernetes.io/logical_switch',
  /** Vpc name. */
  logicalRouter: 'ovn.kubernetes.io/logical_router',
  /** More routes: a JSON list of `{dst, gw}`; absent when there are none. */
  routes: 'ovn.kubernetes.io/routes',
  /** `veth-pair`. */
  podNicType: 'ovn.kubernetes.io/pod_nic_type',
  /** Node only: name of the logical switch port, `node_<node>`. */
  portName: 'ovn.kubernetes.io/port_name',
  /** UID of the pod that the other keys are about: a template may carry those, but not this. */
  announcedUid: 'ovenbird.io/announced-uid',
  /** Pod only: its interfaces beside the first one, JSON (see `PodInterface`). */
  interfaces: 'ovenbird.io/interfaces',
} as const;

/**
 * One interface of a pod beside the first one, in the annotation `ovenbird.io/interfaces`. It is named as soon as the pod
 * asks for it; the fields of the second half come when the northbound database holds its port.
 */
export interface PodInterface {
  readonly name: string;
  /** `<nad>.<namespace>.ovn`, or without `.ovn` where only an address is given. */
  readonly provider: string;
  /** It has the default routes, and no other interface of the pod has. */
  readonly defaultRoute?: true;
  /** Name of the logical switch port; absent where only an address is given. */
  readonly port?: string;
  readonly subnet?: string;
  readonly mac?: string;
  /** IPv4 first. */
  readonly addresses?: readonly { readonly address: string; readonly prefix: number; readonly gateway: string }[];
}

/** Keys of the network plumbing working group's convention, as Multus reads and writes them. */
export const multus = {
  /** On a Pod: the further networks it asks for. */
  networks: 'k8s.v1.cni.cncf.io/networks',
  /** On a Pod: what it got, JSON. */
  networkStatus: 'k8s.v1.cni.cncf.io/network-status',
} as const;

/** Key of an annotation about the interface of one provider: `blue.default.ovn.kubernetes.io/ip_address`. */
export const providerKey = (provider: string, name: string): string => `${provider}.kubernetes.io/${name}`;

/** On a Node, by its agent: MTU of pods in Subnets that set none, whole bytes. */
export const NODE_MTU = 'ovenbird.io/mtu';

/** What a Pod or its namespace asks for. */
export const request = {
  /** Subnet name; on a Pod or a Namespace. */
  logicalSwitch: 'ovn.kubernetes.io/logical_switch',
  /** Fixed address: `v4`, `v6` or `v4,v6`. */
  ipAddress: 'ovn.kubernetes.io/ip_address',
  /** Unicast MAC of one's own. */
  macAddress: 'ovn.kubernetes.io/mac_address',
  /** `IPv4`, `IPv6` or `Dual`: which families to take of a dual-stack subnet; on a Pod or a Namespace. */
  ipFamily: 'ovn.kubernetes.io/ip_family',
  /**
   * Addresses to choose from, separated by commas (`;` between dual-stack pairs; a StatefulSet takes them by ordinal), or
   * names of IPPools; on a Pod or a Namespace.
   */
  ipPool: 'ovn.kubernetes.io/ip_pool',
  /** More routes in the pod: a JSON list of `{dst, gw}`; on a Pod or a Namespace. */
  routes: 'ovn.kubernetes.io/routes',
  /** Limit of traffic to the pod, whole Mbit/s. */
  ingressRate: 'ovn.kubernetes.io/ingress_rate',
  /** Limit of traffic from the pod, whole Mbit/s. */
  egressRate: 'ovn.kubernetes.io/egress_rate',
  /** Whole Mbit. */
  ingressBurst: 'ovn.kubernetes.io/ingress_burst',
  /** Whole Mbit. */
  egressBurst: 'ovn.kubernetes.io/egress_burst',
  /** Delay of packets to the pod, whole milliseconds. */
  latency: 'ovn.kubernetes.io/latency',
  /** By how much the delay varies, whole milliseconds. */
  jitter: 'ovn.kubernetes.io/jitter',
  /** Packets to the pod that are lost, percent. */
  loss: 'ovn.kubernetes.io/loss',
  /** Packets that are delayed at once at most. */
  limit: 'ovn.kubernetes.io/limit',
  /** Options of DHCPv4 for this pod instead of those of its Subnet: `name=value` joined by commas. */
  dhcpV4Options: 'ovn.kubernetes.io/dhcp-v4-options',
  /** The same of DHCPv6. */
  dhcpV6Options: 'ovn.kubernetes.io/dhcp-v6-options',
  /** Name of a QoSPolicy that allows the namespace; on a Pod or a Namespace. */
  qosPolicy: 'ovenbird.io/qos-policy',
  /** `"false"` turns it off, where the namespace allows unsafe ports. */
  portSecurity: 'ovn.kubernetes.io/port_security',
  /** Further addresses the port may use, separated by commas, where the namespace allows unsafe ports. */
  portVips: 'ovn.kubernetes.io/port_vips',
  /** Names of Vips, separated by commas, whose address the pod may have. */
  aaps: 'ovn.kubernetes.io/aaps',
  /** Names of SecurityGroups, separated by commas; on a Pod. */
  securityGroups: 'ovn.kubernetes.io/security_groups',
  /** Name of the Vip whose address is the pod's own. */
  vip: 'ovn.kubernetes.io/vip',
  /** `"true"`: accept frames for any MAC, where the namespace allows unsafe ports. */
  layer2Forward: 'ovn.kubernetes.io/layer2_forward',
} as const;

/** On a NetworkPolicy: which of its packets are logged. */
export const policyLog = {
  /** `"true"`: some are. */
  enable: 'ovn.kubernetes.io/enable_log',
  /** `ALLOW`, `DROP`, or both with a comma; `DROP` when absent. */
  actions: 'ovn.kubernetes.io/log_acl_actions',
  /** Entries a second and node, 1 to 100; 10 when absent. */
  rate: 'ovn.kubernetes.io/acl_log_meter_rate',
} as const;

/** Namespace label: `"true"` lets its pods turn port security off, forward layer 2, and name port VIPs. */
export const ALLOW_UNSAFE_PORTS = 'ovenbird.io/allow-unsafe-ports';
/** Finalizer on Subnets and Vpcs that are in use. */
export const CONTROLLER_FINALIZER = 'ovenbird.io/controller';

/** Labels and annotations of IP objects. */
export const ipObject = {
  /** Label, `"true"`: written by the controller; anything else is a reservation by a person. */
  managed: 'ovenbird.io/managed',
  /** Label, `"true"`: keep the address when its pod is gone. */
  reserved: 'ovn.kubernetes.io/ip_reserved',
  /** Label: subnet name. */
  subnet: 'ovn.kubernetes.io/subnet',
  /** Label: node name. */
  nodeName: 'ovn.kubernetes.io/node-name',
  /** Label, `"true"`: made by an agent for a container of its node. */
  attachment: 'ovenbird.io/attachment',
  /** Label: name of the Vip whose address it is. */
  vip: 'ovenbird.io/vip',
  /** Annotation: `StatefulSet/namespace/name` (or `VirtualMachine/...`) of what the address is kept for when its pod is gone. */
  keepFor: 'ovenbird.io/keep-for',
} as const;
