import { cidrContains, ipFamily, type Route } from '@ovenbird/crds';
import { AllocError } from '../alloc/error.ts';
import { familiesOf } from '../store/families.ts';
import type { UsableSubnet } from '../store/model.ts';
import type { PodRequest } from './request.ts';

/**
 * Refuses routes that the pod's kernel would refuse, or that lead nowhere: the next hop has to be on the pod's own link.
 * @throws AllocError `invalid`
 */
export function checkRoutes(
  routes: readonly Route[],
  subnet: UsableSubnet | undefined,
  family: PodRequest['family'],
): void {
  if (subnet === undefined) return;
  const nets = new Map(
    familiesOf(subnet).filter(([number]) => family === undefined || family === 'Dual' || family === `IPv${number}`),
  );
  for (const { dst, gw } of routes) {
    const net = nets.get(ipFamily(dst));
    if (net === undefined) {
      throw new AllocError(
        'invalid',
        `annotation ovn.kubernetes.io/routes: the pod has no IPv${ipFamily(dst)} address for the route to ${dst}; remove it`,
        [subnet.name],
      );
    }
    if (gw !== undefined && !cidrContains(net.cidr, gw)) {
      throw new AllocError(
        'invalid',
        `annotation ovn.kubernetes.io/routes: ${gw} is not in ${net.cidr} of subnet "${subnet.name}", where the pod could reach it; name a next hop in there, or leave gw out`,
        [subnet.name],
      );
    }
  }
}

/** The routes with the gateway filled in where none is named, as the pod's annotation announces them. */
export function announcedRoutes(routes: readonly Route[], subnet: UsableSubnet): string | undefined {
  if (routes.length === 0) return undefined;
  const nets = new Map(familiesOf(subnet));
  return JSON.stringify(routes.map(({ dst, gw }) => ({ dst, gw: gw ?? nets.get(ipFamily(dst))?.gateway })));
}
