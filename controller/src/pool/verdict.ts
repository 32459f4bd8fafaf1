import { bigintToIp, cidrRange, type IpRange, parsePoolEntry } from '@ovenbird/crds';
import { olderFirst } from '../store/by-age.ts';
import { familiesOf } from '../store/families.ts';
import type { IpPool, UsablePool, UsableSubnet } from '../store/model.ts';

/** Whether an IPPool may be used, and the text of its `Ready` condition. */
export interface PoolVerdict {
  readonly usable?: UsablePool;
  readonly reason: 'Usable' | 'SubnetMissing' | 'OutsideSubnet' | 'Overlap' | 'Invalid' | 'Deleting';
  readonly message: string;
}

/** Judges the IPPools of one subnet: of two that overlap the older one is in force (design §3). Pure. */
export function judgePools(
  name: string,
  subnet: UsableSubnet | undefined,
  pools: readonly IpPool[],
): ReadonlyMap<string, PoolVerdict> {
  const claimed: { readonly range: IpRange; readonly entry: string; readonly pool: string }[] = [];
  const byAge = pools.toSorted(olderFirst);
  return new Map(byAge.map((pool) => [pool.name, judge(pool)]));

  function judge(pool: IpPool): PoolVerdict {
    if (pool.deleting) return { reason: 'Deleting', message: "its addresses are the subnet's again" };
    if (subnet === undefined)
      return {
        reason: 'SubnetMissing',
        message: `subnet "${name}" does not exist or is not usable; the pool follows it`,
      };
    let ranges: (readonly [entry: string, range: IpRange])[];
    try {
      ranges = pool.ips.map((entry) => [entry, parsePoolEntry(entry)] as const);
    } catch (error) {
      return { reason: 'Invalid', message: error instanceof Error ? error.message : String(error) };
    }
    const nets = familiesOf(subnet);
    for (const [entry, { family, first, last }] of ranges) {
      const net = nets.find(([found]) => found === family)?.[1];
      const block = net === undefined ? undefined : cidrRange(net.cidr);
      if (block === undefined || first < block.first || last > block.last) {
        const cidrs = nets.map(([, { cidr }]) => cidr).join(',');
        return {
          reason: 'OutsideSubnet',
          message: `${entry} is not in subnet "${name}" (${cidrs}); write addresses inside it`,
        };
      }
      const other = claimed.find(({ range }) => range.family === family && range.first <= last && first <= range.last);
      if (other !== undefined) {
        const shared = bigintToIp(first > other.range.first ? first : other.range.first, family);
        return {
          reason: 'Overlap',
          message: `${entry} and ${other.entry} of IPPool "${other.pool}" both hold ${shared}; take it out of one of them`,
        };
      }
    }
    for (const [entry, range] of ranges) claimed.push({ range, entry, pool: pool.name });
    const { ips, namespaces, addressSet } = pool;
    return {
      reason: 'Usable',
      message: 'in force',
      usable: { name: pool.name, subnet: name, ips, namespaces, addressSet },
    };
  }
}
