import { beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from './json.ts';
import { MERGE, type TestApi, testApi } from './testing/api.ts';

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});

const SERVICES = '/api/v1/namespaces/default/services';
const create = (name: string, spec: JsonObject = {}): JsonObject =>
  api.call('POST', SERVICES, { metadata: { name }, spec: { selector: { a: 'b' }, ports: [{ port: 80 }], ...spec } })[
    'spec'
  ] as JsonObject;
const patch = (name: string, spec: JsonObject): JsonObject =>
  api.call('PATCH', `${SERVICES}/${name}`, { spec }, MERGE)['spec'] as JsonObject;

describe('services', () => {
  it('have the first address for the API, and one of the default family each', () => {
    expect(api.call('GET', `${SERVICES}/kubernetes`)).toMatchObject({ spec: { clusterIP: '10.96.0.1' } });
    const spec = create('a');
    expect(spec).toMatchObject({
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ protocol: 'TCP', targetPort: 80 }],
    });
    expect(spec['clusterIP']).toMatch(/^10\.96\./);
    expect(spec['clusterIPs']).toEqual([spec['clusterIP']]);
    expect(create('b')['clusterIP']).not.toBe(spec['clusterIP']);
  });

  it('follow ipFamilyPolicy and ipFamilies', () => {
    expect(create('a', { ipFamilyPolicy: 'PreferDualStack' })['ipFamilies']).toEqual(['IPv4', 'IPv6']);
    const six = create('b', { ipFamilies: ['IPv6'] });
    expect(six['clusterIP']).toMatch(/^fd00:10:96::/);
    expect(create('c', { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'RequireDualStack' })['ipFamilies']).toEqual([
      'IPv6',
      'IPv4',
    ]);
    expect(create('d', { clusterIP: 'None' })).toMatchObject({
      clusterIP: 'None',
      clusterIPs: ['None'],
      ipFamilies: ['IPv4'],
    });
    expect(create('e', { clusterIP: 'fd00:10:96::77' })).toMatchObject({ ipFamilies: ['IPv6'] });
  });

  it('gain and lose the second family', () => {
    const one = create('a');
    const two = patch('a', { ipFamilyPolicy: 'PreferDualStack' });
    expect((two['clusterIPs'] as string[])[0]).toBe(one['clusterIP']);
    expect(two['clusterIPs']).toHaveLength(2);
    expect(patch('a', { ipFamilyPolicy: 'SingleStack' })['clusterIPs']).toEqual([one['clusterIP']]);
  });

  it('refuse addresses that are taken, outside, or changed; a freed one can be had again', () => {
    create('a', { clusterIP: '10.96.5.5' });
    expect(() => create('b', { clusterIP: '10.96.5.5' })).toThrow(/provided IP is already allocated/);
    expect(() => create('b', { clusterIP: '10.1.0.1' })).toThrow(/not in the valid range/);
    expect(() => patch('a', { clusterIP: '10.96.5.6', clusterIPs: ['10.96.5.6'] })).toThrow(/may not change once set/);
    api.call('DELETE', `${SERVICES}/a`);
    expect(create('b', { clusterIP: '10.96.5.5' })['clusterIP']).toBe('10.96.5.5');
  });

  it('take nothing in a dry run or when refused', () => {
    const dry = api.call('POST', `${SERVICES}?dryRun=All`, {
      metadata: { name: 'a' },
      spec: { clusterIP: '10.96.7.7', ports: [{ port: 80 }] },
    });
    expect(dry).toMatchObject({ spec: { clusterIP: '10.96.7.7' } });
    expect(() => create('b', { clusterIP: '10.96.7.7', ports: [] })).toThrow(/spec.ports: Required value/);
    expect(create('c', { clusterIP: '10.96.7.7' })['clusterIP']).toBe('10.96.7.7');
  });

  it('have node ports while their type needs them', () => {
    const spec = create('a', {
      type: 'NodePort',
      ports: [
        { port: 80, name: 'x' },
        { port: 80, name: 'y', protocol: 'UDP' },
      ],
    });
    const numbers = (spec['ports'] as { nodePort: number }[]).map(({ nodePort }) => nodePort);
    expect(numbers.every((port) => port >= 30_000 && port <= 32_767)).toBe(true);
    expect(() => create('b', { type: 'NodePort', ports: [{ port: 1, nodePort: numbers[0] }] })).toThrow(
      /already allocated/,
    );
    expect(JSON.stringify(patch('a', { type: 'ClusterIP' })['ports'])).not.toMatch(/nodePort/);
  });

  it('turn into ExternalName and back', () => {
    create('a');
    expect(patch('a', { type: 'ExternalName', externalName: 'x.y' })['clusterIP']).toBeUndefined();
    expect(patch('a', { type: 'ClusterIP', externalName: null })['clusterIP']).toMatch(/^10\.96\./);
  });

  it('name what is wrong with their ports', () => {
    expect(() => create('a', { ports: [{ port: 80 }, { port: 81 }] })).toThrow(/spec.ports\[0\].name: Required value/);
    expect(() => create('a', { ports: [{ port: 70000 }] })).toThrow(/must be between 1 and 65535/);
    expect(() => create('a', { ports: [{ port: 1, protocol: 'X' }] })).toThrow(/Unsupported value: "X"/);
    expect(() =>
      create('a', {
        ports: [
          { port: 1, name: 'a' },
          { port: 1, name: 'b' },
        ],
      }),
    ).toThrow(/Duplicate value/);
  });
});
