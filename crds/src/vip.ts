/** Vip: an address of a Subnet that several pods share, one at a time. */
import * as z from 'zod';
import { anyText, conditions, labelName, list, notBuilt, resourceName, text } from './fields.ts';
import { addressRule, macRule } from './ip-address.ts';
import { defineKind, type Kind } from './kind.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { type Rule, shortName, withRules, withTransitions } from './rule.ts';

/** The fields of a Vip; `docs/vip.md` describes them. Empty strings are as good as absent fields. */
export interface VipSpec {
  /** Name of the Subnet. Cannot change. */
  readonly subnet: string;
  /** Namespace of the pods that may have the address. Cannot change. */
  readonly namespace: string;
  /** Chosen by the controller when absent, for each family that the subnet has. */
  readonly v4ip?: string;
  readonly v6ip?: string;
  readonly macAddress?: string;
  /** Labels `key:value` that a pod needs, all of them, to share the address; pods may name the Vip instead. */
  readonly selector?: readonly string[];
}

/** What the controller says about a Vip. */
export interface VipStatus {
  readonly conditions?: readonly Condition[];
  readonly v4ip?: string;
  readonly v6ip?: string;
  readonly mac?: string;
  /** Pods that may have the address now, `namespace/name`, sorted. */
  readonly pods?: readonly string[];
}

/** A Vip object. */
export type Vip = CustomResource<VipSpec, VipStatus>;

const selectorRule: Rule<string> = {
  rule: `self.matches('^[^:]+:[^:]*$')`,
  message: 'write a label as key:value, such as app:web',
  holds: (value) => /^[^:]+:[^:]*$/.test(value),
};
const fixed = (field: string): { rule: string; message: string; allows: (value: string, old: string) => boolean } => ({
  rule: 'self == oldSelf',
  message: `spec.${field} cannot change; make a new Vip`,
  allows: (value, old) => value === old,
});

const spec = () =>
  z
    .strictObject({
      subnet: withTransitions(resourceName('Name of the Subnet. Cannot change.'), fixed('subnet')),
      namespace: withTransitions(
        labelName('Namespace of the pods that may have the address. Cannot change.'),
        fixed('namespace'),
      ),
      v4ip: withRules(text('IPv4 address; a free one when absent.', 15), addressRule(4, '10.16.0.5')).exactOptional(),
      v6ip: withRules(
        text('IPv6 address; a free one when absent.', 39),
        addressRule(6, 'fd00:10:16::5'),
      ).exactOptional(),
      macAddress: withRules(text('MAC address; made by the controller when absent.', 17), macRule).exactOptional(),
      selector: list(
        'Labels key:value that a pod needs, all of them, to share the address.',
        withRules(z.string().max(320), selectorRule),
        16,
      ).exactOptional(),
      type: notBuilt.text('spec.type', 'switch_lb_vip or kube_host_vm_vip.').exactOptional(),
      attachSubnets: notBuilt.list('spec.attachSubnets', 'Further subnets.', anyText()).exactOptional(),
    })
    .meta({ description: 'Which address, and for whom.' });

const status = () =>
  z
    .strictObject({
      conditions: conditions().exactOptional(),
      v4ip: z.string().meta({ description: 'IPv4 address.' }).exactOptional(),
      v6ip: z.string().meta({ description: 'IPv6 address.' }).exactOptional(),
      mac: z.string().meta({ description: 'MAC address that is set aside with it.' }).exactOptional(),
      pods: z
        .array(z.string())
        .meta({ description: 'Pods that may have the address now, as namespace/name, sorted.' })
        .exactOptional(),
    })
    .meta({ description: 'What the Vip got; written by the controller.' });

/** The kind Vip. */
export const VIPS: Kind<Vip> = defineKind<VipSpec, VipStatus>({
  kind: 'Vip',
  plural: 'vips',
  shortNames: ['vip'],
  description: 'An address that several pods share: whoever of them announces it has it.',
  columns: [
    { name: 'Namespace', type: 'string', jsonPath: '.spec.namespace' },
    { name: 'V4IP', type: 'string', jsonPath: '.status.v4ip' },
    { name: 'V6IP', type: 'string', jsonPath: '.status.v6ip' },
    { name: 'Subnet', type: 'string', jsonPath: '.spec.subnet' },
    { name: 'Pods', type: 'string', jsonPath: '.status.pods', priority: 1 },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', priority: 1 },
  ],
  spec,
  status,
  rules: [shortName],
  changes: [
    {
      field: 'spec',
      message: 'spec.subnet and spec.namespace cannot change; make a new Vip',
      allows: (value, old) => value.subnet === old.subnet && value.namespace === old.namespace,
    },
  ],
});
