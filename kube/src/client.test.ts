import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClusterAccess } from './access.ts';
import { KubeClient } from './client.ts';
import { isKubeError, type KubeError } from './error.ts';
import { NODES, PODS } from './resource-kind.ts';
import { FakeApi } from './testing/fake-api.ts';
import { TestCa } from './testing/pki.ts';
import { until } from './testing/until.ts';
import type { Pod } from './types/core.ts';

const pod: Pod = { metadata: { name: 'a', namespace: 'default', labels: { app: 'x' } }, spec: {} };
const ref = { namespace: 'default', name: 'a' };
const caught = async (promise: Promise<unknown>): Promise<KubeError> => {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (isKubeError(thrown)) return thrown;
  throw new Error('expected a KubeError', { cause: thrown });
};

describe('operations', () => {
  let api: FakeApi;
  let client: KubeClient;
  beforeEach(async () => {
    api = await FakeApi.start();
    client = api.client();
  });
  afterEach(() => api.stop());

  test('create, get, find, list, replace, patch, delete', async () => {
    const pods = client.resource(PODS);
    const created = await pods.create(pod);
    expect(created).toMatchObject({ apiVersion: 'v1', kind: 'Pod', metadata: { uid: 'uid-1' } });
    expect(await pods.get(ref)).toEqual(created);
    expect(await pods.find({ ...ref, name: 'absent' })).toBeUndefined();
    expect((await pods.list({ labelSelector: 'app=x' })).items.length).toBe(1);
    expect((await pods.list({ namespace: 'other' })).items).toEqual([]);
    const replaced = await pods.replace({ ...created, spec: { nodeName: 'n' } });
    const patched = await pods.patch(ref, { metadata: { annotations: { k: 'v' }, uid: 'uid-1' } });
    expect(patched).toMatchObject({ spec: { nodeName: 'n' }, metadata: { annotations: { k: 'v' } } });
    expect(await caught(pods.replace(replaced))).toMatchObject({ code: 'conflict', retryable: false, status: 409 });
    expect(await caught(pods.patch(ref, { metadata: { uid: 'uid-0' } }))).toMatchObject({ code: 'conflict' });
    expect(await caught(pods.delete(ref, { uid: 'uid-0' }))).toMatchObject({ code: 'conflict' });
    await pods.delete(ref, { uid: 'uid-1' });
    expect((await caught(pods.get(ref))).message).toMatch(/^get pods default\/a: .*not found \(not-found\)$/);
  });

  test('each patch has its content type, apply its field manager and force', async () => {
    await client.resource(PODS).create(pod);
    await client.resource(PODS).patch(ref, {}, { type: 'strategic' });
    await client.resource(PODS).patchStatus(ref, {}, { fieldManager: 'me' });
    await client.resource(PODS).apply(pod, { fieldManager: 'me', force: true });
    const seen = api.requests.slice(1).map((r) => [r.headers['content-type'], r.path, r.query]);
    expect(seen).toEqual([
      ['application/strategic-merge-patch+json', '/api/v1/namespaces/default/pods/a', { fieldManager: 'ovenbird' }],
      ['application/merge-patch+json', '/api/v1/namespaces/default/pods/a/status', { fieldManager: 'me' }],
      ['application/apply-patch+yaml', '/api/v1/namespaces/default/pods/a', { fieldManager: 'me', force: 'true' }],
    ]);
  });

  test('an unread answer is left alone, and one that is an error is not', async () => {
    const pods = client.resource(PODS);
    expect(await pods.create(pod, { unread: true })).toBeUndefined();
    expect(await pods.patch(ref, { metadata: { labels: { app: 'y' } } }, { unread: true })).toBeUndefined();
    expect(await pods.get(ref)).toMatchObject({ metadata: { labels: { app: 'y' } } });
    const wrong = pods.patch(ref, { metadata: { uid: 'uid-0' } }, { unread: true });
    expect(await caught(wrong)).toMatchObject({ code: 'conflict' });
  });

  test('a DELETE with options leaves its connection open', async () => {
    for (let i = 0; i < 10; i += 1) {
      await client.resource(PODS).create(pod);
      await client.resource(PODS).delete(ref, { gracePeriodSeconds: 0 });
    }
    // undici rests a connection for a turn of the event loop, so that two may take turns.
    expect(api.connections).toBeLessThanOrEqual(2);
  });

  test('names cannot leave their place in the path', async () => {
    await client
      .resource(NODES)
      .get({ name: 'a/../b?x#y' })
      .catch(() => undefined);
    expect(api.requests[0]?.path).toBe('/api/v1/nodes/a%2F..%2Fb%3Fx%23y');
    for (const name of ['..', '.', '']) {
      expect((await caught(client.resource(NODES).get({ name }))).code).toBe('config');
    }
    expect(await caught(client.resource(PODS).get({ name: 'a' }))).toMatchObject({
      message: 'pods are namespaced: give the namespace of "a" (config)',
    });
  });

  test.each([
    [400, '', 'bad-request', false],
    [401, '', 'unauthorized', false],
    [403, 'Forbidden', 'forbidden', false],
    [404, 'NotFound', 'not-found', false],
    [405, '', 'unsupported', false],
    [409, 'AlreadyExists', 'already-exists', false],
    [409, 'Conflict', 'conflict', false],
    [410, 'Expired', 'gone', false],
    [413, '', 'too-large', false],
    [422, 'Invalid', 'invalid', false],
    [429, '', 'too-many-requests', true],
    [500, '', 'internal', true],
    [503, '', 'unavailable', true],
    [504, '', 'timeout', true],
    [302, '', 'protocol', true],
  ] as const)('status %d %s is %s', async (status, reason, code, retryable) => {
    api.inject(() => true, { kind: 'status', status, reason, headers: { 'retry-after': '3' } }, 2);
    const error = await caught(client.resource(PODS).get(ref));
    expect(error).toMatchObject({ code, retryable, status, reason, retryAfterMs: 3000 });
    expect(error.message).toContain('get pods default/a: ');
  });

  test('a GET on a connection that was just closed is repeated once, a POST is not', async () => {
    api.put(PODS, pod);
    api.inject(() => true, { kind: 'cut', afterBytes: 0 });
    await client.resource(PODS).get(ref);
    expect(api.requests.length).toBe(2);
    api.inject(() => true, { kind: 'cut', afterBytes: 0 });
    const error = await caught(client.resource(PODS).create({ ...pod, metadata: { ...pod.metadata, name: 'b' } }));
    expect(error).toMatchObject({ code: 'network', retryable: true });
    expect(api.requests.length).toBe(3);
  });

  test('an answer cut in the middle is an error, not half an object', async () => {
    api.put(PODS, pod);
    api.inject(() => true, { kind: 'cut', afterBytes: 10 });
    expect((await caught(client.resource(PODS).get(ref))).code).toBe('network');
  });

  test('a signal ends a request, and the error says so', async () => {
    const gate = Promise.withResolvers<void>();
    api.inject(() => true, { kind: 'slow', until: gate.promise });
    const stop = new AbortController();
    const failing = caught(client.resource(PODS).list({ signal: stop.signal }));
    await until(
      () => api.requests.length === 1,
      () => api.requests.length,
    );
    stop.abort(new Error('some reason'));
    expect((await failing).code).toBe('aborted');
    expect((await caught(client.resource(PODS).list({ signal: stop.signal }))).code).toBe('aborted');
    gate.resolve();
  });

  test('64 requests go in parallel, and open watches do not count', async () => {
    const gate = Promise.withResolvers<void>();
    const stop = new AbortController();
    for (let i = 0; i < 70; i += 1) {
      const watch = { path: '/api/v1/pods', query: { watch: true, resourceVersion: '100' }, signal: stop.signal };
      client.stream(watch, { piece: () => undefined }).catch(() => undefined);
    }
    await until(
      () => api.openWatches === 70,
      () => api.openWatches,
    );
    api.inject((request) => request.query['watch'] === undefined, { kind: 'slow', until: gate.promise }, 100);
    const before = api.requests.length;
    const all = Array.from({ length: 80 }, () => client.resource(PODS).list());
    await until(
      () => api.requests.length - before === 64,
      () => api.requests.length - before,
    );
    gate.resolve();
    await Promise.all(all);
    expect(api.requests.length - before).toBe(80);
    stop.abort();
  });

  test('what the reader of a stream throws ends its connection, and is thrown', async () => {
    const mistake = new Error('cannot read that');
    const pieces: string[] = [];
    let begun = 0;
    const reading = client.stream(
      { path: '/api/v1/pods', query: { watch: true, resourceVersion: '100' } },
      {
        begun: () => {
          begun += 1;
        },
        piece: (piece) => {
          pieces.push(Buffer.from(piece).toString());
          throw mistake;
        },
      },
    );
    const failing = caught(reading);
    await until(
      () => api.openWatches === 1 && begun === 1,
      () => [api.openWatches, begun],
    );
    api.put(PODS, pod);
    expect((await failing).cause).toBe(mistake);
    expect(pieces.join('')).toContain('"ADDED"');
    await until(
      () => api.openWatches === 0,
      () => api.openWatches,
    );
    api.inject(() => true, { kind: 'status', status: 404, reason: 'NotFound' });
    const refused = client.stream({ path: '/api/v1/pods' }, { piece: () => pieces.push('of an error') });
    expect((await caught(refused)).code).toBe('not-found');
    expect(pieces).toHaveLength(1);
  });

  test('nobody listens there', async () => {
    const access = { server: 'http://127.0.0.1:1', tls: { rejectUnauthorized: true }, headers: {} };
    const lonely = new KubeClient(() => Promise.resolve(access));
    const error = await caught(lonely.resource(PODS).list());
    expect(error).toMatchObject({ code: 'network', retryable: true });
    expect(error.message).toMatch(/^list pods: .*ECONNREFUSED/);
    await lonely.close();
    expect((await caught(lonely.resource(PODS).list())).message).toContain('the client is closed');
  });
});

describe('credentials', () => {
  let ca: TestCa;
  let server: Server;
  let seen: { user: string | undefined; authorization: string | undefined; path: string }[];
  let client: KubeClient;
  let access: ClusterAccess;
  let refused: number;

  beforeEach(async () => {
    ca = await TestCa.create();
    seen = [];
    refused = 0;
    const { cert, key } = await ca.issue('CN=api', ['localhost', 'api.example']);
    server = createServer(
      { cert, key, ca: ca.pem, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        seen.push({ user: userOf(request), authorization: request.headers.authorization, path: request.url ?? '' });
        const ok = refused === 0;
        if (!ok) refused -= 1;
        response.statusCode = ok ? 200 : 401;
        response.end('{"metadata":{},"items":[]}');
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    access = {
      server: `https://localhost:${(server.address() as AddressInfo).port}`,
      tls: { ca: ca.pem, rejectUnauthorized: true },
      headers: { authorization: 'Bearer one' },
    };
    client = new KubeClient((fresh) => {
      if (fresh) access = { ...access, headers: { authorization: 'Bearer two' } };
      return Promise.resolve(access);
    });
  });
  afterEach(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  });

  const userOf = (request: IncomingMessage): string | undefined => {
    const subject = (request.socket as TLSSocket).getPeerCertificate().subject as { CN?: string } | undefined;
    return subject?.CN;
  };

  test('a 401 reads the token again and repeats once', async () => {
    refused = 1;
    await client.resource(PODS).list();
    expect(seen.map((request) => request.authorization)).toEqual(['Bearer one', 'Bearer two']);
    refused = 2;
    expect((await caught(client.resource(PODS).list())).code).toBe('unauthorized');
    expect(seen.length).toBe(4);
  });

  test('client certificates, and new ones on new connections', async () => {
    const issue = async (name: string) => ({ ...access.tls, ...(await ca.issue(`CN=${name}`)) });
    access = { ...access, tls: await issue('jane') };
    await client.resource(PODS).list();
    access = { ...access, tls: await issue('joe') };
    await client.resource(PODS).list();
    expect(seen.map((request) => request.user)).toEqual(['jane', 'joe']);
  });

  test('a base path is kept', async () => {
    access = { ...access, server: `${access.server}/k8s/c-1/` };
    await client.resource(NODES).list();
    expect(seen[0]?.path).toBe('/k8s/c-1/api/v1/nodes?limit=500');
  });

  test('an unknown CA, a wrong name and the ways around them', async () => {
    const { ca: _, ...noCa } = access.tls;
    access = { ...access, tls: noCa };
    const error = await caught(client.resource(PODS).list());
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toMatch(/certificate is not trusted.*set certificate-authority/);
    access = { ...access, tls: { rejectUnauthorized: false } };
    await client.resource(PODS).list();
    access = { ...access, server: access.server.replace('localhost', '127.0.0.1'), tls: { ...noCa, ca: ca.pem } };
    expect((await caught(client.resource(PODS).list())).message).toMatch(/set tls-server-name/);
    access = { ...access, tls: { ...access.tls, servername: 'api.example' } };
    await client.resource(PODS).list();
    expect(seen.length).toBe(2);
  });

  test('through a proxy', async () => {
    const tunnels: string[] = [];
    const proxy = createHttpServer();
    proxy.on('connect', (request: IncomingMessage, socket) => {
      tunnels.push(request.url ?? '');
      const { port } = server.address() as AddressInfo;
      const upstream = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      upstream.on('error', () => socket.destroy());
      socket.on('error', () => upstream.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    access = { ...access, proxyUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    await client.resource(PODS).list();
    expect(tunnels).toEqual([new URL(access.server).host]);
    await client.close();
    proxy.closeAllConnections();
    proxy.close();
  });
});
