import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from './address.ts';
import { parseBigint, parseNumber } from './number-text.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const options = { seed: SEED, numRuns: 2000 };

describe(`addresses (SEED=${SEED})`, () => {
  it('are the same after text and back', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
        fc.nat(0xffff_ffff),
        fc.nat(2 ** 48 - 1),
        (v6, v4, mac) => {
          expect(parseIpv6(formatIpv6(v6))).toBe(v6);
          expect(parseIpv4(formatIpv4(v4))).toBe(v4);
          expect(parseMac(formatMac(mac))).toBe(mac);
        },
      ),
      options,
    );
  });

  it('are IPv6 when Node.js thinks so', () => {
    const text = fc.array(fc.constantFrom('0', '1', 'ff', 'abcd', '12345', ':', '::', ':', '.', '1.2.3.4', 'g'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV6(),
          text.map((parts) => parts.join('')),
        ),
        (address) => {
          let parsed: bigint | undefined;
          try {
            parsed = parseIpv6(address);
          } catch {
            parsed = undefined;
          }
          expect([address, parsed !== undefined]).toEqual([address, isIPv6(address)]);
        },
      ),
      options,
    );
  });

  it.each([
    '1:2:3:4:5:6',
    '01:02:03:04:05',
    '1:2:3:4:5:6:7',
    '02:00:00:00:00:001',
    ':2:3:4:5:6',
    '1:2:3:4:5:',
    'x1:2:3:4:5:6',
    '',
  ])('%s as an Ethernet address', (text) => {
    if (text === '1:2:3:4:5:6') expect(parseMac(text)).toBe(0x0102_0304_0506);
    else expect(() => parseMac(text)).toThrow(/not an Ethernet address/);
  });
});

describe('numbers', () => {
  it.each([
    ['0', 0],
    ['007', 7],
    ['0xFf', 255],
    [' 12 ', 12],
    ['4294967295', 0xffff_ffff],
  ])('%s', (text, value) => {
    expect(parseNumber(text, 0xffff_ffff, 'a test')).toBe(value);
    expect(parseBigint(text, 0xffff_ffffn, 'a test')).toBe(BigInt(value));
  });

  it.each(['', '0x', '-1', '1.5', '1e3', '12a', '0xg'])('"%s" is none', (text) => {
    expect(() => parseNumber(text, 100, 'a test')).toThrow(expect.objectContaining({ code: 'syntax' }));
  });

  it('has a largest one', () => {
    expect(() => parseNumber('101', 100, 'a test')).toThrow(expect.objectContaining({ code: 'invalid_value' }));
    expect(parseBigint('0xffffffffffffffff', 0xffff_ffff_ffff_ffffn, 'a test')).toBe(0xffff_ffff_ffff_ffffn);
  });
});
