/** Building blocks of the schemas. Every string and list is bounded: the cost of CEL rules is estimated from the bounds. */
import * as z from 'zod';
import type { Condition } from './metadata.ts';
import { type Rule, withRules } from './rule.ts';

/** Text of limited length. */
export const text = (description: string, maxLength: number): z.ZodString =>
  z.string().max(maxLength).meta({ description });

/** A name as namespaces have it (RFC 1123 label). */
export const labelName = (description: string): z.ZodString =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)
    .meta({ description });

/** A name as Subnets and Vpcs have it (RFC 1123 subdomain, as short as a label so that it fits label values). */
export const resourceName = (description: string): z.ZodString =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)
    .meta({ description });

/** A list of limited length. */
export const list = <S extends z.ZodType>(description: string, items: S, maxItems: number): z.ZodArray<S> =>
  z.array(items).max(maxItems).meta({ description });

/** A yes/no field that is built; `fallback` is filled in by the API server. */
export const flag = (description: string, fallback: boolean): z.ZodBoolean =>
  z.boolean().meta({ description, default: fallback });

const refusal = (path: string, cel: string, holds: (value: unknown) => boolean): Rule<unknown> => ({
  rule: cel,
  message: `${path} is not built yet; remove it`,
  holds,
});

/**
 * A field that Kube-OVN has and Ovenbird has not built: present in the schema, so that nobody's manifest is silently
 * pruned, and refused unless it says what happens anyway.
 */
export const notBuilt = {
  flag: (path: string, description: string, fallback = false): z.ZodBoolean =>
    withRules(
      z.boolean().meta({ description: pending(description) }),
      refusal(path, fallback ? 'self' : '!self', (value) => value === fallback),
    ),
  text: (path: string, description: string, fallback = ''): z.ZodString =>
    withRules(
      z
        .string()
        .max(256)
        .meta({ description: pending(description) }),
      refusal(
        path,
        fallback === '' ? "self == ''" : `self == '' || self == '${fallback}'`,
        (value) => value === '' || value === fallback,
      ),
    ),
  integer: (path: string, description: string): z.ZodInt =>
    withRules(
      z
        .int()
        .min(0)
        .max(4_294_967_295)
        .meta({ description: pending(description) }),
      refusal(path, 'self == 0', (value) => value === 0),
    ),
  list: <S extends z.ZodType>(path: string, description: string, items: S): z.ZodArray<S> =>
    withRules(
      z
        .array(items)
        .max(256)
        .meta({ description: pending(description) }),
      refusal(path, 'self.size() == 0', (value) => Array.isArray(value) && value.length === 0),
    ),
} as const;

const pending = (description: string): string => `${description} Not built yet: refused unless it has its default.`;

/** A string inside a field that is refused as a whole. */
export const anyText = (): z.ZodString => z.string().max(256);
/** A list of strings inside a field that is refused as a whole. */
const anyTexts = (): z.ZodArray<z.ZodString> => z.array(anyText()).max(256);

/** `metav1.LabelSelector`, inside a field that is refused as a whole. */
export const labelSelector = (): z.ZodType =>
  z.strictObject({
    matchLabels: z.record(z.string(), anyText()).meta({ description: 'Labels with their values.' }).exactOptional(),
    matchExpressions: z
      .array(
        z.strictObject({
          key: anyText(),
          operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
          values: anyTexts().exactOptional(),
        }),
      )
      .max(64)
      .meta({ description: 'Conditions on labels.' })
      .exactOptional(),
  });

/** `status.conditions`. */
export const conditions = (): z.ZodType<readonly Condition[]> =>
  z
    .array(
      z.strictObject({
        type: z.string().min(1).max(316).meta({ description: 'What this is about, in CamelCase.' }),
        status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it is so.' }),
        observedGeneration: z
          .int()
          .min(0)
          .exactOptional()
          .meta({ description: 'The generation of the spec this is about.' }),
        lastTransitionTime: z.string().meta({ description: 'When status last changed.', format: 'date-time' }),
        reason: z.string().min(1).max(1024).meta({ description: 'One CamelCase word for machines.' }),
        message: z.string().max(32_768).meta({ description: 'A sentence for people.' }),
      }),
    )
    .max(32)
    .meta({
      description: 'What is so and what is not, each with a reason.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    });

/** How many addresses, in a status; absent for a family that is not there. */
export const addressCount = (description: string): z.ZodExactOptional<z.ZodInt> =>
  z
    .int()
    .min(0)
    .meta({ description: `${description} 9007199254740991 means at least that many.`, format: 'int64' })
    .exactOptional();

/** Which addresses, in a status. */
export const addressRanges = (description: string): z.ZodExactOptional<z.ZodString> =>
  z.string().meta({ description }).exactOptional();
