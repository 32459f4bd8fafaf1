/** `defineKind`: one schema per kind gives its API paths, its CustomResourceDefinition, and validation in TypeScript. */
import * as z from 'zod';
import type { CustomResource } from './metadata.ts';
import { type Rule, withRules } from './rule.ts';
import { checkStructural, type StructuralSchema, structuralSchema } from './structural.ts';

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  /** 0 is shown always, 1 with `-o wide`. */
  readonly priority?: 0 | 1;
}

/** What a kind is made from. */
export interface KindDefinition<Spec, Status> {
  readonly kind: string;
  /** Lower-case plural, as in URLs. */
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly columns: readonly PrinterColumn[];
  /** Makes the schema of the spec. Only who validates needs one: on a node nobody does, and schemas take memory. */
  readonly spec: () => z.ZodType<Spec>;
  readonly status: () => z.ZodType<Status>;
  /** False: the status is written with the rest of the object, so that one request makes both. */
  readonly statusSubresource?: false;
  /** Rules of the whole object, beside those in the schemas. */
  readonly rules?: readonly Rule<{ metadata: { name: string }; spec: Spec }>[];
  /** The rules about changes that the spec's schema carries as CEL, again as functions. */
  readonly changes?: readonly Change<Spec>[];
}

/** A rule about a change of the spec. */
export interface Change<Spec> {
  readonly field: string;
  readonly message: string;
  /** True when `value` may replace `old`. Must not throw. */
  allows(value: Spec, old: Spec): boolean;
}

/** What is wrong with an object, and where. */
export interface FieldProblem {
  /** `spec.excludeIps[2]` */
  readonly field: string;
  readonly message: string;
}

/** One of Ovenbird's kinds. It can be used wherever `@ovenbird/kube` wants a `ResourceKind`. */
export interface Kind<T extends CustomResource<unknown, unknown>> {
  readonly group: 'ovenbird.io';
  readonly version: 'v1';
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly namespaced: false;
  /** False: see {@link KindDefinition.statusSubresource}. */
  readonly statusSubresource?: false;
  /** Never present at run time: carries `T`. */
  readonly example?: T;
  /** URL path of the collection, or of one object. */
  path(name?: string): string;
  /**
   * What the API server would refuse about the object; empty when it is good.
   * @param old the object that it replaces, if any
   */
  problems(object: unknown, old?: T): readonly FieldProblem[];
  /** The CustomResourceDefinition, `apiextensions.k8s.io/v1`. @throws Error when the schema is not structural */
  crd(): CustomResourceDefinition;
}

/** `apiextensions.k8s.io/v1` CustomResourceDefinition, as far as it is written here. */
export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: true;
      readonly storage: true;
      readonly additionalPrinterColumns: readonly PrinterColumn[];
      readonly subresources?: { readonly status: Record<string, never> };
      readonly schema: { readonly openAPIV3Schema: StructuralSchema };
    }[];
  };
}

const GROUP = 'ovenbird.io';
const VERSION = 'v1';

/** Defines a cluster-scoped kind of the group `ovenbird.io/v1`. */
export function defineKind<Spec, Status>(definition: KindDefinition<Spec, Status>): Kind<CustomResource<Spec, Status>> {
  const { kind, plural, shortNames } = definition;
  const base = `/apis/${GROUP}/${VERSION}/${plural}`;
  let checked: ReturnType<typeof checkedObject<Spec, Status>> | undefined;
  return Object.freeze({
    group: GROUP,
    version: VERSION,
    kind,
    plural,
    shortNames,
    namespaced: false,
    ...(definition.statusSubresource === false ? { statusSubresource: false as const } : {}),
    path: (name?: string): string => (name === undefined ? base : `${base}/${encodeURIComponent(name)}`),
    problems(object: unknown, old?: CustomResource<Spec, Status>): readonly FieldProblem[] {
      checked ??= checkedObject(definition);
      const { error, data } = checked.safeParse(object);
      if (error !== undefined) return error.issues.map(({ path, message }) => ({ field: fieldPath(path), message }));
      if (old === undefined) return [];
      return (definition.changes ?? [])
        .filter((change) => !change.allows(data.spec, old.spec))
        .map(({ field, message }) => ({ field, message }));
    },
    crd: () => crd(definition),
  });
}

/** The schema of a whole object. */
function checkedObject<Spec, Status>({
  spec,
  status,
  rules,
}: KindDefinition<Spec, Status>): z.ZodType<{ metadata: { name: string }; spec: Spec; status?: Status }> {
  return withRules(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: withFallback(spec()),
      status: status().exactOptional(),
    }),
    ...((rules ?? []) as readonly Rule<unknown>[]),
  );
}

/** A spec that the API server fills in when it is left out. */
function withFallback<S extends z.ZodType>(spec: S): S | z.ZodPrefault<S> {
  const fallback = spec.meta()?.['default'];
  return fallback === undefined ? spec : spec.prefault(fallback as z.input<S>);
}

const fieldPath = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');

function crd<Spec, Status>(definition: KindDefinition<Spec, Status>): CustomResourceDefinition {
  const { kind, plural, shortNames, columns, description } = definition;
  const singular = kind.toLowerCase();
  const openAPIV3Schema = objectSchema(definition, description);
  const problems = checkStructural(openAPIV3Schema);
  if (problems.length > 0) throw new Error(`schema of ${kind} is not structural:\n${problems.join('\n')}`);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Cluster',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        ...(shortNames.length > 0 ? { shortNames } : {}),
        categories: ['ovenbird'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: [
            ...columns,
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          ...(definition.statusSubresource === false ? {} : { subresources: { status: {} } }),
          schema: { openAPIV3Schema },
        },
      ],
    },
  };
}

function objectSchema<Spec, Status>(definition: KindDefinition<Spec, Status>, description: string): StructuralSchema {
  const spec = structuralSchema(definition.spec());
  const rules = (definition.rules ?? []).map(({ rule, message }) => ({ rule, message }));
  return {
    type: 'object',
    description,
    // A spec of which every field is optional may be left out.
    ...(spec.default === undefined ? { required: ['spec'] } : {}),
    properties: {
      apiVersion: { type: 'string', description: 'ovenbird.io/v1' },
      kind: { type: 'string', description: definition.kind },
      metadata: { type: 'object' },
      spec,
      status: structuralSchema(definition.status()),
    },
    ...(rules.length > 0 ? { 'x-kubernetes-validations': rules } : {}),
  };
}
