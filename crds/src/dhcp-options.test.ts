import { describe, expect, it } from 'vitest';
import { type OptionsOf, optionsRule, parseOptions } from './dhcp-options.ts';

describe('parseOptions', () => {
  it.each<[OptionsOf, string, Record<string, string>]>([
    ['v4', '', {}],
    ['v4', 'lease_time=3600', { lease_time: '3600' }],
    ['v4', 'lease_time=3600,', { lease_time: '3600' }],
    ['v4', 'router=10.0.0.1, mtu=1400', { router: '10.0.0.1', mtu: '1400' }],
    ['v4', 'dns_server={10.0.0.1,10.0.0.2},T1=5', { dns_server: '{10.0.0.1,10.0.0.2}', T1: '5' }],
    ['v4', 'dns_server={10.0.0.1;10.0.0.2}', { dns_server: '{10.0.0.1,10.0.0.2}' }],
    ['v4', 'domain_name=example.org,hostname="a, b"', { domain_name: '"example.org"', hostname: '"a, b"' }],
    ['v4', 'domain_search_list={a.b, c.d}', { domain_search_list: '"a.b,c.d"' }],
    [
      'v4',
      'classless_static_route={30.0.0.0/24,10.0.0.10, 0.0.0.0/0,10.0.0.1},server_mac=0a:58:00:00:00:01',
      {
        classless_static_route: '{30.0.0.0/24,10.0.0.10, 0.0.0.0/0,10.0.0.1}',
        server_mac: '0a:58:00:00:00:01',
      },
    ],
    ['v6', 'dns_server={fd00::1;::2},domain_search=a.b', { dns_server: '{fd00::1,::2}', domain_search: '"a.b"' }],
    [
      'ra',
      'address_mode=slaac,rdnss=fd00::53,dnssl={a.b;c.d},route_info=HIGH-fd00:1::/48',
      { address_mode: 'slaac', rdnss: 'fd00::53', dnssl: 'a.b,c.d', route_info: 'HIGH-fd00:1::/48' },
    ],
  ])('%s %s', (of, text, stored) => {
    expect(Object.fromEntries(parseOptions(of, text))).toEqual(stored);
  });

  it.each<[OptionsOf, string]>([
    ['v4', 'lease'],
    ['v4', 'lease_time'],
    ['v4', 'lease_time=soon'],
    ['v4', 'lease_time=1;T1=2'],
    ['v4', 'router=10.0.0.256'],
    ['v4', 'router=fd00::1'],
    ['v4', 'dns_server={10.0.0.1'],
    ['v4', 'dns_server=10.0.0.1,10.0.0.2'],
    ['v4', 'mtu=65536'],
    ['v4', 'hostname="a"b"'],
    ['v4', 'offerip=10.0.0.1'],
    ['v4', 'lease_time=1\nT1=2'],
    ['v6', 'dns_server=1::2::3'],
    ['v6', 'dns_server=10.0.0.1'],
    ['v6', 'lease_time=5'],
    ['ra', 'address_mode=dhcp'],
    ['ra', 'send_periodic=1'],
    ['ra', 'route_info=fd00::/48'],
  ])('refuses %s %s, and so does the API server', (of, text) => {
    expect(() => parseOptions(of, text)).toThrow('write name=value joined by commas, such as');
    expect(optionsRule(of).holds(text)).toBe(false);
  });
});
