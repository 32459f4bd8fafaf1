import { z } from 'zod';
import { AgentError } from '../error.ts';
import { type RuntimeConfig, runtimeConfig } from './runtime-config.ts';

/** Versions of the CNI specification we speak, oldest first. */
export const CNI_VERSIONS: readonly string[] = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];

/** The network configuration a runtime passes on standard input; keys we do not know are tolerated (SPEC.md §1). */
export interface CniNetworkConfig {
  readonly cniVersion: string;
  readonly name: string;
  /** Name of the plugin; not `ovenbird` where another plugin executes us for its addresses. */
  readonly type?: string | undefined;
  /** Subnet of containers outside of Kubernetes. */
  readonly subnet?: string | undefined;
  /** Which interface of a pod: `<nad>.<namespace>.ovn`; absent or `ovn`: see `pod/interfaces.ts`. */
  readonly provider?: string | undefined;
  readonly ipam?: { readonly type?: string | undefined; readonly provider?: string | undefined } | undefined;
  readonly prevResult?: unknown;
  readonly dns?: Record<string, unknown> | undefined;
  readonly runtimeConfig?: RuntimeConfig | undefined;
  readonly 'cni.dev/valid-attachments'?:
    | readonly { readonly containerID: string; readonly ifname: string }[]
    | null
    | undefined;
}

/** One invocation of the shim (docs/architecture.md §5). */
export interface CniRequest {
  readonly command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';
  readonly containerId: string;
  /** CNI_NETNS as the runtime gave it; empty when it gave none. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS, split. */
  readonly args: Readonly<Record<string, string>>;
  readonly config: CniNetworkConfig;
}

const attachments = z.array(z.looseObject({ containerID: z.string(), ifname: z.string() }));
const name = z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'must be the name of an object');
const config: z.ZodType<CniNetworkConfig> = z.looseObject({
  cniVersion: z.string(),
  // The pattern of the reference library (containernetworking/cni, pkg/utils).
  name: z
    .string()
    .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, 'must start with a letter or digit and hold only those and _ . -'),
  type: z.string().optional(),
  subnet: name.optional(),
  provider: name.optional(),
  ipam: z
    .looseObject({ type: z.string().optional(), provider: name.optional() })
    .nullish()
    .transform((value) => value ?? undefined),
  prevResult: z.unknown().optional(),
  dns: z.record(z.string(), z.unknown()).optional(),
  runtimeConfig,
  'cni.dev/valid-attachments': attachments.nullish(),
});
const envelope = z.looseObject({
  command: z.enum(['ADD', 'DEL', 'CHECK', 'GC', 'STATUS']),
  containerId: z.string().max(512).default(''),
  netns: z.string().max(4096).default(''),
  ifname: z.string().default(''),
  args: z.record(z.string(), z.string()).default({}),
  config: z.looseObject({}),
});

/** CNI_CONTAINERID (SPEC.md, "Parameters"). */
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/**
 * CNI_IFNAME: SPEC.md forbids 16 and more characters, `.`, `..`, `/`, `:` and white space. We also refuse the characters
 * that mean something to `ip -batch` (quotes, `#`, `\`) and a leading `-`.
 */
const IFNAME = /^(?!\.{1,2}$)[A-Za-z0-9_.@+=][A-Za-z0-9_.@+=-]{0,14}$/;

/** First version of the specification that has a command. */
const SINCE = { ADD: '0.3.1', DEL: '0.3.1', CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const;

function explain(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'request'}: ${issue.message}`).join('; ');
}

/**
 * Checks what came over the socket.
 * @throws AgentError `decode`, `invalid-environment`, `invalid-config` or `incompatible-version`
 */
export function parseRequest(body: unknown): CniRequest {
  const outer = envelope.safeParse(body);
  if (!outer.success) throw new AgentError('decode', explain(outer.error));
  const { command, containerId, netns, ifname, args } = outer.data;
  const inner = config.safeParse(outer.data.config);
  if (!inner.success) throw new AgentError('invalid-config', `network configuration: ${explain(inner.error)}`);
  const version = inner.data.cniVersion;
  if (!CNI_VERSIONS.includes(version) || CNI_VERSIONS.indexOf(version) < CNI_VERSIONS.indexOf(SINCE[command])) {
    const usable = CNI_VERSIONS.slice(CNI_VERSIONS.indexOf(SINCE[command])).join(', ');
    throw new AgentError(
      'incompatible-version',
      `${command} with cniVersion ${version} is not supported; use ${usable}`,
    );
  }
  if (command === 'ADD' || command === 'DEL' || command === 'CHECK') {
    if (!CONTAINER_ID.test(containerId)) {
      throw new AgentError('invalid-environment', `CNI_CONTAINERID ${JSON.stringify(containerId)} is not valid`);
    }
    if (!IFNAME.test(ifname)) {
      throw new AgentError('invalid-environment', `CNI_IFNAME ${JSON.stringify(ifname)} is not a valid interface name`);
    }
    if (netns === '' && command !== 'DEL') throw new AgentError('invalid-environment', 'CNI_NETNS is missing');
  }
  return { command, containerId, netns, ifname, args, config: inner.data };
}

/** The pod a request is for. `uid` is absent when the runtime does not pass it (containerd before 1.6, CRI-O before 1.23). */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
}

/** Whether the request is for a container outside of Kubernetes (podman, cnitool): it names no pod, but a subnet. */
export function isContainer({ args, config }: CniRequest): boolean {
  const named = (args['K8S_POD_NAMESPACE'] ?? '') !== '' && (args['K8S_POD_NAME'] ?? '') !== '';
  return !named && config.subnet !== undefined;
}

/** Whether another plugin makes the interface and executes us for its addresses (SPEC.md, "Delegated plugins"). */
export const isIpam = ({ config }: CniRequest): boolean =>
  config.ipam?.type === 'ovenbird' && config.type !== undefined && config.type !== 'ovenbird';

/**
 * Which pod CNI_ARGS names.
 * @throws AgentError `pod-unnamed` naming the missing key
 */
export function podIdentity(request: CniRequest): PodIdentity {
  const { K8S_POD_NAMESPACE: namespace = '', K8S_POD_NAME: name = '', K8S_POD_UID: uid = '' } = request.args;
  for (const [key, value] of [
    ['K8S_POD_NAMESPACE', namespace],
    ['K8S_POD_NAME', name],
  ] as const) {
    if (value === '') {
      throw new AgentError(
        'pod-unnamed',
        `CNI_ARGS does not hold ${key}; a container outside of Kubernetes needs a "subnet" in the network configuration`,
      );
    }
  }
  return uid === '' ? { namespace, name } : { namespace, name, uid };
}
