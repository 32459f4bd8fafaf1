import { describe, expect, it } from 'vitest';
import { type Packet, readMatch } from './ovn-match.ts';

const packet: Packet = { outport: 'a.x', source: '10.0.0.5', destination: '10.0.0.6', protocol: 'tcp', port: 80 };
const names = {
  addressSets: new Map([
    ['few', ['10.0.0.5', '10.9.0.0/16']],
    ['none', []],
  ]),
  portGroups: new Map([
    ['np', new Set(['a.x'])],
    ['other', new Set<string>()],
  ]),
};

describe('matches of OVN', () => {
  it.each([
    ['ip', true],
    ['ip4 && tcp', true],
    ['ip6', false],
    ['outport == "a.x" && ip4.src == 10.0.0.0/24', true],
    ['outport == @np && (ip4.src == $few || ip6.src == $none) && tcp.dst == {80, 81}', true],
    ['outport == @other && ip', false],
    ['ip4.src == $none', false],
    ['ip4.src != {10.0.0.5, 10.0.0.7}', false],
    ['ip4.src != 10.0.0.7', true],
    ['!(ip4.src == 10.0.0.5)', false],
    ['79 <= tcp.dst <= 80', true],
    ['81 <= tcp.dst <= 90 || udp.dst == 80', false],
    ['ip6.src == ::/0', false],
    ['0', false],
    ['ip4 && 1', true],
    ['1 <= tcp.dst <= 80', true],
  ])('%s', (expression, expected) => {
    expect(readMatch(expression).test(packet, names)).toBe(expected);
  });

  it.each([
    'ip4 && ip || tcp',
    'ip4.src == $missing',
    'outport == @missing',
    'inport == "a.x"',
    'ip4.src ==',
    'vlan.vid == 3',
  ])('refuses %s', (expression) => {
    expect(() => readMatch(expression).test(packet, names)).toThrow();
  });

  it('name the sets and groups that they need', () => {
    const { addressSets, portGroups } = readMatch('outport == @np && (ip4.src == {$few, 10.0.0.1} || ip6)');
    expect([addressSets, portGroups]).toEqual([['few'], ['np']]);
  });
});
