import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from './json.ts';
import { openState } from './persistence.ts';
import { Store } from './store.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'apiserver-state-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const object = (name: string, value: number): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'n', uid: name, resourceVersion: '', creationTimestamp: '' },
  data: { value },
});
const names = (store: Store): string[] =>
  store
    .collection('configmaps')
    .list()
    .map(({ object }) => `${object.metadata.name}=${JSON.stringify(object['data'])}`);

describe('state on disk', () => {
  it('comes back after a clean end, with the revision going on', async () => {
    const store = new Store();
    const state = await openState(directory, store);
    store.collection('configmaps').put(object('a', 1));
    store.collection('configmaps').put(object('b', 1));
    store.collection('configmaps').put(object('a', 2));
    store.collection('configmaps').remove('n', 'b');
    const { revision } = store;
    await state.close();

    const next = new Store();
    await (await openState(directory, next)).close();
    expect(names(next)).toEqual(['a={"value":2}']);
    expect(next.revision).toBe(revision);
    expect(next.collection('configmaps').since(revision)).toEqual([]);
    expect(next.collection('configmaps').since(revision - 1)).toBeUndefined();
  });

  it('comes back after a crash, without a half-written last line', async () => {
    const store = new Store();
    await openState(directory, store);
    store.collection('configmaps').put(object('a', 1));
    store.collection('configmaps').put(object('b', 1));
    store.collection('configmaps').remove('n', 'a');
    appendFileSync(join(directory, 'objects.log'), '{"r":"configmaps","v":99,"o":{"met');
    const next = new Store();
    await openState(directory, next);
    expect(names(next)).toEqual(['b={"value":1}']);
  });

  it('has a change on disk before a watch is told of it', async () => {
    const store = new Store();
    await openState(directory, store);
    const found: string[] = [];
    store.collection('configmaps').subscribe(() => found.push(readFileSync(join(directory, 'objects.log'), 'utf8')));
    store.collection('configmaps').put(object('a', 1));
    expect(found.join()).toContain('"a"');
  });

  it('takes the newest line of an object wherever it stands', async () => {
    const store = new Store();
    const state = await openState(directory, store);
    store.collection('configmaps').put(object('a', 1));
    const log = readFileSync(join(directory, 'objects.log'), 'utf8');
    store.collection('configmaps').put(object('a', 2));
    await state.close();
    // As after a crash between the new snapshot and the removal of the old log.
    writeFileSync(join(directory, 'objects.log'), log);
    const next = new Store();
    await openState(directory, next);
    expect(names(next)).toEqual(['a={"value":2}']);
  });

  it('names a damaged line', async () => {
    writeFileSync(join(directory, 'objects.snapshot'), '{"v":3}\nrubbish\n{"v":4}\n');
    await expect(openState(directory, new Store())).rejects.toThrow(/objects.snapshot: line 2 cannot be read/);
  });
});
