/** IPPool: some addresses of a Subnet, set apart for the pods that name the pool or are in its namespaces. */
import * as z from 'zod';
import { from, ordered, to } from './cel-text.ts';
import { addressCount, addressRanges, conditions, flag, labelName, list, resourceName } from './fields.ts';
import type { IpRange } from './ip.ts';
import { cidrRange, ipFamily, ipToBigint, isCidr, isIp, parseIpRange } from './ip.ts';
import { defineKind, type Kind } from './kind.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { type Rule, shortName, withRules, withTransitions } from './rule.ts';

/** The fields of an IPPool; `docs/ip-pool.md` describes them. */
export interface IPPoolSpec {
  /** Name of the Subnet. Cannot change. */
  readonly subnet: string;
  /** Addresses, ranges `a..b`, and CIDRs of the Subnet. */
  readonly ips: readonly string[];
  /** Namespaces whose pods take their addresses here and nowhere else; when empty, pods name the pool. */
  readonly namespaces?: readonly string[];
  /** Keep an Address_Set with the pool's addresses in the northbound database. */
  readonly enableAddressSet?: boolean;
}

/** What the controller says about an IPPool. */
export interface IPPoolStatus {
  readonly conditions?: readonly Condition[];
  /** Counts stop at 2^53 - 1: then the number means "at least". */
  readonly v4AvailableIPs?: number;
  readonly v4UsingIPs?: number;
  readonly v6AvailableIPs?: number;
  readonly v6UsingIPs?: number;
  /** Addresses and ranges `a-b`, separated by commas. */
  readonly v4AvailableIPRange?: string;
  readonly v4UsingIPRange?: string;
  readonly v6AvailableIPRange?: string;
  readonly v6UsingIPRange?: string;
}

/** An IPPool object. */
export type IPPool = CustomResource<IPPoolSpec, IPPoolStatus>;

/**
 * One entry of `ips`.
 * @param text an address, a range `a..b`, or a CIDR (all of its addresses)
 * @throws AddressError `bad-ip`, `bad-cidr`, `bad-range`, `family-mismatch`
 */
export function parsePoolEntry(text: string): IpRange {
  return text.includes('/') ? { family: ipFamily(text), ...cidrRange(text) } : parseIpRange(text);
}

const ends = (entry: string): [string, string] => {
  const at = entry.indexOf('..');
  return at < 0 ? [entry, entry] : [entry.slice(0, at), entry.slice(at + 2)];
};
const isRange = (entry: string): boolean => {
  const [first, last] = ends(entry);
  return isIp(first) && isIp(last) && ipFamily(first) === ipFamily(last);
};

const entryRules: readonly Rule<string>[] = [
  {
    rule: `self.contains('/') ? isCIDR(self) : self.contains('..') ? isIP(${from('self')}) && isIP(${to('self')}) && ip(${from('self')}).family() == ip(${to('self')}).family() : isIP(self)`,
    message:
      'write an address such as 10.16.0.10, a range such as 10.16.0.10..10.16.0.20, or a CIDR such as 10.16.0.64/26',
    holds: (value) => (value.includes('/') ? isCidr(value) : isRange(value)),
  },
  {
    rule: `!self.contains('..') || !isIP(${from('self')}) || !isIP(${to('self')}) || ip(${from('self')}).family() != ip(${to('self')}).family() || ${ordered(from('self'), to('self'))}`,
    message: 'the first address of a range comes first',
    messageExpression: `'the first address of a range comes first: write ' + ${to('self')} + '..' + ${from('self')}`,
    holds: (value) => !isRange(value) || ipToBigint(ends(value)[0]) <= ipToBigint(ends(value)[1]),
  },
];

/** The annotation `ip_pool` holds names of pools or addresses, and must be able to tell them apart. */
const noAddressName: Rule<{ metadata: { name: string } }> = {
  rule: '!isIP(self.metadata.name)',
  message:
    'an IPPool cannot have an address for a name, because the annotation ovn.kubernetes.io/ip_pool takes both; choose another name',
  holds: (value) => !isIp(value.metadata.name),
};

const spec = () =>
  z
    .strictObject({
      subnet: withTransitions(resourceName('Name of the Subnet. Cannot change.'), {
        rule: 'self == oldSelf',
        message: 'spec.subnet cannot change; make a new IPPool',
        allows: (value, old) => value === old,
      }),
      ips: list(
        'Addresses, ranges first..last, and CIDRs of the subnet. Pods that do not use the pool get none of them.',
        withRules(z.string().max(80), ...entryRules),
        100,
      ).min(1),
      namespaces: list(
        'Namespaces whose pods get their addresses here and nowhere else; empty for a pool that pods name.',
        labelName('Name of a namespace.'),
        1024,
      ).exactOptional(),
      enableAddressSet: flag('Keep an OVN address set with the addresses of the pool.', false).exactOptional(),
    })
    .meta({ description: 'Which addresses, and for whom.' });

const status = () =>
  z
    .strictObject({
      conditions: conditions().exactOptional(),
      v4AvailableIPs: addressCount('Free IPv4 addresses.'),
      v4AvailableIPRange: addressRanges('Free IPv4 addresses, as ranges.'),
      v4UsingIPs: addressCount('IPv4 addresses in use.'),
      v4UsingIPRange: addressRanges('IPv4 addresses in use, as ranges.'),
      v6AvailableIPs: addressCount('Free IPv6 addresses.'),
      v6AvailableIPRange: addressRanges('Free IPv6 addresses, as ranges.'),
      v6UsingIPs: addressCount('IPv6 addresses in use.'),
      v6UsingIPRange: addressRanges('IPv6 addresses in use, as ranges.'),
    })
    .meta({ description: 'What the pool has left; written by the controller.' });

/** The kind IPPool. */
export const IPPOOLS: Kind<IPPool> = defineKind<IPPoolSpec, IPPoolStatus>({
  kind: 'IPPool',
  plural: 'ippools',
  shortNames: ['ippool'],
  description: 'Addresses of a subnet set apart for some pods.',
  columns: [
    { name: 'Subnet', type: 'string', jsonPath: '.spec.subnet' },
    { name: 'IPs', type: 'string', jsonPath: '.spec.ips' },
    { name: 'V4Used', type: 'integer', jsonPath: '.status.v4UsingIPs' },
    { name: 'V4Free', type: 'integer', jsonPath: '.status.v4AvailableIPs' },
    { name: 'V6Used', type: 'integer', jsonPath: '.status.v6UsingIPs' },
    { name: 'V6Free', type: 'integer', jsonPath: '.status.v6AvailableIPs' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', priority: 1 },
    { name: 'Namespaces', type: 'string', jsonPath: '.spec.namespaces', priority: 1 },
  ],
  spec,
  status,
  rules: [shortName, noAddressName],
  changes: [
    {
      field: 'spec.subnet',
      message: 'spec.subnet cannot change; make a new IPPool',
      allows: (value, old) => value.subnet === old.subnet,
    },
  ],
});
