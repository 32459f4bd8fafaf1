import { VIPS, type Vip } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { crdValidator } from './testing/crd-validator.ts';

const validate = crdValidator(VIPS.crd());
const vip = (spec: object, name = 'a'): Vip => ({ metadata: { name }, spec: spec as Vip['spec'] });
const says = (spec: object, name?: string): string => {
  const object = vip(spec, name);
  const problems = validate(object);
  expect(VIPS.problems(object).length > 0, JSON.stringify(VIPS.problems(object))).toBe(problems.length > 0);
  return problems.map(({ field, message }) => `${field}: ${message}`).join('\n');
};
const door = { subnet: 's', namespace: 'n' };

describe('Vip', () => {
  it.each<[object]>([
    [door],
    [{ ...door, v4ip: '10.16.0.5', v6ip: 'fd00:10:16::5', macAddress: '0a:00:00:00:00:05' }],
    // Kube-OVN writes out what is absent.
    [{ ...door, v4ip: '', v6ip: '', macAddress: '', type: '', attachSubnets: [], selector: [] }],
    [{ ...door, selector: ['app:web', 'tier:'] }],
  ])('accepts %j', (spec) => {
    expect(says(spec)).toBe('');
  });

  it.each<[object, string]>([
    [{ namespace: 'n' }, "must have required property 'subnet'"],
    [{ subnet: 's' }, "must have required property 'namespace'"],
    [{ ...door, namespace: 'N' }, 'must match pattern'],
    [{ ...door, v4ip: 'fd00::5' }, 'such as 10.16.0.5'],
    [{ ...door, v4ip: '10.16.0.300' }, 'such as 10.16.0.5'],
    [{ ...door, v6ip: '10.16.0.5' }, 'such as fd00:10:16::5'],
    [{ ...door, v6ip: 'FD00::5' }, 'spec.v6ip'],
    [{ ...door, macAddress: '01:00:00:00:00:05' }, 'spec.macAddress'],
    [{ ...door, macAddress: 'x' }, 'spec.macAddress'],
    [{ ...door, selector: ['app=web'] }, 'write a label as key:value, such as app:web'],
    [{ ...door, selector: Array.from({ length: 17 }, () => 'a:b') }, 'must NOT have more than 16 items'],
    [{ ...door, type: 'switch_lb_vip' }, 'not built yet'],
    [{ ...door, attachSubnets: ['t'] }, 'not built yet'],
  ])('refuses %j', (spec, message) => {
    expect(says(spec)).toContain(message);
  });

  it('has a name that fits into a label', () => {
    expect(says(door, 'x'.repeat(64))).toContain('63');
  });

  it.each<[object, string]>([
    [{ subnet: 't', namespace: 'n' }, 'spec.subnet cannot change; make a new Vip'],
    [{ subnet: 's', namespace: 'm' }, 'spec.namespace cannot change; make a new Vip'],
  ])('stays where it is: %j', (spec, message) => {
    expect(validate(vip(spec), vip(door)).map((problem) => problem.message)).toEqual([message]);
    expect(VIPS.problems(vip(spec), vip(door))).toHaveLength(1);
  });

  it('may get another address, MAC and other pods', () => {
    const other = vip({ ...door, v4ip: '10.16.0.6', macAddress: '0a:00:00:00:00:06', selector: ['app:web'] });
    const before = vip({ ...door, v4ip: '10.16.0.5' });
    expect(validate(other, before)).toEqual([]);
    expect(VIPS.problems(other, before)).toEqual([]);
  });
});
