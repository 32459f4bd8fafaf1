import { describe, expect, test } from 'vitest';
import { attribute, attributes, decodeAnswers, encodeRequests, type NetlinkRequest, text, u32 } from './message.ts';
import {
  addAddress,
  addRoute,
  addVeth,
  deleteLinkRequest,
  linkIndex,
  nameAndRaise,
  raise,
  replaceRoute,
  setMtu,
} from './route.ts';

const hex = (bytes: Buffer | undefined): string => bytes?.toString('hex') ?? '';

/** What ip(8) of iproute2 6.1 sends for the same commands, as strace(1) shows it. */
describe('the same bytes as ip(8)', () => {
  test.each<[NetlinkRequest, number, number, string]>([
    [addAddress(3, 'v0', '10.16.0.10', 16), 0x14, 0x600, '0210000003000000080002000a10000a080001000a10000a'],
    [
      addAddress(3, 'v0', 'fd00:10:16::a', 112),
      0x14,
      0x600,
      '0a7002000300000014000200fd00001000160000000000000000000a14000100fd00001000160000000000000000000a',
    ],
    [raise(3, 'v0'), 0x10, 0, '00000000030000000100000001000000'],
    [
      addRoute(3, 'v0', 'default', '10.16.0.1'),
      0x18,
      0x600,
      '02000000fe03000104000000080005000a1000010800040003000000',
    ],
    [
      addRoute(3, 'v0', '192.168.0.0/16', '10.16.0.9'),
      0x18,
      0x600,
      '02100000fe0300010400000008000100c0a80000080005000a1000090800040003000000',
    ],
    [
      addRoute(3, 'v0', 'default', 'fd00:10:16::1'),
      0x18,
      0x600,
      '0a000000fe0300010400000014000500fd0000100016000000000000000000010800040003000000',
    ],
    [
      replaceRoute(3, 'v0', 'default', '10.16.0.1'),
      0x18,
      0x500,
      '02000000fe03000104000000080005000a1000010800040003000000',
    ],
    [setMtu(3, 'v0', 1300), 0x10, 0, '000000000300000000000000000000000800040014050000'],
  ])('%o', (request, type, flags, body) => {
    expect({ type: request.type, flags: request.flags ?? 0, body: hex(request.body) }).toEqual({ type, flags, body });
  });
});

test('a pair: the far end is nested and born in its namespace', () => {
  const { body } = addVeth(
    { name: 'h1', mac: 'fe:00:00:00:00:01', mtu: 1400 },
    { name: 'eth0', mac: '02:00:00:00:00:02', mtu: 1300 },
    9,
  );
  const near = attributes(body.subarray(16));
  expect([hex(near.get(3)), hex(near.get(4)), hex(near.get(1))]).toEqual(['683100', '78050000', 'fe0000000001']);
  const info = attributes(near.get(18) ?? Buffer.alloc(0));
  expect(info.get(1)?.toString()).toBe('veth\0');
  const peer = attributes(info.get(2) ?? Buffer.alloc(0)).get(1) ?? Buffer.alloc(0);
  const far = attributes(peer.subarray(16));
  expect([hex(far.get(3)), hex(far.get(28)), hex(far.get(4))]).toEqual(['6574683000', '09000000', '14050000']);
});

test('the host end gets no link-local address where there is IPv6', () => {
  const mode = (request: NetlinkRequest): string => hex(attributes(request.body.subarray(16)).get(26));
  expect(mode(nameAndRaise('h1', 'ovenbird', true))).toBe('0c000a800500080001000000');
  expect(mode(nameAndRaise('h1', 'ovenbird', false))).toBe('');
});

describe('messages', () => {
  test('requests of one datagram have numbers in a row and begin at multiples of four', () => {
    const bytes = encodeRequests([deleteLinkRequest('h12'), raise(2, 'eth0')], 7);
    const first = bytes.readUInt32LE(0);
    expect([first % 4, bytes.readUInt32LE(8), bytes.readUInt32LE(first + 8)]).toEqual([0, 7, 8]);
    expect(bytes.readUInt16LE(6)).toBe(5);
  });

  /** An answer of the kernel. */
  function answer(type: number, flags: number, sequence: number, body: Buffer): Buffer {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(16 + body.length, 0);
    head.writeUInt16LE(type, 4);
    head.writeUInt16LE(flags, 6);
    head.writeUInt32LE(sequence, 8);
    return Buffer.concat([head, body]);
  }
  const error = (errno: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(-errno);
    return bytes;
  };

  test('acknowledgements, refusals with their reason, and objects are told apart', () => {
    const request = encodeRequests([raise(2, 'eth0')], 5);
    const link = Buffer.alloc(16);
    link.writeInt32LE(42, 4);
    const datagram = Buffer.concat([
      answer(2, 0x100, 4, Buffer.concat([error(0), request.subarray(0, 16)])),
      answer(2, 0x300, 5, Buffer.concat([error(17), request.subarray(0, 16), attribute(1, text('no way'))])),
      answer(2, 0x200, 6, Buffer.concat([error(22), request, attribute(2, u32(8)), attribute(1, text('bad'))])),
      answer(16, 0, 7, link),
    ]);
    const found = decodeAnswers(datagram);
    expect(found.slice(0, 3)).toEqual([
      { sequence: 4, errno: 0 },
      { sequence: 5, errno: 17, text: 'no way' },
      { sequence: 6, errno: 22, text: 'bad' },
    ]);
    expect(linkIndex(found[3]?.body ?? Buffer.alloc(0))).toBe(42);
  });

  test('a message that is cut off is no message', () => {
    const whole = answer(2, 0x100, 4, Buffer.concat([error(0), Buffer.alloc(16)]));
    expect(() => decodeAnswers(whole.subarray(0, 24))).toThrow(RangeError);
    expect(() => decodeAnswers(Buffer.alloc(16))).toThrow(RangeError);
  });
});
