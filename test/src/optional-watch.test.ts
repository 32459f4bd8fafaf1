import { CLUSTERNETWORKPOLICIES, CRDS, type CustomResourceDefinition, Reflector, Store } from '@ovenbird/kube';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { watchOptional } from '../../controller/src/store/optional-watch.ts';
import { FakeApi, type SeenRequest } from '../../kube/src/testing/fake-api.ts';
import { until } from '../../kube/src/testing/until.ts';

const name = 'clusternetworkpolicies.policy.networking.k8s.io';

const definition = (versions: readonly string[], established: boolean): CustomResourceDefinition => ({
  metadata: { name },
  spec: {
    group: 'policy.networking.k8s.io',
    scope: 'Cluster',
    names: { kind: 'ClusterNetworkPolicy', plural: 'clusternetworkpolicies' },
    versions: versions.map((version) => ({ name: version, served: true, storage: true })),
  },
  status: {
    conditions: [
      {
        type: 'Established',
        status: established ? 'True' : 'False',
        reason: 'Test',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  },
});

let api: FakeApi;
let ends: AbortController;
let store: Store<{ metadata: { name: string } }>;
let gone: number;

beforeEach(async () => {
  api = await FakeApi.start();
  ends = new AbortController();
  store = new Store();
  gone = 0;
});
afterEach(async () => {
  ends.abort();
  await api.stop();
});

const client = (): ReturnType<FakeApi['client']> => api.client();

function watch(): Promise<void> {
  const own = client();
  return watchOptional({
    client: own,
    kind: CLUSTERNETWORKPOLICIES,
    signal: ends.signal,
    begin: () => {
      const reflector = new Reflector({ client: own, kind: CLUSTERNETWORKPOLICIES, sink: store, signal: ends.signal });
      reflector.start();
      return reflector;
    },
    gone: () => {
      gone += 1;
      store.replace([], []);
    },
    onNotice: () => undefined,
  });
}

const asks = (kind: string): readonly SeenRequest[] => api.requests.filter(({ path }) => path.endsWith(`/${kind}`));
const names = (): string => [...store.values()].map(({ metadata }) => metadata.name).join(' ');
const state = (): unknown => ({ names: names(), gone, requests: api.requests.map(({ path, query }) => [path, query]) });

function putPolicy(policy: string): void {
  api.put(CLUSTERNETWORKPOLICIES, { metadata: { name: policy }, spec: { subject: {} } });
}

test('an absent definition is one quiet watch, and nothing is asked of the kind', async () => {
  await watch();
  await until(() => api.openWatches === 1, state);
  expect(asks('clusternetworkpolicies')).toEqual([]);
  expect(asks('customresourcedefinitions').map(({ query }) => query['fieldSelector'])).toEqual(
    Array<unknown>(2).fill(`metadata.name=${name}`),
  );
});

test('a definition that is there is waited for with its objects', async () => {
  api.put(CRDS, definition(['v1alpha2'], true));
  putPolicy('one');
  await watch();
  expect(names()).toBe('one');
});

test('a definition comes when it is established, goes, and comes again', async () => {
  await watch();
  putPolicy('one');
  api.put(CRDS, definition(['v1alpha2'], false));
  await until(() => asks('customresourcedefinitions').length === 2, state);
  expect(asks('clusternetworkpolicies')).toEqual([]);
  api.put(CRDS, definition(['v1alpha2'], true));
  await until(() => names() === 'one', state);
  api.remove(CRDS, { name });
  await until(() => gone === 1, state);
  expect(names()).toBe('');
  // The watch of the kind ended with it.
  await until(() => api.openWatches === 1, state);
  api.put(CRDS, definition(['v1alpha2'], true));
  await until(() => names() === 'one', state);
});

test('a version that is not ours is none', async () => {
  api.put(CRDS, definition(['v1beta1'], true));
  await watch();
  expect(asks('clusternetworkpolicies')).toEqual([]);
});
