import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { IPPOOLS, IPS, MAX_COUNT, QOSPOLICIES, SECURITYGROUPS, SUBNETS, statusCount, VIPS, VPCS } from './index.ts';

describe('kinds', () => {
  it('have paths', () => {
    expect(SUBNETS.path()).toBe('/apis/ovenbird.io/v1/subnets');
    expect(VPCS.path('a')).toBe('/apis/ovenbird.io/v1/vpcs/a');
  });

  it('say where a problem is', () => {
    const object = {
      metadata: { name: 'a' },
      spec: { cidrBlock: '10.0.0.0/8', excludeIps: ['10.0.0.1', 'x'], vlan: 'v' },
    };
    expect(SUBNETS.problems(object).map(({ field }) => field)).toEqual(['spec.excludeIps[1]', 'spec.vlan']);
    expect(SUBNETS.problems(undefined)).not.toEqual([]);
    expect(SUBNETS.problems({ metadata: { name: 'a' } })).toMatchObject([{ field: 'spec' }]);
  });

  it.each([SUBNETS, VPCS, IPS, IPPOOLS, QOSPOLICIES, SECURITYGROUPS, VIPS].map((kind) => [kind.plural, kind] as const))(
    '%s: the committed CRD is current',
    async (plural, kind) => {
      const file = new URL(`../manifests/ovenbird.io_${plural}.yaml`, import.meta.url);
      expect(parse(await readFile(file, 'utf8'))).toEqual(kind.crd());
    },
  );

  it('a Vpc needs no spec, a Subnet does', () => {
    const schema = (kind: typeof VPCS | typeof SUBNETS): object =>
      kind.crd().spec.versions[0]?.schema.openAPIV3Schema ?? {};
    expect(VPCS.problems({ metadata: { name: 'a' } })).toEqual([]);
    expect(schema(VPCS)).not.toHaveProperty('required');
    expect(schema(VPCS)).toHaveProperty('properties.spec.default', {});
    expect(schema(SUBNETS)).toHaveProperty('required', ['spec']);
  });

  it('counts stop where JSON numbers do', () => {
    expect(statusCount(5n)).toBe(5);
    expect(statusCount(1n << 64n)).toBe(MAX_COUNT);
  });
});
