/** QoSPolicy: limits and marks of traffic, for the pods it chooses or that name it. The shape is Ovenbird's own. */
import * as z from 'zod';
import { conditions, flag, labelName, labelSelector, list, resourceName } from './fields.ts';
import { isCidr, parseCidr } from './ip.ts';
import { defineKind, type Kind } from './kind.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { type Rule, shortName, withRules } from './rule.ts';
import type { NamespaceSelector } from './subnet.ts';

/** One rule for one direction; the first that matches a packet limits it, the first with `dscp` that matches marks it. */
export interface QoSRule {
  /** Bits per second, `20M`; see {@link parseBits}. */
  readonly rate?: string;
  /** Bits that may pass at once, `10M`; half a second of the rate when absent. */
  readonly burst?: string;
  /** Differentiated services code point (RFC 2474) that matching packets get. */
  readonly dscp?: number;
  /** Addresses of the other side. */
  readonly cidrs?: readonly string[];
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'icmp';
  /** Ports of the pod. */
  readonly localPorts?: readonly QoSPortRange[];
  /** Ports of the other side. */
  readonly remotePorts?: readonly QoSPortRange[];
}

/** Ports from `port` to `endPort`, which is `port` when absent. */
export interface QoSPortRange {
  readonly port: number;
  readonly endPort?: number;
}

/** Pods for which all that is said holds. */
export interface QoSTarget {
  readonly namespaces?: readonly string[];
  readonly namespaceSelector?: NamespaceSelector;
  readonly podSelector?: NamespaceSelector;
  /** Names of Subnets in which the pods have their addresses. */
  readonly subnets?: readonly string[];
}

/** The fields of a QoSPolicy; `docs/qos.md` describes them. */
export interface QoSPolicySpec {
  /** 0 to 1000; of several policies the highest that matches a packet decides. */
  readonly priority?: number;
  /** The pods on a node share one limit; otherwise each pod has its own. */
  readonly shared?: boolean;
  /** Pods that have the policy. */
  readonly appliesTo?: readonly QoSTarget[];
  /** Namespaces whose pods may name the policy in their annotation; `*` is all. */
  readonly allowedNamespaces?: readonly string[];
  /** Traffic to the pods. */
  readonly ingress?: readonly QoSRule[];
  /** Traffic from the pods. */
  readonly egress?: readonly QoSRule[];
}

/** What the controller says about a QoSPolicy. */
export interface QoSPolicyStatus {
  readonly conditions?: readonly Condition[];
  /** How many pods have it. */
  readonly pods?: number;
}

/** A QoSPolicy object. */
export type QoSPolicy = CustomResource<QoSPolicySpec, QoSPolicyStatus>;

const bits = /^([1-9][0-9]{0,8}k|[1-9][0-9]{0,5}M|[1-9][0-9]{0,2}G)$/;
const thousands: Readonly<Record<string, number>> = { k: 1, M: 1000, G: 1_000_000 };

/**
 * `512k`, `20M`, `1G` in kbit (1000 bits): what ovn-nb(5) QoS.bandwidth holds.
 * @throws RangeError when the text is not such a number
 */
export function parseBits(text: string): number {
  if (!bits.test(text)) throw new RangeError(`"${text}" is not a number of bits such as 512k, 20M or 1G`);
  return Number(text.slice(0, -1)) * (thousands[text.slice(-1)] ?? 1);
}

const bitsRule = (example: string): Rule<string> => ({
  rule: `self.matches('${bits.source}')`,
  message: `write a whole number with k, M or G, such as ${example}, at most 999G`,
  holds: (value) => bits.test(value),
});
const bitsText = (description: string, example: string): z.ZodString =>
  withRules(z.string().max(16).meta({ description }), bitsRule(example));

const port = (description: string): z.ZodInt => z.int().min(1).max(65_535).meta({ description });
const portRange = () =>
  withRules(z.strictObject({ port: port('The port.'), endPort: port('The last port of a range.').exactOptional() }), {
    rule: '!has(self.endPort) || self.endPort >= self.port',
    message: 'endPort is the last port of the range, not less than port',
    holds: (value) => value.endPort === undefined || value.endPort >= value.port,
  });
const cidrRule: Rule<string> = {
  rule: 'isCIDR(self) && string(cidr(self).masked()) == self',
  message: 'write a CIDR without host bits such as 10.16.0.0/16, 192.0.2.7/32 or fd00:10:16::/112',
  holds: (value) => isCidr(value) && parseCidr(value) === value,
};

const ruleRules: readonly Rule<QoSRule>[] = [
  {
    rule: 'has(self.rate) || has(self.dscp)',
    message: 'a rule needs something to do: write rate, dscp or both',
    holds: ({ rate, dscp }) => rate !== undefined || dscp !== undefined,
  },
  {
    rule: '!has(self.burst) || has(self.rate)',
    message: 'burst belongs to a rate; write rate as well',
    holds: ({ rate, burst }) => burst === undefined || rate !== undefined,
  },
  {
    rule: `!(has(self.localPorts) || has(self.remotePorts)) || (has(self.protocol) && self.protocol != 'icmp')`,
    message: 'ports belong to a protocol; write protocol: tcp, udp or sctp',
    holds: ({ localPorts, remotePorts, protocol }) =>
      (localPorts === undefined && remotePorts === undefined) || (protocol !== undefined && protocol !== 'icmp'),
  },
];
const rule = () =>
  withRules(
    z.strictObject({
      rate: bitsText('Bits per second: a whole number with k, M or G (powers of 1000).', '20M').exactOptional(),
      burst: bitsText('Bits that may pass at once; half a second of the rate when absent.', '10M').exactOptional(),
      dscp: z
        .int()
        .min(0)
        .max(63)
        .meta({ description: 'Differentiated services code point that matching packets get.' })
        .exactOptional(),
      cidrs: list(
        'Addresses of the other side; all when absent.',
        withRules(z.string().max(43), cidrRule),
        64,
      ).exactOptional(),
      protocol: z
        .enum(['tcp', 'udp', 'sctp', 'icmp'])
        .meta({ description: 'Protocol; icmp is that of both families. All when absent.' })
        .exactOptional(),
      localPorts: list('Ports of the pod; all when absent.', portRange(), 16).exactOptional(),
      remotePorts: list('Ports of the other side; all when absent.', portRange(), 16).exactOptional(),
    }),
    ...ruleRules,
  );

const selectorRule: Rule<NamespaceSelector> = {
  rule: `!has(self.matchExpressions) || self.matchExpressions.all(e, (e.operator == 'In' || e.operator == 'NotIn') ? has(e.values) && e.values.size() > 0 : !has(e.values) || e.values.size() == 0)`,
  message: 'In and NotIn need values; Exists and DoesNotExist take none',
  holds: (value) =>
    (value.matchExpressions ?? []).every(
      ({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0,
    ),
};
const selector = (description: string): z.ZodType<NamespaceSelector> =>
  withRules((labelSelector() as z.ZodType<NamespaceSelector>).meta({ description }), selectorRule);

const target = () =>
  withRules(
    z.strictObject({
      namespaces: list('Names of namespaces.', labelName('Name of a namespace.'), 256).min(1).exactOptional(),
      namespaceSelector: selector('Namespaces by label; {} is every namespace.').exactOptional(),
      podSelector: selector('Pods by label; {} is every pod.').exactOptional(),
      subnets: list('Subnets in which the pods have their addresses.', resourceName('Name of a Subnet.'), 64)
        .min(1)
        .exactOptional(),
    }),
    {
      rule: 'has(self.namespaces) || has(self.namespaceSelector) || has(self.podSelector) || has(self.subnets)',
      message: 'say which pods: namespaces, namespaceSelector, podSelector or subnets; podSelector: {} is every pod',
      holds: (value) => Object.keys(value).length > 0,
    },
    {
      rule: '!(has(self.namespaces) && has(self.namespaceSelector))',
      message: 'write namespaces or namespaceSelector, not both; for either, make two entries',
      holds: ({ namespaces, namespaceSelector }) => namespaces === undefined || namespaceSelector === undefined,
    },
  );

/** Rules of one direction; their places in the list are priorities in OVN. */
export const MAX_QOS_RULES = 16;

const spec = () =>
  withRules(
    z
      .strictObject({
        priority: z
          .int()
          .min(0)
          .max(1000)
          .meta({
            description: 'Of several policies of a pod the one of highest priority decides; of equal ones the older.',
            default: 100,
          })
          .exactOptional(),
        shared: flag(
          'The pods of the policy that are on one node share each limit; otherwise every pod has its own.',
          false,
        ).exactOptional(),
        appliesTo: list('Pods that have the policy: those that match one entry.', target(), 32).exactOptional(),
        allowedNamespaces: list(
          'Namespaces whose pods may name the policy in the annotation ovenbird.io/qos-policy; "*" is all.',
          withRules(z.string().min(1).max(63), {
            rule: `self == '*' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')`,
            message: 'write the name of a namespace, or "*" for all of them',
            holds: (value) => value === '*' || /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value),
          }),
          256,
        ).exactOptional(),
        ingress: list(
          'Traffic to the pods. The first matching rule with a rate limits, the first with dscp marks.',
          rule(),
          MAX_QOS_RULES,
        ).exactOptional(),
        egress: list('Traffic from the pods, in the same way.', rule(), MAX_QOS_RULES).exactOptional(),
      })
      .meta({ description: 'Which traffic of which pods, and what to do with it.' }),
    {
      rule: '(has(self.ingress) && self.ingress.size() > 0) || (has(self.egress) && self.egress.size() > 0)',
      message: 'a policy needs a rule: write ingress, egress or both, such as egress: [{rate: 20M}]',
      holds: ({ ingress = [], egress = [] }) => ingress.length + egress.length > 0,
    },
    {
      rule: '(has(self.appliesTo) && self.appliesTo.size() > 0) || (has(self.allowedNamespaces) && self.allowedNamespaces.size() > 0)',
      message: 'say whose policy it is: write appliesTo, or allowedNamespaces for pods that name it',
      holds: ({ appliesTo = [], allowedNamespaces = [] }) => appliesTo.length + allowedNamespaces.length > 0,
    },
  );

const status = () =>
  z
    .strictObject({
      conditions: conditions().exactOptional(),
      pods: z.int().min(0).meta({ description: 'How many pods have it.' }).exactOptional(),
    })
    .meta({ description: 'What became of the policy; written by the controller.' });

/** The kind QoSPolicy. */
export const QOSPOLICIES: Kind<QoSPolicy> = defineKind<QoSPolicySpec, QoSPolicyStatus>({
  kind: 'QoSPolicy',
  plural: 'qospolicies',
  shortNames: ['qos'],
  description: 'Limits and marks of traffic, for the pods it chooses or that name it.',
  columns: [
    { name: 'Priority', type: 'integer', jsonPath: '.spec.priority' },
    { name: 'Shared', type: 'boolean', jsonPath: '.spec.shared' },
    { name: 'Ingress', type: 'string', jsonPath: '.spec.ingress[*].rate' },
    { name: 'Egress', type: 'string', jsonPath: '.spec.egress[*].rate' },
    { name: 'DSCP', type: 'string', jsonPath: '.spec.egress[*].dscp', priority: 1 },
    { name: 'Pods', type: 'integer', jsonPath: '.status.pods' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', priority: 1 },
  ],
  spec,
  status,
  rules: [shortName],
});
