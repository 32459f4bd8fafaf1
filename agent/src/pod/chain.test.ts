import { describe, expect, test } from 'vitest';
import { bucketOf } from './bandwidth.ts';
import { claimProblem } from './check.ts';
import { claimedEnd, previousResult } from './previous-result.ts';
import { appendResult } from './result.ts';
import { runtimeConfig } from './runtime-config.ts';

const read = (cniVersion: string, prevResult: unknown): ReturnType<typeof previousResult> =>
  previousResult({ cniVersion, name: 'n', prevResult });

describe('prevResult', () => {
  test('absent and null are none', () => {
    expect(read('1.0.0', undefined)).toBeUndefined();
    expect(read('1.0.0', null)).toBeUndefined();
  });

  test('null lists, unknown keys and either shape of addresses are taken', () => {
    const prevResult = {
      interfaces: null,
      ips: [
        { version: '4', address: '10.0.0.2/8' },
        { address: 'fd00::2/64', interface: 0 },
      ],
      extra: 1,
    };
    expect(read('1.1.0', prevResult)).toMatchObject({
      interfaces: [],
      ips: [{ address: '10.0.0.2/8' }, { address: 'fd00::2/64', interface: 0 }],
      routes: [],
      dns: {},
      extra: 1,
    });
    expect(read('1.1.0', prevResult)?.ips[0]).not.toHaveProperty('version');
    expect(read('0.4.0', prevResult)?.ips.map(({ version }) => version)).toEqual(['4', '6']);
  });

  test.each([
    ['text', 'prevResult'],
    [{ interfaces: {} }, 'prevResult.interfaces'],
    [{ ips: [{}] }, 'prevResult.ips.0.address'],
    [{ routes: [{ gw: '10.0.0.1' }] }, 'prevResult.routes.0.dst'],
  ])('%j names %s', (prevResult, key) => {
    expect(() => read('1.0.0', prevResult)).toThrow(key);
  });

  test('our own is appended, its indexes shifted; its dns wins when it has one', () => {
    const previous = read('1.0.0', {
      interfaces: [{ name: 'a' }, { name: 'b' }],
      ips: [{ address: '10.0.0.2/8', interface: 1 }],
      dns: { domain: 'x' },
      extra: 1,
    });
    if (previous === undefined) throw new Error('there is a result');
    const own = {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'h' }, { name: 'eth0', sandbox: '/n' }],
      ips: [{ address: '10.16.0.2/16', interface: 1 }],
      routes: [{ dst: '0.0.0.0/0' }],
      dns: {},
    };
    expect(appendResult(previous, own)).toEqual({
      cniVersion: '1.0.0',
      interfaces: [{ name: 'a' }, { name: 'b' }, { name: 'h' }, { name: 'eth0', sandbox: '/n' }],
      ips: [
        { address: '10.0.0.2/8', interface: 1 },
        { address: '10.16.0.2/16', interface: 3 },
      ],
      routes: [{ dst: '0.0.0.0/0' }],
      dns: { domain: 'x' },
      extra: 1,
    });
    expect(appendResult(previous, { ...own, dns: { domain: 'y' } }).dns).toEqual({ domain: 'y' });
  });
});

describe('what CHECK holds against the result of ADD', () => {
  const plan = { ifname: 'eth0', mtu: 1442, routes: [{ dst: '192.0.2.0/24', gateway: '10.16.0.1' }] };
  const result = {
    interfaces: [{ name: 'h1' }, { name: 'eth0', sandbox: '/n', mac: '02:00:00:00:00:0A' }, { name: 'eth0' }],
    ips: [
      { address: '10.16.0.2/16', interface: 1 },
      { address: 'FD00::0:2/64', interface: 1 },
      { address: '10.99.0.2/16', interface: 0 },
      { address: '10.98.0.2/16' },
    ],
    routes: [
      { dst: '0.0.0.0/0', gw: '10.16.0.1' },
      { dst: '192.0.2.0/24', gw: '10.16.0.1' },
      { dst: '198.51.100.0/24' },
    ],
  };
  const link: Parameters<typeof claimProblem>[1] = {
    mtu: 1442,
    addresses: [
      { family: 'inet', local: '10.16.0.2', prefixlen: 15 },
      { family: 'inet6', local: 'fd00::2', prefixlen: 64 },
    ],
    routes: [{ dst: '192.0.2.0/24', gateway: '10.16.0.1', byKernel: false }],
  };
  const problem = (change: Partial<typeof link>, more: object = {}, wanted: typeof plan = plan): string | undefined => {
    const previous = read('1.1.0', { ...result, ...more });
    const claim = previous && claimedEnd(previous, 'eth0');
    if (claim === undefined) throw new Error('not listed');
    return claimProblem(wanted, { ...link, ...change }, claim);
  };

  test('the interface in the container, and the addresses that point at it', () => {
    const previous = read('1.0.0', result);
    if (previous === undefined) throw new Error('there is a result');
    expect(claimedEnd(previous, 'eth0')).toMatchObject({
      mac: '02:00:00:00:00:0a',
      addresses: ['10.16.0.2/16', 'FD00::0:2/64'],
    });
    // The host's end is none in a container.
    expect(claimedEnd(previous, 'h1')).toBeUndefined();
    expect(claimedEnd(previous, 'eth1')).toBeUndefined();
  });

  test('what holds', () => {
    expect(problem({})).toBeUndefined();
    // A route that was asked for after ADD, and one of another plugin.
    expect(problem({ routes: [] }, { routes: [] })).toBeUndefined();
    // A gateway that moved: the route may have followed or not.
    const moved = { ...plan, routes: [{ dst: '192.0.2.0/24', gateway: '10.16.0.254' }] };
    expect(problem({}, {}, moved)).toBeUndefined();
    // A later plugin made it smaller.
    expect(problem({ mtu: 1300 })).toBeUndefined();
  });

  test.each([
    [{ addresses: link.addresses.slice(0, 1) }, {}, 'FD00::0:2/64'],
    [{ routes: [] }, {}, 'the route to 192.0.2.0/24 via 10.16.0.1 is missing'],
    [{ mtu: 1500 }, {}, 'MTU 1500 instead of 1442'],
    [
      { mtu: 1300 },
      { interfaces: [{}, { name: 'eth0', sandbox: '/n', mtu: 1442 }].map((one) => ({ name: 'h1', ...one })) },
      'MTU 1300',
    ],
  ])('what does not: %j', (change, more, text) => {
    expect(problem(change, more)).toContain(text);
  });
});

describe('bandwidth', () => {
  const burstOf = (rate: number, burst?: number): number => bucketOf(rate, burst, 1442)?.burst ?? 0;

  test('no rate, no limit', () => {
    expect(bucketOf(undefined, 8000, 1442)).toBeUndefined();
    expect(bucketOf(0, 8000, 1442)).toBeUndefined();
  });

  test('asked for in bits, counted in bytes, with a queue of 25 ms behind it', () => {
    expect(bucketOf(10_000_000, 800_000, 1442)).toEqual({ rate: 1_250_000, burst: 100_000, limit: 131_250 });
  });

  test('the bucket: half a second by default, two packets and 4 ms at least, and what the kernel can count at most', () => {
    expect(burstOf(8_000_000)).toBe(500_000);
    expect(burstOf(8_000_000, 4_294_967_295)).toBe(500_000);
    expect(burstOf(8_000_000, 8)).toBe(4000);
    expect(burstOf(1000, 8)).toBe(2 * 1460);
    expect(burstOf(1e12)).toBe(0x7fff_ffff);
  });

  test('keys in either case, null for absent', () => {
    expect(runtimeConfig.parse({ bandwidth: { IngressRate: 1, EgressRate: null }, mac: null, ips: null })).toEqual({
      bandwidth: { ingressRate: 1 },
      mac: undefined,
      ips: undefined,
    });
    expect(runtimeConfig.parse(null)).toBeUndefined();
    expect(runtimeConfig.safeParse({ bandwidth: [] }).success).toBe(false);
  });
});
