import { isIPv6 } from 'node:net';
import type { PreviousResult } from './previous-result.ts';
import type { VethPlan } from './veth.ts';

/** A CNI error object (SPEC.md, "Error"). */
export interface CniErrorResult {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** A CNI ADD result (SPEC.md, "ADD Success"), any version from 0.3.1 to 1.1.0. */
export interface CniAddResult {
  readonly cniVersion: string;
  readonly interfaces: readonly Readonly<Record<string, unknown>>[];
  readonly ips: readonly (Readonly<Record<string, unknown>> & { readonly interface?: number | undefined })[];
  readonly routes: readonly Readonly<Record<string, unknown>>[];
  readonly dns: Readonly<Record<string, unknown>>;
}

/**
 * The result of a plugin that is not the first of its chain: everything of the one before, and its own (SPEC.md, "ADD",
 * prevResult). Unknown keys of the earlier result stay.
 */
export function appendResult(previous: PreviousResult, own: CniAddResult): CniAddResult {
  const before = previous.interfaces.length;
  const dns = Object.keys(own.dns).length > 0 ? own.dns : previous.dns;
  return {
    ...previous,
    cniVersion: own.cniVersion,
    interfaces: [...previous.interfaces, ...own.interfaces],
    ips: [...previous.ips, ...own.ips.map((ip) => ({ ...ip, interface: before + (ip.interface ?? 0) }))],
    routes: [...previous.routes, ...own.routes],
    dns,
  };
}

const defaultRoutes = ({
  defaultRoute,
  addresses,
}: Pick<VethPlan, 'defaultRoute' | 'addresses'>): { readonly dst: string; readonly gw: string }[] =>
  defaultRoute
    ? addresses.map(({ address, gateway }) => ({ dst: isIPv6(address) ? '::/0' : '0.0.0.0/0', gw: gateway }))
    : [];

/** The answer to ADD of another plugin that asks for addresses only (SPEC.md, "Delegated plugins"): no interfaces. */
export function ipamResult(
  cniVersion: string,
  plan: Pick<VethPlan, 'defaultRoute' | 'addresses'>,
  dns: Readonly<Record<string, unknown>> | undefined,
): CniAddResult {
  const legacy = cniVersion.startsWith('0.');
  return {
    cniVersion,
    interfaces: [],
    ips: plan.addresses.map(({ address, prefix, gateway }) => ({
      ...(legacy ? { version: isIPv6(address) ? ('6' as const) : ('4' as const) } : {}),
      address: `${address}/${prefix}`,
      gateway,
    })),
    routes: defaultRoutes(plan),
    dns: dns ?? {},
  };
}

/**
 * The answer to ADD.
 * @param cniVersion of the request: `ips[].version` exists only before 1.0.0, `interfaces[].mtu` only since 1.1.0
 * @param sandbox CNI_NETNS exactly as the runtime wrote it
 * @param dns the `dns` object of the network configuration, passed on
 */
export function addResult(
  cniVersion: string,
  sandbox: string,
  plan: VethPlan,
  dns: Readonly<Record<string, unknown>> | undefined,
): CniAddResult {
  const legacy = cniVersion.startsWith('0.');
  const mtu = cniVersion === '1.1.0' ? { mtu: plan.mtu } : {};
  return {
    cniVersion,
    interfaces: [
      { name: plan.hostName, mac: plan.hostMac, ...mtu },
      { name: plan.ifname, mac: plan.mac, sandbox, ...mtu },
    ],
    ips: plan.addresses.map(({ address, prefix, gateway }) => ({
      ...(legacy ? { version: isIPv6(address) ? ('6' as const) : ('4' as const) } : {}),
      address: `${address}/${prefix}`,
      gateway,
      interface: 1,
    })),
    routes: [...defaultRoutes(plan), ...plan.routes.map(({ dst, gateway }) => ({ dst, gw: gateway }))],
    dns: dns ?? {},
  };
}
