import { bigintToIp, type Cidr, cidrRange, ipFamily, parseCidr, parseIpRange, parsePoolEntry } from '@ovenbird/crds';
import type { FamilyNet, UsablePool, UsableSubnet } from '../store/model.ts';
import type { PoolConfig, Range } from './family-pool.ts';

/**
 * Addresses of a CIDR that a pod may have: in IPv4 without network and broadcast address (RFC 922); in IPv6 without the
 * subnet-router anycast address (RFC 4291 §2.6.1), the last one included.
 */
function usableRange(cidr: string): Range {
  const { first, last } = cidrRange(parseCidr(cidr));
  return ipFamily(cidr) === 4 ? { first: first + 1n, last: last - 1n } : { first: first + 1n, last };
}

/** The last usable address: in the join subnet it is the next hop that leads nowhere, never handed out. */
export function lastUsable(cidr: Cidr | string): string {
  return bigintToIp(usableRange(cidr).last, ipFamily(cidr));
}

/** What one family of a subnet may hand out: everything usable but the gateway and `excludeIps`; IPPools' apart. */
export function poolConfig(
  subnet: UsableSubnet,
  net: FamilyNet,
  pools: readonly UsablePool[],
  alsoExcluded: readonly string[] = [],
): PoolConfig {
  const family = ipFamily(net.cidr);
  const excluded = [...subnet.excludeIps, net.gateway, ...alsoExcluded]
    .filter((text) => ipFamily(text.split('..')[0] ?? '') === family)
    .map((text) => {
      const { first, last } = parseIpRange(text);
      return { first, last };
    });
  const apart = new Map(
    pools.map(({ name, ips }) => [name, ips.map(parsePoolEntry).filter((range) => range.family === family)]),
  );
  return { family, range: usableRange(net.cidr), excluded, pools: apart };
}
