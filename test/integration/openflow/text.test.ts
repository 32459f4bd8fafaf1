import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeMessage,
  encodeMessage,
  FIELDS,
  type FlowChange,
  type FlowCommand,
  formatFlow,
  formatMessage,
  type Message,
  match,
  parseFlow,
  parseMessage,
  type Version,
} from '@ovenbird/openflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSwitch, ofctl, type Received, VERSIONS } from './fake-switch.ts';
import { ACTION_TEXTS, actionsOn, KNOWN, matchesWith, NEWER } from './samples.ts';

let dir: string;
let fake: FakeSwitch;

beforeAll(async () => {
  dir = await mkdtemp('/tmp/openflow-text-');
  fake = await FakeSwitch.open(dir);
});

afterAll(async () => {
  await fake[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const TEXTS: readonly string[] = [
  ...KNOWN.flatMap(matchesWith).map((text) => `table=1,${text},actions=drop`),
  ...KNOWN.flatMap(actionsOn).map((text) => `table=1,${text}`),
  ...Object.values(ACTION_TEXTS)
    .flat()
    .map((text) => `table=1,${text}`),
];

/** Open vSwitch 3.1 sends these fields with the value where the mask belongs. */
const VALUE_AS_MASK = /tun_erspan_\w+=|tun_gtpu_\w+=/;

/**
 * What the text of ovs-ofctl does not hold: masks of these fields, and the length that an output in place of "enqueue"
 * has, which says nothing for ports.
 */
const SHORT_IN_TEXT = /tun_gbp_flags=.*\/|tun_erspan_\w+=|tun_gtpu_\w+=|enqueue/;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function encode(version: Version, change: FlowChange, xid: number): string {
  return hex(encodeMessage(version, { ...change, xid }));
}

/** What ovs-ofctl sends for each line, in their order. */
async function sendAll(version: Version, lines: readonly string[]): Promise<readonly Received[]> {
  const file = join(dir, 'flows.txt');
  await writeFile(file, lines.map((line) => `${line}\n`).join(''));
  const sent = await fake.ofctl(version, ['add-flows'], [file]);
  expect(fake.failures).toEqual([]);
  expect(sent.length).toBe(lines.length);
  return sent;
}

/** What ovs-ofctl prints for each message. */
async function printAll(version: Version, messages: readonly Uint8Array[]): Promise<readonly string[]> {
  const file = join(dir, 'messages.bin');
  await writeFile(file, Buffer.concat(messages));
  const printed = await ofctl(version, ['ofp-parse', file]);
  return printed
    .split(/^(?=OFP|NX|ONF)/m)
    .map((text) => text.trimEnd())
    .filter((text) => text !== '');
}

/** What a cookie means depends on the command; without one, nothing is said about it. */
const COMMANDS: readonly (readonly [options: string, text: string, command: FlowCommand])[] = [
  ['mod-flows', 'table=1,ip,actions=output:5', 'modify'],
  ['mod-flows', 'cookie=5,table=1,ip,actions=output:5', 'modify'],
  ['mod-flows', 'cookie=5/-1,table=1,ip,actions=output:5', 'modify'],
  ['mod-flows', 'cookie=0x10/0xf0,idle_timeout=3,actions=drop', 'modify'],
  ['--strict mod-flows', 'table=1,priority=7,actions=output:5', 'modify_strict'],
  ['--strict mod-flows', 'cookie=5/-1,table=1,priority=7,actions=output:5', 'modify_strict'],
  ['del-flows', 'table=1', 'delete'],
  ['del-flows', 'cookie=5/-1', 'delete'],
  ['del-flows', 'out_port=3,out_group=4', 'delete'],
  ['--strict del-flows', 'table=1,priority=9,ip', 'delete_strict'],
  ['--strict del-flows', 'cookie=5/0xff,table=1,priority=9,ip', 'delete_strict'],
  ['add-flow', 'cookie=0xffffffffffffffff,actions=drop', 'add'],
  ['add-flow', 'cookie=5,actions=drop', 'add'],
];

describe.each(VERSIONS)('version %i', (version) => {
  it('says and reads every field and action as ovs-ofctl does', { timeout: 120_000 }, async () => {
    const sent = await sendAll(version, TEXTS);
    const printed = await printAll(
      version,
      sent.map(({ bytes }) => bytes),
    );
    expect(printed.length).toBe(sent.length);
    const wrong: string[] = [];
    const same = (what: string, text: string, ours: string, theirs: string | undefined): void => {
      if (ours !== theirs) wrong.push(`${what}: ${text}\n  ours   ${ours}\n  theirs ${theirs}`);
    };
    for (const [at, { message, bytes }] of sent.entries()) {
      const text = TEXTS[at] ?? '';
      const theirs = hex(bytes);
      if (message.type !== 'flow_mod') throw new Error(`ovs-ofctl sent a ${message.type} for ${text}`);
      if (!VALUE_AS_MASK.test(text)) same('text to wire', text, encode(version, parseFlow(text), message.xid), theirs);
      same('wire to wire', text, hex(encodeMessage(version, message)), theirs);
      same('wire to print', text, formatMessage(version, message).trimEnd(), printed[at]);
      if (!SHORT_IN_TEXT.test(text)) {
        same('wire to text to wire', text, encode(version, parseFlow(formatFlow(message)), message.xid), theirs);
        const read = parseMessage(printed[at] ?? '');
        same('print to wire', text, hex(encodeMessage(read.version, read.message)), theirs);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each(COMMANDS)('says %s %s as ovs-ofctl does', async (options, text, command) => {
    const sent = await fake.ofctl(version, options.split(' '), [text]);
    expect(fake.failures).toEqual([]);
    const frames = sent.filter(({ message }) => message.type === 'flow_mod');
    expect(frames.map(({ bytes }) => hex(bytes))).toEqual(
      frames.map(({ message }) => encode(version, parseFlow(text, command), message.xid)),
    );
    expect(frames).toHaveLength(1);
  });

  it('writes text that ovs-ofctl reads', { timeout: 120_000 }, async () => {
    const flows = TEXTS.filter((text) => !VALUE_AS_MASK.test(text) && !SHORT_IN_TEXT.test(text)).map((text) =>
      parseFlow(text),
    );
    const sent = await sendAll(version, flows.map(formatFlow));
    const wrong = sent.flatMap(({ message, bytes }, at) => {
      const flow = flows[at];
      if (flow === undefined || encode(version, flow, message.xid) === hex(bytes)) return [];
      return [`${formatFlow(flow)}\n  ours   ${encode(version, flow, message.xid)}\n  theirs ${hex(bytes)}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('fields that this Open vSwitch does not have', () => {
  const FIELDS_OF_OTHERS = FIELDS.filter(({ name }) => NEWER.has(name));

  it.each(FIELDS_OF_OTHERS)('$name survives, and ovs-ofctl refuses it', async ({ name, exactMask }) => {
    const value = typeof exactMask === 'bigint' ? 1n : 1;
    const needs = name === 'ipv6_exthdr' ? { eth_type: 0x86dd } : {};
    const flow: Message = { type: 'flow_mod', xid: 1, match: match({ ...needs, [name]: value }), actions: [] };
    for (const version of VERSIONS) {
      const bytes = encodeMessage(version, flow);
      const decoded = decodeMessage(bytes).message;
      expect(hex(encodeMessage(version, decoded))).toBe(hex(bytes));
    }
    await expect(fake.ofctl(6, ['add-flow'], [`${name}=1,actions=drop`])).rejects.toThrow(/unknown keyword|ovs-ofctl/);
  });
});
