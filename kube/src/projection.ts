import type { HasMetadata, KubeObject } from './types/meta.ts';

/** Annotations that only tools read, and that can be as large as the object itself. */
const bulkyAnnotations: ReadonlySet<string> = new Set(['kubectl.kubernetes.io/last-applied-configuration']);

/**
 * The default projection: everything except `metadata.managedFields` and kubectl's last-applied annotation, which are
 * half of a typical object and which nothing here reads.
 */
export function dropBulk<T extends HasMetadata>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  const annotations = metadata.annotations;
  const bulky = annotations !== undefined && Object.keys(annotations).some((key) => bulkyAnnotations.has(key));
  if (!bulky) return { ...object, metadata };
  const kept = Object.fromEntries(Object.entries(annotations).filter(([key]) => !bulkyAnnotations.has(key)));
  return { ...object, metadata: { ...metadata, annotations: kept } };
}

/** Only the metadata, without its bulk: for kinds of which nothing but names, labels and annotations matter. */
export function metadataOnly(object: KubeObject): KubeObject {
  return dropBulk({ apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata });
}
