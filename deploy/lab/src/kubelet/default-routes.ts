import { isIP } from 'node:net';
import { run } from '../fabric/run.ts';
import type { CniResult } from './cni.ts';
import type { FurtherNetwork } from './pod-record.ts';

/** The result of an ADD after {@link moveDefaultRoutes}, as Multus corrects what it has cached for CHECK and DEL. */
export function withDefaultRoutes(result: CniResult | undefined, gateways: readonly string[]): CniResult | undefined {
  const others = result?.routes?.filter(({ dst }) => dst !== '0.0.0.0/0' && dst !== '::/0') ?? [];
  const routes = gateways.map((gw) => ({ dst: isIP(gw) === 4 ? '0.0.0.0/0' : '::/0', gw }));
  return result && { ...result, routes: [...others, ...routes] };
}

/**
 * What Multus does with a pod's default routes where a selection has `default-route` (multus-cni, pkg/netutils): those of all
 * interfaces go, of both families, and the ones that are listed come.
 * @param netns name below /run/netns
 * @param first the pod's first interface
 */
export async function moveDefaultRoutes(
  netns: string,
  first: string,
  networks: readonly FurtherNetwork[],
): Promise<void> {
  const links = [first, ...networks.map(({ ifname }) => ifname)];
  for (const version of [4, 6]) {
    const gone = links.map((link) => `route flush exact default dev ${link}`);
    const added = networks.flatMap(({ ifname, gateways }) =>
      gateways
        .filter((gateway) => isIP(gateway) === version)
        .map((gateway) => `route add default via ${gateway} dev ${ifname}`),
    );
    await run(['ip', `-${version}`, '-batch', '-'], { namespace: netns, input: `${[...gone, ...added].join('\n')}\n` });
  }
}
