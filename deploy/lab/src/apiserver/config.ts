/** The configuration file of the API server process. */
import { z } from 'zod';
import type { ApiServerOptions } from './server.ts';

const schema = z.strictObject({
  listen: z
    .array(
      z.union([
        z.strictObject({ host: z.string(), port: z.int().min(0).max(65535) }),
        z.strictObject({ fd: z.int().min(0) }),
        z.strictObject({ path: z.string() }),
      ]),
    )
    .min(1),
  tls: z.strictObject({ key: z.string(), cert: z.string() }).optional(),
  tokens: z.array(
    z.strictObject({
      token: z.string().min(1),
      user: z.string().min(1),
      groups: z.array(z.string()).default([]),
      extra: z.record(z.string(), z.array(z.string())).default({}),
    }),
  ),
  kubeletSocket: z.string().optional(),
  stateDir: z.string().optional(),
  serviceCidrs: z.array(z.string()).min(1).max(2).optional(),
  manifests: z.array(z.string()).optional(),
  historyLimit: z.int().min(1).optional(),
  workloads: z.union([z.boolean(), z.strictObject({ kubeconfig: z.string() })]).default(false),
});

/** What the file says. */
export interface ApiServerConfig extends Omit<ApiServerOptions, 'onError'> {
  /** Runs scheduler and controllers in this process, as clients by this kubeconfig (true: the default one). */
  readonly workloads: boolean | { readonly kubeconfig: string };
}

/** Parses the text of the file `name`. Throws an error that names the key and what it should be. */
export function parseConfig(text: string, name: string): ApiServerConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name}: not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new Error(`${name}: ${z.prettifyError(result.error)}`);
  // Optional keys that are absent come out as absent, but zod's type says `| undefined`.
  return Object.fromEntries(
    Object.entries(result.data).filter(([, item]) => item !== undefined),
  ) as unknown as ApiServerConfig;
}
