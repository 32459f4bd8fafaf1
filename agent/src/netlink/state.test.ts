import { describe, expect, test } from 'vitest';
import { attribute, attributes, decodeAnswers, encodeRequests, text, u32 } from './message.ts';
import { limitRequest, type TokenBucket } from './qdisc.ts';
import { addressesOf, linkOf, routesOf } from './state.ts';

const hex = (bytes: Buffer | undefined): string => bytes?.toString('hex') ?? '';

describe('a token bucket', () => {
  const parts = (bucket: TokenBucket): ReadonlyMap<number, Buffer> => {
    const request = limitRequest(3, 'v0', bucket);
    expect({ type: request.type, flags: request.flags }).toEqual({ type: 0x24, flags: 0x500 });
    expect(hex(request.body.subarray(0, 20))).toBe('000000000300000000000000ffffffff00000000');
    const options = attributes(request.body.subarray(20));
    expect(options.get(1)?.toString()).toBe('tbf\0');
    return attributes(options.get(2) ?? Buffer.alloc(0));
  };

  test('rate, size and queue', () => {
    const found = parts({ rate: 1_250_000, burst: 100_000, limit: 131_250 });
    // What tc(8) sends has, beside these, a table of rates and the bucket in ticks of its own clock.
    expect(hex(found.get(1))).toBe(`0001000000000000d0121300${'00'.repeat(12)}b20002000000000000000000`);
    expect([hex(found.get(6)), found.has(4)]).toEqual(['a0860100', false]);
  });

  test('a rate of more than 32 bits', () => {
    const found = parts({ rate: 6_000_000_000, burst: 0x7fff_ffff, limit: 5_000_000_000 });
    expect(found.get(4)?.readBigUInt64LE()).toBe(6_000_000_000n);
    expect([found.get(1)?.readUInt32LE(8), found.get(1)?.readUInt32LE(24)]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });
});

describe('what the kernel tells', () => {
  const u8 = (...bytes: readonly number[]): Buffer => Buffer.from(bytes);
  const link = Buffer.concat([
    u8(0, 0, 1, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
    attribute(1, u8(2, 0, 0, 0, 0, 10)),
    attribute(3, text('v0')),
    attribute(4, u32(1400)),
    attribute(20, Buffer.from('ovenbird')),
  ]);
  const v6 = Buffer.from('fd000010001600000000000000000002', 'hex');

  test('a link, with the addresses of its own', () => {
    const addresses = addressesOf([
      Buffer.concat([u8(2, 16, 0, 0, 3, 0, 0, 0), attribute(1, u8(10, 0, 0, 9)), attribute(2, u8(10, 16, 0, 2))]),
      Buffer.concat([u8(10, 112, 0, 0, 3, 0, 0, 0), attribute(1, v6)]),
      Buffer.concat([u8(2, 8, 0, 0, 1, 0, 0, 0), attribute(2, u8(127, 0, 0, 1))]),
    ]);
    expect(linkOf(link, addresses)).toEqual({
      ifname: 'v0',
      mtu: 1400,
      up: true,
      address: '02:00:00:00:00:0a',
      ifalias: 'ovenbird',
      addresses: [
        { family: 'inet', local: '10.16.0.2', prefixlen: 16 },
        { family: 'inet6', local: 'fd00:10:16::2', prefixlen: 112 },
      ],
    });
  });

  test('routes of table main through the link, and no others', () => {
    const route = (family: number, length: number, table: number, more: readonly Buffer[], type = 1): Buffer =>
      Buffer.concat([u8(family, length, 0, 0, table, 3, 0, type, 0, 0, 0, 0), ...more]);
    const [via, oif] = [attribute(5, u8(10, 16, 0, 1)), attribute(4, u32(3))];
    const kernels = route(2, 16, 254, [attribute(1, u8(10, 16, 0, 0)), oif]);
    kernels.writeUInt8(2, 5);
    const cloned = route(10, 128, 254, [attribute(1, v6), oif]);
    cloned.writeUInt32LE(0x200, 8);
    const found = routesOf(
      [
        route(2, 0, 254, [via, oif]),
        kernels,
        route(10, 64, 254, [attribute(1, v6), attribute(5, v6), oif]),
        route(2, 0, 254, [via, attribute(4, u32(4))]),
        route(2, 0, 255, [via, oif]),
        route(2, 0, 252, [via, oif, attribute(15, u32(1000))]),
        route(2, 8, 254, [oif], 7),
        route(128, 0, 254, [oif]),
        cloned,
      ],
      3,
    );
    expect(found).toEqual([
      { dst: 'default', gateway: '10.16.0.1', byKernel: false },
      { dst: '10.16.0.0/16', byKernel: true },
      { dst: 'fd00:10:16::2/64', gateway: 'fd00:10:16::2', byKernel: false },
    ]);
  });

  test('a dump is asked for alone and ends with a message of its own', () => {
    const bytes = encodeRequests([{ type: 18, body: Buffer.alloc(16), what: 'ip link show', dump: true }], 7);
    expect(bytes.readUInt16LE(6)).toBe(0x305);
    const done = Buffer.alloc(20);
    done.writeUInt32LE(20, 0);
    done.writeUInt16LE(3, 4);
    done.writeUInt32LE(7, 8);
    expect(decodeAnswers(done)).toEqual([{ sequence: 7, errno: 0 }]);
  });
});
