import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KubeClient } from './client.ts';
import { KubeError } from './error.ts';
import { Reflector, type ReflectorNotice, type ReflectorOptions } from './reflector.ts';
import { EVENTS, NAMESPACES, PODS } from './resource-kind.ts';
import { type Change, type ObjectEvent, Store } from './store.ts';
import { FakeApi, type SeenRequest } from './testing/fake-api.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { skipBackoff, until } from './testing/until.ts';
import type { Pod } from './types/core.ts';

const pod = (name: string, extra: Partial<Pod['metadata']> = {}): Pod => ({
  metadata: { name, namespace: 'default', ...extra },
  spec: { nodeName: 'node-1' },
});
const isWatch = (request: SeenRequest): boolean => request.query['watch'] === 'true';
const isList = (request: SeenRequest): boolean => !isWatch(request);

let api: FakeApi;
let client: KubeClient;
let clock: FakeClock;
let store: Store<Pod>;
let notices: ReflectorNotice[];
let running: Reflector<Pod>[];

beforeEach(async () => {
  api = await FakeApi.start();
  client = api.client();
  clock = new FakeClock();
  store = new Store<Pod>();
  notices = [];
  running = [];
});
afterEach(async () => {
  for (const reflector of running) reflector.stop();
  await api.stop();
});

function reflect(options: Partial<ReflectorOptions<Pod, Pod>> = {}): Reflector<Pod> {
  const reflector = new Reflector<Pod>({
    client,
    kind: PODS,
    sink: store,
    clock,
    random: () => 0.5,
    onNotice: (notice) => notices.push(notice),
    ...options,
  });
  running.push(reflector);
  reflector.start();
  return reflector;
}

const names = (): string =>
  [...store.values()]
    .map((object) => object.metadata.name)
    .sort()
    .join(' ');
const state = (): unknown => ({ names: names(), reflector: running.map((r) => r.status), watches: api.openWatches });
const shows = (expected: string): Promise<void> => until(() => names() === expected, state, skipBackoff(clock));
const watching = (count = 1): Promise<void> => until(() => api.openWatches === count, state, skipBackoff(clock));
const lists = (): number => api.requests.filter(isList).length;

describe('list and watch', () => {
  test('pages through the list, then follows events, without listing again', async () => {
    for (let i = 0; i < 7; i += 1) api.put(PODS, pod(`p${i}`));
    const reflector = reflect({ pageSize: 3 });
    await reflector.synced;
    expect(store.size).toBe(7);
    expect(lists()).toBe(3);
    expect(api.requests[0]?.query).toEqual({ limit: '3' });
    await watching();
    api.put(PODS, pod('p0', { labels: { a: 'b' } }));
    api.remove(PODS, { namespace: 'default', name: 'p6' });
    api.put(PODS, pod('q'));
    await shows('p0 p1 p2 p3 p4 p5 q');
    expect(store.get('default/p0')?.metadata.labels).toEqual({ a: 'b' });
    expect(lists()).toBe(3);
    const watch = api.requests.find(isWatch);
    expect(watch?.query).toMatchObject({ allowWatchBookmarks: 'true', resourceVersion: '107', timeoutSeconds: '360' });
  });

  test('asks for one namespace, with selectors', async () => {
    api.put(PODS, pod('here', { labels: { app: 'a' } }));
    api.put(PODS, { ...pod('there'), metadata: { name: 'there', namespace: 'other', labels: { app: 'a' } } });
    api.put(PODS, pod('unlabelled'));
    await reflect({ namespace: 'default', labelSelector: 'app=a', fieldSelector: 'spec.nodeName=node-1' }).synced;
    await watching();
    expect(names()).toBe('here');
    api.put(PODS, pod('later'));
    api.put(PODS, pod('later-too', { labels: { app: 'a' } }));
    await shows('here later-too');
  });

  test('continues from a bookmark, so a compaction of older versions causes no list', async () => {
    await reflect().synced;
    await watching();
    for (let i = 0; i < 5; i += 1)
      api.put(EVENTS, { metadata: { name: `e${i}`, namespace: 'default' }, involvedObject: {} });
    api.bookmark(PODS);
    const version = String(api.objects.version);
    await until(() => running[0]?.status.resourceVersion === version, state);
    api.objects.compact();
    api.endWatches('cleanly');
    await until(() => api.requests.filter(isWatch).length === 2, state, skipBackoff(clock));
    api.put(PODS, pod('a'));
    await shows('a');
    expect(lists()).toBe(1);
  });

  test('one chunk with many events is one batch, and events a byte at a time are all seen', async () => {
    await reflect().synced;
    await watching();
    const batches: (readonly Change<Pod>[])[] = [];
    store.onChange((changes) => batches.push(changes));
    const line = (name: string, version: number): string =>
      `${JSON.stringify({ type: 'ADDED', object: pod(name, { resourceVersion: String(version) }) })}\n`;
    api.send(PODS, line('a', 101) + line('b', 102) + line('c', 103));
    await shows('a b c');
    expect(batches.map((batch) => batch.length)).toEqual([3]);
    api.inject(isWatch, { kind: 'dribble', bytes: 1 });
    api.endWatches('cleanly');
    await watching(0);
    await watching();
    api.send(PODS, line('d-ü', 104) + line('e', 105));
    await shows('a b c d-ü e');
  });

  test('a projection is applied at once to list and watch, and the default one drops the bulk', async () => {
    const bulky = {
      ...pod('a'),
      metadata: {
        name: 'a',
        namespace: 'default',
        managedFields: [{ manager: 'x' }],
        annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', keep: 'me' },
      },
    };
    api.put(PODS, bulky);
    await reflect().synced;
    expect(store.get('default/a')?.metadata).not.toHaveProperty('managedFields');
    expect(store.get('default/a')?.metadata.annotations).toEqual({ keep: 'me' });
    const slim = new Store<{ metadata: Pod['metadata'] }>();
    const reflector = new Reflector({
      client,
      kind: PODS,
      sink: slim,
      project: ({ metadata: { name, namespace, uid, resourceVersion } }: Pod) => ({
        metadata: { name, namespace, uid, resourceVersion },
      }),
      clock,
    });
    reflector.start();
    await reflector.synced;
    api.put(PODS, { ...bulky, metadata: { ...bulky.metadata, name: 'b' } });
    await until(
      () => slim.size === 2,
      () => [...slim.keys()],
    );
    reflector.stop();
    for (const object of slim.values()) expect(Object.keys(object)).toEqual(['metadata']);
  });
});

describe('the eight informer defects', () => {
  test('1: a connection that breaks is opened again and nothing is lost', async () => {
    api.put(PODS, pod('a'));
    await reflect().synced;
    for (const name of ['b', 'c', 'd']) {
      await watching();
      api.endWatches('cut');
      await watching(0);
      api.put(PODS, pod(name));
      await until(() => store.has(`default/${name}`), state, skipBackoff(clock));
    }
    expect(names()).toBe('a b c d');
    expect(lists()).toBe(1);
  });

  test('2: a list that fails is tried again until it works', async () => {
    api.put(PODS, pod('a'));
    api.inject(isList, { kind: 'status', status: 500 }, 3);
    api.inject(isList, { kind: 'cut', afterBytes: 20 }, 2);
    api.inject(isList, { kind: 'status', status: 403, reason: 'Forbidden' });
    const reflector = reflect();
    await until(() => store.size === 1, state, skipBackoff(clock));
    await reflector.synced;
    const codes = notices.flatMap((notice) => (notice.type === 'error' ? [notice.error.code] : []));
    expect(codes).toEqual(['internal', 'internal', 'internal', 'network', 'network', 'forbidden']);
  });

  test('3: delays grow with every failure and shrink only when data arrives', async () => {
    api.put(PODS, pod('a'));
    await reflect().synced;
    await watching();
    // Accepted and dropped at once: a connection is not data.
    api.inject(isWatch, { kind: 'text', text: 'not json\n' }, 12);
    api.endWatches('cut');
    await until(() => notices.filter((notice) => notice.type === 'error').length === 13, state, skipBackoff(clock));
    const delays = notices.flatMap((notice) => (notice.type === 'error' ? [notice.retryInMs] : []));
    expect(delays.slice(0, 10)).toEqual([75, 150, 300, 600, 1200, 2400, 4800, 9600, 19200, 22500]);
    expect(Math.max(...delays)).toBeLessThanOrEqual(30_000);
    await watching();
    api.put(PODS, pod('b'));
    await shows('a b');
    notices.length = 0;
    api.endWatches('cut');
    await until(() => notices.some((notice) => notice.type === 'error'), state);
    expect(notices.find((notice) => notice.type === 'error')).toMatchObject({ retryInMs: 75 });
  });

  test('4: stop() is no error and nothing comes back after it', async () => {
    await reflect().synced;
    await watching();
    notices.length = 0;
    running[0]?.stop();
    await watching(0);
    await clock.run(600_000);
    api.put(PODS, pod('late'));
    expect(notices).toEqual([]);
    expect(store.size).toBe(0);
    expect(api.openWatches).toBe(0);
    expect(clock.pending).toEqual([]);
  });

  test('5: stop() during the list opens no watch and rejects synced', async () => {
    const gate = Promise.withResolvers<void>();
    api.put(PODS, pod('a'));
    api.inject(isList, { kind: 'slow', until: gate.promise });
    const reflector = reflect();
    await until(() => api.requests.length === 1, state);
    reflector.stop();
    gate.resolve();
    await expect(reflector.synced).rejects.toMatchObject({ code: 'aborted' });
    await clock.run(600_000);
    expect(api.requests.length).toBe(1);
    expect(store.size).toBe(0);
  });

  test('5b: answers that arrive after stop() change nothing, even if the client ignores the abort', async () => {
    const list = Promise.withResolvers<unknown>();
    let streams = 0;
    const deaf = {
      request: <T>() => list.promise as Promise<T>,
      stream: () => Promise.reject(new KubeError('unavailable', `stream ${(streams += 1)}`)),
    };
    const reflector = reflect({ client: deaf });
    reflector.stop();
    list.resolve({ metadata: { resourceVersion: '1' }, items: [pod('a', { resourceVersion: '1' })] });
    await clock.run(600_000);
    expect([store.size, store.generation, streams]).toEqual([0, 0, 0]);
    // From inside the sink, which is as late as it gets.
    const stopping = reflect({ client: deaf, sink: { replace: () => running[1]?.stop(), apply: () => undefined } });
    await clock.run(600_000);
    expect(stopping.status).toMatchObject({ phase: 'idle', lists: 1, watches: 0 });
    expect(streams).toBe(0);
  });

  test('6: what throws in a handler is caught and counted, and the rest goes on', async () => {
    api.put(PODS, pod('bad'));
    api.put(PODS, pod('good'));
    const reflector = reflect({
      project: (object) => {
        if (object.metadata.name === 'bad') throw new Error('cannot read this one');
        return object;
      },
    });
    await reflector.synced;
    expect(names()).toBe('good');
    expect(reflector.status.handlerErrors).toBe(1);
    store.onChange(() => {
      throw new Error('listener');
    });
    await watching();
    api.put(PODS, pod('next'));
    await shows('good next');
    expect(store.listenerErrors).toBe(1);
    const throwing = reflect({ sink: { replace: fail, apply: fail } });
    await throwing.synced;
    expect(throwing.status.handlerErrors).toBe(1);
    await watching(2);
    api.put(PODS, pod('last'));
    await until(() => throwing.status.handlerErrors === 2, state);
  });

  test('7: 200,000 objects in one answer are no RangeError', async () => {
    const items = Array.from({ length: 200_000 }, (_, i) => ({ metadata: { name: `n${i}`, resourceVersion: '1' } }));
    const store = new Store();
    const reflector = new Reflector({
      client: {
        request: <T>() => Promise.resolve({ metadata: { resourceVersion: '1' }, items } as T),
        stream: () => Promise.reject(new KubeError('unavailable', 'no watch in this test')),
      },
      kind: NAMESPACES,
      sink: store,
      clock,
    });
    reflector.start();
    await reflector.synced;
    reflector.stop();
    expect(store.size).toBe(200_000);
  });

  test('8: objects of list and watch have one shape', async () => {
    api.put(PODS, pod('listed', { creationTimestamp: '2026-01-01T00:00:00Z' }));
    await reflect().synced;
    await watching();
    api.put(PODS, { ...pod('watched', { creationTimestamp: '2026-01-01T00:00:00Z' }), apiVersion: 'v1', kind: 'Pod' });
    await shows('listed watched');
    const [listed, watched] = [store.get('default/listed'), store.get('default/watched')];
    expect(listed).toMatchObject({ apiVersion: 'v1', kind: 'Pod' });
    expect(Object.keys(listed ?? {}).sort()).toEqual(Object.keys(watched ?? {}).sort());
    expect(listed?.metadata.creationTimestamp).toBe(watched?.metadata.creationTimestamp);
  });
});

function fail(): never {
  throw new Error('sink');
}

describe('when the server cannot continue', () => {
  test.each([
    ['as HTTP status', { kind: 'status', status: 410, reason: 'Expired' } as const],
    [
      'in the stream',
      {
        kind: 'text',
        text: '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
      } as const,
    ],
  ])('410 %s leads to a list, and its deletions are marked', async (_, fault) => {
    api.put(PODS, pod('stays'));
    api.put(PODS, pod('goes'));
    await reflect().synced;
    await watching();
    const changes: Change<Pod>[] = [];
    store.onChange((batch) => changes.push(...batch));
    api.remove(PODS, { namespace: 'default', name: 'stays' });
    await shows('goes');
    expect(changes.at(-1)).toMatchObject({ key: 'default/stays', relist: false });
    api.inject(isWatch, fault);
    api.endWatches('cut');
    await watching(0);
    api.remove(PODS, { namespace: 'default', name: 'goes' });
    await shows('');
    expect(changes.at(-1)).toMatchObject({ key: 'default/goes', relist: true });
    expect(changes.at(-1)).not.toHaveProperty('new');
    expect(lists()).toBe(2);
  });

  test('versions that run backwards mean another history: list', async () => {
    api.inject(isWatch, { kind: 'reorder' });
    reflect();
    await watching();
    api.put(PODS, pod('a'));
    api.put(PODS, pod('b'));
    await shows('a b');
    await until(() => lists() === 2, state, skipBackoff(clock));
    expect(running[0]?.status.lastError?.message).toContain('versions run backwards: 101 after 102');
  });

  test('a continue token that expired starts the list over', async () => {
    for (let i = 0; i < 4; i += 1) api.put(PODS, pod(`p${i}`));
    api.inject((request) => request.query['continue'] !== undefined, {
      kind: 'status',
      status: 410,
      reason: 'Expired',
    });
    reflect({ pageSize: 2 });
    await shows('p0 p1 p2 p3');
    expect(lists()).toBe(4);
  });

  test('lists that lead to 410 at once are not repeated without growing delays', async () => {
    api.inject(isWatch, { kind: 'status', status: 410, reason: 'Expired' }, 6);
    reflect();
    await until(() => lists() === 7, state, skipBackoff(clock));
    const delays = notices.flatMap((notice) => (notice.type === 'error' ? [notice.retryInMs] : []));
    expect(delays).toEqual([75, 150, 300, 600, 1200, 2400]);
  });
});

describe('patience', () => {
  test('Retry-After is kept', async () => {
    api.inject(isList, { kind: 'status', status: 429, reason: 'TooManyRequests', headers: { 'retry-after': '17' } });
    await Promise.race([reflect().synced, until(() => notices.length > 0, state)]);
    expect(notices).toMatchObject([{ type: 'error', error: { code: 'too-many-requests' }, retryInMs: 17_000 }]);
  });

  test('a watch that nobody ends is given up after its time and continued without a list', async () => {
    await reflect().synced;
    await watching();
    await until(() => clock.pending.length === 1, state);
    expect(clock.pending).toEqual([390_000]);
    clock.advance(390_000);
    await until(() => api.requests.filter(isWatch).length === 2, state, skipBackoff(clock));
    expect(lists()).toBe(1);
    expect(notices.some((notice) => notice.type === 'error')).toBe(false);
  });

  test('start() after stop() continues from where it was', async () => {
    api.put(PODS, pod('a'));
    const reflector = reflect();
    await reflector.synced;
    reflector.stop();
    await watching(0);
    api.put(PODS, pod('b'));
    reflector.start();
    await shows('a b');
    expect(lists()).toBe(1);
  });

  test('an outer signal stops it, and one fired before keeps it from starting', async () => {
    const controller = new AbortController();
    await reflect({ signal: controller.signal }).synced;
    await watching();
    controller.abort();
    await watching(0);
    const events: ObjectEvent<Pod>[] = [];
    reflect({ signal: controller.signal, sink: { replace: () => undefined, apply: (more) => events.push(...more) } });
    expect(running[1]?.status).toMatchObject({ phase: 'idle', lists: 0 });
  });
});
