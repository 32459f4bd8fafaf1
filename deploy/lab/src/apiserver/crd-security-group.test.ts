import { SECURITYGROUPS, type SecurityGroup } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { crdValidator } from './testing/crd-validator.ts';

const validate = crdValidator(SECURITYGROUPS.crd());
const group = (spec: object): SecurityGroup => ({ metadata: { name: 'a' }, spec });
const says = (spec: object): string => {
  const object = group(spec);
  const problems = validate(object);
  expect(SECURITYGROUPS.problems(object).length > 0, JSON.stringify(SECURITYGROUPS.problems(object))).toBe(
    problems.length > 0,
  );
  return problems.map(({ field, message }) => `${field}: ${message}`).join('\n');
};
const web = {
  ipVersion: 'ipv4',
  protocol: 'tcp',
  priority: 1,
  remoteType: 'address',
  remoteAddress: '10.16.0.0/16',
  portRangeMin: 80,
  portRangeMax: 88,
  policy: 'allow',
};
const { remoteAddress: _any, ...nobody } = web;

describe('SecurityGroup', () => {
  it.each<[object]>([
    [{}],
    [{ ingressRules: [web], allowSameGroupTraffic: true, tier: 0 }],
    [{ ingressRules: [{ ...nobody, remoteType: 'securityGroup', remoteSecurityGroup: 'b', remoteAddress: '' }] }],
    [{ egressRules: [{ ...web, ipVersion: 'ipv6', remoteAddress: 'fd00::/8', localAddress: 'fd00::5' }] }],
    [{ egressRules: [{ ...web, sourcePortRangeMin: 1, sourcePortRangeMax: 1, policy: 'pass', log: true }] }],
    [{ tier: 1, ingressRules: [{ ...web, priority: 16_384, policy: 'drop' }], logDropped: true, logRate: 5 }],
    [{ namespaces: ['a'], namespaceSelectors: [{ matchLabels: { a: 'b' } }] }],
    [{ selectors: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] } }] }],
    [{ vpc: 'blue' }],
  ])('accepts %j', (spec) => {
    expect(says(spec)).toBe('');
  });

  it.each<[object, string]>([
    [nobody, 'with remoteType address write remoteAddress (0.0.0.0/0 or ::/0 for everybody)'],
    [{ ...nobody, remoteType: 'securityGroup' }, 'with remoteType securityGroup write remoteSecurityGroup'],
    [{ ...web, remoteSecurityGroup: 'b' }, 'remoteType says which of remoteAddress and remoteSecurityGroup counts'],
    [{ ...web, remoteAddress: '10.16.0.300' }, 'neither an address such as 10.16.0.5 nor a CIDR'],
    [{ ...web, remoteAddress: 'fd00::/8' }, 'remoteAddress is not of the family that ipVersion says'],
    [{ ...web, localAddress: 'fd00::5' }, 'localAddress is not of the family that ipVersion says'],
    [{ ...web, portRangeMax: 79 }, 'portRangeMin comes first'],
    [{ ...nobody, remoteAddress: '10.0.0.1', portRangeMax: undefined }, 'write both portRangeMin and portRangeMax'],
    [{ ...web, protocol: 'icmp' }, 'only tcp, udp and sctp have ports'],
    [{ ...web, protocol: 'all' }, 'only tcp, udp and sctp have ports'],
    [{ ...web, portRangeMin: 0 }, 'must be >= 1'],
    [{ ...web, priority: 0 }, 'must be >= 1'],
    [{ ...web, priority: 16_385 }, 'must be <= 16384'],
    [{ ...web, policy: 'reject' }, 'must be equal to one of the allowed values'],
  ])('refuses the rule %j', (rule, message) => {
    expect(says({ ingressRules: [JSON.parse(JSON.stringify(rule))] })).toContain(message);
    expect(says({ egressRules: [JSON.parse(JSON.stringify(rule))] })).toContain(message);
  });

  it.each<[object, string]>([
    [{ tier: 2 }, 'must be <= 1'],
    [{ tier: 1, egressRules: [{ ...web, policy: 'pass' }] }, 'behind tier 1 comes nothing that could decide instead'],
    [{ namespaceSelectors: [{ matchExpressions: [{ key: 'a', operator: 'In' }] }] }, 'In and NotIn need values'],
    [{ logRate: 0 }, 'must be >= 1'],
  ])('refuses %j', (spec, message) => {
    expect(says(spec)).toContain(message);
  });

  it('stays in its Vpc', () => {
    const moved = validate(group({ vpc: 'blue' }), group({}));
    expect(moved.map(({ message }) => message)).toEqual([
      'spec.vpc cannot change; make a new SecurityGroup for the pods of the other Vpc',
    ]);
    expect(SECURITYGROUPS.problems(group({ vpc: 'blue' }), group({}))).toHaveLength(1);
  });
});
