/** Custom resources of the group ovenbird.io, and the addresses in them. */
export { AddressError, type AddressErrorCode } from './address-error.ts';
export {
  ALLOW_UNSAFE_PORTS,
  announcement,
  CONTROLLER_FINALIZER,
  ipObject,
  multus,
  NODE_MTU,
  OVENBIRD_PREFIX,
  OVN_PREFIX,
  type PodInterface,
  policyLog,
  providerKey,
  request,
} from './annotations.ts';
export { type OptionsOf, parseOptions } from './dhcp-options.ts';
export { type Dual, dualValues, joinDual, splitDual, splitDualCidr } from './dual.ts';
export { askedOf, type FurtherInterface, interfaceAnnotation } from './interface-annotations.ts';
export {
  type AddressRange,
  addressBits,
  bigintToIp,
  type Cidr,
  cidrContains,
  cidrRange,
  cidrsOverlap,
  type Family,
  firstUsable,
  type Ip,
  type IpRange,
  ipFamily,
  ipToBigint,
  isCanonicalIp,
  isCidr,
  isIp,
  isUsableHost,
  parseCidr,
  parseIp,
  parseIpRange,
  prefixLength,
  rangeToCidrs,
} from './ip.ts';
export { type IP, type IPAttachment, IPS, type IPSpec, type IPStatus } from './ip-address.ts';
export { IPPOOLS, type IPPool, type IPPoolSpec, type IPPoolStatus, parsePoolEntry } from './ip-pool.ts';
export type { CustomResourceDefinition, FieldProblem, Kind, PrinterColumn } from './kind.ts';
export { DEFAULT_LOG_RATE } from './log-rate.ts';
export { isMac, type Mac, parseMac } from './mac.ts';
export type { Condition, CustomResource, ObjectMeta } from './metadata.ts';
export { type Netem, parseNetem } from './netem.ts';
export { isIpamOnly, providerOf } from './provider.ts';
export {
  MAX_QOS_RULES,
  parseBits,
  QOSPOLICIES,
  type QoSPolicy,
  type QoSPolicySpec,
  type QoSPolicyStatus,
  type QoSPortRange,
  type QoSRule,
  type QoSTarget,
} from './qos-policy.ts';
export { parseRoutes, type Route } from './routes.ts';
export type { KubernetesValidation } from './rule.ts';
export {
  MAX_GROUP_PRIORITY,
  SECURITYGROUPS,
  type SecurityGroup,
  type SecurityGroupLabels,
  type SecurityGroupRule,
  type SecurityGroupSelector,
  type SecurityGroupSpec,
  type SecurityGroupStatus,
} from './security-group.ts';
export type { StructuralSchema } from './structural.ts';
export {
  MAX_COUNT,
  SUBNETS,
  type Subnet,
  type SubnetAcl,
  type SubnetNode,
  type SubnetSpec,
  type SubnetStatus,
  statusCount,
} from './subnet.ts';
export { prefixLimits, protocolOf } from './subnet-rules.ts';
export { VIPS, type Vip, type VipSpec, type VipStatus } from './vip.ts';
export { VPCS, type Vpc, type VpcSpec, type VpcStatus } from './vpc.ts';
