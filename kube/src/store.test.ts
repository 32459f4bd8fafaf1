import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Change, Store } from './store.ts';
import { seed } from './testing/seed.ts';
import type { HasMetadata } from './types/meta.ts';

interface Item extends HasMetadata {
  readonly node?: string | undefined;
  readonly labels?: readonly string[] | undefined;
}
const item = (name: string, version: number, node?: string, labels: readonly string[] = []): Item => ({
  metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: String(version) },
  node,
  labels,
});
const newStore = (): Store<Item> =>
  new Store<Item>({ indexes: { node: (o) => [o.node], label: (o) => o.labels ?? [] } });
const names = (items: readonly Item[]): string[] => items.map((o) => o.metadata.name).sort();

describe('Store', () => {
  test('indexes follow the objects', () => {
    const store = newStore();
    store.replace([item('a', 1, 'n1', ['x', 'y']), item('b', 1, 'n1'), item('c', 1)]);
    expect(names(store.byIndex('node', 'n1'))).toEqual(['a', 'b']);
    expect(names(store.byIndex('label', 'y'))).toEqual(['a']);
    store.apply([
      { type: 'MODIFIED', object: item('a', 2, 'n2', ['y', 'z']) },
      { type: 'DELETED', object: item('b', 3) },
    ]);
    expect(names(store.byIndex('node', 'n1'))).toEqual([]);
    expect([...store.indexValues('node')]).toEqual(['n2']);
    expect([...store.indexValues('label')].sort()).toEqual(['y', 'z']);
    expect(() => store.byIndex('nosuch', 'x')).toThrow('the store has no index "nosuch", only node, label');
  });

  test('listeners get old and new once a batch; what changes nothing tells nothing', () => {
    const store = newStore();
    const batches: (readonly Change<Item>[])[] = [];
    const end = store.onChange((changes) => batches.push(changes));
    const [a1, a2, b] = [item('a', 1), item('a', 2), item('b', 3)];
    store.replace([a1]);
    store.replace([item('a', 1)]);
    store.apply([
      { type: 'MODIFIED', object: a2 },
      { type: 'ADDED', object: b },
      { type: 'DELETED', object: item('b', 4) },
      { type: 'DELETED', object: item('unknown', 5) },
    ]);
    expect(batches).toEqual([
      [{ key: 'ns/a', new: a1, relist: true }],
      [{ key: 'ns/a', old: a1, new: a2, relist: false }],
    ]);
    end();
    store.replace([]);
    expect(batches.length).toBe(2);
    expect(store.generation).toBe(3);
  });

  test('deletions inferred from a list are marked, and unreadable objects are no deletions', () => {
    const store = newStore();
    store.replace([item('a', 1), item('b', 1), item('c', 1)]);
    const changes: Change<Item>[] = [];
    store.onChange((batch) => changes.push(...batch));
    store.replace([item('a', 1)], [{ name: 'b', namespace: 'ns' }]);
    expect(changes.map(({ key, relist }) => [key, relist])).toEqual([['ns/c', true]]);
    expect(store.has('ns/b')).toBe(true);
  });

  test('another incarnation of a name shows as a change of the UID', () => {
    const store = newStore();
    const old = item('a', 1);
    store.replace([old]);
    const changes: Change<Item>[] = [];
    store.onChange((batch) => changes.push(...batch));
    const next = { ...item('a', 3), metadata: { ...item('a', 3).metadata, uid: 'other' } };
    store.apply([
      { type: 'DELETED', object: item('a', 2) },
      { type: 'ADDED', object: next },
    ]);
    expect(changes).toEqual([{ key: 'ns/a', old, new: next, relist: false }]);
  });

  test('an equal version of another incarnation is a change: versions of a restored server may repeat', () => {
    const store = newStore();
    store.replace([item('a', 1)]);
    const other = { ...item('a', 1), metadata: { ...item('a', 1).metadata, uid: 'other' } };
    store.replace([other]);
    expect(store.get('ns/a')).toBe(other);
  });

  test('a listener that throws or leaves does not keep the others from being called', () => {
    const errors: unknown[] = [];
    const store = new Store<Item>({ onListenerError: (error) => errors.push(error) });
    const calls: string[] = [];
    store.onChange(() => {
      throw new Error('no');
    });
    const end = store.onChange(() => {
      calls.push('once');
      end();
    });
    store.onChange(() => calls.push('always'));
    store.replace([item('a', 1)]);
    store.replace([]);
    expect(calls).toEqual(['once', 'always', 'always']);
    expect(errors.length).toBe(2);
  });

  test('property: changes replayed on a copy give the same objects, and indexes equal a scan', () => {
    const object = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      node: fc.constantFrom('n1', 'n2', undefined),
    });
    const step = fc.oneof(
      fc.record({ type: fc.constant('list' as const), objects: fc.uniqueArray(object, { selector: (o) => o.name }) }),
      fc.record({
        type: fc.constant('events' as const),
        events: fc.array(fc.record({ type: fc.constantFrom('ADDED', 'MODIFIED', 'DELETED'), object }), {
          maxLength: 5,
        }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const store = newStore();
        const copy = new Map<string, Item>();
        let version = 0;
        store.onChange((changes) => {
          for (const change of changes) {
            expect(copy.get(change.key)).toBe(change.old);
            if (change.new === undefined) copy.delete(change.key);
            else copy.set(change.key, change.new);
          }
        });
        const make = (o: { name: string; node: string | undefined }): Item => item(o.name, (version += 1), o.node);
        for (const s of steps) {
          if (s.type === 'list') store.replace(s.objects.map(make));
          else store.apply(s.events.map(({ type, object }) => ({ type, object: make(object) })));
          expect(new Map([...store.values()].map((o) => [store.keyOf(o), o]))).toEqual(copy);
          for (const node of ['n1', 'n2']) {
            const scanned = [...store.values()].filter((o) => o.node === node);
            expect(names(store.byIndex('node', node))).toEqual(names(scanned));
          }
        }
      }),
      seed(),
    );
  });
});
