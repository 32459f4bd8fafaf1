import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { dualValues, splitDualCidr } from '@ovenbird/crds';
import { z } from 'zod';
import { AgentError } from './error.ts';

/** The agent's configuration file. Every key can be set by the environment: `nodeName` as `OVENBIRD_NODE_NAME`. */
export interface AgentConfig {
  /** Name of this node's Node object; also the chassis name (`system-id`). */
  readonly nodeName: string;
  /** Path of a kubeconfig; without it the Pod's service account is used. */
  readonly kubeconfig?: string | undefined;
  /** The local ovsdb-server, as in ovsdb(7): `unix:/run/openvswitch/db.sock`. */
  readonly ovsdb: string;
  /** Southbound database, written to `external_ids:ovn-remote`: `ssl:10.0.0.1:6642,ssl:10.0.0.2:6642`. */
  readonly ovnRemote: string;
  /**
   * Where ovs-vswitchd and ovn-controller have their control sockets (`<program>.<pid>.ctl`): by these the agent sees
   * that one of them does not run. Default: `/run/openvswitch` and `/run/ovn` with the default `ovsdb`; else unknown,
   * and then their death is noticed by what stops working only.
   */
  readonly ovsRunDir?: string | undefined;
  readonly ovnRunDir?: string | undefined;
  /** Log file of ovn-controller, for entries of logged rules; default as for `ovnRunDir`. */
  readonly ovnLog?: string | undefined;
  /** Tunnel protocol between nodes. */
  readonly encapType: 'geneve';
  /** Address of this node in the underlay; default: the Node's InternalIP. */
  readonly encapIp?: string | undefined;
  /** `system` = the kernel's datapath, `netdev` = userspace (no kernel module). */
  readonly datapathType: 'system' | 'netdev';
  /** Socket for the CNI shim; its directory is made 0700. */
  readonly cniSocket: string;
  /** Read-only socket for questions (`ovenbird diagnose`). */
  readonly querySocket: string;
  /** Directories in which runtimes keep network namespaces; `/proc` stands for `/proc/<pid>/ns/net`. */
  readonly netnsDirs: readonly string[];
  /** Where to write `10-ovenbird.conflist` once ready (`/etc/cni/net.d`); absent: not installed. */
  readonly cniConfDir?: string | undefined;
  /** Where to copy the shim (`/opt/cni/bin`); absent: not installed. */
  readonly cniBinDir?: string | undefined;
  /** The shim to copy; default: the one built by `npm run build`. */
  readonly cniShim: string;
  /** MTU of pods in Subnets that set none; default: the underlay's less the tunnel's overhead. */
  readonly mtu?: number | undefined;
  /** Service addresses, never masqueraded: `v4`, `v6` or `v4,v6`. */
  readonly serviceCidr: string;
  /**
   * Milliseconds for which a restarted ovn-controller keeps the flows it finds before it replaces them. Without it
   * denied traffic passes and allowed traffic is dropped for about 30 ms; 3000 lost nothing in either direction. The
   * price is a longer outage after a restart of vswitchd itself.
   */
  readonly ofctrlWaitBeforeClear: number;
  /**
   * Whether ovn-controller reads the whole southbound database. `true` saves the database server the work of evaluating
   * every node's conditions, and the first pod of a network on a node a round trip; `false` saves memory on nodes of
   * clusters with many isolated VPCs.
   */
  readonly monitorAll: boolean;
  /** Milliseconds that an ADD waits for the controller to announce the pod's address. */
  readonly announceTimeout: number;
  /** Milliseconds that an ADD waits for OVN to install the flows of the new port. */
  readonly installTimeout: number;
  /**
   * Milliseconds for which pods may not be attachable (a daemon restarts) before the node is taken out of service: the CNI
   * configuration is removed and the Node's condition NetworkUnavailable becomes True.
   */
  readonly outOfServiceAfter: number;
  /** `https://address:port` of controllers that explain flows (their `lookupListen`); absent: rules are not counted. */
  readonly lookup?: readonly string[] | undefined;
  /** PEM files that prove who asks: key, certificate, and the authority of the controllers' certificates. */
  readonly tlsKey?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsCa?: string | undefined;
  /** Milliseconds that a reading of br-int's counters is good for: they are never read more often. */
  readonly statisticsInterval: number;
  /** `address:port` that serves /healthz, /readyz and /metrics; absent: none. */
  readonly listen?: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** File to write the process id to. */
  readonly pidFile?: string | undefined;
}

const DEFAULT_OVSDB = 'unix:/run/openvswitch/db.sock';
const absolutePath = z.string().regex(/^\/[^\0]*$/, 'must be an absolute path');
const remote = /^(unix:\/|(tcp|ssl):(\[[0-9a-fA-F:.]+\]|[^:\s,]+):\d+)/;

function isDualCidr(text: string): boolean {
  try {
    return dualValues(splitDualCidr(text)).length > 0;
  } catch {
    return false;
  }
}

const shape = z.strictObject({
  nodeName: z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be the name of a Node object'),
  kubeconfig: absolutePath.optional(),
  ovsdb: z.string().regex(remote, 'must look like unix:/path or tcp:host:port').default(DEFAULT_OVSDB),
  ovsRunDir: absolutePath.optional(),
  ovnRunDir: absolutePath.optional(),
  ovnLog: absolutePath.optional(),
  ovnRemote: z
    .string()
    .refine((value) => value.split(',').every((one) => remote.test(one)), 'must be ssl:host:port[,...], tcp: or unix:'),
  encapType: z.literal('geneve').default('geneve'),
  encapIp: z
    .string()
    .refine((value) => isIP(value) !== 0, 'must be one IPv4 or IPv6 address')
    .optional(),
  datapathType: z.enum(['system', 'netdev']).default('system'),
  cniSocket: absolutePath.default('/run/ovenbird/cni.sock'),
  querySocket: absolutePath.default('/run/ovenbird/query.sock'),
  netnsDirs: z
    .array(absolutePath)
    .min(1)
    .default(['/run/netns', '/var/run/netns', '/run/docker/netns', '/var/run/docker/netns']),
  cniConfDir: absolutePath.optional(),
  cniBinDir: absolutePath.optional(),
  cniShim: absolutePath.default(fileURLToPath(new URL('../../cni/dist/ovenbird', import.meta.url))),
  mtu: z.int().min(576).max(65_535).optional(),
  serviceCidr: z
    .string()
    .refine(isDualCidr, 'must be a CIDR: v4, v6 or v4,v6, for example 10.96.0.0/12')
    .default('10.96.0.0/12,fd00:10:96::/112'),
  ofctrlWaitBeforeClear: z.int().min(0).max(60_000).default(3000),
  monitorAll: z.boolean().default(true),
  // Together below the 110 s after which the plugin gives up, which is below the 2 to 4 minutes of runtimes.
  announceTimeout: z.int().min(0).max(70_000).default(60_000),
  installTimeout: z.int().min(100).max(35_000).default(30_000),
  outOfServiceAfter: z.int().min(0).max(600_000).default(15_000),
  lookup: z
    .array(z.string().regex(/^https:\/\/(\[[0-9a-fA-F:.]+\]|[^:/\s]+):\d+$/, 'must look like https://10.0.0.1:10661'))
    .min(1)
    .optional(),
  tlsKey: absolutePath.optional(),
  tlsCert: absolutePath.optional(),
  tlsCa: absolutePath.optional(),
  statisticsInterval: z.int().min(1000).max(600_000).default(5000),
  listen: z
    .string()
    .regex(/^.+:\d+$/, 'must be address:port')
    .optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  pidFile: absolutePath.optional(),
});

const LISTS = new Set(['netnsDirs', 'lookup']);
const NUMBERS = new Set([
  'mtu',
  'ofctrlWaitBeforeClear',
  'announceTimeout',
  'installTimeout',
  'outOfServiceAfter',
  'statisticsInterval',
]);
const BOOLEANS = new Set(['monitorAll']);
/** Checks that the two descriptions of a configuration agree. */
const schema: z.ZodType<AgentConfig> = shape;

function fromEnvironment(env: NodeJS.ProcessEnv): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const key of Object.keys(shape.shape)) {
    const text = env[`OVENBIRD_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`];
    if (text === undefined) continue;
    if (LISTS.has(key)) found[key] = text.split(',');
    else if (NUMBERS.has(key)) found[key] = Number(text);
    else if (BOOLEANS.has(key)) found[key] = text === 'true' ? true : text === 'false' ? false : text;
    else found[key] = text;
  }
  return found;
}

/**
 * Checks a configuration.
 * @param input content of the file, parsed
 * @param env variables that override it
 * @throws AgentError `invalid-config` naming every wrong key
 */
export function parseConfig(input: unknown, env: NodeJS.ProcessEnv = {}): AgentConfig {
  const overrides = fromEnvironment(env);
  const merged =
    typeof input === 'object' && input !== null && !Array.isArray(input) ? { ...input, ...overrides } : input;
  const parsed = schema.safeParse(merged);
  if (parsed.success) {
    const { lookup, tlsKey, tlsCert, tlsCa } = parsed.data;
    if (lookup !== undefined && (tlsKey === undefined || tlsCert === undefined || tlsCa === undefined))
      throw new AgentError('invalid-config', 'agent configuration: lookup needs tlsKey, tlsCert and tlsCa');
    const usual = parsed.data.ovsdb === DEFAULT_OVSDB;
    return {
      ...parsed.data,
      ovsRunDir: parsed.data.ovsRunDir ?? (usual ? '/run/openvswitch' : undefined),
      ovnRunDir: parsed.data.ovnRunDir ?? (usual ? '/run/ovn' : undefined),
      ovnLog: parsed.data.ovnLog ?? (usual ? '/var/log/ovn/ovn-controller.log' : undefined),
    };
  }
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(file)'}: ${issue.message}`);
  throw new AgentError('invalid-config', `agent configuration: ${problems.join('; ')}`);
}

/** Reads and checks a configuration file (JSON). @throws AgentError `invalid-config` */
export function loadConfig(path: string, env: NodeJS.ProcessEnv): AgentConfig {
  let input: unknown;
  try {
    input = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new AgentError('invalid-config', `cannot read ${path}: ${String(cause)}`, { cause });
  }
  return parseConfig(input, env);
}
