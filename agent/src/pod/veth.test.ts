import { expect, test } from 'vitest';
import type { LinkAddress } from '../netlink/state.ts';
import { prefixRequests } from './veth.ts';

const plan = {
  ifname: 'eth0',
  addresses: [
    { address: '10.0.0.2', prefix: 28, gateway: '10.0.0.1' },
    { address: 'fd00::2', prefix: 120, gateway: 'fd00::1' },
  ],
};
const is = (local: string, prefixlen: number): LinkAddress => ({
  family: local.includes(':') ? 'inet6' : 'inet',
  local,
  prefixlen,
});

const lines = (present: readonly LinkAddress[]): readonly string[] =>
  prefixRequests(7, plan, present).map(({ what }) => what.replace('ip address ', ''));

test('addresses of a Subnet that has grown get its prefixes', () => {
  const others = [is('192.0.2.1', 30), is('fe80::1', 64)];
  expect(lines([is('10.0.0.2', 30), is('fd00::2', 126), ...others])).toEqual([
    'add 10.0.0.2/28 dev eth0',
    'delete 10.0.0.2/30 dev eth0',
    'delete fd00::2/126 dev eth0',
    'add fd00::2/120 dev eth0 nodad',
  ]);
  // Half done by an agent that died.
  expect(lines([is('10.0.0.2', 30), is('10.0.0.2', 28), is('fd00::2', 120)])).toEqual(['delete 10.0.0.2/30 dev eth0']);
  expect(lines([is('10.0.0.2', 28), is('fd00::2', 120), ...others])).toEqual([]);
  expect(lines(others)).toEqual([]);
});
