import { type IP, IPS, VPCS } from '@ovenbird/crds';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crdValidator } from './testing/crd-validator.ts';

const validateIp = crdValidator(IPS.crd());
const validateVpc = crdValidator(VPCS.crd());
const ip = (spec: object): IP => ({ metadata: { name: 'a' }, spec: spec as IP['spec'] });
const base = { subnet: 's', v4IpAddress: '10.16.0.5' };

describe('IP', () => {
  it.each<[object]>([
    [base],
    [{ ...base, v6IpAddress: 'fd00::5', ipAddress: '10.16.0.5,fd00::5', macAddress: '02:00:00:00:00:01' }],
    [{ subnet: 's', ipAddress: '10.16.0.5' }],
    [{ subnet: 's', ipAddress: 'fd00::5', v4IpAddress: '', v6IpAddress: 'fd00::5' }],
    [{ ...base, podName: 'p', namespace: 'n', nodeName: 'node-1', ownerUID: 'u', podType: '', attachIps: [] }],
  ])('accepts %j', (spec) => {
    expect(validateIp(ip(spec))).toEqual([]);
    expect(IPS.problems(ip(spec))).toEqual([]);
  });

  it.each<[object, string]>([
    [{ subnet: 's' }, 'an IP needs an address'],
    [{ v4IpAddress: '10.0.0.1' }, "must have required property 'subnet'"],
    [{ ...base, v4IpAddress: 'fd00::5' }, 'spec.v4IpAddress: write an IPv4 address'],
    [{ ...base, v6IpAddress: 'FD00::5' }, 'in its shortest form'],
    [{ ...base, ipAddress: 'fd00::5,10.16.0.5' }, 'IPv4 first, such as 10.16.0.5,fd00:10:16::5'],
    [{ ...base, ipAddress: '10.16.0.6' }, 'spec.ipAddress must say the same'],
    [{ ...base, macAddress: '01:00:00:00:00:01' }, 'unicast MAC'],
    [{ ...base, macAddress: '02:AB:00:00:00:01' }, 'lower case'],
    [{ ...base, macAddress: '00:00:00:00:00:00' }, 'unicast MAC'],
    [{ ...base, attachSubnets: ['x'] }, 'spec.attachSubnets is not built yet; remove it'],
  ])('refuses %j', (spec, message) => {
    const said = validateIp(ip(spec)).map((problem) => `${problem.field}: ${problem.message}`);
    expect(said.join('\n')).toContain(message);
    expect(said.join('\n')).not.toContain('evaluation error');
    expect(IPS.problems(ip(spec))).not.toEqual([]);
  });

  it('CEL and functions agree on random objects', () => {
    const address = fc.constantFrom('', '10.16.0.5', '10.16.0.6', 'fd00::5', 'FD00::5', 'x', '::ffff:1.2.3.4');
    const spec = fc.record(
      {
        subnet: fc.constant('s'),
        ipAddress: fc.oneof(
          address,
          fc.tuple(address, address).map((pair) => pair.join(',')),
        ),
        v4IpAddress: address,
        v6IpAddress: address,
        macAddress: fc.constantFrom(
          '',
          '02:00:00:00:00:01',
          '02-00-00-00-00-01',
          '0A:00:00:00:00:01',
          'ff:ff:ff:ff:ff:ff',
        ),
        ownerUID: fc.constantFrom('', 'u', 'v'),
      },
      { requiredKeys: ['subnet'] },
    );
    const seed = process.env['SEED'];
    fc.assert(
      fc.property(spec, (value) => {
        expect(IPS.problems(ip(value)).length === 0).toBe(validateIp(ip(value)).length === 0);
      }),
      { numRuns: 2000, ...(seed === undefined ? {} : { seed: Number(seed) }) },
    );
  });
});

describe('Vpc', () => {
  const vpc = (spec: object): object => ({ metadata: { name: 'a' }, spec });
  it.each<[object]>([
    [{}],
    [{ namespaces: ['a'] }],
    [{ staticRoutes: [], enableBfd: false, bfdPort: { enabled: false, ip: '' } }],
  ])('accepts %j', (spec) => {
    expect(validateVpc(vpc(spec))).toEqual([]);
    expect(VPCS.problems(vpc(spec))).toEqual([]);
  });
  it.each<[object, string]>([
    [{ staticRoutes: [{ cidr: '0.0.0.0/0', nextHopIP: '10.0.0.1' }] }, 'spec.staticRoutes is not built yet; remove it'],
    [{ policyRoutes: [{ priority: 1 }] }, 'spec.policyRoutes is not built yet'],
    [{ enableExternal: true }, 'spec.enableExternal is not built yet'],
    [{ bfdPort: { enabled: true } }, 'spec.bfdPort.enabled is not built yet'],
    [{ bfdPort: { nodeSelector: { matchLabels: { a: 'b' } } } }, 'spec.bfdPort.nodeSelector is not built yet'],
    [{ namespaces: ['A'] }, 'must match pattern'],
  ])('refuses %j', (spec, message) => {
    expect(
      validateVpc(vpc(spec))
        .map((problem) => problem.message)
        .join('\n'),
    ).toContain(message);
    expect(VPCS.problems(vpc(spec))).not.toEqual([]);
  });
});
