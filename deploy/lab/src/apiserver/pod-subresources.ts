/** `pods/binding` and `pods/eviction`. */
import { badRequest, conflict } from './api-error.ts';
import { at, clone, ensureObject, isObject, type JsonObject, numberOf, objectsOf, stringOf } from './json.ts';
import type { Resource } from './resource.ts';
import type { WriteOptions, Writer } from './writer.ts';

function success(code: number): JsonObject {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code };
}

/**
 * Assigns a pod to a node. Annotations and labels of the Binding are copied, as the real server does.
 * Throws 409 when the pod has a node or is being deleted.
 */
export function bindPod(
  writer: Writer,
  resource: Resource,
  namespace: string,
  name: string,
  body: unknown,
  options: WriteOptions,
): JsonObject {
  const node = stringOf(at(body, 'target', 'name')) ?? '';
  if (!isObject(body) || node === '') throw badRequest('Binding needs target.name, the name of the node');
  const kind = stringOf(at(body, 'target', 'kind')) ?? '';
  if (kind !== '' && kind !== 'Node') throw badRequest(`Binding target.kind must be Node, got ${JSON.stringify(kind)}`);
  writer.update(
    resource,
    namespace,
    name,
    'binding',
    (old) => {
      if (old.metadata.deletionTimestamp !== undefined) {
        throw conflict(resource, name, `pod ${name} is being deleted, cannot be assigned to a host`);
      }
      const present = stringOf(at(old, 'spec', 'nodeName')) ?? '';
      if (present !== '') throw conflict(resource, name, `pod ${name} is already assigned to node "${present}"`);
      const draft = clone(old);
      const given = isObject(body['metadata']) ? body['metadata'] : {};
      const uid = stringOf(given['uid']) ?? '';
      if (uid !== '') draft.metadata.uid = uid;
      const version = stringOf(given['resourceVersion']) ?? '';
      if (version !== '') draft.metadata.resourceVersion = version;
      if (isObject(given['annotations'])) {
        draft.metadata.annotations = {
          ...draft.metadata.annotations,
          ...(given['annotations'] as Record<string, string>),
        };
      }
      ensureObject(draft, 'spec')['nodeName'] = node;
      const status = ensureObject(draft, 'status');
      const conditions = objectsOf(status['conditions']).filter((item) => item['type'] !== 'PodScheduled');
      status['conditions'] = [
        ...conditions,
        { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: writer.timestamp() },
      ];
      return draft;
    },
    options,
  );
  return success(201);
}

/** Evicts a pod: a delete with the options of the Eviction. This server has no PodDisruptionBudgets to ask. */
export function evictPod(
  writer: Writer,
  resource: Resource,
  namespace: string,
  name: string,
  body: unknown,
  options: WriteOptions,
): JsonObject {
  const wanted = at(body, 'deleteOptions');
  const uid = stringOf(at(wanted, 'preconditions', 'uid'));
  const grace = numberOf(at(wanted, 'gracePeriodSeconds'));
  writer.delete(resource, namespace, name, {
    dryRun: options.dryRun,
    ...(uid === undefined ? {} : { uid }),
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
  });
  return success(201);
}
