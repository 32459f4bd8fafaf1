import { IPPOOLS, IPS, QOSPOLICIES, SECURITYGROUPS, type StructuralSchema, SUBNETS, VIPS, VPCS } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { CRD_LIMIT, estimateCost, RULE_LIMIT } from './cel-cost.ts';

const kinds = [VPCS, SUBNETS, IPPOOLS, VIPS, IPS, SECURITYGROUPS, QOSPOLICIES];
const text = { type: 'string', maxLength: 10 };

describe('estimateCost', () => {
  it.each<[string, number]>([
    ['true', 0],
    ["self == 'abc'", 1 + 1],
    ['self == oldSelf', 1 + 1 + 4],
    ["self.contains('abc')", 1 + 4],
    ["self.find('^[^,]*') == ''", 1 + 5 * 2 + 0],
    ["self in ['a', 'b', 'c']", 1 + 10 + 3],
    ['[1, 2].all(x, x > 0)', 10 + 0 + 0 + 2 * (1 + 1 + (1 + 1) + 1) + 1],
  ])('%s costs %d', (rule, cost) => {
    expect(estimateCost(rule, text)).toBe(cost);
  });

  it.each([
    "'x' + string(self.size()) == self",
    'ip(self) == ip(oldSelf)',
    "self.split(',').all(part, part == oldSelf.trim() + part)",
    "cidr('10.0.0.0/8').containsIP(self.split(',')[0])",
  ])('%s is more than a server takes', (rule) => {
    expect(estimateCost(rule, text)).toBeGreaterThan(RULE_LIMIT);
  });
});

/** Every rule and message expression, with its cost times the number of places it may run at. */
function costs(schema: StructuralSchema, path: string, places: number): [string, number][] {
  return [
    ...(schema['x-kubernetes-validations'] ?? []).flatMap(({ rule, messageExpression }) =>
      [rule, messageExpression]
        .filter((text) => text !== undefined)
        .map((text): [string, number] => [`${path}: ${text}`, places * estimateCost(text, schema)]),
    ),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) => costs(child, `${path}.${name}`, places)),
    ...(schema.items === undefined ? [] : costs(schema.items, `${path}[]`, places * (schema.maxItems ?? Infinity))),
  ];
}

describe('a real API server would take the CRDs', () => {
  it.each(kinds.map((kind) => [kind.kind, kind] as const))('%s', (_, kind) => {
    const schema = kind.crd().spec.versions[0]?.schema.openAPIV3Schema;
    const all = schema === undefined ? [] : costs(schema, '$', 1);
    expect(all.length).toBeGreaterThan(0);
    // Well below the limit, because versions of the estimator differ.
    expect(all.filter(([, cost]) => !(cost < 0.6 * RULE_LIMIT))).toEqual([]);
    expect(all.reduce((sum, [, cost]) => sum + cost, 0)).toBeLessThan(CRD_LIMIT / 2);
  });
});
