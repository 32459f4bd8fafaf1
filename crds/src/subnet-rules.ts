/** Rules of the Subnet kind, each as CEL and as a function. */
import { after, before, both, from, isBroadcast, legalCidrs, legalIps, ordered, to } from './cel-text.ts';
import {
  cidrContains,
  cidrRange,
  ipFamily,
  ipToBigint,
  isCanonicalIp,
  isCidr,
  isIp,
  parseCidr,
  prefixLength,
} from './ip.ts';
import type { Rule, TransitionRule } from './rule.ts';
import type { SubnetSpec } from './subnet.ts';

/** Shortest and longest prefix length of a subnet: no half of the Internet, and room for a gateway and a pod. */
export const prefixLimits = { 4: { min: 8, max: 30 }, 6: { min: 8, max: 126 } } as const;

const parts = (csv: string): string[] => csv.split(',');
const goodCidrs = (csv: string): boolean => parts(csv).length <= 2 && parts(csv).every(isCidr);
const goodIps = (csv: string): boolean => parts(csv).length <= 2 && parts(csv).every(isIp);
/** Two parts are an IPv4 and an IPv6 one, in this order. */
const inOrder = (csv: string): boolean => {
  const [one = '', two] = parts(csv);
  return two === undefined || (ipFamily(one) === 4 && ipFamily(two) === 6);
};
const networkOf = (cidr: string): string => {
  const network = parseCidr(cidr);
  return network.slice(0, network.lastIndexOf('/'));
};
const ordinary = [
  '0.0.0.0/32',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
];
const isGlobalUnicast = (ip: string): boolean => !ordinary.some((special) => cidrContains(special, ip));

/** A rule that has nothing to say about values that another rule refuses. */
function when<T>(good: (value: T) => boolean, cel: string, rule: Rule<T>): Rule<T> {
  return { ...rule, rule: `!(${cel}) || (${rule.rule})`, holds: (value) => !good(value) || rule.holds(value) };
}
const legal = (rule: Rule<string>): Rule<string> => when(goodCidrs, legalCidrs('self'), rule);

const EXAMPLE = '10.16.0.0/16,fd00:10:16::/112';

/** Rules of `cidrBlock`. */
export const cidrBlockRules: readonly Rule<string>[] = [
  {
    rule: legalCidrs('self'),
    message: `write one CIDR such as 10.16.0.0/16 or fd00:10:16::/112, or an IPv4 and an IPv6 CIDR joined by a comma without blanks: ${EXAMPLE}`,
    holds: goodCidrs,
  },
  legal({
    rule: `!self.contains(',') || (cidr(${before('self')}).ip().family() == 4 && cidr(${after('self')}).ip().family() == 6)`,
    message: `two CIDRs must be one IPv4 and one IPv6, IPv4 first, such as ${EXAMPLE}`,
    holds: inOrder,
  }),
  legal({
    rule: both('self', (part) => `string(cidr(${part}).masked()) == ${part}`),
    message: 'host bits must be zero, and IPv6 in its shortest form (RFC 5952)',
    messageExpression: `self.contains(',') ? 'host bits must be zero, and IPv6 in its shortest form: write %s,%s'.format([string(cidr(${before('self')}).masked()), string(cidr(${after('self')}).masked())]) : 'host bits must be zero, and IPv6 in its shortest form: write %s'.format([string(cidr(self).masked())])`,
    holds: (value) => parts(value).every((part) => parseCidr(part) === part),
  }),
  legal({
    rule: both(
      'self',
      (part) =>
        `(cidr(${part}).ip().family() == 4 ? cidr(${part}).prefixLength() >= 8 && cidr(${part}).prefixLength() <= 30 : cidr(${part}).prefixLength() >= 8 && cidr(${part}).prefixLength() <= 126)`,
    ),
    message:
      'the prefix length must be /8 to /30 (IPv4) or /8 to /126 (IPv6): a subnet needs room for its gateway and at least one pod',
    holds: (value) =>
      parts(value).every((part) => {
        const { min, max } = prefixLimits[ipFamily(part)];
        return prefixLength(part) >= min && prefixLength(part) <= max;
      }),
  }),
  legal({
    rule: both('self', (part) => `cidr(${part}).masked().ip().isGlobalUnicast()`),
    message:
      'loopback, link-local, multicast and unspecified addresses cannot be a subnet; use a private block such as 10.16.0.0/16 or fd00:10:16::/112',
    holds: (value) => parts(value).every((part) => isGlobalUnicast(networkOf(part))),
  }),
];

/** How `cidrBlock` may change. */
export const cidrBlockGrows: TransitionRule<string> = {
  rule: `!(${legalCidrs('self')} && ${legalCidrs('oldSelf')}) || (self.contains(',') == oldSelf.contains(',') && cidr(${before('self')}).containsCIDR(cidr(${before('oldSelf')})) && cidr(${after('self')}).containsCIDR(cidr(${after('oldSelf')})))`,
  message:
    'cidrBlock can only grow: each family must contain what it was, and families cannot be added or removed; otherwise make a new Subnet',
  messageExpression: `'cidrBlock can only grow: write a block that contains ' + oldSelf + ', with the same families, or make a new Subnet'`,
  allows(value, old) {
    if (!goodCidrs(value) || !goodCidrs(old)) return true;
    const [was, is] = [parts(old), parts(value)];
    return was.length === is.length && is.every((cidr, index) => cidrContains(cidr, was[index] ?? cidr));
  },
};

/** Rules of `gateway`; the empty string is as good as absent. */
export const gatewayRules: readonly Rule<string>[] = [
  {
    rule: `self == '' || (${legalIps('self')})`,
    message:
      'write one address such as 10.16.0.1 or fd00:10:16::1, or both joined by a comma without blanks, or remove it: the first usable address is the default',
    holds: (value) => value === '' || goodIps(value),
  },
  when<string>((value) => value !== '' && goodIps(value), `self != '' && ${legalIps('self')}`, {
    rule: both('self', (part) => `ip.isCanonical(${part})`),
    message: 'IPv6 must be in its shortest form, lower case (RFC 5952)',
    messageExpression: `'IPv6 must be in its shortest form: write %s for the last address'.format([string(ip(${after('self')}))])`,
    holds: (value) => parts(value).every(isCanonicalIp),
  }),
];

/** Rules of one entry of `excludeIps`. */
export const excludeIpRules: readonly Rule<string>[] = [
  {
    rule: `self.contains('..') ? isIP(${from('self')}) && isIP(${to('self')}) && ip(${from('self')}).family() == ip(${to('self')}).family() : isIP(self)`,
    message: 'write an address such as 10.16.0.10, or a range such as 10.16.0.10..10.16.0.20',
    holds: goodEntry,
  },
  {
    rule: `!self.contains('..') || !isIP(${from('self')}) || !isIP(${to('self')}) || ip(${from('self')}).family() != ip(${to('self')}).family() || ${ordered(from('self'), to('self'))}`,
    message: 'the first address of a range comes first',
    messageExpression: `'the first address of a range comes first: write ' + ${to('self')} + '..' + ${from('self')}`,
    holds: (value) => !goodEntry(value) || ipToBigint(ends(value)[0]) <= ipToBigint(ends(value)[1]),
  },
];

function ends(entry: string): [string, string] {
  const at = entry.indexOf('..');
  return at < 0 ? [entry, entry] : [entry.slice(0, at), entry.slice(at + 2)];
}
function goodEntry(entry: string): boolean {
  const [first, last] = ends(entry);
  return isIp(first) && isIp(last) && ipFamily(first) === ipFamily(last);
}

/** Rule of one entry of `allowSubnets`. */
export const allowSubnetRule: Rule<string> = {
  rule: 'isCIDR(self)',
  message: 'write a CIDR such as 10.17.0.0/16 (one address is 10.17.0.5/32)',
  holds: isCidr,
};

const spec = {
  cidr: 'self.cidrBlock',
  gateway: 'self.gateway',
  cidrs: legalCidrs('self.cidrBlock'),
} as const;
const hasGateway = `has(self.gateway) && self.gateway != '' && ${legalIps('self.gateway')} && ${spec.cidrs}`;
const gatewayGiven = (value: SubnetSpec): value is SubnetSpec & { gateway: string } =>
  value.gateway !== undefined && value.gateway !== '' && goodIps(value.gateway) && goodCidrs(value.cidrBlock);
const eachGateway = (value: SubnetSpec, test: (ip: string, cidr: string) => boolean): boolean => {
  const cidrs = parts(value.cidrBlock);
  return parts(value.gateway ?? '').every((ip, index) => test(ip, cidrs[index] ?? ''));
};
/** The range of an entry lies in one part of the block. */
const inPart = (cidr: string, entry: string): string =>
  `cidr(${cidr}).containsIP(ip(${entry}.contains('..') ? ${from(entry)} : ${entry})) && cidr(${cidr}).containsIP(ip(${entry}.contains('..') ? ${to(entry)} : ${entry}))`;
const legalEntry = `e.contains('..') ? isIP(${from('e')}) && isIP(${to('e')}) : isIP(e)`;

/** Rules across fields of `spec`. */
export const subnetSpecRules: readonly Rule<SubnetSpec>[] = [
  when<SubnetSpec>(gatewayGiven, hasGateway, {
    rule: `self.gateway.contains(',') == self.cidrBlock.contains(',') && cidr(${before(spec.cidr)}).containsIP(ip(${before(spec.gateway)})) && cidr(${after(spec.cidr)}).containsIP(ip(${after(spec.gateway)}))`,
    message:
      'spec.gateway must have one address inside each CIDR of spec.cidrBlock, in the same order; or remove it: the first usable address is the default',
    messageExpression: `'spec.gateway must have one address inside each CIDR of ' + self.cidrBlock + ', in the same order; or remove it: the first usable address is the default'`,
    holds: (value) =>
      parts(value.gateway ?? '').length === parts(value.cidrBlock).length &&
      eachGateway(value, (ip, cidr) => cidrContains(cidr, ip)),
  }),
  when<SubnetSpec>(gatewayGiven, hasGateway, {
    rule: `string(cidr(${before(spec.cidr)}).masked().ip()) != ${before(spec.gateway)} && string(cidr(${after(spec.cidr)}).masked().ip()) != ${after(spec.gateway)} && (cidr(${before(spec.cidr)}).ip().family() == 6 || ip(${before(spec.gateway)}).family() == 6 || !(${isBroadcast(before(spec.gateway), before(spec.cidr))}))`,
    message:
      'spec.gateway must not be the network or broadcast address of spec.cidrBlock; or remove it: the first usable address is the default',
    holds(value) {
      const cidrs = parts(value.cidrBlock);
      const gateways = parts(value.gateway ?? '');
      const pairs: [string, string][] = [
        [cidrs[0] ?? '', gateways[0] ?? ''],
        [cidrs.at(-1) ?? '', gateways.at(-1) ?? ''],
      ];
      return pairs.every(([cidr, ip], index) => networkOf(cidr) !== ip && (index === 1 || !broadcast(ip, cidr)));
    },
  }),
  {
    rule: `!has(self.excludeIps) || !(${spec.cidrs}) || self.excludeIps.all(e, !(${legalEntry}) || (${inPart(before(spec.cidr), 'e')}) || (${inPart(after(spec.cidr), 'e')}))`,
    message: 'every entry of spec.excludeIps must lie inside spec.cidrBlock',
    messageExpression: `'every entry of spec.excludeIps must lie inside ' + self.cidrBlock`,
    holds: (value) =>
      value.excludeIps === undefined ||
      !goodCidrs(value.cidrBlock) ||
      value.excludeIps.every((entry) => {
        const both = ends(entry);
        return !both.every(isIp) || parts(value.cidrBlock).some((cidr) => both.every((ip) => cidrContains(cidr, ip)));
      }),
  },
  {
    rule: `!has(self.protocol) || self.protocol == (self.cidrBlock.contains(',') ? 'Dual' : (self.cidrBlock.contains(':') ? 'IPv6' : 'IPv4'))`,
    message:
      'spec.protocol must agree with spec.cidrBlock (IPv4, IPv6, or Dual for two CIDRs); or remove it: it follows from the block',
    messageExpression: `'spec.protocol must be ' + (self.cidrBlock.contains(',') ? 'Dual' : (self.cidrBlock.contains(':') ? 'IPv6' : 'IPv4')) + ' for this cidrBlock; or remove it: it follows from the block'`,
    holds: (value) => value.protocol === undefined || value.protocol === protocolOf(value.cidrBlock),
  },
  {
    rule: `!has(self.mtu) || self.mtu >= 1280 || !self.cidrBlock.contains(':')`,
    message: 'spec.mtu must be at least 1280 with an IPv6 CIDR (RFC 8200)',
    holds: (value) => value.mtu === undefined || value.mtu >= 1280 || !value.cidrBlock.includes(':'),
  },
  {
    rule: `!has(self.enableIPv6RA) || !self.enableIPv6RA || self.cidrBlock.contains(':')`,
    message: 'spec.enableIPv6RA needs an IPv6 CIDR in spec.cidrBlock; add one, or remove enableIPv6RA',
    holds: (value) => value.enableIPv6RA !== true || value.cidrBlock.includes(':'),
  },
];

/** Which families a block has, by its punctuation. */
export function protocolOf(cidrBlock: string): 'IPv4' | 'IPv6' | 'Dual' {
  if (cidrBlock.includes(',')) return 'Dual';
  return cidrBlock.includes(':') ? 'IPv6' : 'IPv4';
}

function broadcast(ip: string, cidr: string): boolean {
  if (ipFamily(cidr) === 6 || ipFamily(ip) === 6) return false;
  // As the CEL rule does it: also true for the last address of any other block of the same size.
  const size = cidrRange(cidr).last - cidrRange(cidr).first + 1n;
  return (ipToBigint(ip) + 1n) % size === 0n;
}

const bothParts = (test: (part: (csv: string) => string) => string): string => `${test(before)} && ${test(after)}`;

/** How `spec` may change. */
export const subnetTransitions: readonly TransitionRule<SubnetSpec>[] = [
  {
    rule: `has(self.vpc) == has(oldSelf.vpc) && (!has(self.vpc) || self.vpc == oldSelf.vpc)`,
    message: 'spec.vpc cannot change; make a new Subnet in the other Vpc and move the pods there',
    messageExpression: `has(oldSelf.vpc) ? 'spec.vpc cannot change, keep ' + oldSelf.vpc + '; make a new Subnet in the other Vpc and move the pods there' : 'spec.vpc cannot be set later; make a new Subnet in that Vpc and move the pods there'`,
    allows: (value, old) => value.vpc === old.vpc,
  },
  {
    rule: `(has(self.provider) ? self.provider : 'ovn') == (has(oldSelf.provider) ? oldSelf.provider : 'ovn')`,
    message: 'spec.provider cannot change; make a new Subnet',
    allows: (value, old) => (value.provider ?? 'ovn') === (old.provider ?? 'ovn'),
  },
  {
    rule: `!has(self.protocol) || !has(oldSelf.protocol) || self.protocol == oldSelf.protocol`,
    message: 'spec.protocol cannot change; make a new Subnet',
    allows: (value, old) =>
      value.protocol === undefined || old.protocol === undefined || value.protocol === old.protocol,
  },
  {
    rule: `(has(self.gateway) && self.gateway != '') || (has(oldSelf.gateway) && oldSelf.gateway != '') || (${bothParts(
      (part) => `${part('self.cidrBlock')}.find('^[^/]*') == ${part('oldSelf.cidrBlock')}.find('^[^/]*')`,
    )})`,
    message:
      'this cidrBlock would move the default gateway, which pods use: write the present one (status.gateway) into spec.gateway',
    allows(value, old) {
      if ([value.gateway, old.gateway].some((gateway) => gateway !== undefined && gateway !== '')) return true;
      const first = (spec: SubnetSpec, index: number): string | undefined =>
        parts(spec.cidrBlock).at(index)?.split('/')[0];
      return first(value, 0) === first(old, 0) && first(value, -1) === first(old, -1);
    },
  },
];

/** Rules of the whole object. */
export const subnetRules: readonly Rule<{ metadata: { name: string }; spec: SubnetSpec }>[] = [
  {
    rule: `!has(self.spec.vpc) || self.spec.vpc != self.metadata.name`,
    message:
      'a Subnet cannot have the name of its Vpc, because their ports in OVN would have one name; choose another name for one of them',
    holds: (value) => value.spec.vpc !== value.metadata.name,
  },
];
