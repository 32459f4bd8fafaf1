import { describe, expect, it } from 'vitest';
import { AllocError } from '../alloc/error.ts';
import { requestOf } from './request.ts';

const P = 'ovn.kubernetes.io/';
const ask = (
  annotations: Record<string, string>,
  namespace: Record<string, string> = {},
  index?: number,
): ReturnType<typeof requestOf> => requestOf({ annotations, uid: 'u' }, namespace, index);
const pool = (value: string, index?: number): unknown => {
  try {
    const { choices, pools } = ask({ [`${P}ip_pool`]: value }, {}, index);
    return pools ?? choices?.map(({ v4, v6 }) => [v4, v6].filter((part) => part !== undefined).join('+'));
  } catch (error) {
    if (error instanceof AllocError) return error.code;
    throw error;
  }
};

describe('requestOf', () => {
  it.each<[string, unknown]>([
    ['10.0.0.1', ['10.0.0.1']],
    ['10.0.0.1,10.0.0.2', ['10.0.0.1', '10.0.0.2']],
    ['10.0.0.1, fd00::1', ['10.0.0.1+fd00::1']],
    ['10.0.0.1,fd00::1;10.0.0.2,fd00::2', ['10.0.0.1+fd00::1', '10.0.0.2+fd00::2']],
    ['10.0.0.1;10.0.0.2;', ['10.0.0.1', '10.0.0.2']],
    ['blue', ['blue']],
    ['blue,red.2', ['blue', 'red.2']],
    ['blue,10.0.0.1', 'invalid'],
    ['10.0.0.300,10.0.0.1', 'invalid'],
    ['fd00::1,10.0.0.1', 'invalid'],
    ['10.0.0.1..10.0.0.9', 'invalid'],
    [',', 'invalid'],
  ])('ip_pool %j', (value, expected) => {
    expect(pool(value)).toEqual(expected);
  });

  it('gives a pod of a StatefulSet the address of its ordinal', () => {
    expect(pool('10.0.0.1,10.0.0.2,10.0.0.3', 1)).toEqual(['10.0.0.2']);
    expect(pool('10.0.0.1,10.0.0.2', 2)).toBe('invalid');
    expect(pool('blue', 7)).toEqual(['blue']);
  });

  it('takes what the pod does not say from its namespace', () => {
    const namespace = { [`${P}logical_switch`]: 'red', [`${P}ip_pool`]: 'blue', [`${P}ip_family`]: 'ipv6' };
    expect(ask({}, namespace)).toEqual({ subnet: 'red', pools: ['blue'], family: 'IPv6', routes: [] });
    expect(ask({ [`${P}ip_pool`]: '10.0.0.1', [`${P}ip_family`]: 'Dual' }, namespace)).toMatchObject({
      choices: [{ v4: '10.0.0.1' }],
      family: 'Dual',
    });
    expect(ask({}, { [`${P}ip_address`]: '10.0.0.1' })).toEqual({ routes: [] });
  });

  it('believes what was announced to this pod, and only to this one', () => {
    const list = { [`${P}ip_pool`]: '10.0.0.1,10.0.0.2', [`${P}ip_address`]: '10.0.0.2' };
    expect(ask({ ...list, 'ovenbird.io/announced-uid': 'u' }).choices).toEqual([{ v4: '10.0.0.2' }]);
    expect(ask({ [`${P}ip_pool`]: '10.0.0.1' }).choices).toEqual([{ v4: '10.0.0.1' }]);
  });

  it.each([
    ['ip_family', 'v4', 'write IPv4, IPv6 or Dual'],
    ['routes', '10.0.0.0/8', 'is not a list of routes'],
    ['routes', '[{"dst":"10.0.0.0/8","gw":"fd00::1"}]', 'of the other family'],
    ['routes', '[{"dst":"ten"}]', 'is not a CIDR'],
    ['routes', '[{"dst":"::/0"}]', 'is the default route'],
  ])('refuses %s %j', (key, value, message) => {
    expect(() => ask({ [`${P}${key}`]: value })).toThrow(message);
  });

  it('reads routes', () => {
    expect(ask({ [`${P}routes`]: '[{"dst":"10.9.0.5/16","gw":"10.0.0.9"},{"dst":"fd01::1"}]' }).routes).toEqual([
      { dst: '10.9.0.0/16', gw: '10.0.0.9' },
      { dst: 'fd01::1/128' },
    ]);
  });
});
