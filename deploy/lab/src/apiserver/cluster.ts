/** The cluster behind the HTTP server: store, resources, their strategies, and what exists from the beginning. */

import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { AdmissionPolicies } from './admission-policies.ts';
import { ApiError } from './api-error.ts';
import { bootstrapRoles } from './bootstrap-roles.ts';
import { builtinResources } from './builtin.ts';
import { CustomResources } from './custom-resources.ts';
import { isObject, type JsonObject, objectsOf, stringOf } from './json.ts';
import { Lister } from './lists.ts';
import { Registry } from './registry.ts';
import { apiVersionOf, type Resource } from './resource.ts';
import { ServiceAddresses } from './service-addresses.ts';
import type { Store } from './store.ts';
import { createStrategies } from './strategies.ts';
import { internalWrite, Writer } from './writer.ts';

/** What a cluster is made with. */
export interface ClusterOptions {
  readonly now: () => number;
  readonly serviceCidrs: readonly string[];
}

/** A cluster without a network listener. */
export interface Cluster {
  readonly writer: Writer;
  readonly policies: AdmissionPolicies;
  readonly lister: Lister;
  readonly registry: Registry;
  /** Creates what a fresh cluster has (unless the state has it already), then applies the manifests. */
  bootstrap: (manifests: readonly string[]) => Promise<void>;
  /** Makes the address that the API is reached at the endpoint of Service default/kubernetes. */
  advertise: (address: string, port: number) => void;
  /** Periodic work: Events end after an hour. Returns the function that stops it. */
  startHousekeeping: () => () => void;
}

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
/** Lifetime of Events in milliseconds, as the real server's `--event-ttl`. */
const EVENT_TTL = 60 * 60_000;

/** Sets up resources over a store. */
export function createCluster(store: Store, options: ClusterOptions): Cluster {
  const writer = new Writer(store, options.now);
  const lister = new Lister(store, options.now);
  const registry = new Registry();
  const custom = new CustomResources(writer, registry);
  const addresses = new ServiceAddresses(options.serviceCidrs);
  const strategies = createStrategies(addresses, custom);
  for (const resource of builtinResources(strategies)) registry.set(resource);
  return {
    writer,
    policies: new AdmissionPolicies(store),
    lister,
    registry,
    bootstrap: async (manifests) => {
      custom.start();
      for (const { object } of store.collection('services').values()) addresses.take(object);
      for (const name of NAMESPACES) {
        createMissing(writer, registry, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      }
      for (const object of bootstrapRoles()) createMissing(writer, registry, object);
      createMissing(writer, registry, apiService());
      for (const path of manifests) await applyManifest(writer, registry, path);
    },
    advertise: (address, port) => {
      for (const object of apiEndpoints(address, port)) put(writer, registry, object);
    },
    startHousekeeping: () => {
      const timer = setInterval(() => expireEvents(writer, options.now()), 60_000);
      timer.unref();
      return () => clearInterval(timer);
    },
  };
}

/** The Service that pods reach the API by; its address is the first one of the range. */
function apiService(): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: { ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: 6443 }] },
  };
}

/** What the real server's endpoint reconciler writes. */
function apiEndpoints(address: string, port: number): JsonObject[] {
  const metadata = { name: 'kubernetes', namespace: 'default' };
  const ports = [{ name: 'https', port, protocol: 'TCP' }];
  return [
    { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets: [{ addresses: [{ ip: address }], ports }] },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
      addressType: address.includes(':') ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports,
    },
  ];
}

function expireEvents(writer: Writer, now: number): void {
  const events = writer.store.collection('events');
  for (const { namespace, name, object } of events.list()) {
    const seen =
      stringOf(object['lastTimestamp']) ?? stringOf(object['eventTime']) ?? object.metadata.creationTimestamp;
    if (now - Date.parse(seen) > EVENT_TTL) events.remove(namespace, name);
  }
}

function locate(registry: Registry, object: JsonObject): { resource: Resource; namespace: string; name: string } {
  const apiVersion = stringOf(object['apiVersion']) ?? '';
  const kind = stringOf(object['kind']) ?? '';
  const resource = registry.all().find((item) => item.kind === kind && apiVersionOf(item) === apiVersion);
  if (resource === undefined)
    throw new Error(`no resource serves ${apiVersion} ${kind}; apply its CustomResourceDefinition first`);
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  const namespace = resource.namespaced ? (stringOf(metadata['namespace']) ?? 'default') : '';
  return { resource, namespace, name: stringOf(metadata['name']) ?? '' };
}

/** Creates an object, or replaces all but the status of the one that exists. */
function put(writer: Writer, registry: Registry, object: JsonObject): void {
  if (createMissing(writer, registry, object)) return;
  const { resource, namespace, name } = locate(registry, object);
  writer.update(resource, namespace, name, '', () => object, internalWrite());
}

function createMissing(writer: Writer, registry: Registry, object: JsonObject): boolean {
  const { resource, namespace, name } = locate(registry, object);
  if (writer.collection(resource).get(namespace, name) !== undefined) return false;
  writer.create(resource, namespace, object, internalWrite());
  return true;
}

/** Creates the objects of a YAML file, or replaces all but the status of those that exist. Errors name the file and object. */
async function applyManifest(writer: Writer, registry: Registry, path: string): Promise<void> {
  const documents = parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    return document.toJS() as unknown;
  });
  for (const document of documents) {
    if (!isObject(document)) continue;
    const objects = document['kind'] === 'List' ? objectsOf(document['items']) : [document];
    for (const object of objects) {
      try {
        put(writer, registry, object);
      } catch (error) {
        const metadata = isObject(object['metadata']) ? object['metadata'] : {};
        const text = error instanceof ApiError || error instanceof Error ? error.message : String(error);
        throw new Error(`${path}: ${String(object['kind'])} ${String(metadata['name'])}: ${text}`, { cause: error });
      }
    }
  }
}
