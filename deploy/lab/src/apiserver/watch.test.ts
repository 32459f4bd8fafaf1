import { beforeEach, describe, expect, it } from 'vitest';
import { at, type JsonObject, stringOf } from './json.ts';
import { requestInfo } from './request-info.ts';
import { listQuery } from './resource-handler.ts';
import { presentation } from './table.ts';
import { MERGE, type TestApi, testApi } from './testing/api.ts';
import { Watch } from './watch.ts';

let api: TestApi;
beforeEach(async () => {
  api = await testApi(3);
});

const MAPS = '/api/v1/namespaces/default/configmaps';

interface Running {
  readonly watch: Watch;
  /** Events so far: type and object. */
  readonly events: { type: string; object: JsonObject }[];
  readonly lines: Buffer[];
  ended: boolean;
}

function watch(url: string, accept = '', ofNode = false, order: Watch[] = []): Running {
  const info = requestInfo('GET', url);
  const resource = api.cluster.registry.find(info.group, info.version, info.resource);
  if (resource === undefined) throw new Error(url);
  const { namespace, labels, fields, resourceVersion } = listQuery(info, resource);
  const events: Running['events'] = [];
  const lines: Buffer[] = [];
  const running = { events, lines, ended: false } as unknown as { -readonly [K in keyof Running]: Running[K] };
  const sink = {
    write: (line: Buffer): void => {
      lines.push(line);
      order.push(running.watch);
      events.push(JSON.parse(line.toString()) as { type: string; object: JsonObject });
    },
    end: (): void => {
      running.ended = true;
    },
  };
  running.watch = new Watch(
    resource,
    api.store,
    {
      namespace,
      labels,
      fields,
      resourceVersion,
      bookmarks: info.query.has('allowWatchBookmarks'),
      sendInitialEvents: info.query.has('sendInitialEvents'),
      presentation: presentation(accept, null),
      ofNode,
    },
    sink,
    () => api.clock.now,
  );
  running.watch.start(api.cluster.writer.collection(resource));
  return running;
}

const put = (name: string, labels: Record<string, string> = {}): void => {
  api.call('POST', MAPS, { metadata: { name, labels } });
};
const shown = ({ events }: Running): string[] =>
  events.map(({ type, object }) => `${type} ${stringOf(at(object, 'metadata', 'name')) ?? ''}`.trim());
const version = (): string => String(api.store.revision);

describe('watch', () => {
  it('tells the programs of nodes after everybody else', () => {
    const order: Watch[] = [];
    const kubelet = watch(MAPS, '', true, order);
    const controller = watch(MAPS, '', false, order);
    put('a');
    expect(order).toEqual([controller.watch, kubelet.watch]);
  });

  it('starts with what is there, or after a resourceVersion', () => {
    put('a');
    const before = version();
    put('b');
    const all = watch(MAPS);
    const later = watch(`${MAPS}?resourceVersion=${before}`);
    put('c');
    api.call('DELETE', `${MAPS}/a`);
    expect(shown(all)).toEqual(['ADDED a', 'ADDED b', 'ADDED c', 'DELETED a']);
    expect(shown(later)).toEqual(['ADDED b', 'ADDED c', 'DELETED a']);
  });

  it('gives a deletion its own resourceVersion', () => {
    put('a');
    const running = watch(MAPS);
    api.call('DELETE', `${MAPS}/a`);
    expect(running.events.at(-1)?.object['metadata']).toMatchObject({ resourceVersion: version() });
  });

  it('tells in the stream that history is gone, and ends', () => {
    const old = version();
    for (let i = 0; i < 7; i++) put(`a${i}`);
    const running = watch(`${MAPS}?resourceVersion=${old}`);
    expect(running.events).toEqual([
      {
        type: 'ERROR',
        object: expect.objectContaining({ kind: 'Status', code: 410, reason: 'Expired' }) as JsonObject,
      },
    ]);
    expect(running.ended).toBe(true);
    // A version of the future is one of another life of the server.
    expect(watch(`${MAPS}?resourceVersion=99999`).events[0]?.type).toBe('ERROR');
  });

  it('turns changes into ADDED and DELETED at the edge of a selection', () => {
    put('a');
    const running = watch(`${MAPS}?labelSelector=x&resourceVersion=${version()}`);
    const label = (value: string | null): unknown =>
      api.call('PATCH', `${MAPS}/a`, { metadata: { labels: { x: value } } }, MERGE);
    label('1');
    label('2');
    label(null);
    expect(shown(running)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
  });

  it('watches one namespace, and one name', () => {
    const running = watch(`${MAPS}?resourceVersion=${version()}&fieldSelector=metadata.name%3Db`);
    put('a');
    put('b');
    api.call('POST', '/api/v1/namespaces/kube-system/configmaps', { metadata: { name: 'b' } });
    expect(shown(running)).toEqual(['ADDED b']);
  });

  it('sends bookmarks to those who ask, and marks the end of the initial events', () => {
    put('a');
    const running = watch(`${MAPS}?allowWatchBookmarks=true&sendInitialEvents=true`);
    expect(running.events.map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK']);
    expect(running.events[1]?.object['metadata']).toMatchObject({
      annotations: { 'k8s.io/initial-events-end': 'true' },
    });
    api.call('POST', '/api/v1/namespaces', { metadata: { name: 'elsewhere' } });
    running.watch.bookmark();
    expect(running.events[2]).toMatchObject({ type: 'BOOKMARK', object: { metadata: { resourceVersion: version() } } });
    const plain = watch(MAPS);
    plain.watch.bookmark();
    expect(shown(plain)).toEqual(['ADDED a']);
  });

  it('encodes an event once for all watchers of a form', () => {
    const start = `?resourceVersion=${version()}`;
    const one = watch(MAPS + start);
    const two = watch(MAPS + start);
    put('a');
    expect(one.lines[0]).toBe(two.lines[0]);
  });

  it('sends tables, with the columns once', () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    put('a');
    const running = watch(MAPS, accept);
    put('b');
    const [first, second] = running.events.map(({ object }) => object);
    expect(first).toMatchObject({ kind: 'Table', rows: [{ cells: ['a', '0', '0s'] }] });
    expect(first?.['columnDefinitions']).toHaveLength(3);
    expect(second?.['columnDefinitions']).toBeNull();
  });
});

describe('lists', () => {
  const names = (list: JsonObject): string[] =>
    (list['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);

  it('reads in chunks from one snapshot', () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name);
    const one = api.call('GET', `${MAPS}?limit=2`);
    expect(names(one)).toEqual(['a', 'b']);
    expect(one.metadata).toMatchObject({ remainingItemCount: 3 });
    api.call('DELETE', `${MAPS}/c`);
    put('aa');
    const token = encodeURIComponent(String((one.metadata as unknown as JsonObject)['continue']));
    const two = api.call('GET', `${MAPS}?limit=2&continue=${token}`);
    expect(names(two)).toEqual(['c', 'd']);
    expect(two.metadata.resourceVersion).toBe(one.metadata.resourceVersion);
    const rest = encodeURIComponent(String((two.metadata as unknown as JsonObject)['continue']));
    expect(names(api.call('GET', `${MAPS}?limit=2&continue=${rest}`))).toEqual(['e']);
  });

  it('answers 410 to a token that is too old, 400 to one that is none', () => {
    for (const name of ['a', 'b', 'c']) put(name);
    const { metadata } = api.call('GET', `${MAPS}?limit=2`);
    const url = `${MAPS}?continue=${encodeURIComponent(String((metadata as unknown as JsonObject)['continue']))}`;
    api.clock.now += 6 * 60_000;
    expect(() => api.call('GET', url)).toThrow(expect.objectContaining({ code: 410 }));
    expect(() => api.call('GET', `${MAPS}?continue=nonsense`)).toThrow(expect.objectContaining({ code: 400 }));
  });

  it('lists over namespaces in key order, and refuses versions of the future', () => {
    put('b');
    api.call('POST', '/api/v1/namespaces/kube-system/configmaps', { metadata: { name: 'a' } });
    expect(names(api.call('GET', '/api/v1/configmaps'))).toEqual(['b', 'a']);
    expect(() => api.call('GET', `${MAPS}?resourceVersion=99999`)).toThrow(expect.objectContaining({ code: 504 }));
  });
});
