import { IPPOOLS, type IPPool } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { crdValidator } from './testing/crd-validator.ts';

const validate = crdValidator(IPPOOLS.crd());
const pool = (spec: object, name = 'a'): IPPool => ({ metadata: { name }, spec: spec as IPPool['spec'] });
const says = (spec: object, name?: string): string => {
  const object = pool(spec, name);
  const problems = validate(object);
  expect(IPPOOLS.problems(object).length > 0, JSON.stringify(IPPOOLS.problems(object))).toBe(problems.length > 0);
  return problems.map(({ field, message }) => `${field}: ${message}`).join('\n');
};

describe('IPPool', () => {
  it.each<[object]>([
    [{ subnet: 's', ips: ['10.16.0.5'] }],
    [{ subnet: 's', ips: ['10.16.0.5..10.16.0.9', '10.16.1.0/24', 'fd00::5', 'fd00::10..fd00::1f', 'fd00::100/120'] }],
    [{ subnet: 's', ips: ['10.16.0.5'], namespaces: ['a', 'b'], enableAddressSet: true }],
  ])('accepts %j', (spec) => {
    expect(says(spec)).toBe('');
  });

  it.each<[object, string]>([
    [{ ips: ['10.16.0.5'] }, "must have required property 'subnet'"],
    [{ subnet: 's' }, "must have required property 'ips'"],
    [{ subnet: 's', ips: [] }, 'must NOT have fewer than 1 items'],
    [{ subnet: 's', ips: ['x'] }, 'write an address such as 10.16.0.10, a range such as'],
    [{ subnet: 's', ips: ['10.16.0.5-10.16.0.9'] }, 'a range such as 10.16.0.10..10.16.0.20'],
    [{ subnet: 's', ips: ['10.16.0.0/33'] }, 'or a CIDR such as'],
    [{ subnet: 's', ips: ['10.16.0.9..10.16.0.5'] }, 'write 10.16.0.5..10.16.0.9'],
    [{ subnet: 's', ips: ['10.16.0.9..fd00::5'] }, 'write an address such as'],
    [{ subnet: 's', ips: ['10.16.0.9'], namespaces: ['A'] }, 'must match pattern'],
  ])('refuses %j', (spec, message) => {
    expect(says(spec)).toContain(message);
  });

  it('has a name that is no address, so that ip_pool can hold both', () => {
    expect(says({ subnet: 's', ips: ['10.16.0.5'] }, '10.16.0.5')).toContain('choose another name');
  });

  it('stays in its subnet', () => {
    const old = pool({ subnet: 's', ips: ['10.16.0.5'] });
    const moved = pool({ subnet: 't', ips: ['10.16.0.5'] });
    expect(validate(moved, old).map(({ message }) => message)).toEqual([
      'spec.subnet cannot change; make a new IPPool',
    ]);
    expect(IPPOOLS.problems(moved, old)).toHaveLength(1);
  });
});
