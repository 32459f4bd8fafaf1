import { beforeEach, describe, expect, it } from 'vitest';
import { ApiError } from './api-error.ts';
import { JSON_PATCH, MERGE, pod, STRATEGIC, type TestApi, testApi } from './testing/api.ts';

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});

const PODS = '/api/v1/namespaces/default/pods';
const MAPS = '/api/v1/namespaces/default/configmaps';

/** The error a call ends with. */
function refusal(act: () => unknown): ApiError {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('the call was not refused');
}

const map = (name: string, data: Record<string, string> = {}): object => ({ metadata: { name }, data });

describe('create', () => {
  it('fills in the system metadata and defaults', () => {
    const created = api.call('POST', PODS, pod('a'));
    expect(created.metadata).toMatchObject({
      name: 'a',
      namespace: 'default',
      creationTimestamp: '2026-01-02T03:04:05Z',
      generation: 1,
    });
    expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(created['spec']).toMatchObject({ restartPolicy: 'Always', schedulerName: 'default-scheduler' });
    expect(created['status']).toEqual({ phase: 'Pending', qosClass: 'BestEffort' });
  });

  it('makes names from generateName', () => {
    const one = api.call('POST', MAPS, { metadata: { generateName: 'x-' } });
    const two = api.call('POST', MAPS, { metadata: { generateName: 'x-' } });
    expect(one.metadata.name).toMatch(/^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(two.metadata.name).not.toBe(one.metadata.name);
  });

  it('refuses what exists, bad names, missing and ending namespaces', () => {
    api.call('POST', MAPS, map('a'));
    expect(refusal(() => api.call('POST', MAPS, map('a')))).toMatchObject({ code: 409, reason: 'AlreadyExists' });
    const bad = refusal(() => api.call('POST', MAPS, map('A_b')));
    expect(bad).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(bad.details?.causes?.[0]).toMatchObject({ field: 'metadata.name', reason: 'FieldValueInvalid' });
    expect(refusal(() => api.call('POST', '/api/v1/namespaces/no/configmaps', map('a')))).toMatchObject({
      code: 404,
      message: 'namespaces "no" not found',
    });
    api.call('POST', '/api/v1/namespaces', { metadata: { name: 'gone' } });
    api.call('DELETE', '/api/v1/namespaces/gone');
    expect(refusal(() => api.call('POST', '/api/v1/namespaces/gone/configmaps', map('a')))).toMatchObject({
      code: 403,
    });
    expect(refusal(() => api.call('POST', MAPS, { metadata: { name: 'x', namespace: 'other' } })).code).toBe(400);
    expect(refusal(() => api.call('POST', MAPS, { kind: 'Secret', apiVersion: 'v1' })).code).toBe(400);
  });

  it('stores nothing in a dry run', () => {
    api.call('POST', `${MAPS}?dryRun=All`, map('a'));
    expect(refusal(() => api.call('GET', `${MAPS}/a`)).code).toBe(404);
  });

  it('warns of unknown fields, refuses them where asked to', () => {
    api.call('POST', MAPS, { ...map('a'), bogus: 1 });
    expect(api.warnings()).toEqual(['unknown field "bogus"']);
    const strict = refusal(() => api.call('POST', `${PODS}?fieldValidation=Strict`, pod('a', { nodeNam: 'x' })));
    expect(strict.message).toMatch(/strict decoding error: unknown field "spec.nodeNam"/);
  });
});

describe('update and patch', () => {
  it('detects conflicts by resourceVersion and uid, in PUT and in merge patches', () => {
    const old = api.call('POST', MAPS, map('a'));
    const put = { ...old, data: { x: '1' } };
    const next = api.call('PUT', `${MAPS}/a`, put);
    expect(Number(next.metadata.resourceVersion)).toBeGreaterThan(Number(old.metadata.resourceVersion));
    const conflict = refusal(() => api.call('PUT', `${MAPS}/a`, put));
    expect(conflict).toMatchObject({ code: 409, reason: 'Conflict' });
    expect(conflict.message).toMatch(/please apply your changes to the latest version/);
    const patch = (metadata: object): object => api.call('PATCH', `${MAPS}/a`, { metadata }, MERGE);
    expect(refusal(() => patch({ uid: 'other' }))).toMatchObject({ code: 409 });
    expect(refusal(() => patch({ resourceVersion: '1' }))).toMatchObject({ code: 409 });
    expect(() => patch({ uid: old.metadata.uid, labels: { a: 'b' } })).not.toThrow();
  });

  it('writes nothing when nothing changes', () => {
    const old = api.call('POST', MAPS, map('a', { x: '1' }));
    const same = api.call('PATCH', `${MAPS}/a`, { data: { x: '1' } }, MERGE);
    expect(same.metadata.resourceVersion).toBe(old.metadata.resourceVersion);
  });

  it('takes the three patch formats', () => {
    api.call('POST', MAPS, map('a', { x: '1' }));
    api.call('PATCH', `${MAPS}/a`, [{ op: 'add', path: '/data/y', value: '2' }], JSON_PATCH);
    api.call('PATCH', `${MAPS}/a`, { data: { x: null } }, MERGE);
    const last = api.call('PATCH', `${MAPS}/a`, { metadata: { labels: { l: '1' } } }, STRATEGIC);
    expect(last).toMatchObject({ data: { y: '2' }, metadata: { labels: { l: '1' } } });
    expect(refusal(() => api.call('PATCH', `${MAPS}/a`, {}, { type: 'text/plain' })).code).toBe(415);
  });

  it('keeps status and the rest apart, and counts generations of the spec only', () => {
    const old = api.call('POST', PODS, pod('a', { nodeName: 'n' }));
    const status = api.call(
      'PATCH',
      `${PODS}/a/status`,
      { status: { phase: 'Running' }, spec: { nodeName: 'm' } },
      MERGE,
    );
    expect(status).toMatchObject({
      status: { phase: 'Running' },
      spec: { nodeName: 'n' },
      metadata: { generation: 1 },
    });
    const spec = api.call('PUT', `${PODS}/a`, {
      ...old,
      metadata: { ...old.metadata, resourceVersion: '' },
      status: { phase: 'Failed' },
      spec: { ...(old['spec'] as object), activeDeadlineSeconds: 5 },
    });
    expect(spec).toMatchObject({ status: { phase: 'Running' }, metadata: { generation: 2 } });
  });

  it('refuses changes of what is fixed in a pod', () => {
    api.call('POST', PODS, pod('a'));
    const error = refusal(() => api.call('PATCH', `${PODS}/a`, { spec: { restartPolicy: 'Never' } }, MERGE));
    expect(error).toMatchObject({ code: 422 });
    expect(error.details?.causes?.[0]).toMatchObject({ field: 'spec', reason: 'FieldValueForbidden' });
    expect(() =>
      api.call('PATCH', `${PODS}/a`, { spec: { containers: [{ name: 'c', image: 'y' }] } }, STRATEGIC),
    ).not.toThrow();
  });
});

describe('delete', () => {
  it('waits for finalizers, and takes no new ones meanwhile', () => {
    api.call('POST', MAPS, { metadata: { name: 'a', finalizers: ['x/y'] } });
    const marked = api.call('DELETE', `${MAPS}/a`);
    expect(marked.metadata.deletionTimestamp).toBe('2026-01-02T03:04:05Z');
    expect(
      refusal(() => api.call('PATCH', `${MAPS}/a`, { metadata: { finalizers: ['x/y', 'x/z'] } }, MERGE)).code,
    ).toBe(422);
    api.call('PATCH', `${MAPS}/a`, { metadata: { finalizers: null } }, MERGE);
    expect(refusal(() => api.call('GET', `${MAPS}/a`)).code).toBe(404);
  });

  it('gives pods on a node their grace period, which a later delete may shorten', () => {
    api.call('POST', PODS, pod('a', { nodeName: 'n' }));
    expect(api.call('DELETE', `${PODS}/a`).metadata).toMatchObject({
      deletionTimestamp: '2026-01-02T03:04:35Z',
      deletionGracePeriodSeconds: 30,
    });
    const shorter = api.call('DELETE', `${PODS}/a?gracePeriodSeconds=5`);
    expect(shorter.metadata.deletionGracePeriodSeconds).toBe(5);
    api.call('DELETE', `${PODS}/a`, { gracePeriodSeconds: 0 });
    expect(refusal(() => api.call('GET', `${PODS}/a`)).code).toBe(404);
    api.call('POST', PODS, pod('b'));
    api.call('DELETE', `${PODS}/b`);
    expect(refusal(() => api.call('GET', `${PODS}/b`)).code).toBe(404);
  });

  it('checks preconditions', () => {
    const { metadata } = api.call('POST', MAPS, map('a'));
    const withUid = (uid: string): object => ({ preconditions: { uid } });
    expect(refusal(() => api.call('DELETE', `${MAPS}/a`, withUid('other'))).code).toBe(409);
    expect(api.call('DELETE', `${MAPS}/a`, withUid(metadata.uid))).toMatchObject({ status: 'Success' });
  });

  it('marks objects for the garbage collector by propagation policy', () => {
    api.call('POST', MAPS, map('a'));
    const marked = api.call('DELETE', `${MAPS}/a?propagationPolicy=Foreground`);
    expect(marked.metadata.finalizers).toEqual(['foregroundDeletion']);
  });

  it('deletes collections by selector', () => {
    for (const name of ['a', 'b', 'c']) {
      api.call('POST', MAPS, { metadata: { name, labels: { x: name === 'c' ? 'no' : 'yes' } } });
    }
    api.call('DELETE', `${MAPS}?labelSelector=x%3Dyes`);
    expect((api.call('GET', MAPS)['items'] as object[]).map((item) => item)).toHaveLength(1);
  });

  it('ends namespaces when their spec.finalizers are gone', () => {
    api.call('POST', '/api/v1/namespaces', { metadata: { name: 'x' } });
    const marked = api.call('DELETE', '/api/v1/namespaces/x');
    expect(marked).toMatchObject({ status: { phase: 'Terminating' }, spec: { finalizers: ['kubernetes'] } });
    api.call('PUT', '/api/v1/namespaces/x/finalize', { ...marked, spec: { finalizers: [] } });
    expect(refusal(() => api.call('GET', '/api/v1/namespaces/x')).code).toBe(404);
  });
});

describe('sub-resources', () => {
  it('binds a pod once', () => {
    api.call('POST', PODS, pod('a'));
    const binding = { target: { kind: 'Node', name: 'n1' } };
    api.call('POST', `${PODS}/a/binding`, binding);
    expect(api.call('GET', `${PODS}/a`)).toMatchObject({
      spec: { nodeName: 'n1' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    });
    expect(refusal(() => api.call('POST', `${PODS}/a/binding`, binding)).code).toBe(409);
  });

  it('scales', () => {
    const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'x' }] } };
    const url = '/apis/apps/v1/namespaces/default/deployments';
    api.call('POST', url, { metadata: { name: 'd' }, spec: { selector: { matchLabels: { a: 'b' } }, template } });
    expect(api.call('GET', `${url}/d/scale`)).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 1 },
      status: { selector: 'a=b' },
    });
    api.call('PATCH', `${url}/d/scale`, { spec: { replicas: 3 } }, MERGE);
    expect(api.call('GET', `${url}/d`)).toMatchObject({ spec: { replicas: 3 }, metadata: { generation: 2 } });
  });
});

describe('namespaces of the system', () => {
  it('may not be deleted', () => {
    expect(refusal(() => api.call('DELETE', '/api/v1/namespaces/kube-system'))).toMatchObject({
      code: 403,
      message: 'namespaces "kube-system" is forbidden: this namespace may not be deleted',
    });
  });
});
