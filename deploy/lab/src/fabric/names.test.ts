import { describe, expect, test } from 'vitest';
import { nodeAddresses } from './addresses.ts';
import { defaultDirectory, labDirectory, labNames, nodeNamespace } from './names.ts';

describe('labNames', () => {
  test('the default directory has the undecorated names that scripts rely on', () => {
    const names = labNames(defaultDirectory);
    expect(names).toEqual({ prefix: 'ovenbird', fabric: 'ovenbird-fabric', podPrefix: 'ovenbird-pod' });
    expect(nodeNamespace(names, 'node-1')).toBe('ovenbird-node-1');
  });

  test('any other directory puts four hex digits of its own into every name', () => {
    const one = labNames('/tmp/a');
    expect(one.prefix).toMatch(/^ovenbird-[0-9a-f]{4}$/);
    expect(one.fabric).toBe(`${one.prefix}-fabric`);
    expect(labNames('/tmp/b').prefix).not.toBe(one.prefix);
    expect(labNames('/tmp/../tmp/a/')).toEqual(one);
  });

  test('OVENBIRD_LAB chooses the directory, empty means the default', () => {
    expect(labDirectory({ OVENBIRD_LAB: '/tmp/a' })).toBe('/tmp/a');
    expect(labDirectory({ OVENBIRD_LAB: '' })).toBe(defaultDirectory);
    expect(labDirectory({})).toBe(defaultDirectory);
  });
});

test('a node has the addresses of the plan, IPv6 only in a dual-stack lab', () => {
  expect(nodeAddresses(2, true)).toEqual({
    ipv4: '172.30.1.2',
    ipv6: 'fd00:172:30::1:2',
    mac: '02:ac:1e:01:00:02',
  });
  expect(nodeAddresses(200, false)).toEqual({ ipv4: '172.30.1.200', mac: '02:ac:1e:01:00:c8' });
});
