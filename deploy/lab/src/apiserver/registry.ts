/** Which resources are served now: the built-in ones and those of established CustomResourceDefinitions. */
import { groupResource, type Resource } from './resource.ts';

/** Finds resources by path; tells listeners when the set changes (discovery and OpenAPI are then made anew). */
export class Registry {
  readonly #byPath = new Map<string, Resource>();
  readonly #listeners = new Set<() => void>();
  /** Grows with every change; a cache made at an older number is stale. */
  generation = 0;

  /** Adds or replaces a resource. */
  set(resource: Resource): void {
    this.#byPath.set(pathKey(resource.group, resource.version, resource.plural), resource);
    this.#changed();
  }

  /** Removes a resource, e.g. when its definition is deleted. */
  delete(resource: { group: string; version: string; plural: string }): void {
    if (this.#byPath.delete(pathKey(resource.group, resource.version, resource.plural))) this.#changed();
  }

  /** The resource served at `/apis/<group>/<version>/<plural>`. */
  find(group: string, version: string, plural: string): Resource | undefined {
    return this.#byPath.get(pathKey(group, version, plural));
  }

  /** The resource with this storage key (`pods`, `deployments.apps`). */
  byKey(key: string): Resource | undefined {
    return this.all().find((resource) => groupResource(resource) === key);
  }

  /** The resource whose objects are of `kind`. */
  byKind(group: string, version: string, kind: string): Resource | undefined {
    return this.all().find(
      (resource) => resource.group === group && resource.version === version && resource.kind === kind,
    );
  }

  /** All resources in the order they were added. */
  all(): Resource[] {
    return [...this.#byPath.values()];
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #changed(): void {
    this.generation++;
    for (const listener of this.#listeners) listener();
  }
}

function pathKey(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}
