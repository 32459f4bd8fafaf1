/** The verbs of API objects: from a parsed request to an answer. Streams (watch, exec, logs) are elsewhere. */
import type { AdmissionPolicies } from './admission-policies.ts';
import { badRequest, methodNotAllowed, noSuchPath, unsupportedMediaType } from './api-error.ts';
import { applyPatch } from './apply.ts';
import type { User } from './authentication.ts';
import type { DeleteOptions } from './deletion.ts';
import { at, isObject, type JsonObject, type KubeObject, numberOf, stringOf } from './json.ts';
import type { Lister, ListQuery } from './lists.ts';
import { jsonPatch, mergePatch, strategicMerge } from './patch.ts';
import { bindPod, evictPod } from './pod-subresources.ts';
import type { Registry } from './registry.ts';
import { json, type Reply } from './reply.ts';
import type { RequestInfo } from './request-info.ts';
import { apiVersionOf, groupResource, type Resource } from './resource.ts';
import { replicasOf, scaleOf, setReplicas } from './scale.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import type { Entry } from './store.ts';
import { type Presentation, partialObject, table } from './table.ts';
import type { WriteOptions, Writer, Written } from './writer.ts';

/** One request for an API object. */
export interface ResourceRequest {
  readonly info: RequestInfo;
  readonly resource: Resource;
  readonly body: unknown;
  /** Media type of the body. */
  readonly type: string;
  readonly presentation: Presentation;
  /** Who asks. */
  readonly user: User;
  /** Default of `fieldManager`: the client's name from User-Agent. */
  readonly agent: string;
}

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/apply-patch+yaml',
] as const;
const STRATEGIC = 'application/strategic-merge-patch+json';

/** What the handlers work on. */
export interface Services {
  readonly writer: Writer;
  readonly policies: AdmissionPolicies;
  readonly lister: Lister;
  readonly registry: Registry;
  readonly now: () => number;
}

function dryRun(value: unknown): boolean {
  const list = Array.isArray(value) ? (value as unknown[]) : [];
  for (const item of list) {
    if (item !== 'All') throw badRequest(`dryRun: Unsupported value: ${JSON.stringify(item)}: supported values: "All"`);
  }
  return list.length > 0;
}

function writeOptions({ info, agent, user }: ResourceRequest, { policies }: Services): WriteOptions {
  const validation = info.query.get('fieldValidation') ?? '';
  if (validation !== '' && validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict') {
    throw badRequest(
      `fieldValidation: Unsupported value: "${validation}": supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  return {
    dryRun: dryRun(info.query.getAll('dryRun')),
    fieldManager: info.query.get('fieldManager') ?? agent,
    fieldValidation: validation === '' ? 'Warn' : validation,
    warnings: [],
    admit: policies.admitter(user),
  };
}

function deleteOptions({ info, body, user }: ResourceRequest, { policies }: Services): DeleteOptions {
  const options = isObject(body) ? body : {};
  const grace = numberOf(options['gracePeriodSeconds']) ?? numberFrom(info.query.get('gracePeriodSeconds'));
  const policy =
    stringOf(options['propagationPolicy']) ??
    info.query.get('propagationPolicy') ??
    (options['orphanDependents'] === true ? 'Orphan' : undefined);
  if (policy !== undefined && policy !== 'Background' && policy !== 'Foreground' && policy !== 'Orphan') {
    throw badRequest(
      `propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Background", "Foreground", "Orphan"`,
    );
  }
  const uid = stringOf(at(options, 'preconditions', 'uid'));
  const resourceVersion = stringOf(at(options, 'preconditions', 'resourceVersion'));
  return {
    dryRun: dryRun(options['dryRun'] ?? info.query.getAll('dryRun')),
    admit: policies.admitter(user),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
  };
}

function numberFrom(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d+$/.test(text))
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: must be a whole number`);
  return Number(text);
}

/** The selection a list, watch or deletecollection asks for. */
export function listQuery(info: RequestInfo, resource: Resource): ListQuery {
  return {
    namespace: resource.namespaced && info.namespace === '' ? undefined : info.namespace,
    labels: parseLabelSelector(info.query.get('labelSelector') ?? ''),
    fields: parseFieldSelector(info.query.get('fieldSelector') ?? '', resource.selectable),
    limit: numberFrom(info.query.get('limit')) ?? 0,
    continueToken: info.query.get('continue') ?? '',
    resourceVersion: info.query.get('resourceVersion') ?? '',
    resourceVersionMatch: info.query.get('resourceVersionMatch') ?? '',
  };
}

/** Answers requests for API objects. */
export class ResourceHandler {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  /** The answer to one request. Throws ApiError. */
  handle(request: ResourceRequest): Reply {
    const { info, resource } = request;
    if (resource.namespaced && info.namespace === '' && info.verb !== 'list') throw noSuchPath();
    if (info.subresource !== '') return this.#subresource(request);
    switch (info.verb) {
      case 'get':
        return this.#object(request, 200, this.#services.writer.get(resource, info.namespace, info.name));
      case 'list':
        return this.#list(request);
      case 'create': {
        if (info.name !== '') throw methodNotAllowed();
        return this.#written(request, (options) =>
          this.#services.writer.create(resource, info.namespace, request.body, options),
        );
      }
      case 'update':
        return this.#written(request, (options) => this.#update(request, '', () => request.body, options));
      case 'patch':
        return this.#written(request, (options) => this.#patch(request, '', options));
      case 'delete':
        return this.#delete(request);
      case 'deletecollection':
        return this.#deleteCollection(request);
      default:
        throw methodNotAllowed();
    }
  }

  #subresource(request: ResourceRequest): Reply {
    const { info, resource } = request;
    const { writer } = this.#services;
    const { namespace, name, subresource, verb } = info;
    if (subresource === 'status' && resource.hasStatus) {
      if (verb === 'get') return this.#object(request, 200, writer.get(resource, namespace, name));
      if (verb === 'update') {
        return this.#written(request, (options) => this.#update(request, 'status', () => request.body, options));
      }
      if (verb === 'patch') return this.#written(request, (options) => this.#patch(request, 'status', options));
    }
    if (subresource === 'scale' && resource.scale !== undefined) return this.#scale(request);
    if (groupResource(resource) === 'namespaces' && subresource === 'finalize' && verb === 'update') {
      return this.#written(request, (options) => this.#update(request, 'finalize', () => request.body, options));
    }
    if (groupResource(resource) === 'pods' && verb === 'create') {
      const options = writeOptions(request, this.#services);
      if (subresource === 'binding')
        return json(201, bindPod(writer, resource, namespace, name, request.body, options));
      if (subresource === 'eviction')
        return json(201, evictPod(writer, resource, namespace, name, request.body, options));
    }
    if (subresource === 'status' || subresource === 'scale') throw noSuchPath();
    throw methodNotAllowed();
  }

  #update(
    { info, resource }: ResourceRequest,
    subresource: string,
    change: (old: KubeObject) => unknown,
    options: WriteOptions,
  ): Written {
    return this.#services.writer.update(resource, info.namespace, info.name, subresource, change, options);
  }

  #patch(request: ResourceRequest, subresource: string, options: WriteOptions): Written {
    const { info, resource, body, type } = request;
    if (type === 'application/apply-patch+yaml') {
      const manager = info.query.get('fieldManager');
      if (manager === null || manager === '') {
        throw badRequest(
          'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        );
      }
      const force = info.query.get('force') === 'true';
      return applyPatch(
        this.#services.writer,
        resource,
        info,
        subresource,
        body,
        { ...options, fieldManager: manager },
        force,
      );
    }
    return this.#update(request, subresource, (old) => patched(old, body, type, resource), options);
  }

  #scale(request: ResourceRequest): Reply {
    const { info, resource, body, type } = request;
    const { writer } = this.#services;
    if (info.verb === 'get') {
      return json(200, scaleOf(resource, writer.get(resource, info.namespace, info.name).object));
    }
    if (info.verb !== 'update' && info.verb !== 'patch') throw methodNotAllowed();
    const options = writeOptions(request, this.#services);
    const written = this.#update(
      request,
      '',
      (old) => {
        const scale = scaleOf(resource, old);
        const wanted = info.verb === 'update' ? body : patched(scale as unknown as KubeObject, body, type, undefined);
        const result = setReplicas(resource, old, replicasOf(wanted));
        const version = stringOf(at(wanted, 'metadata', 'resourceVersion')) ?? '';
        const uid = stringOf(at(wanted, 'metadata', 'uid')) ?? '';
        return { ...result, metadata: { ...old.metadata, resourceVersion: version, uid } };
      },
      options,
    );
    return json(200, scaleOf(resource, written.entry.object));
  }

  #delete(request: ResourceRequest): Reply {
    const { info, resource } = request;
    const { entry, removed } = this.#services.writer.delete(
      resource,
      info.namespace,
      info.name,
      deleteOptions(request, this.#services),
    );
    if (!removed || groupResource(resource) === 'pods') return this.#object(request, 200, entry);
    return json(200, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: {
        name: info.name,
        ...(resource.group === '' ? {} : { group: resource.group }),
        kind: resource.plural,
        uid: entry.object.metadata.uid,
      },
    });
  }

  #deleteCollection(request: ResourceRequest): Reply {
    const { info, resource } = request;
    const { writer, lister } = this.#services;
    const options = deleteOptions(request, this.#services);
    const { entries, revision } = lister.list(writer.collection(resource), listQuery(info, resource));
    for (const { namespace, name } of entries) {
      if (writer.collection(resource).get(namespace, name) !== undefined)
        writer.delete(resource, namespace, name, options);
    }
    return listReply(resource, entries, { resourceVersion: String(revision) });
  }

  #list(request: ResourceRequest): Reply {
    const { info, resource, presentation } = request;
    const { writer, lister, now } = this.#services;
    const chunk = lister.list(writer.collection(resource), listQuery(info, resource));
    const metadata: JsonObject = {
      resourceVersion: String(chunk.revision),
      ...(chunk.continueToken === undefined ? {} : { continue: chunk.continueToken }),
      ...(chunk.remaining === undefined ? {} : { remainingItemCount: chunk.remaining }),
    };
    if (presentation.form === 'object') return listReply(resource, chunk.entries, metadata);
    const objects = chunk.entries.map(({ object }) => object);
    if (presentation.form === 'table') {
      return json(200, table(resource, objects, presentation.include, now(), metadata));
    }
    return json(200, {
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      items: objects.map(partialObject),
    });
  }

  #written(request: ResourceRequest, write: (options: WriteOptions) => Written): Reply {
    const options = writeOptions(request, this.#services);
    const { entry, created } = write(options);
    return this.#object(request, created ? 201 : 200, entry, options.warnings);
  }

  #object(request: ResourceRequest, code: number, entry: Entry, warnings: readonly string[] = []): Reply {
    const { resource, presentation } = request;
    if (presentation.form === 'object') return { code, body: entry.json, warnings };
    if (presentation.form === 'partial') return json(code, partialObject(entry.object), warnings);
    const metadata = { resourceVersion: entry.object.metadata.resourceVersion };
    return json(code, table(resource, [entry.object], presentation.include, this.#services.now(), metadata), warnings);
  }
}

function listReply(resource: Resource, entries: readonly Entry[], metadata: JsonObject): Reply {
  const head = JSON.stringify({ kind: resource.listKind, apiVersion: apiVersionOf(resource), metadata });
  return { code: 200, body: `${head.slice(0, -1)},"items":[${entries.map((entry) => entry.json).join(',')}]}` };
}

/** The object that a patch makes of `old`. `resource` undefined: neither strategic merge nor apply. */
function patched(old: KubeObject, body: unknown, type: string, resource: Resource | undefined): unknown {
  switch (type) {
    case 'application/json-patch+json':
      return jsonPatch(old, body);
    case 'application/merge-patch+json':
      if (!isObject(body)) throw badRequest('a merge patch must be a JSON object');
      return mergePatch(old, body);
    case STRATEGIC:
      if (resource?.custom === true) throw unsupportedMediaType(type, PATCH_TYPES);
      if (!isObject(body)) throw badRequest('a strategic merge patch must be a JSON object');
      return resource === undefined ? mergePatch(old, body) : strategicMerge(old, body, resource.mergeType);
    default:
      throw unsupportedMediaType(type, [...PATCH_TYPES, STRATEGIC]);
  }
}
