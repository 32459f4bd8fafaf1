import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** One node that the kubelet stands in for. */
export interface NodeConfig {
  readonly name: string;
  /** Name below /run/netns: CNI plugins and hostNetwork pods run there. */
  readonly netns: string;
  /** Directory of the CNI plugins (CNI_PATH). */
  readonly cniBin: string;
  /** Directory of the conflist; the node is Ready while there is one. */
  readonly cniConf: string;
  /** The agent's socket, for networks whose configuration does not name it (the conflist does). */
  readonly cniSocket?: string | undefined;
  /** InternalIP addresses, IPv4 first. */
  readonly addresses: readonly string[];
  /** Labels besides kubernetes.io/hostname, os and arch. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Configuration of the lab's kubelet process. */
export interface KubeletConfig {
  readonly kubeconfig: string;
  readonly nodes: readonly NodeConfig[];
  /** Unix socket for exec and logs; the API server connects to it. */
  readonly socket: string;
  /** Records of sandboxes, and the containers' logs. */
  readonly stateDir: string;
  /** Pods get the network namespaces `<podNetnsPrefix>-<hash of the UID>`. */
  readonly podNetnsPrefix: string;
  /** CNI plugins that may start at once on this machine. Default 16. */
  readonly cniConcurrency: number;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

const schema: z.ZodType<KubeletConfig> = z.strictObject({
  kubeconfig: z.string().min(1),
  nodes: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        netns: z.string().min(1),
        cniBin: z.string().min(1),
        cniConf: z.string().min(1),
        cniSocket: z.string().optional(),
        addresses: z.array(z.string().min(1)).min(1),
        labels: z.record(z.string(), z.string()).optional(),
      }),
    )
    .min(1),
  socket: z.string().min(1),
  stateDir: z.string().min(1),
  podNetnsPrefix: z.string().regex(/^[a-z0-9-]{1,40}$/),
  cniConcurrency: z.number().int().min(1).default(16),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
});

/** Checks a configuration value. @throws Error that lists what is wrong. */
export function parseConfig(value: unknown): KubeletConfig {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Error(`kubelet configuration:\n${z.prettifyError(result.error)}`);
}

/** Reads the JSON file. @throws Error that names the file. */
export function loadConfig(path: string): KubeletConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return parseConfig(value);
}
