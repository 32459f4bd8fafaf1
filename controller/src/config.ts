import { readFileSync } from 'node:fs';
import { cidrsOverlap, ipFamily, splitDualCidr } from '@ovenbird/crds';
import { z } from 'zod';

const isDualCidr = (text: string): boolean => {
  try {
    return text !== '' && Object.keys(splitDualCidr(text)).length > 0;
  } catch {
    return false;
  }
};
const dualCidr = z.string().refine(isDualCidr, { message: 'write an IPv4 CIDR, an IPv6 CIDR, or both as "v4,v6"' });
const listen = z.string().regex(/^(\[[0-9a-f:]+\]|[0-9.]+):[0-9]+$/, 'write "address:port"');

/** The controller's settings; defaults are those of design §5. */
export interface Config {
  /** Path of a kubeconfig; absent = in-cluster service account. */
  readonly kubeconfig?: string | undefined;
  /** Remotes of the northbound database: `unix:/path`, `tcp:host:port`, `ssl:host:port`. */
  readonly northbound: readonly string[];
  readonly southbound?: readonly string[] | undefined;
  /** Paths of the client certificate for `ssl:` remotes. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca: string } | undefined;
  readonly leaseNamespace: string;
  /** Unique name of this process; absent = host name and a random suffix. */
  readonly identity?: string | undefined;
  readonly defaultVpc: string;
  readonly defaultSubnet: {
    readonly name: string;
    readonly cidrBlock: string;
    readonly gateway?: string | undefined;
    readonly excludeIps?: readonly string[] | undefined;
  };
  readonly joinSubnet: { readonly name: string; readonly cidrBlock: string };
  /** `v4`, `v6` or `v4,v6`. */
  readonly serviceCidr: string;
  /** Take over a northbound database with rows of another controller. */
  readonly adopt?: 'kube-ovn' | undefined;
  /** `address:port` of metrics and health. */
  readonly listen?: string | undefined;
  /** `address:port` that explains flows to agents, over mutual TLS with `tls`. Needs `southbound`. */
  readonly lookupListen?: string | undefined;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
}

const shape = {
  kubeconfig: z.string().min(1).optional(),
  northbound: z.array(z.string().min(1)).min(1),
  southbound: z.array(z.string().min(1)).optional(),
  tls: z.strictObject({ key: z.string(), cert: z.string(), ca: z.string() }).optional(),
  leaseNamespace: z.string().default('kube-system'),
  identity: z.string().min(1).optional(),
  defaultVpc: z.string().default('ovn-cluster'),
  defaultSubnet: z
    .strictObject({
      name: z.string().default('ovn-default'),
      cidrBlock: dualCidr.default('10.16.0.0/16,fd00:10:16::/112'),
      gateway: z.string().optional(),
      excludeIps: z.array(z.string()).optional(),
    })
    .prefault({}),
  joinSubnet: z
    .strictObject({
      name: z.string().default('join'),
      cidrBlock: dualCidr.default('100.64.0.0/16,fd00:100:64::/112'),
    })
    .prefault({}),
  serviceCidr: dualCidr.default('10.96.0.0/12,fd00:10:96::/112'),
  adopt: z.enum(['kube-ovn']).optional(),
  listen: listen.optional(),
  lookupListen: listen.optional(),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
};

const schema = z.strictObject(shape).superRefine((config, context) => {
  if (config.lookupListen !== undefined)
    for (const key of ['southbound', 'tls'] as const)
      if (config[key] === undefined)
        context.addIssue({ code: 'custom', path: [key], message: 'must be set when lookupListen is' });
  const blocks = [
    ['defaultSubnet.cidrBlock', config.defaultSubnet.cidrBlock],
    ['joinSubnet.cidrBlock', config.joinSubnet.cidrBlock],
    ['serviceCidr', config.serviceCidr],
  ] as const;
  const all = blocks.flatMap(([name, text]) => text.split(',').map((cidr) => [name, cidr] as const));
  for (const [index, [name, cidr]] of all.entries()) {
    for (const [otherName, other] of all.slice(index + 1)) {
      if (!isDualCidr(cidr) || !isDualCidr(other) || ipFamily(cidr) !== ipFamily(other) || !cidrsOverlap(cidr, other))
        continue;
      context.addIssue({ code: 'custom', path: [otherName], message: `${other} overlaps ${name} (${cidr})` });
    }
  }
});

/** What is wrong with the configuration, and where; the process cannot start. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads `--config FILE.json`; each top-level key can be overridden by the environment as `OVENBIRD_<KEY>` (`logLevel` is
 * `OVENBIRD_LOG_LEVEL`; lists
 * and objects as JSON).
 * @throws ConfigError
 */
export function loadConfig(
  path: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  let raw: Record<string, unknown> = {};
  if (path !== undefined) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
      if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error('not a JSON object');
      raw = { ...parsed };
    } catch (error) {
      throw new ConfigError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  for (const key of Object.keys(shape)) {
    const value = environment[variableOf(key)];
    if (value === undefined) continue;
    raw[key] = /^[[{]/.test(value) ? parseJson(key, value) : value;
  }
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  throw new ConfigError(`${path ?? 'environment'}: ${z.prettifyError(result.error)}`);
}

const variableOf = (key: string): string =>
  `OVENBIRD_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

function parseJson(key: string, value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    throw new ConfigError(`environment ${variableOf(key)}: not JSON`);
  }
}
