import { cidrContains } from '@ovenbird/crds';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { UsableSubnet } from '../store/model.ts';
import { Allocator } from './allocator.ts';
import { AllocError } from './error.ts';

const subnet = (
  name: string,
  v4: string | undefined,
  v6: string | undefined,
  more: Partial<UsableSubnet> = {},
): UsableSubnet => ({
  name,
  vpc: 'ovn-cluster',
  ...(v4 === undefined
    ? {}
    : { v4: { cidr: v4, gateway: v4.replace(/0\/.*/, '1'), prefix: Number(v4.split('/')[1]) } }),
  ...(v6 === undefined
    ? {}
    : { v6: { cidr: v6, gateway: v6.replace(/::\/.*/, '::1'), prefix: Number(v6.split('/')[1]) } }),
  excludeIps: [],
  namespaces: [],
  namespaceSelectors: [],
  isDefault: false,
  private: false,
  allowSubnets: [],
  aclLogRate: 10,
  allowEastWest: false,
  acls: [],
  natOutgoing: false,
  multicastSnoop: false,
  deleting: false,
  ...more,
});

const code = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AllocError) return error.code;
    throw error;
  }
};

describe('Allocator', () => {
  it('skips the gateway and excluded ranges, and says when it is full', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(subnet('s', '10.0.0.0/29', undefined, { excludeIps: ['10.0.0.3..10.0.0.4', '10.0.0.6'] }));
    expect(allocator.allocate('Pod/a/1', 'u1', 's', {}).v4).toBe('10.0.0.2');
    expect(allocator.allocate('Pod/a/2', 'u2', 's', {}).v4).toBe('10.0.0.5');
    expect(code(() => allocator.allocate('Pod/a/3', 'u3', 's', {}))).toBe('exhausted');
    expect(allocator.usage('s', 'v4')).toEqual({ using: 2, available: 0n });
    allocator.release('Pod/a/1');
    expect(allocator.allocate('Pod/a/3', 'u3', 's', {}).v4).toBe('10.0.0.2');
  });

  it('hands out an IPv6 /64 without walking it, and static addresses at its far end', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(subnet('s', undefined, 'fd00:1::/64'));
    expect(allocator.allocate('Pod/a/1', 'u', 's', { v6: 'fd00:1::ffff:ffff:ffff:fffe' }).v6).toBe(
      'fd00:1::ffff:ffff:ffff:fffe',
    );
    expect(allocator.allocate('Pod/a/2', 'u', 's', {}).v6).toBe('fd00:1::2');
  });

  it('names the reason of each refusal and changes nothing', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(subnet('s', '10.0.0.0/24', undefined, { excludeIps: ['10.0.0.9'] }));
    allocator.allocate('Pod/a/1', 'u', 's', { v4: '10.0.0.7', mac: '02:00:00:00:00:01' });
    const refused = (wanted: { v4?: string; v6?: string; mac?: string }): string | undefined =>
      code(() => allocator.allocate('Pod/a/2', 'u', 's', wanted));
    expect(refused({ v4: '10.0.1.7' })).toBe('outside');
    expect(refused({ v4: '10.0.0.0' })).toBe('outside');
    expect(refused({ v4: '10.0.0.255' })).toBe('outside');
    expect(refused({ v6: 'fd00::1' })).toBe('outside');
    expect(refused({ v4: '10.0.0.1' })).toBe('excluded');
    expect(refused({ v4: '10.0.0.9' })).toBe('excluded');
    expect(refused({ v4: '10.0.0.7' })).toBe('taken');
    expect(refused({ mac: '02:00:00:00:00:01' })).toBe('taken');
    expect(code(() => allocator.allocate('Pod/a/2', 'u', 'missing', {}))).toBe('no-subnet');
    expect(allocator.held('Pod/a/2')).toBeUndefined();
    expect(allocator.usersOf('s')).toBe(1);
  });

  it('reuses the address that was freed longest ago', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(subnet('s', '10.0.0.0/29', undefined));
    const names = ['1', '2', '3', '4', '5'].map((name) => `Pod/a/${name}`);
    for (const name of names) allocator.allocate(name, 'u', 's', {});
    for (const name of ['Pod/a/3', 'Pod/a/1', 'Pod/a/5']) allocator.release(name);
    const next = ['x', 'y', 'z'].map((name) => allocator.allocate(`Pod/b/${name}`, 'u', 's', {}).v4);
    expect(next).toEqual(['10.0.0.4', '10.0.0.2', '10.0.0.6']);
  });

  it('finds what a growing CIDR adds', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(subnet('s', '10.0.0.0/30', undefined));
    allocator.allocate('Pod/a/1', 'u', 's', {});
    expect(code(() => allocator.allocate('Pod/a/2', 'u', 's', {}))).toBe('exhausted');
    allocator.setSubnet(subnet('s', '10.0.0.0/29', undefined));
    expect(allocator.allocate('Pod/a/2', 'u', 's', {}).v4).toBe('10.0.0.3');
  });

  it('10,000 pods churned through a /24 end with the same number of free addresses', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(subnet('s', '10.0.0.0/24', 'fd00:1::/112'));
    const free = allocator.usage('s', 'v4')?.available;
    const live: string[] = [];
    for (let index = 0; index < 10_000; index += 1) {
      const owner = `Pod/a/${index}`;
      allocator.allocate(owner, 'u', 's', {});
      live.push(owner);
      if (live.length > 200) allocator.release(live.shift() ?? '');
    }
    for (const owner of live) allocator.release(owner);
    expect(allocator.usage('s', 'v4')?.available).toBe(free);
    expect(allocator.usersOf('s')).toBe(0);
  });

  it('never hands an address or MAC out twice, whatever the order (model)', () => {
    const owner = fc.integer({ min: 0, max: 12 }).map((index) => `Pod/a/${index}`);
    const v4 = fc.integer({ min: 0, max: 15 }).map((last) => `10.0.0.${last}`);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('allocate' as const), owner, v4: fc.option(v4, { nil: undefined }) }),
      fc.record({ kind: fc.constant('release' as const), owner }),
      fc.record({
        kind: fc.constant('exclude' as const),
        from: fc.integer({ min: 2, max: 14 }),
        length: fc.integer({ min: 0, max: 4 }),
      }),
    );
    const seed = process.env['SEED'];
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const allocator = new Allocator({ joinSubnet: 'join' });
        allocator.setSubnet(subnet('s', '10.0.0.0/28', undefined));
        const model = new Map<string, string>();
        for (const action of steps) {
          if (action.kind === 'release') {
            allocator.release(action.owner);
            model.delete(action.owner);
          } else if (action.kind === 'exclude') {
            const excludeIps = [`10.0.0.${action.from}..10.0.0.${Math.min(15, action.from + action.length)}`];
            allocator.setSubnet(subnet('s', '10.0.0.0/28', undefined, { excludeIps }));
          } else {
            try {
              const got = allocator.allocate(action.owner, 'u', 's', action.v4 === undefined ? {} : { v4: action.v4 });
              if (action.v4 !== undefined) expect(got.v4).toBe(action.v4);
              model.set(action.owner, got.v4 ?? '');
            } catch (error) {
              if (!(error instanceof AllocError)) throw error;
            }
          }
          const addresses = [...model.values()];
          expect(new Set(addresses).size).toBe(addresses.length);
          expect(addresses.every((address) => cidrContains('10.0.0.0/28', address) && address !== '10.0.0.1')).toBe(
            true,
          );
          expect(allocator.usage('s', 'v4')?.using).toBe(model.size);
        }
      }),
      { numRuns: 500, ...(seed === undefined ? {} : { seed: Number(seed) }) },
    );
  });

  it('gives a MAC to one owner, also where it follows from an address', () => {
    const allocator = new Allocator({ joinSubnet: 'join' });
    allocator.setSubnet(
      subnet('s', '10.0.0.0/24', undefined, { v6: { cidr: 'fd00::a00:0/112', gateway: 'fd00::a00:1', prefix: 112 } }),
    );
    const mac = (owner: string, wanted: Parameters<Allocator['allocate']>[3]): string | undefined =>
      allocator.allocate(`Pod/${owner}`, 'u', 's', wanted).mac;
    const made = '0a:58:0a:00:00:07';
    expect(mac('a/4', { v4: '10.0.0.7', family: 'IPv4' })).toBe(made);
    // The last 32 bits are those of 10.0.0.7.
    const six = mac('a/6', { v6: 'fd00::a00:7', family: 'IPv6' });
    expect(six).not.toBe(made);
    expect(code(() => mac('a/named', { mac: made }))).toBe('taken');
    expect(allocator.adopt({ owner: 'Pod/a/adopted', uid: 'u', subnet: 's', mac: made, v4: '10.0.0.9' })).toBe(
      'Pod/a/4',
    );
    allocator.release('Pod/a/4');
    expect(mac('a/named', { mac: made, v4: '10.0.0.8' })).toBe(made);
    expect(mac('a/4', { v4: '10.0.0.7', family: 'IPv4' })).not.toBe(made);
    allocator.release('Pod/a/named');
    allocator.release('Pod/a/6');
    expect(mac('a/6', { v6: 'fd00::a00:7', family: 'IPv6' })).toBe(made);
    expect(code(() => mac('a/named', { mac: made }))).toBe('taken');
  });
});
