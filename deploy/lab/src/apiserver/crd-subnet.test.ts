import { bigintToIp, SUBNETS, type Subnet } from '@ovenbird/crds';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileRule } from './cel.ts';
import { crdValidator } from './testing/crd-validator.ts';

const validate = crdValidator(SUBNETS.crd());
const subnet = (spec: object, name = 'a'): Subnet => ({ metadata: { name }, spec: spec as Subnet['spec'] });
const base = { cidrBlock: '10.16.0.0/16' };
const dual = { cidrBlock: '10.16.0.0/16,fd00:10:16::/112' };
/** What the API server says, as `field: message`; the function twins must refuse and accept the same. */
const says = (spec: object, name?: string): string[] => {
  const object = subnet(spec, name);
  const problems = validate(object);
  expect(SUBNETS.problems(object).length > 0, JSON.stringify(SUBNETS.problems(object))).toBe(problems.length > 0);
  return problems.map(({ field, message }) => `${field}: ${message}`);
};

describe('good subnets', () => {
  it.each<[object]>([
    [base],
    [dual],
    [{ cidrBlock: 'fd00:10:16::/112' }],
    [{ ...dual, gateway: '10.16.0.1,fd00:10:16::1', protocol: 'Dual', mtu: 1280 }],
    [{ ...dual, gateway: '10.16.255.254,fd00:10:16::ffff' }],
    [{ ...base, gateway: '' }],
    [{ ...base, gateway: '10.16.1.255', protocol: 'IPv4', mtu: 576 }],
    [{ cidrBlock: '10.0.0.0/30', gateway: '10.0.0.2' }],
    [{ ...dual, excludeIps: ['10.16.0.1', '10.16.0.1..10.16.0.10', 'fd00:10:16::1..fd00:10:16::ff', 'fd00:10:16::5'] }],
    [{ ...base, default: true, namespaceSelectors: [{ matchLabels: { a: 'b' } }] }],
    [{ ...base, namespaceSelectors: [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] }] }],
    [{ ...base, namespaces: ['a', 'b-1'], private: true, allowSubnets: ['10.17.0.0/16', 'fd00::/64'] }],
    [{ ...base, acls: [{ direction: 'to-lport', priority: 32767, match: 'ip4', action: 'drop' }], natOutgoing: true }],
    [
      {
        ...base,
        vpc: 'v',
        gatewayType: 'distributed',
        provider: 'ovn',
        default: false,
        enableLb: true,
        vlan: '',
        u2oFeatures: {},
      },
    ],
    [{ ...base, enableDHCP: true, dhcpV4Options: 'lease_time=3600,dns_server={10.0.0.1;10.0.0.2}' }],
    [
      {
        ...dual,
        enableIPv6RA: true,
        ipv6RAConfigs: 'address_mode=slaac',
        enableMulticastSnoop: true,
        dhcpV6Options: '',
      },
    ],
    [{ ...base, vips: [], natOutgoingPolicyRules: [], policyRoutingPriority: 0, logicalGateway: false }],
  ])('%j', (spec) => {
    expect(says(spec)).toEqual([]);
  });
});

describe('bad subnets get a message that says what to write', () => {
  it.each<[object, string]>([
    [{}, "must have required property 'cidrBlock'"],
    [{ ...base, unknown: 1 }, 'must NOT have additional properties'],
    [{ cidrBlock: '' }, 'spec.cidrBlock: write one CIDR such as'],
    [
      { ...base, dhcpV4Options: 'lease=1' },
      'spec.dhcpV4Options: write name=value joined by commas, such as lease_time',
    ],
    [{ ...dual, dhcpV6Options: 'dns_server=10.0.0.1' }, 'such as dns_server=fd00:10:96::a'],
    [{ ...dual, ipv6RAConfigs: 'address_mode=auto' }, 'such as address_mode=slaac'],
    [{ ...base, enableIPv6RA: true }, 'spec.enableIPv6RA needs an IPv6 CIDR'],
    [{ cidrBlock: '10.16.0.0' }, 'write one CIDR such as'],
    [{ cidrBlock: '10.16.0.0/16,' }, 'write one CIDR such as'],
    [{ cidrBlock: '10.16.0.0/16, fd00::/112' }, 'write one CIDR such as'],
    [{ cidrBlock: '010.16.0.0/16' }, 'write one CIDR such as'],
    [{ cidrBlock: '10.16.0.0/16,fd00::/112,10.0.0.0/8' }, 'write one CIDR such as'],
    [{ cidrBlock: 'fd00::/112,10.16.0.0/16' }, 'IPv4 first, such as 10.16.0.0/16,fd00:10:16::/112'],
    [{ cidrBlock: '10.16.0.0/16,10.17.0.0/16' }, 'one IPv4 and one IPv6'],
    [{ cidrBlock: '10.16.0.5/16' }, 'write 10.16.0.0/16'],
    [{ cidrBlock: '10.16.0.5/16,FD00:10:16:0::1/112' }, 'write 10.16.0.0/16,fd00:10:16::/112'],
    [{ cidrBlock: '10.16.0.0/32' }, 'the prefix length must be /8 to /30'],
    [{ cidrBlock: '10.16.0.0/31' }, 'the prefix length must be /8 to /30'],
    [{ cidrBlock: 'fd00::/128' }, 'or /8 to /126 (IPv6)'],
    [{ cidrBlock: '0.0.0.0/0' }, 'the prefix length must be'],
    [{ cidrBlock: '127.0.0.0/8' }, 'loopback'],
    [{ cidrBlock: '10.16.0.0/16,ff02::/64' }, 'multicast'],
    [{ ...base, gateway: '10.17.0.1' }, 'one address inside each CIDR of 10.16.0.0/16'],
    [{ ...base, gateway: '10.16.0.1,fd00::1' }, 'one address inside each CIDR'],
    [{ ...dual, gateway: '10.16.0.1' }, 'one address inside each CIDR'],
    [{ ...base, gateway: '10.16.0.0' }, 'must not be the network or broadcast address'],
    [{ ...base, gateway: '10.16.255.255' }, 'must not be the network or broadcast address'],
    [{ ...dual, gateway: '10.16.0.1,fd00:10:16::' }, 'must not be the network or broadcast address'],
    [{ ...dual, gateway: '10.16.0.1,FD00:10:16::1' }, 'write fd00:10:16::1'],
    [{ ...base, gateway: 'gw' }, 'spec.gateway: write one address such as 10.16.0.1'],
    [{ ...base, excludeIps: ['10.17.0.1'] }, 'every entry of spec.excludeIps must lie inside 10.16.0.0/16'],
    [{ ...base, excludeIps: ['10.16.0.1..10.17.0.1'] }, 'must lie inside'],
    [
      { ...base, excludeIps: ['10.16.0.9', '10.16.0.9..10.16.0.1'] },
      'spec.excludeIps[1]: the first address of a range comes first: write 10.16.0.1..10.16.0.9',
    ],
    [{ ...dual, excludeIps: ['fd00:10:16::9..fd00:10:16::1'] }, 'write fd00:10:16::1..fd00:10:16::9'],
    [{ ...base, excludeIps: ['10.16.0.1-10.16.0.9'] }, 'or a range such as 10.16.0.10..10.16.0.20'],
    [{ ...dual, excludeIps: ['10.16.0.1..fd00:10:16::1'] }, 'write an address such as'],
    [{ ...base, protocol: 'IPv6' }, 'spec.protocol must be IPv4'],
    [{ ...dual, protocol: 'IPv4' }, 'spec.protocol must be Dual'],
    [{ ...base, protocol: 'Mac' }, 'must be equal to one of the allowed values'],
    [{ ...dual, mtu: 1279 }, 'at least 1280'],
    [{ ...base, mtu: 575 }, 'must be >= 576'],
    [{ ...base, mtu: 65536 }, 'must be <= 65535'],
    [{ ...base, allowSubnets: ['10.17.0.1'] }, 'spec.allowSubnets[0]: write a CIDR such as'],
    [{ ...base, namespaces: ['A'] }, 'must match pattern'],
    [
      { ...base, gatewayType: 'centralized' },
      'spec.gatewayType centralized is not built yet; write distributed or remove it',
    ],
    [{ ...base, provider: 'x' }, 'write ovn, <nad>.<namespace>.ovn'],
    [{ ...base, vlan: 'v1' }, 'spec.vlan is not built yet; remove it'],
    [{ ...base, enableLb: false }, 'spec.enableLb is not built yet; remove it'],
    [{ ...base, u2oFeatures: { overlayOnlyRouting: true } }, 'spec.u2oFeatures.overlayOnlyRouting is not built yet'],
    [{ ...base, policyRoutingTableID: 5 }, 'spec.policyRoutingTableID is not built yet'],
    [{ ...base, natOutgoingPolicyRules: [{ action: 'nat' }] }, 'spec.natOutgoingPolicyRules is not built yet'],
    [{ ...base, namespaceSelectors: [{}] }, 'an empty selector would match every namespace'],
    [
      { ...base, namespaceSelectors: [{ matchExpressions: [{ key: 'a', operator: 'In' }] }] },
      'In and NotIn need values',
    ],
    [{ ...base, namespaceSelectors: [{ matchExpressions: [{ key: 'a', operator: 'Is' }] }] }, 'allowed values'],
    [{ ...base, vpc: 'a' }, 'a Subnet cannot have the name of its Vpc'],
    [{ ...base, acls: [{ direction: 'to-lport', priority: 1, match: 'ip4' }] }, "must have required property 'action'"],
    [{ ...base, acls: [{ direction: 'to-lport', priority: 32768, match: 'ip4', action: 'drop' }] }, 'must be <= 32767'],
  ])('%j', (spec, message) => {
    const said = says(spec);
    expect(said.join('\n')).toContain(message);
    expect(said.join('\n')).not.toContain('evaluation error');
  });

  it('a name longer than a label value', () => {
    expect(says(base, 'a'.repeat(64)).join()).toContain('at most 63 characters');
    // A Subnet `node` in a Vpc `node-1` would have the port of the node `node-1`.
    expect(says(base, 'node').join()).toContain('node, localnet, vip are words of port names in OVN');
  });
});

describe('updates', () => {
  it.each<[object, object, string]>([
    [dual, { cidrBlock: '10.16.0.0/12,fd00:10:16::/64' }, ''],
    [
      { ...dual, gateway: '10.16.0.1,fd00:10:16::1' },
      { cidrBlock: '10.0.0.0/8,fd00:10::/32', gateway: '10.16.0.1,fd00:10:16::1' },
      '',
    ],
    [{ ...base, natOutgoing: true }, { ...base, protocol: 'IPv4' }, ''],
    [{ cidrBlock: '10.16.128.0/17' }, { cidrBlock: '10.16.0.0/16' }, 'would move the default gateway'],
    [{ cidrBlock: '10.16.128.0/17' }, { cidrBlock: '10.16.0.0/16', gateway: '10.16.128.1' }, ''],
    [base, { cidrBlock: '10.16.0.0/17' }, 'write a block that contains 10.16.0.0/16'],
    [base, { cidrBlock: '10.17.0.0/16' }, 'cidrBlock can only grow'],
    [base, dual, 'cidrBlock can only grow'],
    [dual, base, 'cidrBlock can only grow'],
    [base, { cidrBlock: 'fd00::/64' }, 'cidrBlock can only grow'],
    [{ ...base, vpc: 'v' }, { ...base, vpc: 'w' }, 'spec.vpc cannot change, keep v'],
    [{ ...base, vpc: 'v' }, base, 'spec.vpc cannot change, keep v'],
    [base, { ...base, vpc: 'v' }, 'spec.vpc cannot be set later'],
    [{ ...base, protocol: 'IPv4' }, { cidrBlock: 'fd00::/64', protocol: 'IPv6' }, 'spec.protocol cannot change'],
  ])('%j to %j: %s', (before, after, message) => {
    const said = validate(subnet(after), subnet(before)).map((problem) => problem.message);
    expect(SUBNETS.problems(subnet(after), subnet(before)).length > 0).toBe(said.length > 0);
    if (message === '') expect(said).toEqual([]);
    else expect(said.join('\n')).toContain(message);
  });
});

/** Text near the border between good and bad. */
const octet = fc.constantFrom(0, 1, 15, 16, 17, 255);
const v4 = fc
  .tuple(fc.constantFrom(10, 10, 10, 127, 169, 224, 256), octet, octet, octet)
  .map((parts) => parts.join('.'));
const v6 = fc.constantFrom(
  'fd00::',
  'fd00::1',
  'fd00::ff',
  'fd00:0::2',
  'fd00:10:16::',
  'fd00:10:16::ffff',
  'FD00::1',
  'fe80::1',
  '::1',
  '::',
  'fd00::1.2.3.4',
  '::ffff:10.0.0.1',
);
const address = fc.oneof(
  { weight: 4, arbitrary: v4 },
  { weight: 3, arbitrary: v6 },
  { weight: 1, arbitrary: fc.constantFrom('', 'x', '10.0.0', ' 10.0.0.1') },
);
const prefix = fc.constantFrom(0, 7, 8, 16, 24, 28, 30, 31, 32, 33, 64, 112, 126, 127, 128, 129);
const cidr = fc.oneof(
  fc.tuple(address, prefix).map(([ip, bits]) => `${ip}/${bits}`),
  fc.constantFrom('10.16.0.0/16', '10.0.0.0/8', '10.16.16.0/28', 'fd00::/64', 'fd00:10:16::/112', '10.0.0.0/08'),
);
const pair = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<string> =>
  fc.oneof(
    one.map(String),
    fc.tuple(one, one).map((two) => two.join(',')),
    fc.tuple(one, one, one).map((three) => three.join(',')),
  );
const range = fc.oneof(
  address,
  fc.tuple(address, address).map((two) => two.join('..')),
  fc.constant('10.16.0.1..'),
);
const maybe = <T>(key: string, value: fc.Arbitrary<T>): fc.Arbitrary<object> =>
  fc.oneof(
    fc.constant({}),
    value.map((inner) => ({ [key]: inner })),
  );
const goodBlock = fc.constantFrom(
  '10.16.0.0/16',
  '10.0.0.0/8',
  '10.16.16.0/28',
  'fd00::/64',
  '10.16.0.0/16,fd00:10:16::/112',
  '10.0.0.0/8,fd00::/64',
);
const spec = fc
  .tuple(
    fc.oneof(goodBlock, pair(cidr)).map((cidrBlock) => ({ cidrBlock })),
    maybe('gateway', pair(address)),
    maybe('excludeIps', fc.array(range, { maxLength: 3 })),
    maybe('protocol', fc.constantFrom('IPv4', 'IPv6', 'Dual')),
    maybe('mtu', fc.constantFrom(575, 576, 1279, 1280, 65_535)),
    maybe('allowSubnets', fc.array(cidr, { maxLength: 2 })),
    maybe('vpc', fc.constantFrom('a', 'b', '', 'X')),
  )
  .map((fields) => Object.assign({}, ...fields) as object);
const seed = process.env['SEED'];
const settings = { numRuns: 3000, ...(seed === undefined ? {} : { seed: Number(seed) }) };

describe('CEL and functions agree', () => {
  it('on the order of random ranges', () => {
    const rules =
      SUBNETS.crd().spec.versions[0]?.schema.openAPIV3Schema.properties?.['spec']?.properties?.['excludeIps'];
    const text = rules?.items?.['x-kubernetes-validations']?.[1]?.rule;
    const ordered = compileRule(text ?? '');
    const number = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
    const near = fc.tuple(number, fc.bigInt({ min: -3n, max: 3n }), fc.integer({ min: 0, max: 127 }), fc.boolean());
    fc.assert(
      fc.property(near, fc.constantFrom(4 as const, 6 as const), ([value, step, bit, close], family) => {
        const size = family === 4 ? 32n : 128n;
        const wrap = (from: bigint): bigint => BigInt.asUintN(Number(size), from);
        // Outside ::ffff:0:0/96, whose addresses no field accepts.
        const a = wrap(value) | (family === 6 ? 1n << 120n : 0n);
        const b = wrap(close ? a + step : a ^ (1n << (BigInt(bit) % size))) | (family === 6 ? 1n << 120n : 0n);
        expect(ordered.evaluate(`${bigintToIp(a, family)}..${bigintToIp(b, family)}`)).toBe(a <= b);
      }),
      { ...settings, numRuns: 400 },
    );
  });

  it('on random subnets', () => {
    let good = 0;
    fc.assert(
      fc.property(spec, (value) => {
        const server = validate(subnet(value));
        const own = SUBNETS.problems(subnet(value));
        expect(own.length === 0, JSON.stringify({ server, own })).toBe(server.length === 0);
        expect(server.filter(({ message }) => message.includes('evaluation error'))).toEqual([]);
        if (server.length === 0) good += 1;
      }),
      settings,
    );
    expect(good).toBeGreaterThan(100);
  });

  it('on random changes', () => {
    let good = 0;
    const change = fc.tuple(
      fc.record({ cidrBlock: goodBlock }, { requiredKeys: ['cidrBlock'] }),
      goodBlock,
      maybe('vpc', fc.constantFrom('b', 'c')),
      maybe('vpc', fc.constantFrom('b', 'c')),
      maybe('gateway', fc.constantFrom('', '10.16.16.1')),
    );
    fc.assert(
      fc.property(change, ([before, cidrBlock, oldVpc, vpc, gateway]) => {
        const old = subnet({ ...before, ...oldVpc });
        const object = subnet({ cidrBlock, ...vpc, ...gateway });
        const server = validate(object, old);
        expect(SUBNETS.problems(object, old).length === 0, JSON.stringify(server)).toBe(server.length === 0);
        if (server.length === 0) good += 1;
      }),
      settings,
    );
    expect(good).toBeGreaterThan(50);
  });
});
