/** What the server knows of one resource: names, scope, sub-resources, and how its objects are prepared and checked. */
import type { Cause } from './api-error.ts';
import type { JsonObject, KubeObject } from './json.ts';
import type { SelectableFields } from './selectors.ts';

/** One column of the table that `kubectl get` prints. */
export interface Column {
  readonly name: string;
  /** OpenAPI type: string, integer, date ... `date` values are printed as ages. */
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  /** 0 is always shown, more only with `-o wide`. */
  readonly priority?: number;
  /** The cell for an object; `now` in milliseconds, for ages. */
  readonly cell: (object: KubeObject, now: number) => unknown;
}

/** How the members of a list or an object are merged by strategic-merge patch and server-side apply. */
export interface MergeType {
  /** `map`: granular object; `atomic`: one value; `list-map`: list keyed by `keys`; `set`: list of unique scalars. */
  readonly kind: 'map' | 'atomic' | 'list-map' | 'set';
  /** Keys of a `list-map`. */
  readonly keys?: readonly string[];
  /** Key defaults (`protocol: TCP`) that count when an item leaves the key out. */
  readonly keyDefaults?: Readonly<Record<string, unknown>>;
  /** The type of a member; for lists the type of the items whatever `name` is. */
  readonly child: (name: string) => MergeType;
}

/** JSON paths of the scale sub-resource. */
export interface ScalePaths {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  readonly labelSelector?: readonly string[];
}

/** What a strategy may look at besides the object. */
export interface PrepareContext {
  /** RFC 3339 with seconds. */
  readonly now: string;
  readonly dryRun: boolean;
  /** The sub-resource that is written, '' for the object itself. */
  readonly subresource: string;
}

/** Per-resource behaviour. `prepare*` change the draft; `validate` returns what is wrong with it. */
export interface Strategy {
  readonly prepareCreate?: (draft: KubeObject, context: PrepareContext) => void;
  readonly prepareUpdate?: (draft: KubeObject, old: KubeObject, context: PrepareContext) => void;
  readonly validate?: (draft: KubeObject, old: KubeObject | undefined, context: PrepareContext) => Cause[];
  /** Why an object may not be deleted; undefined where it may. */
  readonly keep?: (object: KubeObject) => string | undefined;
  /** Called after the write is in the store (or the object is gone: `draft` undefined). */
  readonly committed?: (draft: KubeObject | undefined, old: KubeObject | undefined) => void;
  /** Unknown members: removed from the draft, their paths are returned (for `fieldValidation`). */
  readonly prune?: (draft: KubeObject) => string[];
}

/** The rule a name must follow (k8s.io/apimachinery/pkg/api/validation/name.go). */
export type NameRule = 'subdomain' | 'label' | 'label1035' | 'path';

/** A served resource. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly nameRule: NameRule;
  /** Whether `status` is written through its own sub-resource. */
  readonly hasStatus: boolean;
  readonly scale?: ScalePaths;
  /** Further sub-resources (binding, exec, log, finalize ...), for discovery. */
  readonly extra: readonly Subresource[];
  readonly selectable: SelectableFields;
  readonly columns: readonly Column[];
  /** Whether `metadata.generation` counts changes of the desired state. */
  readonly generation: boolean;
  readonly mergeType: MergeType;
  readonly strategy: Strategy;
  /** True for resources that a CustomResourceDefinition serves. */
  readonly custom: boolean;
  /** OpenAPI v3 schema of the kind (without `$ref`s outside of the same document); undefined = anything goes. */
  readonly openapi?: JsonObject;
}

/** A further sub-resource in discovery. */
export interface Subresource {
  readonly name: string;
  readonly kind: string;
  /** Group and version of the kind where it is another's (`autoscaling/v1 Scale`). */
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}

/** `apps/v1`, `v1`. */
export function apiVersionOf(resource: { group: string; version: string }): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** `deployments.apps`, `pods`: the key of a resource in the store, and how messages name it. */
export function groupResource(resource: { group: string; plural: string }): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}
