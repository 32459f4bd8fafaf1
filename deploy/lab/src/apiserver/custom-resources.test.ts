import { beforeEach, describe, expect, it } from 'vitest';
import { ApiError } from './api-error.ts';
import type { JsonObject } from './json.ts';
import { APPLY, MERGE, STRATEGIC, type TestApi, testApi } from './testing/api.ts';

const schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      'x-kubernetes-validations': [
        { rule: 'self.size >= oldSelf.size', message: 'size cannot shrink' },
        {
          rule: '!has(self.mode) || self.mode != "b" || self.size > 1',
          messageExpression: '"mode b needs more than " + string(self.size)',
        },
      ],
      properties: {
        size: { type: 'integer', minimum: 0, maximum: 10 },
        mode: { type: 'string', enum: ['a', 'b'], default: 'a' },
        note: { type: 'string', maxLength: 5, pattern: '^[a-z]*$', nullable: true },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        port: { 'x-kubernetes-int-or-string': true },
        rules: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: {
              name: { type: 'string' },
              weight: {
                type: 'integer',
                default: 1,
                'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'weight is fixed' }],
              },
            },
          },
        },
      },
    },
    status: { type: 'object', properties: { ready: { type: 'boolean' } } },
  },
};

const definition = {
  metadata: { name: 'things.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'things', kind: 'Thing', shortNames: ['th'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: schema },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Heavy', type: 'string', jsonPath: '.spec.rules[?(@.name=="x")].weight' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
      },
    ],
  },
};

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const THINGS = '/apis/example.com/v1/namespaces/default/things';

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
  api.call('POST', CRDS, definition);
});

const thing = (spec: JsonObject, name = 'a'): JsonObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Thing',
  metadata: { name },
  spec,
});

/** `field: message` of what a call is refused for. */
function causes(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiError && error.code === 422) {
      return (error.details?.causes ?? []).map(({ field, message }) => `${field}: ${message}`);
    }
    throw error;
  }
  return [];
}

describe('definitions', () => {
  it('are established at once and complete their names', () => {
    expect(api.call('GET', `${CRDS}/things.example.com`)).toMatchObject({
      status: {
        acceptedNames: { singular: 'thing', listKind: 'ThingList' },
        conditions: [
          { type: 'NamesAccepted', status: 'True' },
          { type: 'Established', status: 'True' },
        ],
        storedVersions: ['v1'],
      },
    });
  });

  it('are refused for a wrong name, an untyped field, a rule that does not compile', () => {
    const change = (name: string, change: (copy: typeof definition) => void): string[] => {
      const copy = structuredClone(definition);
      copy.metadata.name = name;
      change(copy);
      return causes(() => api.call('POST', CRDS, copy));
    };
    expect(change('others.example.com', () => {})[0]).toMatch(/must be spec.names.plural/);
    const properties = (copy: typeof definition): JsonObject =>
      copy.spec.versions[0]?.schema.openAPIV3Schema.properties.spec.properties as unknown as JsonObject;
    expect(change('things.example.com', (copy) => Object.assign(properties(copy), { x: {} }))[0]).toMatch(
      /properties\[x\].type: Required value/,
    );
    expect(
      change('things.example.com', (copy) =>
        Object.assign(properties(copy), {
          x: { type: 'string', 'x-kubernetes-validations': [{ rule: 'nope(self)' }] },
        }),
      )[0],
    ).toMatch(/undeclared reference to function/);
  });

  it('take their objects with them, after those finished', async () => {
    api.call('POST', THINGS, { ...thing({ size: 1 }), metadata: { name: 'a', finalizers: ['x/y'] } });
    api.call('POST', THINGS, thing({ size: 1 }, 'b'));
    api.call('DELETE', `${CRDS}/things.example.com`);
    await Promise.resolve();
    expect(api.call('GET', THINGS)['items']).toHaveLength(1);
    api.call('PATCH', `${THINGS}/a`, { metadata: { finalizers: null } }, MERGE);
    await Promise.resolve();
    await Promise.resolve();
    expect(() => api.call('GET', `${CRDS}/things.example.com`)).toThrow(expect.objectContaining({ code: 404 }));
    expect(() => api.call('GET', THINGS)).toThrow('nothing is served');
  });
});

describe('custom objects', () => {
  it('get defaults and lose unknown fields', () => {
    const made = api.call(
      'POST',
      THINGS,
      thing({ size: 1, bogus: 1, free: { any: [1] }, rules: [{ name: 'x', odd: 1 }] }),
    );
    expect(made['spec']).toEqual({ size: 1, mode: 'a', free: { any: [1] }, rules: [{ name: 'x', weight: 1 }] });
    expect(api.warnings()).toEqual(['unknown field "spec.bogus"', 'unknown field "spec.rules[0].odd"']);
  });

  it.each([
    [{}, 'spec.size: Required value'],
    [{ size: 'x' }, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'],
    [{ size: 11 }, 'spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10'],
    [{ size: 1, mode: 'c' }, 'spec.mode: Unsupported value: "c": supported values: "a", "b"'],
    [{ size: 1, note: 'abcdef' }, 'spec.note: Too long: may not be more than 5 bytes'],
    [{ size: 1, note: 'A' }, 'spec.note: Invalid value: "A": spec.note in body should match \'^[a-z]*$\''],
    [
      { size: 1, port: true },
      'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
    ],
    [{ size: 1, rules: [{ name: 'x' }, { name: 'x' }] }, 'spec.rules[1]: Duplicate value: {"name":"x"}'],
    [{ size: 1, mode: 'b' }, 'spec: Invalid value: "object": mode b needs more than 1'],
  ])('%j is refused: %s', (spec, message) => {
    expect(causes(() => api.call('POST', THINGS, thing(spec)))).toEqual([message]);
  });

  it('accept null where it is allowed', () => {
    expect(causes(() => api.call('POST', THINGS, thing({ size: 1, note: null })))).toEqual([]);
  });

  it('obey rules of change, also in the items of keyed lists', () => {
    api.call('POST', THINGS, thing({ size: 3, rules: [{ name: 'x', weight: 2 }] }));
    const patch = (spec: JsonObject): string[] => causes(() => api.call('PATCH', `${THINGS}/a`, { spec }, MERGE));
    expect(patch({ size: 2 })).toEqual(['spec: Invalid value: "object": size cannot shrink']);
    expect(patch({ rules: [{ name: 'n' }, { name: 'x', weight: 3 }] })).toEqual([
      'spec.rules[1].weight: Invalid value: "integer": weight is fixed',
    ]);
    expect(
      patch({
        size: 4,
        rules: [
          { name: 'n', weight: 7 },
          { name: 'x', weight: 2 },
        ],
      }),
    ).toEqual([]);
  });

  it('keep what was stored before a rule was there (ratcheting)', () => {
    api.call('POST', THINGS, thing({ size: 1, note: 'abc' }));
    const tighter = structuredClone(definition) as unknown as JsonObject;
    const stored = api.call('GET', `${CRDS}/things.example.com`);
    const text = JSON.stringify(tighter['spec']).replace('"maxLength":5', '"maxLength":2');
    api.call('PUT', `${CRDS}/things.example.com`, { ...stored, spec: JSON.parse(text) as JsonObject });
    expect(causes(() => api.call('PATCH', `${THINGS}/a`, { spec: { size: 2 } }, MERGE))).toEqual([]);
    expect(causes(() => api.call('PATCH', `${THINGS}/a`, { spec: { note: 'abd' } }, MERGE))).toHaveLength(1);
  });

  it('write status apart, without touching metadata', () => {
    api.call('POST', THINGS, { ...thing({ size: 1 }), status: { ready: true } });
    expect(api.call('GET', `${THINGS}/a`)['status']).toBeUndefined();
    const after = api.call(
      'PATCH',
      `${THINGS}/a/status`,
      { metadata: { labels: { x: 'y' } }, status: { ready: true }, spec: { size: 5 } },
      MERGE,
    );
    expect(after).toMatchObject({ status: { ready: true }, spec: { size: 1 }, metadata: { generation: 1 } });
    expect(after.metadata.labels).toBeUndefined();
  });

  it('print the columns of the definition', () => {
    api.call('POST', THINGS, thing({ size: 3, rules: [{ name: 'x', weight: 2 }] }));
    api.clock.now += 61_000;
    const table = api.call('GET', THINGS, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
    expect(table['rows']).toMatchObject([{ cells: ['a', 3, '2', '61s'] }]);
  });

  it('take no strategic merge patch', () => {
    api.call('POST', THINGS, thing({ size: 1 }));
    expect(() => api.call('PATCH', `${THINGS}/a`, {}, STRATEGIC)).toThrow(expect.objectContaining({ code: 415 }));
  });
});

describe('server-side apply', () => {
  const apply = (spec: JsonObject, manager: string, force = false): JsonObject =>
    api.call('PATCH', `${THINGS}/a?fieldManager=${manager}${force ? '&force=true' : ''}`, thing(spec), APPLY);

  it('creates, merges list items by key, and removes what is no longer applied', () => {
    apply({ size: 1, rules: [{ name: 'x' }] }, 'one');
    apply({ rules: [{ name: 'y', weight: 5 }], size: 1 }, 'two');
    expect(api.call('GET', `${THINGS}/a`)['spec']).toMatchObject({
      size: 1,
      rules: [{ name: 'x' }, { name: 'y', weight: 5 }],
    });
    apply({ size: 1 }, 'one');
    expect(api.call('GET', `${THINGS}/a`)['spec']).toMatchObject({ rules: [{ name: 'y', weight: 5 }] });
  });

  it('reports conflicts with their owners; force takes over', () => {
    apply({ size: 1 }, 'one');
    expect(() => apply({ size: 2 }, 'two')).toThrow(
      expect.objectContaining({
        code: 409,
        message: 'Apply failed with 1 conflict: conflict with "one" using example.com/v1: .spec.size',
      }),
    );
    apply({ size: 2 }, 'two', true);
    const { managedFields = [] } = api.call('GET', `${THINGS}/a`).metadata;
    expect(managedFields.map(({ manager, fieldsV1 }) => [manager, fieldsV1])).toEqual([
      ['two', { 'f:spec': { 'f:size': {} } }],
    ]);
  });

  it('conflicts with what somebody updated since', () => {
    apply({ size: 1 }, 'one');
    api.call('PATCH', `${THINGS}/a?fieldManager=hand`, { spec: { size: 4 } }, MERGE);
    expect(() => apply({ size: 5 }, 'one')).toThrow(/conflict with "hand"/);
  });

  it('changes nothing when applied again', () => {
    const first = apply({ size: 1 }, 'one') as { metadata?: { resourceVersion?: string } };
    api.clock.now += 5000;
    const again = apply({ size: 1 }, 'one') as { metadata?: { resourceVersion?: string } };
    expect(again.metadata?.resourceVersion).toBe(first.metadata?.resourceVersion);
  });
});
