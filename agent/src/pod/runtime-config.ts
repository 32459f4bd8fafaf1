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

/** What the runtime adds for the capabilities that the configuration declares (CONVENTIONS.md). */
export interface RuntimeConfig {
  readonly ips?: readonly string[] | undefined;
  readonly mac?: string | undefined;
  readonly bandwidth?: Bandwidth | undefined;
}

/** Go decodes keys whatever their case, so clients get away with `IngressRate` (containerd 1.6). */
function lowerFirst(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key.slice(0, 1).toLowerCase() + key.slice(1), field as unknown]),
  );
}

const amount = z
  .int()
  .min(0)
  .nullish()
  .transform((value) => value ?? undefined);
const bandwidth = z.preprocess(
  lowerFirst,
  z
    .looseObject({ ingressRate: amount, ingressBurst: amount, egressRate: amount, egressBurst: amount })
    .nullish()
    .transform((value) => value ?? undefined),
);

/** Reads `runtimeConfig`; keys of capabilities that are not ours are passed over. */
export const runtimeConfig: z.ZodType<RuntimeConfig | undefined> = z
  .looseObject({
    ips: z
      .array(z.string())
      .nullish()
      .transform((value) => value ?? undefined),
    mac: z
      .string()
      .nullish()
      .transform((value) => value ?? undefined),
    bandwidth: bandwidth.optional(),
  })
  .nullish()
  .transform((value) => value ?? undefined);
