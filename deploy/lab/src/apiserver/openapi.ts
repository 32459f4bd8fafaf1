/** OpenAPI v3: what kubectl needs to explain kinds and to know that the server validates fields itself. */
import { createHash } from 'node:crypto';
import { noSuchPath } from './api-error.ts';
import { builtinSchema, builtinSchemaName } from './builtin-schemas.ts';
import type { JsonObject } from './json.ts';
import { typeOfKind } from './kinds.ts';
import type { Registry } from './registry.ts';
import type { Reply } from './reply.ts';
import { apiVersionOf, type Resource } from './resource.ts';
import { VERSION } from './version.ts';

const QUERY = (name: string, description: string): JsonObject => ({
  name,
  in: 'query',
  description,
  schema: { type: 'string', uniqueItems: true },
});

const WRITE_PARAMETERS: readonly JsonObject[] = [
  QUERY('dryRun', 'All: validate and answer, but store nothing.'),
  QUERY('fieldManager', 'Who writes, for metadata.managedFields.'),
  QUERY('fieldValidation', 'Ignore, Warn or Strict: what happens to unknown fields.'),
];

function reference(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` };
}

/** Name of a kind's schema in a document, e.g. `io.ovenbird.v1.Subnet`. */
function schemaName(resource: Resource): string {
  const type = typeOfKind(apiVersionOf(resource), resource.kind);
  if (!resource.custom && type !== undefined) return builtinSchemaName(type);
  const { group } = resource;
  return `${group.split('.').reverse().join('.')}.${resource.version}.${resource.kind}`;
}

function paths(resource: Resource): JsonObject {
  const gvk = { group: resource.group, version: resource.version, kind: resource.kind };
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const collection = `${root}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`;
  const schema = reference(schemaName(resource));
  const json = { content: { 'application/json': { schema } } };
  const responses = { '200': { description: 'OK', ...json } };
  const operation = (action: string, extra: JsonObject = {}): JsonObject => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
    responses,
    ...extra,
  });
  const write = { requestBody: { ...json, required: true }, parameters: WRITE_PARAMETERS };
  const pathParameters = ['name', ...(resource.namespaced ? ['namespace'] : [])].map((name) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string', uniqueItems: true },
  }));
  // Without strategic-merge-patch here, kubectl takes the merge keys of built-in kinds from its own types.
  const patchBody = Object.fromEntries(
    ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml'].map((type) => [
      type,
      { schema: { type: 'object' } },
    ]),
  );
  const item: JsonObject = {
    parameters: pathParameters,
    get: operation('get'),
    put: operation('put', write),
    delete: operation('delete', { parameters: [QUERY('dryRun', 'All: validate and answer, but store nothing.')] }),
    patch: operation('patch', {
      requestBody: { content: patchBody, required: true },
      parameters: [...WRITE_PARAMETERS, QUERY('force', 'Take over fields that others own (server-side apply).')],
    }),
  };
  const result: JsonObject = {
    [collection]: {
      parameters: pathParameters.slice(1),
      get: operation('list'),
      post: operation('post', write),
    },
    [`${collection}/{name}`]: item,
  };
  if (resource.namespaced) result[`${root}/${resource.plural}`] = { get: operation('list') };
  if (resource.hasStatus) {
    const { parameters, get, put, patch } = item;
    result[`${collection}/{name}/status`] = { parameters, get, put, patch };
  }
  return result;
}

/** Serves the index and one document per group and version, made anew when the set of resources changes. */
export class OpenApi {
  readonly #registry: Registry;
  #generation = -1;
  readonly #documents = new Map<string, { text: string; hash: string }>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** `/openapi/v3`. */
  index(): JsonObject {
    this.#refresh();
    return {
      paths: Object.fromEntries(
        [...this.#documents].map(([path, { hash }]) => [
          path,
          { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` },
        ]),
      ),
    };
  }

  /** `/openapi/v3/<path>`. Throws 404. */
  document(path: string): Reply {
    this.#refresh();
    const document = this.#documents.get(path);
    if (document === undefined) throw noSuchPath();
    return { code: 200, body: document.text };
  }

  #refresh(): void {
    if (this.#generation === this.#registry.generation) return;
    this.#generation = this.#registry.generation;
    this.#documents.clear();
    const versions = new Map<string, Resource[]>();
    for (const resource of this.#registry.all()) {
      const path = `${resource.group === '' ? 'api' : 'apis'}/${apiVersionOf(resource)}`;
      versions.set(path, [...(versions.get(path) ?? []), resource]);
    }
    for (const [path, resources] of versions) {
      const text = JSON.stringify({
        openapi: '3.0.0',
        info: { title: 'Kubernetes (Ovenbird lab)', version: VERSION.gitVersion },
        paths: Object.assign({}, ...resources.map(paths)) as JsonObject,
        components: { schemas: schemas(resources) },
      });
      this.#documents.set(path, { text, hash: createHash('sha256').update(text).digest('hex').toUpperCase() });
    }
  }
}

function schemas(resources: readonly Resource[]): JsonObject {
  const result: JsonObject = {};
  for (const resource of resources) {
    const name = schemaName(resource);
    const gvk = [{ group: resource.group, version: resource.version, kind: resource.kind }];
    const own = resource.openapi ?? builtinSchema(apiVersionOf(resource), resource.kind, result);
    result[name] = { ...own, 'x-kubernetes-group-version-kind': gvk };
  }
  return result;
}
