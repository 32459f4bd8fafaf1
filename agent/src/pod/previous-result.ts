import { z } from 'zod';
import { AgentError } from '../error.ts';
import type { CniNetworkConfig } from './request.ts';

/** What an earlier plugin of the chain, or an earlier ADD, returned (SPEC.md, "prevResult"). */
export interface PreviousResult {
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac?: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips: readonly { readonly address: string; readonly interface?: number; readonly version?: string }[];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
  readonly dns: Readonly<Record<string, unknown>>;
}

// Go's encoding writes an absent list as null.
const list = <T extends z.ZodType>(item: T): z.ZodType<z.infer<T>[]> =>
  z
    .array(item)
    .nullish()
    .transform((value) => value ?? []);
const shape: z.ZodType<PreviousResult> = z.looseObject({
  interfaces: list(
    z.looseObject({
      name: z.string(),
      mac: z.string().exactOptional(),
      mtu: z.int().exactOptional(),
      sandbox: z.string().exactOptional(),
    }),
  ),
  ips: list(
    z.looseObject({
      address: z.string(),
      interface: z.int().min(0).exactOptional(),
      version: z.string().exactOptional(),
    }),
  ),
  routes: list(z.looseObject({ dst: z.string(), gw: z.string().exactOptional() })),
  dns: z
    .record(z.string(), z.unknown())
    .nullish()
    .transform((value) => value ?? {}),
});

/**
 * Reads `prevResult`, whose shape depends on the version it was written for only in `ips[].version` (up to 0.4.0).
 * @returns undefined when there is none; the shape of the configuration's version otherwise
 * @throws AgentError `invalid-config`
 */
export function previousResult(config: CniNetworkConfig): PreviousResult | undefined {
  if (config.prevResult === undefined || config.prevResult === null) return undefined;
  const parsed = shape.safeParse(config.prevResult);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `prevResult.${path.join('.')}: ${message}`);
    throw new AgentError('invalid-config', problems.join('; '));
  }
  const legacy = config.cniVersion.startsWith('0.');
  const ips = parsed.data.ips.map(({ version: _, ...ip }) =>
    legacy ? { ...ip, version: ip.address.includes(':') ? '6' : '4' } : ip,
  );
  return { ...parsed.data, ips };
}

/** What a result says of the container's end of an interface. A later plugin of the chain may have changed it. */
export interface ClaimedEnd {
  /** Lower case. */
  readonly mac: string | undefined;
  readonly mtu: number | undefined;
  /** CIDRs, as the plugin wrote them. */
  readonly addresses: readonly string[];
  readonly routes: PreviousResult['routes'];
}

/** Reads what a result says of an interface in the container; undefined when it does not list it. */
export function claimedEnd({ interfaces, ips, routes }: PreviousResult, ifname: string): ClaimedEnd | undefined {
  const at = interfaces.findIndex(({ name, sandbox = '' }) => name === ifname && sandbox !== '');
  const found = interfaces[at];
  if (found === undefined) return undefined;
  const addresses = ips.filter((ip) => ip.interface === at).map(({ address }) => address);
  return { mac: found.mac?.toLowerCase(), mtu: found.mtu, addresses, routes };
}
