/** `meta.k8s.io/v1` Table and PartialObjectMetadata: the other forms in which objects are asked for by `Accept`. */
import type { JsonObject, KubeObject } from './json.ts';
import type { Column, Resource } from './resource.ts';

/** The form of the objects in a response. */
export type Form = 'object' | 'table' | 'partial';

/** Which rows of a table carry their object. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** What `Accept` and `includeObject` ask for. */
export interface Presentation {
  readonly form: Form;
  readonly include: IncludeObject;
}

/** Reads the `Accept` header: the first form that this server has. */
export function presentation(accept: string, includeObject: string | null): Presentation {
  const include = includeObject === 'None' || includeObject === 'Object' ? includeObject : 'Metadata';
  for (const item of accept.split(',')) {
    const parameters = new Map(
      item
        .split(';')
        .slice(1)
        .map((part) => part.trim().split('=', 2) as [string, string]),
    );
    if (!/^\s*(application\/json|application\/\*|\*\/\*)\s*(;|$)/.test(item)) continue;
    const as = parameters.get('as');
    if (as === undefined) return { form: 'object', include };
    if (parameters.get('g') !== 'meta.k8s.io' || parameters.get('v') !== 'v1') continue;
    if (as === 'Table') return { form: 'table', include };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return { form: 'partial', include };
  }
  return { form: 'object', include };
}

/** `columnDefinitions` of a table. */
function columnDefinitions(columns: readonly Column[]): JsonObject[] {
  return columns.map((column) => ({
    name: column.name,
    type: column.type,
    format: column.format ?? '',
    description: column.description ?? '',
    priority: column.priority ?? 0,
  }));
}

/** Only apiVersion, kind and metadata. */
export function partialObject(object: KubeObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/** One row. `now` in milliseconds. */
export function row(resource: Resource, object: KubeObject, include: IncludeObject, now: number): JsonObject {
  return {
    cells: resource.columns.map((column) => column.cell(object, now) ?? null),
    ...(include === 'None' ? {} : { object: include === 'Object' ? object : partialObject(object) }),
  };
}

/** A table of `objects`. `metadata` is the list's (resourceVersion, continue ...). */
export function table(
  resource: Resource,
  objects: readonly KubeObject[],
  include: IncludeObject,
  now: number,
  metadata: JsonObject,
): JsonObject {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: columnDefinitions(resource.columns),
    rows: objects.map((object) => row(resource, object, include, now)),
  };
}
