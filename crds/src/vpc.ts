/** Vpc: one logical router, and the subnets behind it. */
import * as z from 'zod';
import { anyText, conditions, labelName, labelSelector, list, notBuilt } from './fields.ts';
import { defineKind, type Kind } from './kind.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { portWordRule, type Rule, shortName, withRules } from './rule.ts';

/** The fields of a Vpc that do something; `docs/vpc.md` describes them. */
export interface VpcSpec {
  /** Namespaces that belong to the Vpc; their pods may use its subnets. */
  readonly namespaces?: readonly string[];
}

/** What the controller says about a Vpc. */
export interface VpcStatus {
  readonly conditions?: readonly Condition[];
  /** True once the router exists. */
  readonly standby?: boolean;
  /** True for the cluster's default Vpc. */
  readonly default?: boolean;
  /** Name of the logical router. */
  readonly router?: string;
  /** Names of the subnets in it, sorted. */
  readonly subnets?: readonly string[];
}

/** A Vpc object. The API server fills in an empty `spec`. */
export type Vpc = CustomResource<VpcSpec, VpcStatus>;

const route = () => ({
  policy: anyText().exactOptional(),
  cidr: anyText().exactOptional(),
  nextHopIP: anyText().exactOptional(),
  ecmpMode: anyText().exactOptional(),
  bfdId: anyText().exactOptional(),
  routeTable: anyText().exactOptional(),
});
const policyRoute = () => ({
  priority: z.int().min(0).max(32_767).exactOptional(),
  match: anyText().exactOptional(),
  action: anyText().exactOptional(),
  nextHopIP: anyText().exactOptional(),
});
const peering = () => ({ remoteVpc: anyText().exactOptional(), localConnectIP: anyText().exactOptional() });

const noSelector: Rule<unknown> = {
  rule: '!has(self.matchLabels) && !has(self.matchExpressions)',
  message: 'spec.bfdPort.nodeSelector is not built yet; remove it',
  holds: (value) => typeof value === 'object' && value !== null && Object.keys(value).length === 0,
};

const spec = () =>
  z
    .strictObject({
      namespaces: list(
        'Namespaces that belong to the Vpc; their pods may use its subnets.',
        labelName('Name of a namespace.'),
        1024,
      ).exactOptional(),
      defaultSubnet: notBuilt.text('spec.defaultSubnet', 'Subnet of pods that name none.').exactOptional(),
      staticRoutes: notBuilt
        .list('spec.staticRoutes', 'Routes of the router.', z.strictObject(route()))
        .exactOptional(),
      policyRoutes: notBuilt
        .list('spec.policyRoutes', 'Policies of the router.', z.strictObject(policyRoute()))
        .exactOptional(),
      vpcPeerings: notBuilt
        .list('spec.vpcPeerings', 'Connections to other Vpcs.', z.strictObject(peering()))
        .exactOptional(),
      enableExternal: notBuilt
        .flag('spec.enableExternal', 'Connect the router to the external network.')
        .exactOptional(),
      extraExternalSubnets: notBuilt
        .list('spec.extraExternalSubnets', 'Further external networks.', anyText())
        .exactOptional(),
      enableBfd: notBuilt.flag('spec.enableBfd', 'Watch next hops with BFD.').exactOptional(),
      bfdPort: z
        .strictObject({
          enabled: notBuilt.flag('spec.bfdPort.enabled', 'Give the router a BFD port.').exactOptional(),
          ip: notBuilt.text('spec.bfdPort.ip', 'Address of the BFD port.').exactOptional(),
          nodeSelector: withRules(
            labelSelector().meta({ description: 'Nodes that host the BFD port. Not built yet: refused unless empty.' }),
            noSelector,
          ).exactOptional(),
        })
        .meta({ description: 'BFD port of the router.' })
        .exactOptional(),
    })
    .meta({ description: 'What the Vpc should be.', default: {} });

const status = () =>
  z
    .strictObject({
      conditions: conditions().exactOptional(),
      standby: z.boolean().meta({ description: 'True once the router exists.' }).exactOptional(),
      default: z.boolean().meta({ description: 'True for the default Vpc of the cluster.' }).exactOptional(),
      router: z.string().meta({ description: 'Name of the logical router.' }).exactOptional(),
      subnets: z.array(z.string()).meta({ description: 'Names of the subnets in it, sorted.' }).exactOptional(),
    })
    .meta({ description: 'What the Vpc is; written by the controller.' });

/** The kind Vpc. */
export const VPCS: Kind<Vpc> = defineKind<VpcSpec, VpcStatus>({
  kind: 'Vpc',
  plural: 'vpcs',
  shortNames: ['vpc'],
  description: 'A private routing domain: one logical router. Addresses may overlap with those of other Vpcs.',
  columns: [
    { name: 'Default', type: 'boolean', jsonPath: '.status.default' },
    { name: 'Standby', type: 'boolean', jsonPath: '.status.standby' },
    { name: 'Subnets', type: 'string', jsonPath: '.status.subnets' },
    { name: 'Namespaces', type: 'string', jsonPath: '.spec.namespaces', priority: 1 },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  spec,
  status,
  rules: [shortName, portWordRule],
});
