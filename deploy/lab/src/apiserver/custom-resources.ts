/** CustomResourceDefinitions: serving what they define, their conditions, and cleaning up when they are deleted. */
import { type Cause, invalidValue, requiredValue } from './api-error.ts';
import { AGE, age, NAME } from './columns.ts';
import { CustomSchema } from './custom-schema.ts';
import {
  at,
  clone,
  isObject,
  type JsonObject,
  type KubeObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from './json.ts';
import { parseJsonPath, printedValue } from './json-path.ts';
import { schemaMergeType } from './merge-types.ts';
import type { Registry } from './registry.ts';
import { type Column, groupResource, type Resource, type ScalePaths, type Strategy } from './resource.ts';
import { internalWrite, type Writer } from './writer.ts';

const KEY = 'customresourcedefinitions.apiextensions.k8s.io';
const CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';

function strings(value: unknown): string[] {
  return listOf(value).filter((item) => typeof item === 'string');
}

/** The version that is served: the storage version. */
function storageVersion(definition: KubeObject): JsonObject {
  const versions = objectsOf(at(definition, 'spec', 'versions'));
  return versions.find((item) => item['storage'] === true) ?? versions[0] ?? {};
}

function columnsOf(version: JsonObject): Column[] {
  const given = objectsOf(version['additionalPrinterColumns']);
  const columns = given.map((item): Column => {
    const path = parseJsonPath(stringOf(item['jsonPath']) ?? '');
    const type = stringOf(item['type']) ?? 'string';
    return {
      name: stringOf(item['name']) ?? '',
      type,
      format: stringOf(item['format']) ?? '',
      description: stringOf(item['description']) ?? '',
      priority: numberOf(item['priority']) ?? 0,
      cell: (object, now) => {
        const value = printedValue(path, object, type);
        return type === 'date' && typeof value === 'string' ? age(value, now) : value;
      },
    };
  });
  return given.length === 0 ? [NAME, AGE] : [NAME, ...columns];
}

function steps(path: unknown): string[] {
  return (stringOf(path) ?? '').split('.').filter((step) => step !== '');
}

function scaleOf(version: JsonObject): ScalePaths | undefined {
  const scale = at(version, 'subresources', 'scale');
  if (!isObject(scale)) return undefined;
  const selector = steps(scale['labelSelectorPath']);
  return {
    specReplicas: steps(scale['specReplicasPath']),
    statusReplicas: steps(scale['statusReplicasPath']),
    ...(selector.length === 0 ? {} : { labelSelector: selector }),
  };
}

/** Makes the resource that a definition describes. Throws for a schema that cannot be compiled. */
function customResource(definition: KubeObject): Resource {
  const spec = objectOf(definition['spec']);
  const names = objectOf(spec['names']);
  const version = storageVersion(definition);
  const schema = objectOf(at(version, 'schema', 'openAPIV3Schema'));
  const kind = stringOf(names['kind']) ?? '';
  const scale = scaleOf(version);
  const hasStatus = isObject(at(version, 'subresources', 'status'));
  const compiled = new CustomSchema(schema);
  return {
    group: stringOf(spec['group']) ?? '',
    version: stringOf(version['name']) ?? '',
    plural: stringOf(names['plural']) ?? '',
    singular: stringOf(names['singular']) ?? kind.toLowerCase(),
    kind,
    listKind: stringOf(names['listKind']) ?? `${kind}List`,
    namespaced: spec['scope'] !== 'Cluster',
    shortNames: strings(names['shortNames']),
    categories: strings(names['categories']),
    nameRule: 'subdomain',
    hasStatus,
    ...(scale === undefined ? {} : { scale }),
    extra: [],
    selectable: new Set(
      objectsOf(version['selectableFields']).map((item) => (stringOf(item['jsonPath']) ?? '').replace(/^\./, '')),
    ),
    columns: columnsOf(version),
    generation: true,
    mergeType: schemaMergeType(schema),
    custom: true,
    openapi: compiled.openapi(),
    strategy: {
      prune: (draft) => compiled.prune(draft),
      prepareCreate: (draft) => {
        if (hasStatus) delete draft['status'];
        compiled.applyDefaults(draft);
      },
      prepareUpdate: (draft) => compiled.applyDefaults(draft),
      validate: (draft, old) => compiled.validate(draft, old),
    },
  };
}

/** Watches the definitions in the store and keeps the registry in step. */
export class CustomResources {
  readonly #writer: Writer;
  readonly #registry: Registry;
  readonly definitionStrategy: Strategy;

  constructor(writer: Writer, registry: Registry) {
    this.#writer = writer;
    this.#registry = registry;
    this.definitionStrategy = {
      prepareCreate: (draft, { now }) => {
        completeNames(draft);
        draft['status'] = establishedStatus(draft, now);
        const finalizers = (draft.metadata.finalizers ?? []).filter((item) => item !== CLEANUP);
        draft.metadata.finalizers = [...finalizers, CLEANUP];
      },
      prepareUpdate: (draft, _old, { now, subresource }) => {
        completeNames(draft);
        if (subresource === '') draft['status'] = establishedStatus(draft, now);
      },
      validate: validateDefinition,
      committed: (definition, old) => this.#committed(definition, old),
    };
  }

  /** Serves the definitions that the store already has. */
  start(): void {
    for (const { object } of this.#writer.store.collection(KEY).values()) this.#committed(object, undefined);
  }

  #committed(definition: KubeObject | undefined, old: KubeObject | undefined): void {
    if (definition === undefined) {
      if (old !== undefined) this.#registry.delete(servedAt(old));
      return;
    }
    if (definition.metadata.deletionTimestamp !== undefined) {
      // After the write that marked it: its objects go first, then the definition.
      queueMicrotask(() => this.#cleanUp(definition));
      return;
    }
    if (old === undefined || old.metadata.generation !== definition.metadata.generation) {
      if (old !== undefined) this.#registry.delete(servedAt(old));
      this.#registry.set(customResource(definition));
    }
  }

  #cleanUp(definition: KubeObject): void {
    const served = servedAt(definition);
    const resource = this.#registry.find(served.group, served.version, served.plural);
    const own = this.#registry.byKey(KEY);
    const { name } = definition.metadata;
    if (own === undefined || !(definition.metadata.finalizers ?? []).includes(CLEANUP)) return;
    const collection = this.#writer.store.collection(groupResource(served));
    const finish = (): void => {
      if (this.#writer.collection(own).get('', name) === undefined) return;
      this.#writer.update(
        own,
        '',
        name,
        '',
        (old) => {
          const draft = clone(old);
          draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter((item) => item !== CLEANUP);
          return draft;
        },
        internalWrite(),
      );
    };
    if (resource === undefined) {
      finish();
      return;
    }
    const unsubscribe = collection.subscribe(() => {
      if (collection.size > 0) return;
      unsubscribe();
      queueMicrotask(finish);
    });
    for (const entry of collection.list()) {
      this.#writer.delete(resource, entry.namespace, entry.name, { dryRun: false });
    }
    if (collection.list().length === 0) {
      unsubscribe();
      finish();
    }
  }
}

function servedAt(definition: KubeObject): { group: string; version: string; plural: string } {
  return {
    group: stringOf(at(definition, 'spec', 'group')) ?? '',
    version: stringOf(storageVersion(definition)['name']) ?? '',
    plural: stringOf(at(definition, 'spec', 'names', 'plural')) ?? '',
  };
}

function completeNames(definition: KubeObject): void {
  const names = at(definition, 'spec', 'names');
  if (!isObject(names)) return;
  const kind = stringOf(names['kind']) ?? '';
  names['singular'] ??= kind.toLowerCase();
  names['listKind'] ??= `${kind}List`;
  const spec = objectOf(definition['spec']);
  spec['conversion'] ??= { strategy: 'None' };
}

function establishedStatus(definition: KubeObject, now: string): JsonObject {
  const before = objectsOf(at(definition, 'status', 'conditions'));
  const condition = (type: string, reason: string, message: string): JsonObject => ({
    type,
    status: 'True',
    lastTransitionTime: before.find((item) => item['type'] === type)?.['lastTransitionTime'] ?? now,
    reason,
    message,
  });
  return {
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
    acceptedNames: clone(at(definition, 'spec', 'names')),
    storedVersions: [stringOf(storageVersion(definition)['name']) ?? ''],
  };
}

function validateDefinition(definition: KubeObject, old: KubeObject | undefined): Cause[] {
  const causes: Cause[] = [];
  const spec = objectOf(definition['spec']);
  const group = stringOf(spec['group']) ?? '';
  const names = objectOf(spec['names']);
  const plural = stringOf(names['plural']) ?? '';
  if (group === '') causes.push(requiredValue('spec.group'));
  if (plural === '') causes.push(requiredValue('spec.names.plural'));
  if ((stringOf(names['kind']) ?? '') === '') causes.push(requiredValue('spec.names.kind'));
  if (spec['scope'] !== 'Cluster' && spec['scope'] !== 'Namespaced') {
    causes.push(requiredValue('spec.scope', 'must be "Cluster" or "Namespaced"'));
  }
  if (definition.metadata.name !== `${plural}.${group}`) {
    causes.push(invalidValue('metadata.name', definition.metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  const versions = objectsOf(spec['versions']);
  const storage = versions.filter((item) => item['storage'] === true);
  if (storage.length !== 1) {
    causes.push(
      invalidValue(
        'spec.versions',
        versions.map((item) => item['name']),
        'must have exactly one version marked as storage version',
      ),
    );
  }
  versions.forEach((version, index) => {
    const field = `spec.versions[${index}]`;
    if ((stringOf(version['name']) ?? '') === '') causes.push(requiredValue(`${field}.name`));
    const schema = at(version, 'schema', 'openAPIV3Schema');
    if (!isObject(schema)) {
      causes.push(requiredValue(`${field}.schema.openAPIV3Schema`, 'schemas are required'));
      return;
    }
    causes.push(...CustomSchema.problems(schema, `${field}.schema.openAPIV3Schema`));
  });
  if (old !== undefined && at(old, 'spec', 'scope') !== spec['scope']) {
    causes.push(invalidValue('spec.scope', spec['scope'], 'field is immutable'));
  }
  return causes;
}
