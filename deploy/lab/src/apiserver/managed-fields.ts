/** Who owns which fields: `metadata.managedFields`. Kept for objects that server-side apply has touched. */
import { type FieldPath, fromFieldsV1, leaves, toFieldsV1 } from './field-set.ts';
import { equal, type KubeObject, type ManagedFieldsEntry, objectsOf } from './json.ts';
import { apiVersionOf, type Resource } from './resource.ts';

/** One manager's fields. */
export interface Manager {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource: string;
  readonly apiVersion: string;
  readonly time: string | undefined;
  readonly fields: Set<FieldPath>;
}

/** Who writes. */
export interface Writing {
  readonly manager: string;
  readonly subresource: string;
  /** RFC 3339. */
  readonly now: string;
}

/** The managers of an object. */
export function managersOf(entries: readonly ManagedFieldsEntry[] | undefined): Manager[] {
  return (objectsOf(entries) as unknown as ManagedFieldsEntry[])
    .filter(
      (entry) => typeof entry.manager === 'string' && (entry.operation === 'Apply' || entry.operation === 'Update'),
    )
    .map((entry) => ({
      manager: entry.manager,
      operation: entry.operation,
      subresource: entry.subresource ?? '',
      apiVersion: entry.apiVersion,
      time: entry.time,
      fields: fromFieldsV1(entry.fieldsV1),
    }));
}

/** The entries to store. Managers that own nothing are left out, except one that applies. */
export function entriesOf(managers: readonly Manager[]): ManagedFieldsEntry[] {
  return managers
    .filter((manager) => manager.fields.size > 0)
    .map(({ manager, operation, apiVersion, time, fields, subresource }) => ({
      manager,
      operation,
      apiVersion,
      ...(time === undefined ? {} : { time }),
      fieldsType: 'FieldsV1',
      fieldsV1: toFieldsV1(fields),
      ...(subresource === '' ? {} : { subresource }),
    }));
}

/** Fields that differ between two states of an object. */
export interface Difference {
  /** Added or with another value. */
  readonly changed: Set<FieldPath>;
  readonly removed: Set<FieldPath>;
}

/** Compares the fields of two states. */
export function difference(
  before: ReadonlyMap<FieldPath, unknown>,
  after: ReadonlyMap<FieldPath, unknown>,
): Difference {
  const changed = new Set<FieldPath>();
  const removed = new Set<FieldPath>();
  for (const [path, value] of after) if (!before.has(path) || !equal(before.get(path), value)) changed.add(path);
  for (const path of before.keys()) if (!after.has(path)) removed.add(path);
  return { changed, removed };
}

/**
 * Records an update that is not an apply in `draft.metadata.managedFields`: the writer owns what it changed, the others
 * lose that. An empty list given by the client ends the keeping of owners.
 */
export function trackUpdate(old: KubeObject, draft: KubeObject, resource: Resource, by: Writing): void {
  const given = draft.metadata.managedFields;
  if (given !== undefined && managersOf(given).length === 0) {
    delete draft.metadata.managedFields;
    return;
  }
  const stored = given ?? old.metadata.managedFields;
  if (stored === undefined) return;
  const { changed, removed } = difference(
    leaves(old, resource, by.subresource),
    leaves(draft, resource, by.subresource),
  );
  draft.metadata.managedFields = stored;
  if (changed.size === 0 && removed.size === 0) return;
  const apiVersion = apiVersionOf(resource);
  const managers = managersOf(stored);
  let own = managers.find(
    (item) => item.manager === by.manager && item.operation === 'Update' && item.subresource === by.subresource,
  );
  if (own === undefined) {
    own = {
      manager: by.manager,
      operation: 'Update',
      subresource: by.subresource,
      apiVersion,
      time: by.now,
      fields: new Set(),
    };
    managers.push(own);
  }
  const updated = { ...own, time: by.now };
  managers[managers.indexOf(own)] = updated;
  for (const item of managers) {
    for (const path of removed) item.fields.delete(path);
    if (item !== updated) for (const path of changed) item.fields.delete(path);
  }
  for (const path of changed) updated.fields.add(path);
  draft.metadata.managedFields = entriesOf(managers);
}
