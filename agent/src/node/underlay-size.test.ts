import { expect, test } from 'vitest';
import { UnderlaySize } from './underlay-size.ts';

test('tunnels may fragment while the underlay is too small for the IPv6 of the overlay, which is told once', () => {
  const told: string[] = [];
  const size = new UnderlaySize((message) => told.push(message));
  const ask = (mtu: number, ipv6 = true): string | undefined =>
    size.settings({ ifname: 'eth0', mtu }, '10.0.0.1', ipv6).get('ovn-encap-df_default');
  expect([ask(1500), ask(1300, false)]).toEqual([undefined, undefined]);
  expect([ask(1300), ask(1300), ask(1500), ask(1500), ask(1300)]).toEqual(['false', 'false', 'true', 'true', 'false']);
  expect(told).toHaveLength(2);
});
