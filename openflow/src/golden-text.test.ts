import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatFlow, parseFlow } from './flow-text.ts';
import { parseGroup } from './group-text.ts';
import type { Message } from './message.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { formatGroup } from './messages/group.ts';
import { formatMeter } from './messages/meter.ts';
import { parseMeter } from './meter-text.ts';
import { OF13, OF15, type Version } from './version.ts';

/** How ovs-ofctl's commands for one flow, group or meter are parsed. */
const COMMANDS: Readonly<Record<string, (text: string) => Omit<Message, 'xid'>>> = {
  'add-flow': (text) => parseFlow(text),
  'mod-flows': (text) => parseFlow(text, 'modify'),
  '--strict mod-flows': (text) => parseFlow(text, 'modify_strict'),
  'del-flows': (text) => parseFlow(text, 'delete'),
  '--strict del-flows': (text) => parseFlow(text, 'delete_strict'),
  'add-group': (text) => parseGroup(text),
  'mod-group': (text) => parseGroup(text, 'modify'),
  'del-groups': (text) => parseGroup(text, 'delete'),
  'insert-buckets': (text) => parseGroup(text, 'insert_bucket'),
  'remove-buckets': (text) => parseGroup(text, 'remove_bucket'),
  'add-meter': (text) => parseMeter(text),
  'del-meters': (text) => parseMeter(text, 'delete'),
};

const FLOW_MOD = '0e';
const GROUP_MOD = '0f';
const METER_MOD = '1d';

interface Recorded {
  readonly version: Version;
  /** Flows that a switch refuses, since their match lacks a prerequisite. */
  readonly isBad: boolean;
  readonly command: string;
  readonly text: string;
  readonly hex: string;
}

/** Commands as they were given to ovs-ofctl, and the frame that it sent for each. */
const RECORDED: readonly Recorded[] = readFileSync(join(import.meta.dirname, '..', 'testdata', 'frames.tsv'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [protocol = '', given = '', frames = ''] = line.split('\t');
    const parts = /^((?:--strict )?[a-z]+-[a-z]+) ?(.*)$/.exec(given);
    const hex = frames.split(' ').find((frame) => [FLOW_MOD, GROUP_MOD, METER_MOD].includes(frame.slice(2, 4)));
    if (parts === null || hex === undefined || COMMANDS[parts[1] ?? ''] === undefined) return [];
    const version = protocol.endsWith('OpenFlow13') ? OF13 : OF15;
    const isBad = protocol.startsWith('BADPREREQ-');
    return [{ version, isBad, command: parts[1] ?? '', text: parts[2] ?? '', hex }];
  });

function encode(version: Version, message: Omit<Message, 'xid'>, xid: number): string {
  return Buffer.from(encodeMessage(version, { ...message, xid } as Message)).toString('hex');
}

describe('every recorded command', () => {
  it('is there', () => {
    expect(RECORDED.length).toBeGreaterThan(220);
  });

  it.each(RECORDED)('$version $command $text', ({ version, command, text, hex, isBad }) => {
    const { message } = decodeMessage(Buffer.from(hex, 'hex'));
    const parse = COMMANDS[command];
    if (parse === undefined) throw new Error(`no parser for ${command}`);
    if (isBad) {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'prerequisite' }));
      return;
    }
    expect(encode(version, parse(text), message.xid)).toBe(hex);

    // And back from what is printed for it.
    let again: Omit<Message, 'xid'> | undefined;
    if (message.type === 'flow_mod') again = parseFlow(formatFlow(message), message.command);
    if (message.type === 'meter_mod' && message.command !== 'delete') again = parseMeter(formatMeter(message));
    if (message.type === 'group_mod' && message.command !== 'remove_bucket') {
      again = {
        ...parseGroup(formatGroup(message, version), message.command),
        commandBucketId: message.commandBucketId,
      } as typeof again;
    }
    // Text has no place for the max_len that ovs-ofctl gives the output of an "enqueue"; a port ignores it.
    if (again !== undefined && !text.includes('enqueue')) expect(encode(version, again, message.xid)).toBe(hex);
  });
});
