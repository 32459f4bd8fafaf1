/** A cluster without HTTP, for unit tests: requests go straight to the handlers. */
import type { User } from '../authentication.ts';
import { type Cluster, createCluster } from '../cluster.ts';
import type { JsonObject, KubeObject } from '../json.ts';
import { requestInfo } from '../request-info.ts';
import { ResourceHandler } from '../resource-handler.ts';
import { Store } from '../store.ts';
import { presentation } from '../table.ts';

/** What a request may say besides method and path. */
export interface CallOptions {
  readonly type?: string;
  readonly accept?: string;
  readonly agent?: string;
  /** Who asks; the administrator when absent. */
  readonly user?: User;
}

/** A cluster to send requests to. */
export interface TestApi {
  readonly store: Store;
  readonly cluster: Cluster;
  /** Milliseconds since the epoch; tests may move it. */
  readonly clock: { now: number };
  /** Sends a request; returns the parsed answer. Throws ApiError. */
  call: (method: string, url: string, body?: unknown, options?: CallOptions) => KubeObject & JsonObject;
  /** The warnings of the last answer. */
  readonly warnings: () => readonly string[];
}

/** Makes a fresh cluster with the namespaces and roles of the start, dual-stack. */
export async function testApi(historyLimit?: number): Promise<TestApi> {
  const clock = { now: Date.parse('2026-01-02T03:04:05Z') };
  const store = new Store(historyLimit);
  const cluster = createCluster(store, {
    now: () => clock.now,
    serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'],
  });
  await cluster.bootstrap([]);
  const handler = new ResourceHandler({ ...cluster, now: () => clock.now });
  let warnings: readonly string[] = [];
  return {
    store,
    cluster,
    clock,
    warnings: () => warnings,
    call: (method, url, body, options = {}) => {
      const info = requestInfo(method, url);
      const resource = cluster.registry.find(info.group, info.version, info.resource);
      if (resource === undefined) throw new Error(`nothing is served at ${url}`);
      const reply = handler.handle({
        info,
        resource,
        body: body === undefined ? undefined : (JSON.parse(JSON.stringify(body)) as unknown),
        type: options.type ?? 'application/json',
        user: options.user ?? { name: 'admin', groups: ['system:masters'] },
        presentation: presentation(options.accept ?? '', info.query.get('includeObject')),
        agent: options.agent ?? 'test',
      });
      warnings = reply.warnings ?? [];
      return JSON.parse(reply.body) as KubeObject & JsonObject;
    },
  };
}

/** A pod as people write it. */
export function pod(name: string, spec: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
  };
}

/** Merge-patch content type. */
export const MERGE = { type: 'application/merge-patch+json' } as const;
/** Strategic-merge-patch content type. */
export const STRATEGIC = { type: 'application/strategic-merge-patch+json' } as const;
/** JSON-patch content type. */
export const JSON_PATCH = { type: 'application/json-patch+json' } as const;
/** Apply content type. */
export const APPLY = { type: 'application/apply-patch+yaml' } as const;
