/** SecurityGroup: what pods that belong to it may send and receive. Field names and values are Kube-OVN's. */
import * as z from 'zod';
import { conditions, flag, labelName, labelSelector, list, resourceName, text } from './fields.ts';
import { defineKind, type Kind } from './kind.ts';
import { logRate } from './log-rate.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { shortName, withRules, withTransitions } from './rule.ts';
import { groupRules, ruleRules, selectorRules, vpcTransition } from './security-group-rules.ts';

/** The highest priority of a rule. */
export const MAX_GROUP_PRIORITY = 16_384;

/** One rule. Empty strings are as good as absent fields. */
export interface SecurityGroupRule {
  readonly ipVersion: 'ipv4' | 'ipv6';
  readonly protocol: 'all' | 'icmp' | 'tcp' | 'udp' | 'sctp';
  /** 1 to 16384, the lowest decides (Kube-OVN's order). */
  readonly priority: number;
  readonly remoteType: 'address' | 'securityGroup';
  /** Address or CIDR of the other side. */
  readonly remoteAddress?: string;
  /** The other side is a pod of this group. */
  readonly remoteSecurityGroup?: string;
  /** Destination ports, of the pod for ingress, of the other side for egress; all when absent. */
  readonly portRangeMin?: number;
  readonly portRangeMax?: number;
  /** Address or CIDR on the pod's side; all of its addresses when absent. */
  readonly localAddress?: string;
  readonly sourcePortRangeMin?: number;
  readonly sourcePortRangeMax?: number;
  readonly policy: 'allow' | 'drop' | 'pass';
  /** Have matching packets logged. */
  readonly log?: boolean;
}

/** `metav1.LabelSelector`. */
export interface SecurityGroupLabels {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

/** Pods that are in the group without naming it: those that both selectors choose; an absent one chooses all. */
export interface SecurityGroupSelector {
  readonly namespaceSelector?: SecurityGroupLabels;
  readonly podSelector?: SecurityGroupLabels;
}

/** The fields of a SecurityGroup; `docs/security-groups.md` describes them. */
export interface SecurityGroupSpec {
  /** The Vpc of its pods; the cluster's default Vpc when absent. Cannot change. */
  readonly vpc?: string;
  readonly ingressRules?: readonly SecurityGroupRule[];
  readonly egressRules?: readonly SecurityGroupRule[];
  /** Pods of the group may talk to each other. */
  readonly allowSameGroupTraffic?: boolean;
  /** 0: before network policies; 1: behind them and everything else. */
  readonly tier?: number;
  /** Namespaces whose pods may be in the group; with namespaceSelectors empty as well, those of all. */
  readonly namespaces?: readonly string[];
  readonly namespaceSelectors?: readonly SecurityGroupLabels[];
  readonly selectors?: readonly SecurityGroupSelector[];
  /** Have packets logged that no rule lets through. */
  readonly logDropped?: boolean;
  /** Log entries a second that a node writes for the group. */
  readonly logRate?: number;
}

/** What the controller says about a SecurityGroup. */
export interface SecurityGroupStatus {
  readonly conditions?: readonly Condition[];
  /** Name of the Port_Group in the northbound database. */
  readonly portGroup?: string;
  /** The Vpc it is for, the default filled in. */
  readonly vpc?: string;
}

/** A SecurityGroup object. */
export type SecurityGroup = CustomResource<SecurityGroupSpec, SecurityGroupStatus>;

const port = (description: string): z.ZodInt => z.int().min(1).max(65_535).meta({ description });

const rule = () =>
  withRules(
    z.strictObject({
      ipVersion: z.enum(['ipv4', 'ipv6']).meta({ description: 'Family of the packets.' }),
      protocol: z.enum(['all', 'icmp', 'tcp', 'udp', 'sctp']).meta({ description: 'What the packets carry.' }),
      priority: z
        .int()
        .min(1)
        .max(MAX_GROUP_PRIORITY)
        .meta({ description: 'The lowest matching priority decides. Two of one priority have no order.' }),
      remoteType: z
        .enum(['address', 'securityGroup'])
        .meta({ description: 'Whether the other side is told by remoteAddress or by remoteSecurityGroup.' }),
      remoteAddress: text('Address or CIDR of the other side.', 64).exactOptional(),
      remoteSecurityGroup: text('The other side is a pod of this SecurityGroup.', 63).exactOptional(),
      portRangeMin: port('First destination port, for tcp, udp and sctp; all ports when absent.').exactOptional(),
      portRangeMax: port('Last destination port.').exactOptional(),
      localAddress: text('Address or CIDR of the pod; all of its addresses when absent.', 64).exactOptional(),
      sourcePortRangeMin: port('First source port; all ports when absent.').exactOptional(),
      sourcePortRangeMax: port('Last source port.').exactOptional(),
      policy: z
        .enum(['allow', 'drop', 'pass'])
        .meta({ description: 'allow lets the answers through as well; pass leaves the packet to the next tier.' }),
      log: flag('Have matching packets logged.', false).exactOptional(),
    }),
    ...ruleRules,
  ) as z.ZodType<SecurityGroupRule>;

const labels = (description: string): z.ZodType<SecurityGroupLabels> =>
  withRules(labelSelector() as z.ZodType<SecurityGroupLabels>, ...selectorRules).meta({ description });

const spec = () =>
  withRules(
    withTransitions(
      z
        .strictObject({
          vpc: resourceName('The Vpc of its pods; the default Vpc when absent. Cannot change.').exactOptional(),
          ingressRules: list('What the pods may receive.', rule(), 200).exactOptional(),
          egressRules: list('What the pods may send.', rule(), 200).exactOptional(),
          allowSameGroupTraffic: flag('Pods of the group may talk to each other.', false).exactOptional(),
          tier: z
            .int()
            .min(0)
            .max(1)
            .meta({
              description: '0: looked at before network policies. 1: behind them and everything else.',
              default: 0,
            })
            .exactOptional(),
          namespaces: list(
            'Namespaces whose pods may be in the group; all when namespaceSelectors is empty as well.',
            labelName('Name of a namespace.'),
            1024,
          ).exactOptional(),
          namespaceSelectors: list(
            'The same by label; one matching selector is enough.',
            labels('Labels of namespaces.'),
            64,
          ).exactOptional(),
          selectors: list(
            'Pods that are in the group without naming it; one matching entry is enough.',
            z
              .strictObject({
                namespaceSelector: labels('Labels of their namespace; any when absent.').exactOptional(),
                podSelector: labels('Labels of the pods; any when absent.').exactOptional(),
              })
              .meta({ description: 'Pods that both selectors choose.' }) as z.ZodType<SecurityGroupSelector>,
            64,
          ).exactOptional(),
          logDropped: flag('Have packets logged that no rule lets through.', false).exactOptional(),
          logRate: logRate().exactOptional(),
        })
        .meta({ description: 'Whom the group is for, and what they may do.', default: {} }),
      vpcTransition,
    ),
    ...groupRules,
  ) as z.ZodType<SecurityGroupSpec>;

const status = () =>
  z
    .strictObject({
      conditions: conditions().exactOptional(),
      portGroup: z.string().meta({ description: 'Name of the port group in OVN.' }).exactOptional(),
      vpc: z.string().meta({ description: 'The Vpc it is for, the default filled in.' }).exactOptional(),
    })
    .meta({ description: 'What became of the group; written by the controller.' });

/** The kind SecurityGroup. */
export const SECURITYGROUPS: Kind<SecurityGroup> = defineKind<SecurityGroupSpec, SecurityGroupStatus>({
  kind: 'SecurityGroup',
  plural: 'security-groups',
  shortNames: ['sg'],
  description: 'What some pods may send and receive, on top of being closed.',
  columns: [
    { name: 'VPC', type: 'string', jsonPath: '.status.vpc' },
    { name: 'Tier', type: 'integer', jsonPath: '.spec.tier' },
    { name: 'SameGroup', type: 'boolean', jsonPath: '.spec.allowSameGroupTraffic' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
    { name: 'PortGroup', type: 'string', jsonPath: '.status.portGroup', priority: 1 },
    { name: 'Namespaces', type: 'string', jsonPath: '.spec.namespaces', priority: 1 },
  ],
  spec,
  status,
  rules: [shortName],
  changes: [
    {
      field: 'spec.vpc',
      message: vpcTransition.message,
      allows: (value, old) => vpcTransition.allows(value, old),
    },
  ],
});
