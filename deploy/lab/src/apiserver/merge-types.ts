/**
 * How built-in kinds merge: which lists are keyed, which are sets, which objects are one value. The facts are those of
 * the `patchMergeKey`, `listType` and `structType` markers in k8s.io/api; they are found here by field name and parent,
 * which is unambiguous for the kinds that this server has.
 */
import { isObject, type JsonObject, listOf, stringOf, textOf } from './json.ts';
import type { MergeType } from './resource.ts';

const ATOMIC: MergeType = { kind: 'atomic', child: () => ATOMIC };
const SET: MergeType = { kind: 'set', child: () => ATOMIC };

/** `<parent>.<field>` or `<field>`: list keys. The first key is the one of strategic-merge patch. */
const LIST_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  imagePullSecrets: ['name'],
  hostAliases: ['ip'],
  topologySpreadConstraints: ['topologyKey', 'whenUnsatisfiable'],
  resourceClaims: ['name'],
  claims: ['name'],
  'containers.ports': ['containerPort', 'protocol'],
  'initContainers.ports': ['containerPort', 'protocol'],
  'ephemeralContainers.ports': ['containerPort', 'protocol'],
  'Service.spec.ports': ['port', 'protocol'],
  conditions: ['type'],
  podIPs: ['ip'],
  addresses: ['type'],
  volumesAttached: ['name'],
  ownerReferences: ['uid'],
  'ServiceAccount.secrets': ['name'],
  webhooks: ['name'],
};

const SETS: ReadonlySet<string> = new Set(['finalizers', 'podCIDRs']);

/** Objects that are replaced as one (`structType=atomic`, `mapType=atomic`). */
const ATOMIC_OBJECTS: ReadonlySet<string> = new Set([
  'labelSelector',
  'namespaceSelector',
  'podSelector',
  'nodeSelectorTerms',
  'fieldRef',
  'resourceFieldRef',
  'configMapKeyRef',
  'secretKeyRef',
  'secretRef',
  'claimRef',
  'roleRef',
  'involvedObject',
  'targetRef',
  'aggregationRule',
]);

const TOPLEVEL_SELECTOR_ATOMIC: ReadonlySet<string> = new Set([
  'Deployment',
  'ReplicaSet',
  'StatefulSet',
  'DaemonSet',
  'Job',
  'Service',
  'ReplicationController',
]);

/** Fields whose protocol has a default that counts as part of the key. */
const PROTOCOL: Readonly<Record<string, unknown>> = { protocol: 'TCP' };

function builtin(path: readonly string[]): MergeType {
  return {
    kind: 'map',
    child: (name) => fieldType(path, name),
  };
}

function fieldType(path: readonly string[], name: string): MergeType {
  const parent = path.at(-1) ?? '';
  const full = [...path, name].join('.');
  const keys = LIST_KEYS[full] ?? LIST_KEYS[`${parent}.${name}`] ?? LIST_KEYS[name];
  if (keys !== undefined && !(name === 'addresses' && path[0] !== 'Node')) {
    return {
      kind: 'list-map',
      keys,
      ...(keys.includes('protocol') ? { keyDefaults: PROTOCOL } : {}),
      child: () => builtin([...path, name]),
    };
  }
  if (SETS.has(name)) return SET;
  if (ATOMIC_OBJECTS.has(name)) return ATOMIC;
  if (name === 'selector' && parent === 'spec' && TOPLEVEL_SELECTOR_ATOMIC.has(path[0] ?? '')) return ATOMIC;
  return { kind: 'map', child: (child) => fieldType([...path, name], child) };
}

/** The merge type of a built-in kind. Lists without a known key are atomic: see {@link listKind}. */
export function builtinMergeType(kind: string): MergeType {
  return builtin([kind]);
}

/** `metadata` merges alike in every kind. */
const METADATA: MergeType = fieldType([''], 'metadata');

/**
 * The merge type that a structural schema describes (`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`,
 * `x-kubernetes-map-type`).
 */
export function schemaMergeType(schema: unknown, root = true): MergeType {
  if (!isObject(schema)) return { kind: 'map', child: () => schemaMergeType(undefined, false) };
  const items = schema['items'];
  if (schema['type'] === 'array' || items !== undefined) {
    switch (schema['x-kubernetes-list-type']) {
      case 'map': {
        const keys = listOf(schema['x-kubernetes-list-map-keys']).filter((key) => typeof key === 'string');
        const item = schemaMergeType(items, false);
        return { kind: 'list-map', keys, keyDefaults: keyDefaults(items, keys), child: () => item };
      }
      case 'set':
        return SET;
      default:
        return ATOMIC;
    }
  }
  if (schema['x-kubernetes-map-type'] === 'atomic') return ATOMIC;
  const properties: JsonObject = isObject(schema['properties']) ? schema['properties'] : {};
  const children = new Map<string, MergeType>();
  return {
    kind: 'map',
    child: (name) => {
      if (root && name === 'metadata') return METADATA;
      let type = children.get(name);
      if (type === undefined) {
        type = schemaMergeType(properties[name] ?? schema['additionalProperties'], false);
        if (properties[name] !== undefined) children.set(name, type);
      }
      return type;
    },
  };
}

function keyDefaults(items: unknown, keys: readonly string[]): Record<string, unknown> {
  const defaults: Record<string, unknown> = {};
  if (!isObject(items) || !isObject(items['properties'])) return defaults;
  for (const key of keys) {
    const property = items['properties'][key];
    if (isObject(property) && property['default'] !== undefined) defaults[key] = property['default'];
  }
  return defaults;
}

/** The key of an item of a `list-map`, as a string that is equal for equal keys. */
export function itemKey(item: unknown, type: MergeType): string {
  if (!isObject(item)) return JSON.stringify(item) ?? '';
  const values = (type.keys ?? []).map((key) => item[key] ?? type.keyDefaults?.[key] ?? null);
  return values.length === 1 && stringOf(values[0]) !== undefined ? `s:${textOf(values[0])}` : JSON.stringify(values);
}

/** Whether a list at a place of type `type` is merged item by item. */
export function listKind(type: MergeType): 'list-map' | 'set' | 'atomic' {
  return type.kind === 'list-map' || type.kind === 'set' ? type.kind : 'atomic';
}
