import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Subnet } from '../store/model.ts';
import { makeSubnet } from '../testing/world.ts';
import { judgeSubnets, type SubnetVerdict, type VerdictInput } from './verdict.ts';

const judge = (subnets: readonly Subnet[], more: Partial<VerdictInput> = {}): ReadonlyMap<string, SubnetVerdict> =>
  judgeSubnets({
    subnets,
    vpcs: new Map(['ovn-cluster', 'blue'].map((name) => [name, '2025-01-01T00:00:00Z'])),
    defaultVpc: 'ovn-cluster',
    serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'],
    nodeAddresses: [['node-1', '172.30.1.1']],
    live: new Map(),
    inUse: () => true,
    holder: () => undefined,
    ...more,
  });
const old = { created: '2026-01-01T00:00:00Z' };
const young = { created: '2026-02-01T00:00:00Z' };

describe('judgeSubnets', () => {
  it('fills in the first usable addresses as gateways', () => {
    const verdict = judge([makeSubnet('a', '10.1.0.0/24,fd00:1::/112')]).get('a');
    expect(verdict).toMatchObject({
      ok: true,
      usable: { v4: { gateway: '10.1.0.1', prefix: 24 }, v6: { gateway: 'fd00:1::1', prefix: 112 } },
    });
  });

  it.each([
    ['another subnet', '10.1.0.128/25', 'subnet "first"'],
    ['a Service CIDR', '10.100.0.0/24', 'the Service CIDR 10.96.0.0/12'],
    ['a node', '172.30.0.0/16', 'node "node-1" (172.30.1.1)'],
  ])('names what a subnet of the default VPC overlaps: %s', (_what, cidr, holder) => {
    const verdict = judge([makeSubnet('first', '10.1.0.0/24', old), makeSubnet('b', cidr, young)]).get('b');
    expect(verdict).toMatchObject({ ok: false, reason: 'Overlap' });
    expect(verdict?.usable).toBeUndefined();
    expect(verdict?.message).toContain(holder);
  });

  it('lets custom VPCs overlap anything but themselves', () => {
    const verdicts = judge([
      makeSubnet('a', '10.1.0.0/24', old),
      makeSubnet('b', '10.1.0.0/24', { vpc: 'blue', ...old }),
      makeSubnet('c', '10.96.0.0/12', { vpc: 'blue', ...old }),
      makeSubnet('d', '10.1.0.0/25', { vpc: 'blue', ...young }),
    ]);
    expect([...verdicts].map(([name, { ok }]) => [name, ok])).toEqual([
      ['a', true],
      ['b', true],
      ['c', true],
      ['d', false],
    ]);
  });

  it.each([
    ['VpcMissing', makeSubnet('a', '10.1.0.0/24', { vpc: 'gone' })],
    ['Invalid', makeSubnet('a', 'nonsense', { vpc: 'gone' })],
  ])('keeps what addresses are in use of, without giving more: %s', (reason, subnet) => {
    const live = new Map([['a', { vpc: 'gone', cidr: '10.1.0.0/24', gateway: '10.1.0.1' }]]);
    const vpcs = new Map(reason === 'Invalid' ? [['gone', '2025-01-01T00:00:00Z']] : []);
    expect(judge([subnet], { live, vpcs }).get('a')).toMatchObject({
      ok: false,
      reason,
      usable: { vpc: 'gone', v4: { cidr: '10.1.0.0/24', gateway: '10.1.0.1' }, deleting: true },
    });
    expect(judge([subnet], { live, vpcs, inUse: () => false }).get('a')?.usable).toBeUndefined();
  });

  it('keeps in force what is in force, whoever is older', () => {
    const live = new Map([
      ['young', { vpc: 'ovn-cluster', cidr: '10.1.0.0/24', gateway: '10.1.0.1' }],
      ['old', { vpc: 'ovn-cluster', cidr: '10.0.0.0/24', gateway: '10.0.0.1' }],
    ]);
    // The older one grew over the younger one, which has pods.
    const verdicts = judge([makeSubnet('old', '10.0.0.0/23', old), makeSubnet('young', '10.1.0.0/24', young)], {
      live,
    });
    expect(verdicts.get('young')?.ok).toBe(true);
    const grown = judge([makeSubnet('old', '10.0.0.0/15', old), makeSubnet('young', '10.1.0.0/24', young)], {
      live,
    }).get('old');
    expect(grown).toMatchObject({ ok: false, usable: { v4: { cidr: '10.0.0.0/24' } } });
    expect(grown?.message).toContain('10.0.0.0/24 stays in force');
  });

  it('refuses a missing VPC, and a subnet named like a VPC (their port names would collide)', () => {
    const verdicts = judge([makeSubnet('a', '10.1.0.0/24', { vpc: 'none' }), makeSubnet('blue', '10.2.0.0/24')]);
    expect(verdicts.get('a')?.reason).toBe('VpcMissing');
    expect(verdicts.get('blue')?.reason).toBe('NameTaken');
  });

  it('a VPC made later does not take the name from a subnet; two whose ports would have one name are told', () => {
    const vpcs = new Map([
      ['ovn-cluster', old.created],
      ['a', '2026-03-01T00:00:00Z'],
      ['b', '2026-03-01T00:00:00Z'],
    ]);
    const first = makeSubnet('a', '10.1.0.0/24', { vpc: 'b', ...old });
    const second = makeSubnet('b', '10.1.0.0/24', { vpc: 'a', ...young });
    const reasons = (live: VerdictInput['live']): readonly (readonly [string, string])[] =>
      [...judge([first, second], { vpcs, live })].map(([name, { reason }]) => [name, reason]);
    expect(reasons(new Map())).toEqual([
      ['a', 'Usable'],
      ['b', 'NameTaken'],
    ]);
    // What is in force stays in force.
    expect(reasons(new Map([['b', { vpc: 'a', cidr: '10.1.0.0/24', gateway: '10.1.0.1' }]]))).toEqual([
      ['a', 'NameTaken'],
      ['b', 'Usable'],
    ]);
  });

  it('names a rule that OVN cannot read; the subnet itself works', () => {
    const acl = { direction: 'to-lport', priority: 1, match: 'tpc.dst == 80', action: 'drop' } as const;
    expect(judge([makeSubnet('a', '10.1.0.0/24', { acls: [acl] })]).get('a')).toMatchObject({
      ok: false,
      reason: 'InvalidAcl',
      message: expect.stringContaining('spec.acls[0].match has no effect: there is no field tpc.dst') as string,
      usable: { acls: [acl] },
    });
  });

  it('keeps the old gateway when the new one is the address of a pod', () => {
    const live = new Map([['a', { vpc: 'ovn-cluster', cidr: '10.1.0.0/24', gateway: '10.1.0.1' }]]);
    const verdict = judge([makeSubnet('a', '10.1.0.0/24', { gateway: '10.1.0.9' })], {
      live,
      holder: (_subnet, address) => (address === '10.1.0.9' ? 'Pod/default/x' : undefined),
    }).get('a');
    expect(verdict).toMatchObject({ ok: false, reason: 'GatewayTaken', usable: { v4: { gateway: '10.1.0.1' } } });
    expect(verdict?.message).toContain('10.1.0.9 is the address of Pod/default/x');
  });

  it('lets a subnet made anew under an old name wait for the addresses of the old one', () => {
    const live = new Map([['a', { vpc: 'blue', cidr: '10.1.0.0/24', gateway: '10.1.0.1' }]]);
    const again = makeSubnet('a', '10.2.0.0/24');
    expect(judge([again], { live }).get('a')).toMatchObject({
      ok: false,
      reason: 'InUse',
      usable: { vpc: 'blue', v4: { cidr: '10.1.0.0/24' }, deleting: true },
    });
    expect(judge([again], { live, inUse: () => false }).get('a')).toMatchObject({
      ok: true,
      usable: { vpc: again.vpc },
    });
  });

  it('never lets two usable subnets of a VPC overlap, and does not depend on the order of the list', () => {
    const subnet = fc.record({
      third: fc.integer({ min: 0, max: 7 }),
      length: fc.constantFrom(22, 23, 24, 25),
      age: fc.integer({ min: 10, max: 40 }),
    });
    const seed = process.env['SEED'];
    fc.assert(
      fc.property(fc.array(subnet, { maxLength: 12 }), (list) => {
        const subnets = list.map(({ third, length, age }, index) => {
          const mask = length < 24 ? third & ~((1 << (24 - length)) - 1) : third;
          return makeSubnet(`s${index}`, `10.1.${mask}.0/${length}`, { created: `2026-01-01T00:00:${age}Z` });
        });
        const verdicts = judge(subnets);
        expect(judge(subnets.toReversed())).toEqual(
          new Map([...verdicts].toReversed().map(([name]) => [name, verdicts.get(name)])),
        );
        const usable = [...verdicts.values()].flatMap(({ usable: found }) =>
          found?.v4 === undefined ? [] : [found.v4.cidr],
        );
        const range = (cidr: string): [number, number] => {
          const [, third = '0', length = '24'] = /^10\.1\.(\d+)\.0\/(\d+)$/.exec(cidr) ?? [];
          return [Number(third) * 256, Number(third) * 256 + 2 ** (32 - Number(length)) - 1];
        };
        const sorted = usable.map(range).sort(([a], [b]) => a - b);
        for (const [index, [first]] of sorted.entries()) expect(first).toBeGreaterThan(sorted[index - 1]?.[1] ?? -1);
      }),
      { numRuns: 200, ...(seed === undefined ? {} : { seed: Number(seed) }) },
    );
  });
});
