import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseLabelSelector } from './selectors.ts';
import { presentation } from './table.ts';
import { pod, STRATEGIC, testApi } from './testing/api.ts';
import { Watch } from './watch.ts';

const PODS = '/api/v1/namespaces/default/pods';
const SELECTOR = 'x in (1,2)';

interface Step {
  readonly op: 'create' | 'label' | 'delete' | 'watch';
  readonly name: string;
  readonly value: string;
}

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom('create', 'label', 'delete', 'watch'),
  name: fc.constantFrom('a', 'b', 'c'),
  value: fc.constantFrom('1', '2', '3'),
});

/** A client's copy: what it has heard of, by name. */
type Copy = Map<string, unknown>;

it('a watch from any version, with a selector, ends in what a list with that selector shows', async () => {
  const seed = process.env['SEED'];
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const api = await testApi();
      const resource = api.cluster.registry.find('', 'v1', 'pods');
      if (resource === undefined) throw new Error('pods are not served');
      const copies: Copy[] = [];
      const list = (): Copy => {
        const { items } = api.call('GET', `${PODS}?labelSelector=${encodeURIComponent(SELECTOR)}`) as unknown as {
          items: { metadata: { name: string } }[];
        };
        return new Map(items.map((item) => [item.metadata.name, item]));
      };
      const watch = (): void => {
        const copy = list();
        copies.push(copy);
        const heard = new Set(copy.keys());
        const write = (line: Buffer): void => {
          const { type, object } = JSON.parse(line.toString()) as {
            type: string;
            object: { metadata: { name: string } };
          };
          const { name } = object.metadata;
          expect(type).toBe(type === 'DELETED' ? 'DELETED' : heard.has(name) ? 'MODIFIED' : 'ADDED');
          if (type === 'DELETED') {
            expect(heard.delete(name)).toBe(true);
            copy.delete(name);
          } else {
            heard.add(name);
            copy.set(name, object);
          }
        };
        new Watch(
          resource,
          api.store,
          {
            namespace: 'default',
            labels: parseLabelSelector(SELECTOR),
            fields: undefined,
            resourceVersion: String(api.store.revision),
            bookmarks: false,
            sendInitialEvents: false,
            presentation: presentation('', null),
            ofNode: false,
          },
          { write, end: () => {} },
          () => api.clock.now,
        ).start(api.cluster.writer.collection(resource));
      };
      for (const { op, name, value } of steps) {
        const exists = api.store.collection('pods').get('default', name) !== undefined;
        if (op === 'watch') watch();
        else if (op === 'create' && !exists)
          api.call('POST', PODS, { ...pod(name), metadata: { name, labels: { x: value } } });
        else if (op === 'label' && exists)
          api.call('PATCH', `${PODS}/${name}`, { metadata: { labels: { x: value } } }, STRATEGIC);
        else if (op === 'delete' && exists) api.call('DELETE', `${PODS}/${name}`);
      }
      const expected = list();
      for (const copy of copies) expect(Object.fromEntries(copy)).toEqual(Object.fromEntries(expected));
    }),
    { numRuns: 100, ...(seed === undefined ? {} : { seed: Number(seed) }) },
  );
});
