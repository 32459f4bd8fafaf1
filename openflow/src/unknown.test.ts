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
