/** Rules of the SecurityGroup kind, each as CEL and as a function. */
import { ipFamily, isCidr, isIp } from './ip.ts';
import type { Rule, TransitionRule } from './rule.ts';
import type { SecurityGroupLabels, SecurityGroupRule, SecurityGroupSpec } from './security-group.ts';

const given = (field: string): string => `has(self.${field}) && self.${field} != ''`;
const isAddress = (text: string): boolean => isIp(text) || isCidr(text);
const familyCel = (field: string): string =>
  `(self.${field}.contains('/') ? cidr(self.${field}).ip().family() : ip(self.${field}).family())`;
const isAddressCel = (field: string): string => `(isIP(self.${field}) || isCIDR(self.${field}))`;

function address(field: 'remoteAddress' | 'localAddress'): readonly Rule<SecurityGroupRule>[] {
  return [
    {
      rule: `!(${given(field)}) || ${isAddressCel(field)}`,
      message: `${field} is neither an address such as 10.16.0.5 nor a CIDR such as 10.16.0.0/24`,
      holds: ({ [field]: value = '' }) => value === '' || isAddress(value),
    },
    {
      rule: `!(${given(field)}) || !${isAddressCel(field)} || ${familyCel(field)} == (self.ipVersion == 'ipv4' ? 4 : 6)`,
      message: `${field} is not of the family that ipVersion says; write the other ipVersion`,
      holds: ({ [field]: value = '', ipVersion }) =>
        value === '' || !isAddress(value) || ipFamily(value) === (ipVersion === 'ipv4' ? 4 : 6),
    },
  ];
}

function range(
  min: 'portRangeMin' | 'sourcePortRangeMin',
  max: 'portRangeMax' | 'sourcePortRangeMax',
): readonly Rule<SecurityGroupRule>[] {
  return [
    {
      rule: `has(self.${min}) == has(self.${max})`,
      message: `write both ${min} and ${max}; for one port both are the same`,
      holds: (value) => (value[min] === undefined) === (value[max] === undefined),
    },
    {
      rule: `!has(self.${min}) || !has(self.${max}) || self.${min} <= self.${max}`,
      message: `${min} comes first: write the smaller port there`,
      holds: (value) => (value[min] ?? 0) <= (value[max] ?? 65_535),
    },
    {
      rule: `!has(self.${min}) || self.protocol in ['tcp', 'udp', 'sctp']`,
      message: `only tcp, udp and sctp have ports: remove ${min} and ${max}, or write one of them as protocol`,
      holds: (value) => value[min] === undefined || ['tcp', 'udp', 'sctp'].includes(value.protocol),
    },
  ];
}

/** Rules of one rule. */
export const ruleRules: readonly Rule<SecurityGroupRule>[] = [
  {
    rule: `self.remoteType == 'address' ? ${given('remoteAddress')} : ${given('remoteSecurityGroup')}`,
    message:
      'with remoteType address write remoteAddress (0.0.0.0/0 or ::/0 for everybody), with remoteType securityGroup write remoteSecurityGroup',
    holds: ({ remoteType, remoteAddress = '', remoteSecurityGroup = '' }) =>
      (remoteType === 'address' ? remoteAddress : remoteSecurityGroup) !== '',
  },
  {
    rule: `self.remoteType == 'address' ? !(${given('remoteSecurityGroup')}) : !(${given('remoteAddress')})`,
    message: 'remoteType says which of remoteAddress and remoteSecurityGroup counts; remove the other one',
    holds: ({ remoteType, remoteAddress = '', remoteSecurityGroup = '' }) =>
      (remoteType === 'address' ? remoteSecurityGroup : remoteAddress) === '',
  },
  ...address('remoteAddress'),
  ...address('localAddress'),
  ...range('portRangeMin', 'portRangeMax'),
  ...range('sourcePortRangeMin', 'sourcePortRangeMax'),
];

/** Rules of a label selector. */
export const selectorRules: readonly Rule<SecurityGroupLabels>[] = [
  {
    rule: `!has(self.matchExpressions) || self.matchExpressions.all(e, (e.operator == 'In' || e.operator == 'NotIn') ? has(e.values) && e.values.size() > 0 : !has(e.values) || e.values.size() == 0)`,
    message: 'In and NotIn need values; Exists and DoesNotExist take none',
    holds: (value) =>
      (value.matchExpressions ?? []).every(
        ({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0,
      ),
  },
];

const inTier1 = 'has(self.tier) && self.tier == 1';
const rulesOf = ({ ingressRules = [], egressRules = [] }: SecurityGroupSpec): readonly SecurityGroupRule[] => [
  ...ingressRules,
  ...egressRules,
];
const all = (condition: string): string =>
  ['ingressRules', 'egressRules']
    .map((field) => `(!has(self.${field}) || self.${field}.all(r, ${condition}))`)
    .join(' && ');

/** Rules of the spec. */
export const groupRules: readonly Rule<SecurityGroupSpec>[] = [
  {
    rule: `!(${inTier1}) || (${all(`r.policy != 'pass'`)})`,
    message: 'behind tier 1 comes nothing that could decide instead: write allow or drop, or spec.tier 0',
    holds: (value) => value.tier !== 1 || rulesOf(value).every(({ policy }) => policy !== 'pass'),
  },
];

/** A group is of one Vpc: Vpcs may share addresses, by which groups are told as remotes. */
export const vpcTransition: TransitionRule<SecurityGroupSpec> = {
  rule: `has(self.vpc) == has(oldSelf.vpc) && (!has(self.vpc) || self.vpc == oldSelf.vpc)`,
  message: 'spec.vpc cannot change; make a new SecurityGroup for the pods of the other Vpc',
  allows: (value, old) => value.vpc === old.vpc,
};
