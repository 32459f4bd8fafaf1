/** Subnet: one logical switch. Field names and values are Kube-OVN's. */
import * as z from 'zod';
import { type OptionsOf, optionsRule } from './dhcp-options.ts';
import {
  addressCount,
  addressRanges,
  anyText,
  conditions,
  flag,
  labelName,
  labelSelector,
  list,
  notBuilt,
  resourceName,
  text,
} from './fields.ts';
import { defineKind, type Kind } from './kind.ts';
import { logRate } from './log-rate.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { portWordRule, type Rule, shortName, withRules, withTransitions } from './rule.ts';
import {
  allowSubnetRule,
  cidrBlockGrows,
  cidrBlockRules,
  excludeIpRules,
  gatewayRules,
  subnetRules,
  subnetSpecRules,
  subnetTransitions,
} from './subnet-rules.ts';

/** A rule on the switch, as ovn-nb(5) table ACL has it. */
export interface SubnetAcl {
  /** `from-lport`: traffic from pods; `to-lport`: traffic to pods. */
  readonly direction: 'from-lport' | 'to-lport';
  /** 0 to 32767; the highest matching one decides. */
  readonly priority: number;
  /** OVN match expression (ovn-sb(5), "Logical_Flow", match). */
  readonly match: string;
  readonly action: 'allow' | 'allow-related' | 'allow-stateless' | 'drop' | 'reject';
  /** Have matching packets logged. */
  readonly log?: boolean;
}

/** `metav1.LabelSelector`, of namespaces. */
export interface NamespaceSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

/** The fields of a Subnet that do something; `docs/subnet.md` describes them. */
export interface SubnetSpec {
  /** Name of the Vpc; the cluster's default Vpc when absent. */
  readonly vpc?: string;
  /** Follows from `cidrBlock` when absent. */
  readonly protocol?: 'IPv4' | 'IPv6' | 'Dual';
  /** `v4`, `v6` or `v4,v6`; canonical, host bits zero. */
  readonly cidrBlock: string;
  /** `v4`, `v6` or `v4,v6`, like `cidrBlock`; the first usable addresses when absent or empty. */
  readonly gateway?: string;
  /** Addresses and ranges `a..b` that are not handed out; the gateway never is. */
  readonly excludeIps?: readonly string[];
  /** Namespaces whose pods get their addresses here. */
  readonly namespaces?: readonly string[];
  /** The same by label: a namespace that one of the selectors matches. */
  readonly namespaceSelectors?: readonly NamespaceSelector[];
  /** Other subnets cannot reach this one, but for `allowSubnets`. */
  readonly private?: boolean;
  /** CIDRs that may reach a private subnet. */
  readonly allowSubnets?: readonly string[];
  readonly acls?: readonly SubnetAcl[];
  /** Log entries a second that a node writes for the subnet's logged `acls`. */
  readonly aclLogRate?: number;
  /** Packets within the subnet pass whatever `acls` below 1900 and `private` say. */
  readonly allowEWTraffic?: boolean;
  /** Traffic that leaves the cluster gets the node's address. */
  readonly natOutgoing?: boolean;
  readonly gatewayType?: 'distributed' | 'centralized' | '';
  /** Bytes; the node's MTU less the tunnel's overhead when absent. */
  readonly mtu?: number;
  /** Make this the default subnet instead of the one in the controller's configuration; of several the oldest is it. */
  readonly default?: boolean;
  readonly provider?: string;
  /** Answer DHCP for pods that ask. */
  readonly enableDHCP?: boolean;
  /** Options as {@link parseOptions} reads them. */
  readonly dhcpV4Options?: string;
  readonly dhcpV6Options?: string;
  /** Send router advertisements. */
  readonly enableIPv6RA?: boolean;
  readonly ipv6RAConfigs?: string;
  /** IGMP and MLD snooping, with a querier. */
  readonly enableMulticastSnoop?: boolean;
}

/** What the controller says about a Subnet. */
export interface SubnetStatus {
  readonly conditions?: readonly Condition[];
  /** The Vpc it is in, the default filled in. */
  readonly vpc?: string;
  /** The families it has. */
  readonly protocol?: 'IPv4' | 'IPv6' | 'Dual';
  /** The gateway in use, the default filled in. */
  readonly gateway?: string;
  /** Counts stop at 2^53 - 1, which an IPv6 /64 exceeds: then the number means "at least". */
  readonly v4availableIPs?: number;
  readonly v4usingIPs?: number;
  readonly v6availableIPs?: number;
  readonly v6usingIPs?: number;
  /** Addresses and ranges `a-b`, separated by commas. */
  readonly v4availableIPrange?: string;
  readonly v4usingIPrange?: string;
  readonly v6availableIPrange?: string;
  readonly v6usingIPrange?: string;
  /** Of the join Subnet only: the nodes, by name. */
  readonly nodes?: readonly SubnetNode[];
}

/** A node as the others need to know it. */
export interface SubnetNode {
  readonly name: string;
  /** InternalIP addresses of the Node. */
  readonly addresses: readonly string[];
  /** Its addresses on the join Subnet, IPv4 first. */
  readonly join: readonly string[];
}

/** A Subnet object. */
export type Subnet = CustomResource<SubnetSpec, SubnetStatus>;

/** The largest count in a status; see {@link SubnetStatus.v4availableIPs}. */
export const MAX_COUNT: number = Number.MAX_SAFE_INTEGER;

/** A count as a status shows it: cut off at {@link MAX_COUNT}. */
export const statusCount = (count: bigint): number => (count > BigInt(MAX_COUNT) ? MAX_COUNT : Number(count));

const acl = () =>
  z.strictObject({
    direction: z
      .enum(['from-lport', 'to-lport'])
      .meta({ description: 'from-lport is traffic from pods, to-lport traffic to pods.' }),
    priority: z.int().min(0).max(32_767).meta({ description: 'The highest matching priority decides.' }),
    match: z
      .string()
      .min(1)
      .max(2048)
      .meta({ description: 'OVN match expression, such as "ip4.dst == 10.0.0.5 && tcp.dst == 80".' }),
    action: z
      .enum(['allow', 'allow-related', 'allow-stateless', 'drop', 'reject'])
      .meta({ description: 'What happens to matching traffic; allow-related also lets the answers through.' }),
    log: flag('Have matching packets logged.', false).exactOptional(),
  });

const selectorRules: readonly Rule<NamespaceSelector>[] = [
  {
    rule: `(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)`,
    message:
      'an empty selector would match every namespace; write matchLabels or matchExpressions, or set spec.default: true',
    holds: (value) => Object.keys(value.matchLabels ?? {}).length > 0 || (value.matchExpressions ?? []).length > 0,
  },
  {
    rule: `!has(self.matchExpressions) || self.matchExpressions.all(e, (e.operator == 'In' || e.operator == 'NotIn') ? has(e.values) && e.values.size() > 0 : !has(e.values) || e.values.size() == 0)`,
    message: 'In and NotIn need values; Exists and DoesNotExist take none',
    holds: (value) =>
      (value.matchExpressions ?? []).every(
        ({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0,
      ),
  },
];
const onlyDistributed: Rule<string> = {
  rule: `self == '' || self == 'distributed'`,
  message: 'spec.gatewayType centralized is not built yet; write distributed or remove it',
  holds: (value) => value === '' || value === 'distributed',
};
const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const providerPattern = `^(ovn|${label}([.]${label})+)$`;
const providerRule: Rule<string> = {
  rule: `self.matches('${providerPattern}')`,
  message:
    'write ovn, <nad>.<namespace>.ovn for further interfaces of pods, or <nad>.<namespace> to give addresses only, as in docs/attachments.md',
  holds: (value) => new RegExp(providerPattern).test(value),
};

const built = () => ({
  default: flag(
    'Make this the default subnet, instead of the one the controller configuration names. Of several the oldest is it.',
    false,
  ).exactOptional(),
  vpc: resourceName('The Vpc the subnet belongs to; the default Vpc when absent. Cannot change.').exactOptional(),
  protocol: z
    .enum(['IPv4', 'IPv6', 'Dual'])
    .meta({ description: 'Families; follows from cidrBlock when absent. Cannot change.' })
    .exactOptional(),
  cidrBlock: withTransitions(
    withRules(
      text('One CIDR, or an IPv4 and an IPv6 CIDR joined by a comma, IPv4 first. Can only grow.', 64),
      ...cidrBlockRules,
    ),
    cidrBlockGrows,
  ),
  gateway: withRules(
    text('Address of the router port, one for each CIDR; the first usable address when absent.', 64),
    ...gatewayRules,
  ).exactOptional(),
  excludeIps: list(
    'Addresses, and ranges first..last, that are not handed out. The gateway never is.',
    withRules(z.string().max(80), ...excludeIpRules),
    100,
  ).exactOptional(),
  namespaces: list(
    'Namespaces whose pods get their addresses here.',
    labelName('Name of a namespace.'),
    1024,
  ).exactOptional(),
  namespaceSelectors: list(
    'Namespaces whose pods get their addresses here, by label; one matching selector is enough.',
    withRules(labelSelector() as z.ZodType<NamespaceSelector>, ...selectorRules),
    64,
  ).exactOptional(),
  private: flag('Keep other subnets out, except those in allowSubnets.', false).exactOptional(),
  allowSubnets: list(
    'CIDRs that may reach a private subnet.',
    withRules(z.string().max(64), allowSubnetRule),
    256,
  ).exactOptional(),
  acls: list('Rules on the logical switch, as OVN has them.', acl(), 256).exactOptional(),
  aclLogRate: logRate().exactOptional(),
  allowEWTraffic: flag(
    'Let packets within the subnet pass whatever acls with priorities below 1900 and private say.',
    false,
  ).exactOptional(),
  natOutgoing: flag('Give traffic that leaves the cluster the address of the node.', false).exactOptional(),
  gatewayType: withRules(
    z.enum(['distributed', 'centralized', '']).meta({
      description: 'distributed: traffic leaves the cluster from the node of the pod. centralized is not built yet.',
      default: 'distributed',
    }),
    onlyDistributed,
  ).exactOptional(),
  mtu: z
    .int()
    .min(576)
    .max(65_535)
    .meta({
      description:
        'MTU of pods in bytes, at least 1280 with IPv6; the MTU of the node less the overhead of the tunnel when absent.',
    })
    .exactOptional(),
  provider: withRules(
    z.string().max(128).meta({
      description:
        'Which interfaces the subnet is for: ovn, the first one of pods; <nad>.<namespace>.ovn, the ones of that NetworkAttachmentDefinition; <nad>.<namespace>, addresses for the ones that another plugin makes.',
      default: 'ovn',
    }),
    providerRule,
  ).exactOptional(),
});

const optionsText = (of: OptionsOf, description: string): z.ZodString =>
  withRules(text(description, 1024), optionsRule(of));

/** DHCP, router advertisements and multicast. */
const services = () => ({
  enableDHCP: flag(
    'Answer DHCP for pods that ask: DHCPv4, and DHCPv6 where there is an IPv6 CIDR.',
    false,
  ).exactOptional(),
  dhcpV4Options: optionsText(
    'v4',
    'Options of DHCPv4, as name=value joined by commas; lease_time, router, server_id, server_mac and mtu have defaults.',
  ).exactOptional(),
  dhcpV6Options: optionsText(
    'v6',
    'Options of DHCPv6, as name=value joined by commas; server_id has a default.',
  ).exactOptional(),
  enableIPv6RA: flag('Send router advertisements.', false).exactOptional(),
  ipv6RAConfigs: optionsText(
    'ra',
    'Content of router advertisements, as name=value joined by commas; address_mode=dhcpv6_stateful, max_interval=30, min_interval=5, send_periodic=true and mtu are the defaults.',
  ).exactOptional(),
  enableMulticastSnoop: flag(
    'Send multicast only where it was joined (IGMP and MLD snooping), and query for members.',
    false,
  ).exactOptional(),
});

/** Fields that Kube-OVN has and that are not built yet. */
const unbuilt = () => ({
  gatewayNode: notBuilt.text('spec.gatewayNode', 'Nodes of a centralized gateway.').exactOptional(),
  gatewayNodeSelectors: notBuilt
    .list('spec.gatewayNodeSelectors', 'Nodes of a centralized gateway, by label.', labelSelector())
    .exactOptional(),
  enableEcmp: notBuilt.flag('spec.enableEcmp', 'Use all nodes of a centralized gateway at once.').exactOptional(),
  natOutgoingPolicyRules: notBuilt
    .list(
      'spec.natOutgoingPolicyRules',
      'Ordered exceptions to natOutgoing.',
      z.strictObject({
        match: z.strictObject({ srcIPs: anyText().exactOptional(), dstIPs: anyText().exactOptional() }).exactOptional(),
        action: anyText().exactOptional(),
      }),
    )
    .exactOptional(),
  externalEgressGateway: notBuilt.text('spec.externalEgressGateway', 'Router outside the cluster.').exactOptional(),
  policyRoutingPriority: notBuilt
    .integer('spec.policyRoutingPriority', 'Priority of the host routing rule.')
    .exactOptional(),
  policyRoutingTableID: notBuilt
    .integer('spec.policyRoutingTableID', 'Table of the host routing rule.')
    .exactOptional(),
  vlan: notBuilt.text('spec.vlan', 'Vlan of an underlay subnet.').exactOptional(),
  vips: notBuilt.list('spec.vips', 'Virtual addresses on the switch.', anyText()).exactOptional(),
  logicalGateway: notBuilt.flag('spec.logicalGateway', 'Give an underlay subnet a router port.').exactOptional(),
  disableGatewayCheck: notBuilt
    .flag('spec.disableGatewayCheck', 'Skip the gateway check when a pod starts.')
    .exactOptional(),
  disableInterConnection: notBuilt
    .flag('spec.disableInterConnection', 'Do not announce the subnet to other clusters.')
    .exactOptional(),
  u2oInterconnection: notBuilt.flag('spec.u2oInterconnection', 'Route between underlay and overlay.').exactOptional(),
  u2oInterconnectionIP: notBuilt
    .text('spec.u2oInterconnectionIP', 'Address of the router on the underlay.')
    .exactOptional(),
  u2oFeatures: z
    .strictObject({
      overlayOnlyRouting: notBuilt
        .flag('spec.u2oFeatures.overlayOnlyRouting', 'Route to overlay destinations only.')
        .exactOptional(),
    })
    .meta({ description: 'Details of u2oInterconnection.' })
    .exactOptional(),
  enableLb: notBuilt.flag('spec.enableLb', 'Services work in this subnet; false turns them off.', true).exactOptional(),
  enableExternalLBAddress: notBuilt
    .flag('spec.enableExternalLBAddress', 'Load balancer addresses from this subnet.')
    .exactOptional(),
  routeTable: notBuilt.text('spec.routeTable', 'Routing table of the router port.').exactOptional(),
  nodeNetwork: notBuilt.text('spec.nodeNetwork', 'Node network that carries the tunnels.').exactOptional(),
});

const spec = () =>
  withTransitions(
    withRules(
      z.strictObject({ ...built(), ...services(), ...unbuilt() }).meta({ description: 'What the subnet should be.' }),
      ...subnetSpecRules,
    ),
    ...subnetTransitions,
  );

const status = () =>
  z
    .strictObject({
      conditions: conditions().exactOptional(),
      vpc: z.string().meta({ description: 'The Vpc it is in, the default filled in.' }).exactOptional(),
      protocol: z.enum(['IPv4', 'IPv6', 'Dual']).meta({ description: 'The families it has.' }).exactOptional(),
      gateway: z.string().meta({ description: 'The gateway in use, the default filled in.' }).exactOptional(),
      v4availableIPs: addressCount('Free IPv4 addresses.'),
      v4usingIPs: addressCount('IPv4 addresses in use.'),
      v6availableIPs: addressCount('Free IPv6 addresses.'),
      v6usingIPs: addressCount('IPv6 addresses in use.'),
      v4availableIPrange: addressRanges('Free IPv4 addresses, as ranges.'),
      v4usingIPrange: addressRanges('IPv4 addresses in use, as ranges.'),
      v6availableIPrange: addressRanges('Free IPv6 addresses, as ranges.'),
      v6usingIPrange: addressRanges('IPv6 addresses in use, as ranges.'),
      nodes: z
        .array(
          z.strictObject({
            name: z.string().meta({ description: 'Name of the Node.' }),
            addresses: z.array(z.string()).meta({ description: 'InternalIP addresses of the Node.' }),
            join: z.array(z.string()).meta({ description: 'Its addresses on this subnet, IPv4 first.' }),
          }),
        )
        .meta({ description: 'Of the join subnet only: the nodes, by name.' })
        .exactOptional(),
    })
    .meta({ description: 'What the subnet is; written by the controller.' });

/** The kind Subnet. */
export const SUBNETS: Kind<Subnet> = defineKind<SubnetSpec, SubnetStatus>({
  kind: 'Subnet',
  plural: 'subnets',
  shortNames: ['subnet'],
  description: 'A network for pods: one logical switch with one IPv4 CIDR, one IPv6 CIDR, or both.',
  columns: [
    { name: 'VPC', type: 'string', jsonPath: '.status.vpc' },
    { name: 'Protocol', type: 'string', jsonPath: '.status.protocol' },
    { name: 'CIDR', type: 'string', jsonPath: '.spec.cidrBlock' },
    { name: 'Gateway', type: 'string', jsonPath: '.status.gateway', priority: 1 },
    { name: 'Private', type: 'boolean', jsonPath: '.spec.private' },
    { name: 'NAT', type: 'boolean', jsonPath: '.spec.natOutgoing' },
    { name: 'V4Used', type: 'integer', jsonPath: '.status.v4usingIPs' },
    { name: 'V4Free', type: 'integer', jsonPath: '.status.v4availableIPs' },
    { name: 'V6Used', type: 'integer', jsonPath: '.status.v6usingIPs' },
    { name: 'V6Free', type: 'integer', jsonPath: '.status.v6availableIPs' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', priority: 1 },
    { name: 'ExcludeIPs', type: 'string', jsonPath: '.spec.excludeIps', priority: 1 },
    { name: 'Namespaces', type: 'string', jsonPath: '.spec.namespaces', priority: 1 },
  ],
  spec,
  status,
  rules: [shortName, portWordRule, ...subnetRules],
  changes: [
    {
      field: 'spec.cidrBlock',
      message: cidrBlockGrows.message,
      allows: (value, old) => cidrBlockGrows.allows(value.cidrBlock, old.cidrBlock),
    },
    ...subnetTransitions.map((change) => ({ ...change, field: 'spec' })),
  ],
});
