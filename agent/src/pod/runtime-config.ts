import { z } from 'zod';

/** Limits of one interface (CONVENTIONS.md, `bandwidth`): bits per second, and bits; 0 or absent: none. */
export interface Bandwidth {
  /** What the pod receives. */
  readonly ingressRate?: number | undefined;
  readonly ingressBurst?: number | undefined;
  /** What the pod sends. */
  readonly egressRate?: number | undefined;
  readonly egressBurst?: number | undefined;
}

/** A port of the container that its node publishes (CONVENTIONS.md, `portMappings`). */
export interface PortMapping {
  readonly hostPort?: number | undefined;
  readonly containerPort?: number | undefined;
  readonly protocol?: string | undefined;
  readonly hostIP?: string | undefined;
}

/** What the runtime adds for the capabilities that the configuration declares (CONVENTIONS.md). */
export interface RuntimeConfig {
  readonly ips?: readonly string[] | undefined;
  readonly mac?: string | undefined;
  readonly bandwidth?: Bandwidth | undefined;
  readonly portMappings?: readonly PortMapping[] | undefined;
}

/** Go decodes keys whatever their case, so clients get away with `IngressRate` (containerd 1.6). */
function lowerFirst(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key.slice(0, 1).toLowerCase() + key.slice(1), field as unknown]),
  );
}

const optional = <S extends z.ZodType>(schema: S) => schema.nullish().transform((value) => value ?? undefined);
const amount = optional(z.int().min(0));
const bandwidth = z.preprocess(
  lowerFirst,
  optional(z.looseObject({ ingressRate: amount, ingressBurst: amount, egressRate: amount, egressBurst: amount })),
);
const port = optional(z.int().min(0).max(65_535));
const portMapping = z.preprocess(
  lowerFirst,
  z.looseObject({ hostPort: port, containerPort: port, protocol: optional(z.string()), hostIP: optional(z.string()) }),
);

/** Reads `runtimeConfig`; keys of capabilities that are not ours are passed over. */
export const runtimeConfig: z.ZodType<RuntimeConfig | undefined> = optional(
  z.looseObject({
    ips: optional(z.array(z.string())),
    mac: optional(z.string()),
    bandwidth: bandwidth.optional(),
    portMappings: optional(z.array(portMapping)),
  }),
);
