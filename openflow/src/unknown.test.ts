import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { formatMessage, parseMessage } from './message-text.ts';

/** A frame with something in it that nobody knows. */
interface Case {
  readonly what: string;
  readonly hex: string;
}

const NO_MATCH = '0001000400000000';
const FLOW_15 = `${'00'.repeat(16)}0000${'0000'.repeat(2)}8000${'ff'.repeat(12)}00000000`;

/** Puts a header in front. */
function frame(version: string, type: string, body: string): string {
  return `${version}${type}${(8 + body.length / 2).toString(16).padStart(4, '0')}00000007${body}`;
}

/** A match of so many bytes of fields. */
function matchOf(fields: string): string {
  const length = 4 + fields.length / 2;
  return `0001${length.toString(16).padStart(4, '0')}${fields}${'00'.repeat((8 - (length % 8)) % 8)}`;
}

const apply = (actions: string): string =>
  `0004${(8 + actions.length / 2).toString(16).padStart(4, '0')}00000000${actions}`;

const CASES: readonly Case[] = [
  { what: 'a whole message', hex: frame('06', '63', '0102030405') },
  { what: 'a whole message of an experimenter', hex: frame('04', '04', 'deadbeef0000000701020304') },
  { what: "a whole message of Nicira's", hex: frame('06', '04', '000023200000ffff01020304') },
  { what: 'a multipart request', hex: frame('06', '12', '7777000000000000aabbccdd') },
  {
    what: 'a part of a multipart reply of an experimenter',
    hex: frame('06', '13', 'ffff000100000000deadbeef00000001aabb'),
  },
  { what: 'an element of a greeting', hex: frame('06', '00', '0001000800000070') },
  { what: 'another element of a greeting', hex: frame('06', '00', '000100080000007000770007aabbcc00') },
  { what: 'a field', hex: frame('06', '0e', FLOW_15 + matchOf('7ffe0004aabbccdd')) },
  { what: 'a field with a mask', hex: frame('04', '0e', FLOW_15 + matchOf('0001fd08aabbccddffff0000')) },
  {
    what: 'a field with a mask that leaves bits of it out',
    hex: frame('04', '0e', FLOW_15 + matchOf('0001fd04aabb00ff')),
  },
  { what: 'a field of an experimenter', hex: frame('06', '0e', FLOW_15 + matchOf('ffff0208deadbeef01020304')) },
  { what: 'a long field', hex: frame('06', '0e', FLOW_15 + matchOf(`7ffe0020${'a5'.repeat(32)}`)) },
  { what: 'an action', hex: frame('06', '0e', FLOW_15 + NO_MATCH + apply('07770010aabbccdd1122334455667788')) },
  {
    what: 'an action of an experimenter',
    hex: frame('06', '0e', FLOW_15 + NO_MATCH + apply('ffff0010deadbeef0001aabbccddeeff')),
  },
  {
    what: "an action of Nicira's",
    hex: frame('04', '0e', FLOW_15 + NO_MATCH + apply('ffff0010000023200fffaabbccddeeff')),
  },
  {
    what: 'a property of a controller action',
    hex: frame('06', '0e', FLOW_15 + NO_MATCH + apply('ffff00180000232000250000000000000777000811223344')),
  },
  { what: 'an instruction', hex: frame('06', '0e', `${FLOW_15}${NO_MATCH}07770010aabbccdd1122334455667788`) },
  {
    what: 'an instruction of an experimenter',
    hex: frame('06', '0e', `${FLOW_15}${NO_MATCH}ffff0010deadbeef1122334455667788`),
  },
  {
    what: 'a property of a packet-in',
    hex: frame('06', '04', '000023200000001e00030005040000000777000caabbccdd1122334400000000'),
  },
  {
    what: 'a property of a port',
    hex: frame(
      '06',
      '13',
      `000d00000000000000000003005000000200000000030000${'65746830'.padEnd(32, '0')}000000000000000000000020${'00'.repeat(28)}7777000811223344`,
    ),
  },
  {
    what: 'a statistic of a flow',
    hex: frame(
      '06',
      '13',
      `00010000000000000050000003000007000000000000000000000000000000ab${NO_MATCH}0000003080020008000000010000000280020808000000000000000580020a08000000000000000680021204aabbccdd`,
    ),
  },
  {
    what: 'a property of an asynchronous configuration',
    hex: frame('06', '1c', '00010008000000077777000caabbccdd1122334400000000'),
  },
  { what: 'a band of a meter', hex: frame('06', '1d', '00000001000000070777001000000005000000070a0b0c0d') },
  {
    what: 'a property of a bundled message',
    hex: frame('06', '22', '000000010000000306140008000000070777000c11223344'),
  },
  { what: 'a property of ct_flush', hex: frame('06', '04', '0000232000000020060000000000000007770008aabbccdd') },
];

/** A property, with its padding. */
function property(type: number, data: string): string {
  const length = 4 + data.length / 2;
  const hex = (value: number): string => value.toString(16).padStart(4, '0');
  return `${hex(type)}${hex(length)}${data}${'00'.repeat((8 - (length % 8)) % 8)}`;
}

const u16 = (value: number): string => value.toString(16).padStart(4, '0');
const multipart = (type: string, body: string): string => frame('06', '13', `${type}000000000000${body}`);
/** A structure whose first 16 bits are its length. */
const sized = (before: string, after: string): string =>
  `${u16(2 + (before.length + after.length) / 2)}${before}${after}`;

/** Messages around properties, and properties that they know, in the order in which switches send them. */
const HOLDERS: readonly (readonly [what: string, known: readonly string[], frame: (properties: string) => string])[] = [
  ['a greeting', [property(1, '00000070')], (p) => frame('06', '00', p)],
  [
    'a packet-in',
    [property(0, 'aabbcc'), property(3, '05'), property(4, '000000000000000000000007'), property(5, '01')],
    (p) => frame('06', '04', `000023200000001e${p}`),
  ],
  [
    'a bucket',
    [property(0, '00050000'), property(1, '00000003'), property(2, '00000004')],
    (p) => frame('06', '0f', `0000000000000009${u16(8 + p.length / 2)}0000ffffffff${sized('000000000001', p)}`),
  ],
  [
    'a group',
    [property(0xffff, `0000154d00000001${'00'.repeat(4)}${'68617368'.padEnd(32, '0')}${'00'.repeat(8)}`)],
    (p) => frame('06', '0f', `000001000000000900000000ffffffff${p}`),
  ],
  [
    'a port',
    [property(0, '00'.repeat(28))],
    (p) => multipart('000d', `00000003${u16(40 + p.length / 2)}0000020000000003000065746830${'00'.repeat(20)}${p}`),
  ],
  [
    'the counters of a port',
    [property(0, '00'.repeat(36))],
    (p) => multipart('0004', sized(`000000000003${'00'.repeat(72)}`, p)),
  ],
  ['a change of a port', [property(0, '00000000')], (p) => frame('06', '10', `00000003${'00'.repeat(20)}${p}`)],
  [
    'an asynchronous configuration',
    [property(0, '00000001'), property(1, '00000003'), property(10, '00000002')],
    (p) => frame('06', '1c', p),
  ],
  [
    'a queue',
    [property(1, '00190000'), property(2, '01f40000')],
    (p) => multipart('000f', `0000000100000005${u16(16 + p.length / 2)}000000000000${p}`),
  ],
  ['a table', [property(2, '00000003'), property(3, '0a140f00')], (p) => multipart('000e', sized('050000000004', p))],
  ['a change of a table', [property(2, '00000003')], (p) => frame('06', '11', `0500000000000004${p}`)],
  [
    'what to forget of connections',
    [property(0, `00000000${property(2, '00500000')}`), property(2, '00050000')],
    (p) => frame('06', '04', `00002320000000200600000000000000${p}`),
  ],
  [
    'a direction of a connection',
    [property(0, '00'.repeat(16)), property(2, '00500000'), property(3, '00510000')],
    (p) => frame('06', '04', `00002320000000200600000000000000${property(0, `00000000${p}`)}`),
  ],
];

/** The properties with an unknown one at each place, without the known ones, and with the last one twice. */
function arrangements(known: readonly string[]): readonly (readonly string[])[] {
  const unknown = property(0x7777, 'aabbccdd11');
  const other = property(0x7778, '');
  return [
    ...Array.from({ length: known.length + 1 }, (_, at) => known.toSpliced(at, 0, unknown)),
    ...Array.from({ length: known.length + 1 }, (_, at) => [other, ...known.toSpliced(at, 0, unknown, other)]),
    [unknown],
    [...known, known.at(-1) ?? ''],
    [...known, unknown, known.at(-1) ?? '', other],
  ];
}

it.each(HOLDERS)('properties of %s keep their places', (_what, known, build) => {
  for (const properties of arrangements(known)) {
    const hex = build(properties.join(''));
    const { version, message } = decodeMessage(Buffer.from(hex, 'hex'));
    expect(message.type).not.toMatch(/^unknown/);
    expect(Buffer.from(encodeMessage(version, message)).toString('hex')).toBe(hex);
    expect(formatMessage(version, message)).not.toBe('');
  }
});

it('statistics of a flow keep their places', () => {
  const duration = '80020008000000010000000a';
  const packets = '800208080000000000000005';
  const unknown = '80021204aabbccdd';
  for (const stats of [
    [unknown, duration, packets],
    [duration, unknown, packets],
    [packets, duration],
    [duration, packets, duration],
    [unknown],
  ]) {
    const block = stats.join('');
    const length = 4 + block.length / 2;
    const padded = `0000${u16(length)}${block}${'00'.repeat((8 - (length % 8)) % 8)}`;
    const hex = multipart('0001', sized(`0000030000070000000000000000${'00'.repeat(7)}ab${NO_MATCH}`, padded));
    const { version, message } = decodeMessage(Buffer.from(hex, 'hex'));
    expect(Buffer.from(encodeMessage(version, message)).toString('hex')).toBe(hex);
    expect(message).toMatchObject({ flows: [{ packetCount: stats.includes(packets) ? 5n : 0n }] });
  }
});

describe('what nobody knows', () => {
  it.each(CASES)('$what survives byte for byte', ({ hex }) => {
    const bytes = Buffer.from(hex, 'hex');
    const { version, message } = decodeMessage(bytes);
    expect(Buffer.from(encodeMessage(version, message)).toString('hex')).toBe(hex);
    expect(formatMessage(version, message)).not.toBe('');
  });

  it('is read from its text where that says it', () => {
    for (const { hex } of CASES.filter(({ what }) => /whole message|multipart/.test(what))) {
      const decoded = decodeMessage(Uint8Array.from(Buffer.from(hex, 'hex')));
      expect(parseMessage(formatMessage(decoded.version, decoded.message))).toEqual(decoded);
    }
  });
});
