/** The scale sub-resource (autoscaling/v1 Scale). */
import { badRequest } from './api-error.ts';
import {
  at,
  clone,
  ensureObject,
  isObject,
  type JsonObject,
  type KubeObject,
  listOf,
  numberOf,
  objectsOf,
} from './json.ts';
import type { Resource } from './resource.ts';

function selectorText(value: unknown): string {
  if (typeof value === 'string') return value;
  const parts = Object.entries((at(value, 'matchLabels') ?? {}) as JsonObject).map(
    ([key, label]) => `${key}=${String(label)}`,
  );
  for (const { key, operator, values } of objectsOf(at(value, 'matchExpressions'))) {
    const list = listOf(values).join(',');
    if (operator === 'In') parts.push(`${String(key)} in (${list})`);
    else if (operator === 'NotIn') parts.push(`${String(key)} notin (${list})`);
    else if (operator === 'DoesNotExist') parts.push(`!${String(key)}`);
    else parts.push(String(key));
  }
  return parts.join(',');
}

/** The Scale of an object. */
export function scaleOf(resource: Resource, object: KubeObject): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const paths = resource.scale;
  const selector = paths?.labelSelector === undefined ? '' : selectorText(at(object, ...paths.labelSelector));
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: numberOf(at(object, ...(paths?.specReplicas ?? []))) ?? 0 },
    status: {
      replicas: numberOf(at(object, ...(paths?.statusReplicas ?? []))) ?? 0,
      ...(selector === '' ? {} : { selector }),
    },
  };
}

/** The wanted number in a Scale. Throws 400. */
export function replicasOf(scale: unknown): number {
  const replicas = at(scale, 'spec', 'replicas') ?? 0;
  if (!isObject(scale) || typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 0) {
    throw badRequest(`spec.replicas must be a whole number that is not negative, got ${JSON.stringify(replicas)}`);
  }
  return replicas;
}

/** A copy of `object` with that many replicas wanted. */
export function setReplicas(resource: Resource, object: KubeObject, replicas: number): KubeObject {
  const path = resource.scale?.specReplicas ?? [];
  const copy = clone(object);
  const parent = ensureObject(copy, ...path.slice(0, -1));
  parent[path.at(-1) ?? 'replicas'] = replicas;
  return copy;
}
