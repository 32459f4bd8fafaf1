import { BlockList, isIP } from 'node:net';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressError, type AddressErrorCode } from './address-error.ts';
import { dualValues, joinDual, splitDual, splitDualCidr } from './dual.ts';
import {
  addressBits,
  bigintToIp,
  cidrContains,
  cidrRange,
  cidrsOverlap,
  type Family,
  firstUsable,
  ipFamily,
  ipToBigint,
  isCanonicalIp,
  isCidr,
  isIp,
  isUsableHost,
  parseCidr,
  parseIp,
  parseIpRange,
  prefixLength,
  rangeToCidrs,
} from './ip.ts';
import { isMac, parseMac } from './mac.ts';
import { runs } from './testing/seed.ts';

const code = (action: () => unknown): AddressErrorCode | 'no error' => {
  try {
    action();
    return 'no error';
  } catch (error) {
    if (error instanceof AddressError) return error.code;
    throw error;
  }
};

const family = fc.constantFrom<Family>(4, 6);
const address = family.chain((of) =>
  fc.bigInt({ min: 0n, max: (1n << BigInt(addressBits(of))) - 1n }).map((value) => ({ family: of, value })),
);

describe('networks of a range', () => {
  it('are the fewest', () => {
    const of = (text: string): readonly string[] => rangeToCidrs(parseIpRange(text));
    expect(of('10.0.0.5')).toEqual(['10.0.0.5']);
    expect(of('10.0.0.0..10.0.0.255')).toEqual(['10.0.0.0/24']);
    expect(of('10.0.0.5..10.0.0.9')).toEqual(['10.0.0.5', '10.0.0.6/31', '10.0.0.8/31']);
    expect(of('0.0.0.0..255.255.255.255')).toEqual(['0.0.0.0/0']);
    expect(of('fd00::1..fd00::4')).toEqual(['fd00::1', 'fd00::2/127', 'fd00::4']);
  });

  it('cover it exactly, one after the other', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 5000n }), fc.bigInt({ min: 0n, max: 5000n }), (a, b) => {
        const [first, last] = a < b ? [a, b] : [b, a];
        let next = first;
        for (const network of rangeToCidrs({ family: 4, first, last })) {
          const range = network.includes('/')
            ? cidrRange(network)
            : { first: ipToBigint(network), last: ipToBigint(network) };
          expect(range.first).toBe(next);
          next = range.last + 1n;
        }
        expect(next).toBe(last + 1n);
      }),
      runs(),
    );
  });
});

describe('addresses', () => {
  it.each([
    '010.0.0.1',
    '1',
    '1.2.3',
    '256.1.1.1',
    '0x7f.1',
    '1.2.3.4\n',
    ' 1.2.3.4',
    '',
    '12345::',
    ':::',
    'fe80::1%eth0',
    '::ffff:1.2.3.4',
    '1.2.3.4/8',
  ])('refuses %j', (text) => {
    expect(code(() => parseIp(text))).toBe('bad-ip');
    expect(isIp(text)).toBe(false);
  });

  it('says what to write instead of a mapped address', () => {
    expect(() => parseIp('::ffff:1.2.3.4')).toThrow('write 1.2.3.4');
  });

  it('writes RFC 5952', () => {
    expect(parseIp('FD00:0:0:0::01')).toBe('fd00::1');
    expect(parseIp('2001:db8:0:1:1:1:1:1')).toBe('2001:db8:0:1:1:1:1:1');
    expect(parseIp('2001:0:0:1:0:0:0:1')).toBe('2001:0:0:1::1');
    expect(isCanonicalIp('fd00::1') && !isCanonicalIp('fd00:0::1') && !isCanonicalIp('x')).toBe(true);
  });

  it('agrees with the URL parser on canonical IPv6, and survives the round trip', () => {
    fc.assert(
      fc.property(address, ({ family, value }) => {
        const text = bigintToIp(value, family);
        expect(isIP(text)).toBe(family);
        if (family === 6) {
          expect(`[${text}]`).toBe(new URL(`http://[${text}]`).hostname);
          if (value >> 32n === 0xffffn) return;
        }
        expect(ipToBigint(text)).toBe(value);
        expect(parseIp(text)).toBe(text);
      }),
      runs(),
    );
  });

  it('refuses integers outside the family', () => {
    expect(code(() => bigintToIp(1n << 32n, 4))).toBe('out-of-range');
    expect(code(() => bigintToIp(-1n, 6))).toBe('out-of-range');
  });
});

describe('CIDRs', () => {
  it.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '/8',
    '10.0.0.0/',
    'fd00::/129',
    '10.0.0/8',
    '10.0.0.0/-1',
    '::ffff:1.2.3.4/96',
  ])('refuses %s', (text) => {
    expect(code(() => parseCidr(text))).toBe('bad-cidr');
    expect(isCidr(text)).toBe(false);
  });

  it('normalises', () => {
    expect(parseCidr('10.16.3.4/16')).toBe('10.16.0.0/16');
    expect(parseCidr('FD00::5/64')).toBe('fd00::/64');
    expect(cidrRange('10.0.0.0/30')).toEqual({ first: 0x0a000000n, last: 0x0a000003n });
    expect(prefixLength('fd00::/112')).toBe(112);
    expect(ipFamily('fd00::/8')).toBe(6);
    expect(firstUsable('fd00:10:16::/112')).toBe('fd00:10:16::1');
  });

  it('contains and overlaps like net.BlockList', () => {
    const cidr = address.chain(({ family, value }) =>
      fc.integer({ min: 0, max: addressBits(family) }).map((length) => parseSafe(value, family, length)),
    );
    fc.assert(
      fc.property(cidr, cidr, fc.boolean(), (a, other, near) => {
        const b = near && ipFamily(a) === ipFamily(other) ? parseCidr(`${firstOf(a)}/${prefixLength(other)}`) : other;
        const list = new BlockList();
        list.addSubnet(firstOf(a), prefixLength(a), ipFamily(a) === 4 ? 'ipv4' : 'ipv6');
        const inside = list.check(firstOf(b), ipFamily(b) === 4 ? 'ipv4' : 'ipv6') && ipFamily(a) === ipFamily(b);
        expect(cidrContains(a, firstOf(b))).toBe(inside);
        expect(cidrContains(a, b)).toBe(inside && prefixLength(b) >= prefixLength(a));
        expect(cidrsOverlap(a, b)).toBe(cidrContains(a, b) || cidrContains(b, a));
      }),
      runs(),
    );
  });

  it('knows the usable addresses', () => {
    expect(isUsableHost('10.0.0.0/24', '10.0.0.0')).toBe(false);
    expect(isUsableHost('10.0.0.0/24', '10.0.0.255')).toBe(false);
    expect(isUsableHost('10.0.0.0/24', '10.0.1.1')).toBe(false);
    expect(isUsableHost('10.0.0.0/24', 'fd00::1')).toBe(false);
    expect(isUsableHost('10.0.0.0/24', '10.0.0.1')).toBe(true);
    expect(isUsableHost('fd00::/120', 'fd00::')).toBe(false);
    expect(isUsableHost('fd00::/120', 'fd00::ff')).toBe(true);
  });
});

const firstOf = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'));
const parseSafe = (value: bigint, family: Family, length: number): string => {
  // Mapped addresses are refused by design; move them out of ::ffff:0:0/96.
  const safe = family === 6 && value >> 32n === 0xffffn ? value | (1n << 127n) : value;
  const shift = BigInt(addressBits(family) - length);
  const network = (safe >> shift) << shift;
  return `${bigintToIp(network, family)}/${length}`;
};

describe('ranges, pairs and MACs', () => {
  it('reads ranges', () => {
    expect(parseIpRange('10.0.0.1..10.0.0.5')).toEqual({ family: 4, first: 0x0a000001n, last: 0x0a000005n });
    expect(parseIpRange('fd00::1')).toMatchObject({ family: 6, first: parseIpRange('fd00::1').last });
    expect(code(() => parseIpRange('10.0.0.5..10.0.0.1'))).toBe('bad-range');
    expect(() => parseIpRange('10.0.0.5..10.0.0.1')).toThrow('write 10.0.0.1..10.0.0.5');
    expect(code(() => parseIpRange('1.1.1.1..1.1.1.2..1.1.1.3'))).toBe('bad-range');
    expect(code(() => parseIpRange('10.0.0.1..fd00::1'))).toBe('family-mismatch');
    expect(code(() => parseIpRange('10.0.0.1..'))).toBe('bad-ip');
  });

  it('reads one or two families', () => {
    expect(splitDual('')).toEqual({});
    expect(splitDual('10.0.0.1')).toEqual({ v4: '10.0.0.1' });
    expect(splitDual('10.0.0.1,FD00::1')).toEqual({ v4: '10.0.0.1', v6: 'fd00::1' });
    expect(splitDualCidr('fd00::/64')).toEqual({ v6: 'fd00::/64' });
    expect(joinDual({ v6: 'b', v4: 'a' })).toBe('a,b');
    expect(dualValues({ v6: 'b' })).toEqual(['b']);
    expect(code(() => splitDual('fd00::1,10.0.0.1'))).toBe('bad-pair');
    expect(() => splitDual('fd00::1,10.0.0.1')).toThrow('write 10.0.0.1,fd00::1');
    expect(code(() => splitDual('10.0.0.1,10.0.0.2'))).toBe('bad-pair');
    expect(code(() => splitDual('10.0.0.1,fd00::1,fd00::2'))).toBe('bad-pair');
    expect(code(() => splitDual('10.0.0.1, fd00::1'))).toBe('bad-ip');
  });

  it('reads MACs', () => {
    expect(parseMac('02-AB-00-00-00-01')).toBe('02:ab:00:00:00:01');
    for (const text of [
      '01:00:00:00:00:00',
      'ff:ff:ff:ff:ff:ff',
      '00:00:00:00:00:00',
      '02:00:00:00:00',
      '02:00-00:00:00:01',
      '2:0:0:0:0:1',
    ])
      expect(
        code(() => parseMac(text)),
        text,
      ).toBe('bad-mac');
    expect(isMac('02:00:00:00:00:01') && !isMac('x')).toBe(true);
  });
});
