import { describe, expect, it } from 'vitest';
import { builtinMergeType } from './merge-types.ts';
import { jsonPatch, mergePatch, strategicMerge } from './patch.ts';

const POD = builtinMergeType('Pod');
const SERVICE = builtinMergeType('Service');

describe('merge patch (RFC 7386)', () => {
  // The examples of appendix A.
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j + %j', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });

  it('leaves the target alone', () => {
    const target = { a: { b: 1 } };
    mergePatch(target, { a: { b: 2 } });
    expect(target).toEqual({ a: { b: 1 } });
  });
});

describe('JSON patch', () => {
  it('applies operations to a copy', () => {
    const target = { a: [1, 2] };
    expect(jsonPatch(target, [{ op: 'add', path: '/a/-', value: 3 }])).toEqual({ a: [1, 2, 3] });
    expect(target).toEqual({ a: [1, 2] });
  });

  it('answers 422 to a failing test and a missing path, 400 to what is no patch', () => {
    expect(() => jsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }])).toThrow(
      expect.objectContaining({ code: 422 }),
    );
    expect(() => jsonPatch({ a: 1 }, [{ op: 'remove', path: '/b' }])).toThrow(expect.objectContaining({ code: 422 }));
    expect(() => jsonPatch({}, { op: 'add' })).toThrow(expect.objectContaining({ code: 400 }));
    expect(() => jsonPatch({}, [{ op: 'grow', path: '/a' }])).toThrow(expect.objectContaining({ code: 400 }));
  });
});

describe('strategic merge', () => {
  const pod = {
    metadata: { finalizers: ['x'] },
    spec: {
      containers: [
        { name: 'a', image: '1', env: [{ name: 'E', value: '1' }] },
        { name: 'b', image: '1' },
      ],
      tolerations: [{ key: 'k' }],
    },
  };

  it('merges containers and their variables by name, adds new ones, replaces atomic lists', () => {
    const patch = {
      metadata: { finalizers: ['y', 'x'] },
      spec: {
        containers: [
          { name: 'b', image: '2' },
          { name: 'a', env: [{ name: 'F', value: '2' }] },
          { name: 'c', image: '3' },
        ],
        tolerations: [{ key: 'l' }],
      },
    };
    expect(strategicMerge(pod, patch, POD)).toEqual({
      metadata: { finalizers: ['x', 'y'] },
      spec: {
        containers: [
          {
            name: 'a',
            image: '1',
            env: [
              { name: 'E', value: '1' },
              { name: 'F', value: '2' },
            ],
          },
          { name: 'b', image: '2' },
          { name: 'c', image: '3' },
        ],
        tolerations: [{ key: 'l' }],
      },
    });
  });

  it('obeys $patch: delete and replace, $deleteFromPrimitiveList and $setElementOrder', () => {
    expect(strategicMerge(pod, { spec: { containers: [{ name: 'a', $patch: 'delete' }] } }, POD)).toMatchObject({
      spec: { containers: [{ name: 'b' }] },
    });
    expect(strategicMerge(pod, { spec: { containers: [{ $patch: 'replace' }, { name: 'z' }] } }, POD)).toMatchObject({
      spec: { containers: [{ name: 'z' }] },
    });
    expect(strategicMerge(pod, { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } }, POD)).toMatchObject({
      metadata: { finalizers: [] },
    });
    const order = {
      '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }, { name: 'a' }],
      containers: [{ name: 'c' }],
    };
    expect(strategicMerge(pod, { spec: order }, POD)).toMatchObject({
      spec: { containers: [{ name: 'c' }, { name: 'b' }, { name: 'a' }] },
    });
    expect(strategicMerge({ spec: { a: 1, b: 2 } }, { spec: { $retainKeys: ['b'] } }, POD)).toEqual({ spec: { b: 2 } });
  });

  it('merges conditions by type and Service ports by port', () => {
    expect(
      strategicMerge(
        { status: { conditions: [{ type: 'A', status: 'False', reason: 'x' }] } },
        {
          status: {
            conditions: [
              { type: 'A', status: 'True' },
              { type: 'B', status: 'True' },
            ],
          },
        },
        POD,
      ),
    ).toEqual({
      status: {
        conditions: [
          { type: 'A', status: 'True', reason: 'x' },
          { type: 'B', status: 'True' },
        ],
      },
    });
    expect(
      strategicMerge(
        { spec: { ports: [{ port: 80, name: 'a' }], selector: { a: '1' } } },
        { spec: { ports: [{ port: 80, targetPort: 8 }, { port: 81 }], selector: { b: '1' } } },
        SERVICE,
      ),
    ).toEqual({
      spec: { ports: [{ port: 80, name: 'a', targetPort: 8 }, { port: 81 }], selector: { a: '1', b: '1' } },
    });
  });

  it('wants the key in every item', () => {
    expect(() => strategicMerge(pod, { spec: { containers: [{ image: 'x' }] } }, POD)).toThrow(/merge key: name/);
  });
});
