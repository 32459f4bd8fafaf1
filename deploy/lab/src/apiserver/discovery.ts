/** Discovery: which groups, versions and resources are served, in the legacy form and in the aggregated one (KEP-3352). */
import type { JsonObject } from './json.ts';
import type { Registry } from './registry.ts';
import { apiVersionOf, type Resource } from './resource.ts';

/** Kinds that are only created, never stored: reviews. */
export interface ReviewResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const VERBS: readonly string[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const STATUS_VERBS: readonly string[] = ['get', 'patch', 'update'];

/** The content types of aggregated discovery, by version. */
export const AGGREGATED: RegExp =
  /application\/json;\s*g=apidiscovery\.k8s\.io;\s*v=(v2|v2beta1);\s*as=APIGroupDiscoveryList/;

interface Served {
  readonly group: string;
  readonly version: string;
  readonly resources: Resource[];
  readonly reviews: ReviewResource[];
}

/** Builds discovery documents from the registry. */
export class Discovery {
  readonly #registry: Registry;
  readonly #reviews: readonly ReviewResource[];

  constructor(registry: Registry, reviews: readonly ReviewResource[]) {
    this.#registry = registry;
    this.#reviews = reviews;
  }

  /** `/api` without the aggregated content type. */
  coreVersions(): JsonObject {
    return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  }

  /** `/apis`. */
  groupList(): JsonObject {
    const groups = new Set(this.#served().map(({ group }) => group));
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: [...groups].filter((group) => group !== '').map((group) => this.group(group)),
    };
  }

  /** `/apis/<group>`; undefined where there is no such group. */
  group(group: string): JsonObject | undefined {
    const versions = this.#served()
      .filter((served) => served.group === group && group !== '')
      .map(({ version }) => ({ groupVersion: `${group}/${version}`, version }));
    if (versions.length === 0) return undefined;
    return { kind: 'APIGroup', apiVersion: 'v1', name: group, versions, preferredVersion: versions[0] };
  }

  /** `/api/v1` and `/apis/<group>/<version>`; undefined where there is no such version. */
  resourceList(group: string, version: string): JsonObject | undefined {
    const served = this.#served().find((item) => item.group === group && item.version === version);
    if (served === undefined) return undefined;
    const resources: JsonObject[] = [];
    for (const resource of served.resources) {
      const { plural: name, namespaced } = resource;
      resources.push({
        name,
        singularName: resource.singular,
        namespaced,
        kind: resource.kind,
        verbs: VERBS,
        ...(resource.shortNames.length === 0 ? {} : { shortNames: resource.shortNames }),
        ...(resource.categories.length === 0 ? {} : { categories: resource.categories }),
      });
      for (const sub of subresources(resource)) {
        resources.push({
          name: `${name}/${sub.name}`,
          singularName: '',
          namespaced,
          ...(sub.group === undefined ? {} : { group: sub.group, version: sub.version }),
          kind: sub.kind,
          verbs: sub.verbs,
        });
      }
    }
    for (const review of served.reviews) {
      resources.push({
        name: review.plural,
        singularName: review.kind.toLowerCase(),
        namespaced: review.namespaced,
        kind: review.kind,
        verbs: ['create'],
      });
    }
    return {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: group === '' ? version : `${group}/${version}`,
      resources,
    };
  }

  /** `/api` (core true) or `/apis` in the aggregated form; `version` is v2 or v2beta1. */
  aggregated(core: boolean, version: string): JsonObject {
    const groups = new Map<string, JsonObject[]>();
    for (const served of this.#served().filter(({ group }) => (group === '') === core)) {
      const resources = [
        ...served.resources.map((resource) => ({
          resource: resource.plural,
          responseKind: { group: served.group, version: served.version, kind: resource.kind },
          scope: resource.namespaced ? 'Namespaced' : 'Cluster',
          singularResource: resource.singular,
          verbs: VERBS,
          shortNames: resource.shortNames,
          categories: resource.categories,
          subresources: subresources(resource).map((sub) => ({
            subresource: sub.name,
            responseKind: { group: sub.group ?? served.group, version: sub.version ?? served.version, kind: sub.kind },
            verbs: sub.verbs,
          })),
        })),
        ...served.reviews.map((review) => ({
          resource: review.plural,
          responseKind: { group: served.group, version: served.version, kind: review.kind },
          scope: review.namespaced ? 'Namespaced' : 'Cluster',
          singularResource: review.kind.toLowerCase(),
          verbs: ['create'],
        })),
      ];
      const versions = groups.get(served.group) ?? [];
      versions.push({ version: served.version, resources, freshness: 'Current' });
      groups.set(served.group, versions);
    }
    return {
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items: [...groups].map(([name, versions]) => ({
        metadata: { name: name === '' ? null : name, creationTimestamp: null },
        versions,
      })),
    };
  }

  #served(): Served[] {
    const served = new Map<string, Served>();
    const slot = (item: { group: string; version: string }): Served => {
      const key = apiVersionOf(item);
      let found = served.get(key);
      if (found === undefined) {
        found = { group: item.group, version: item.version, resources: [], reviews: [] };
        served.set(key, found);
      }
      return found;
    };
    for (const resource of this.#registry.all()) slot(resource).resources.push(resource);
    for (const review of this.#reviews) slot(review).reviews.push(review);
    return [...served.values()];
  }
}

function subresources(
  resource: Resource,
): { name: string; kind: string; group?: string; version?: string; verbs: readonly string[] }[] {
  return [
    ...resource.extra,
    ...(resource.scale === undefined
      ? []
      : [{ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: STATUS_VERBS }]),
    ...(resource.hasStatus ? [{ name: 'status', kind: resource.kind, verbs: STATUS_VERBS }] : []),
  ];
}
