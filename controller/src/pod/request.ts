import { parseMac, request, splitDual } from '@ovenbird/crds';
import type { Wanted } from '../alloc/allocator.ts';
import { AllocError } from '../alloc/error.ts';

/**
 * The address and MAC a pod asks for with `ovn.kubernetes.io/ip_address` (`v4`, `v6` or `v4,v6`) and `mac_address`.
 * @throws AllocError `invalid`, with what to write instead.
 */
export function wantedOf(annotations: Readonly<Record<string, string>>): Wanted {
  const address = annotations[request.ipAddress];
  const mac = annotations[request.macAddress];
  const wanted: { v4?: string; v6?: string; mac?: string } = {};
  try {
    if (address !== undefined && address !== '') Object.assign(wanted, splitDual(address));
  } catch {
    throw new AllocError(
      'invalid',
      `annotation ovn.kubernetes.io/ip_address: "${address?.slice(0, 100)}" is not an address; write an IPv4 address, an IPv6 address, or both as "v4,v6"`,
    );
  }
  try {
    if (mac !== undefined && mac !== '') wanted.mac = parseMac(mac);
  } catch {
    throw new AllocError(
      'invalid',
      `annotation ovn.kubernetes.io/mac_address: "${mac?.slice(0, 40)}" is not a unicast MAC; write six octets like 0a:58:0a:10:00:05`,
    );
  }
  return wanted;
}
