import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BUCKETS,
  decodeMessage,
  encodeMessage,
  FLOW_FLAGS,
  formatMessage,
  GROUPS,
  METER_FLAGS,
  type Message,
  MONITOR_FLAGS,
  mapIpv4,
  match,
  OF10,
  OF13,
  OF14,
  OF15,
  OpenFlowError,
  PORTS,
  parseActions,
  parseMessage,
  type Version,
} from '@ovenbird/openflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ofctl } from './fake-switch.ts';

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp('/tmp/openflow-messages-');
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const ALL_COOKIE = 0xffff_ffff_ffff_ffffn;

const PACKET = bytes('ffffffffffff02000000000108060001080006040001020000000001c0a80001000000000000c0a80002');
const PORT = {
  port: 3,
  hardwareAddress: 0x0200_0000_0003,
  name: 'eth0',
  config: 1,
  state: 4,
  current: 0x840,
  advertised: 0,
  supported: 0x840,
  peer: 0,
  currentSpeed: 10_000_000,
  maxSpeed: 10_000_000,
};
/** The first version has fewer states, and no numbers for speeds. */
const OLD_PORT = { ...PORT, state: 1, advertised: 0xf0ff, currentSpeed: 0, maxSpeed: 0 };
const FLOW = {
  tableId: 3,
  priority: 7,
  idleTimeout: 5,
  hardTimeout: 9,
  cookie: 0xabcn,
  match: match({ eth_type: 0x800, nw_proto: 6, tcp_dst: 80, reg1: [0x10, 0xf0] }),
} as const;

const IPFIX = {
  ...{ totalFlows: 1n, currentFlows: 2n, sampledPackets: 3n, ipv4Packets: 4n, ipv6Packets: 5n, errorPackets: 6n },
  ...{ ipv4ErrorPackets: 7n, ipv6ErrorPackets: 8n, sentPackets: 9n, sendErrors: 10n, collectorSetId: 77 },
};

const FROM_13: readonly Version[] = [OF13, OF14, OF15];
const FROM_14: readonly Version[] = [OF14, OF15];
const ALL: readonly Version[] = [OF10, OF13, OF14, OF15];

type Body = Message extends infer M ? (M extends Message ? Omit<M, 'xid'> : never) : never;

/** Messages beside those that were recorded, and the versions that have them. */
const MESSAGES: readonly (readonly [versions: readonly Version[], message: Body])[] = [
  [ALL, { type: 'echo_request', data: new Uint8Array(3) }],
  [ALL, { type: 'echo_reply', data: new Uint8Array(0) }],
  [ALL, { type: 'features_request' }],
  [ALL, { type: 'barrier_request' }],
  [ALL, { type: 'barrier_reply' }],
  [ALL, { type: 'set_config', flags: 1, missSendLen: 128 }],
  [
    [OF10],
    {
      type: 'features_reply',
      datapathId: 0x1234n,
      buffers: 0,
      tables: 254,
      capabilities: 0xc7,
      reserved: 0xfff,
      ports: [OLD_PORT],
    },
  ],
  [
    FROM_13,
    { type: 'features_reply', datapathId: 0x1234n, buffers: 0, tables: 254, auxiliaryId: 5, capabilities: 0x6f },
  ],
  [ALL, { type: 'port_mod', port: 3, hardwareAddress: 0x0200_0000_0003, config: 1, mask: 1, advertise: 0 }],
  [[OF10], { type: 'port_mod', port: PORTS.LOCAL, hardwareAddress: 0x0200_0000_0003, config: 0x10, mask: 0x10 }],
  [FROM_13, { type: 'port_status', reason: 'add', port: PORT }],
  [[OF10], { type: 'port_status', reason: 'modify', port: OLD_PORT }],
  [
    FROM_13,
    {
      type: 'packet_in',
      bufferId: 0xffff_ffff,
      totalLen: 42,
      reason: 'action',
      tableId: 4,
      cookie: 7n,
      match: match({ in_port_oxm: 3 }),
      data: PACKET,
    },
  ],
  [FROM_13, { type: 'packet_out', match: match({ in_port_oxm: 3 }), actions: parseActions('output:4'), data: PACKET }],
  [
    [OF15],
    {
      type: 'packet_out',
      match: match({ in_port_oxm: 3, metadata: 5n, reg0: 7 }),
      actions: parseActions('resubmit(,1)'),
      data: PACKET,
    },
  ],
  [
    FROM_13,
    {
      type: 'packet_in2',
      packet: PACKET,
      tableId: 4,
      cookie: 9n,
      reason: 'group',
      metadata: match({ in_port_oxm: 3, reg3: 9 }),
      userdata: bytes('0102'),
    },
  ],
  [
    FROM_13,
    {
      type: 'flow_removed',
      ...FLOW,
      reason: 'hard',
      durationSec: 3,
      durationNsec: 250_000_000,
      packetCount: 12n,
      byteCount: 345n,
    },
  ],
  [
    FROM_13,
    {
      type: 'flow_mod',
      command: 'delete_strict',
      ...FLOW,
      cookieMask: ALL_COOKIE,
      outPort: 4,
      flags: FLOW_FLAGS.sendFlowRem,
      actions: [],
    },
  ],
  [FROM_13, { type: 'role_request', role: 'primary', generationId: 8n }],
  [FROM_13, { type: 'role_reply', role: 'nochange', generationId: ALL_COOKIE }],
  [FROM_14, { type: 'role_status', role: 'secondary', reason: 0, generationId: 8n, data: bytes('') }],
  [FROM_13, { type: 'get_async_request' }],
  [
    [OF13],
    {
      type: 'set_async',
      primary: { packetIn: 7, portStatus: 5, flowRemoved: 1 },
      secondary: { packetIn: 0, portStatus: 2, flowRemoved: 0 },
    },
  ],
  [
    FROM_14,
    {
      type: 'set_async',
      primary: { packetIn: 0x2f, tableStatus: 0x18 },
      secondary: { portStatus: 2, requestForward: 3, roleStatus: 5 },
    },
  ],
  [[OF10, OF13], { type: 'nx_set_async2', primary: { packetIn: 7 }, secondary: { flowRemoved: 9 } }],
  [
    FROM_14,
    {
      type: 'requestforward',
      request: { type: 'group_mod', xid: 5, command: 'delete', groupType: 'all', groupId: 7, buckets: [] },
    },
  ],
  [
    FROM_14,
    {
      type: 'requestforward',
      request: {
        type: 'meter_mod',
        xid: 5,
        command: 'add',
        meterId: 7,
        flags: METER_FLAGS.kbps,
        bands: [{ band: 'drop', rate: 5, burst: 0 }],
      },
    },
  ],
  [
    FROM_13,
    {
      type: 'flow_monitor_request',
      id: 5,
      flags: MONITOR_FLAGS.initial | MONITOR_FLAGS.add | MONITOR_FLAGS.instructions,
      tableId: 3,
      match: FLOW.match,
    },
  ],
  [
    FROM_14,
    {
      type: 'flow_monitor_request',
      id: 5,
      command: 'modify',
      flags: MONITOR_FLAGS.removed | MONITOR_FLAGS.onlyOwn,
      outPort: 7,
    },
  ],
  [FROM_14, { type: 'flow_monitor_request', id: 5, command: 'delete', flags: 0 }],
  [
    FROM_13,
    {
      type: 'flow_monitor_reply',
      updates: [
        { event: 'added', ...FLOW, reason: 0, actions: parseActions('output:1') },
        { event: 'removed', ...FLOW, reason: 'delete', actions: [] },
        { event: 'abbrev', xid: 0x1234 },
      ],
    },
  ],
  [FROM_14, { type: 'flow_monitor_reply', updates: [{ event: 'paused' }, { event: 'resumed' }] }],
  [[OF13], { type: 'flow_monitor_cancel', id: 7 }],
  [[OF13], { type: 'flow_monitor_paused' }],
  [[OF13], { type: 'flow_monitor_resumed' }],
  [FROM_13, { type: 'aggregate_reply', packetCount: 5n, byteCount: 6n, flowCount: 7 }],
  [FROM_13, { type: 'flow_stats_request', tableId: 3, outPort: 7, cookie: 1n, cookieMask: 3n, match: FLOW.match }],
  [
    FROM_13,
    {
      type: 'group_mod',
      command: 'add',
      groupId: 5,
      groupType: 'ff',
      buckets: [
        { watchPort: 1, actions: parseActions('output:1') },
        { bucketId: 1, watchGroup: 7, actions: parseActions('output:2') },
      ],
    },
  ],
  [
    [OF15],
    {
      type: 'group_mod',
      command: 'insert_bucket',
      groupId: 5,
      groupType: 'all',
      commandBucketId: BUCKETS.FIRST,
      buckets: [{ bucketId: 9, actions: parseActions('output:1') }],
    },
  ],
  [FROM_13, { type: 'group_stats_request', groupId: GROUPS.ALL }],
  [
    FROM_13,
    {
      type: 'meter_mod',
      command: 'modify',
      meterId: 7,
      flags: METER_FLAGS.pktps | METER_FLAGS.burst,
      bands: [{ band: 'dscp_remark', rate: 5, burst: 9, precedence: 3 }],
    },
  ],
  [
    FROM_13,
    { type: 'tlv_table_mod', command: 'add', maps: [{ optionClass: 0x102, optionType: 0x80, length: 4, index: 0 }] },
  ],
  [
    FROM_13,
    {
      type: 'tlv_table_reply',
      maxOptionSpace: 256,
      maxFields: 64,
      maps: [{ optionClass: 0x102, optionType: 0, length: 8, index: 63 }],
    },
  ],
  [
    FROM_13,
    {
      type: 'ct_flush',
      ipProto: 1,
      original: { src: mapIpv4(0x0a00_0001), icmpId: 5, icmpType: 8, icmpCode: 0 },
      zone: 9,
    },
  ],
  [
    FROM_13,
    { type: 'ct_flush', ipProto: 6, original: { src: 1n << 120n, srcPort: 5 }, reply: { dst: 1n << 121n, dstPort: 6 } },
  ],
  [FROM_13, { type: 'ct_flush_zone', zone: 77 }],
  [FROM_13, { type: 'set_controller_id', controllerId: 5 }],
  [FROM_13, { type: 'set_packet_in_format', format: 'nxt_packet_in2' }],
  [
    FROM_13,
    { type: 'desc_reply', manufacturer: 'a', hardware: 'b', software: 'c', serialNumber: 'd', description: 'e' },
  ],
  [
    FROM_13,
    {
      type: 'table_stats_reply',
      tables: [0, 1, 2, 3].map((tableId) => ({
        tableId,
        activeCount: tableId === 3 ? 5 : 0,
        lookupCount: 7n,
        matchedCount: 3n,
      })),
    },
  ],
  [
    FROM_14,
    {
      type: 'table_desc_reply',
      tables: [
        { tableId: 3, config: 0, properties: [] },
        { tableId: 4, config: 4, properties: [{ propertyType: 2, data: bytes('00000003') }] },
        { tableId: 5, config: 8, properties: [{ propertyType: 3, data: bytes('0a140f00') }] },
      ],
    },
  ],
  [
    FROM_14,
    {
      type: 'table_status',
      reason: 'vacancy_down',
      table: { tableId: 5, config: 8, properties: [{ propertyType: 3, data: bytes('0a140f00') }] },
    },
  ],
  [FROM_13, { type: 'table_mod', tableId: 3, config: 0 }],
  [FROM_13, { type: 'table_mod', tableId: 255, config: 0 }],
  [FROM_14, { type: 'table_mod', tableId: 3, config: 4 }],
  [FROM_14, { type: 'table_mod', tableId: 3, config: 8, properties: [{ propertyType: 3, data: bytes('0a140000') }] }],
  [[OF10, OF13], { type: 'queue_get_config_request', port: 1 }],
  [
    [OF10, OF13],
    {
      type: 'queue_get_config_reply',
      port: 1,
      queues: [
        { port: 1, queue: 5, minRate: 25, maxRate: 500 },
        { port: 1, queue: 6 },
        { port: 1, queue: 7, maxRate: 1 },
      ],
    },
  ],
  [FROM_14, { type: 'queue_desc_request', port: 1, queue: 5 }],
  [FROM_14, { type: 'queue_desc_request' }],
  [
    FROM_14,
    {
      type: 'queue_desc_reply',
      queues: [
        { port: 1, queue: 5, minRate: 25, maxRate: 500 },
        { port: 1, queue: 6, minRate: 1 },
        { port: 2, queue: 6 },
      ],
    },
  ],
  [FROM_13, { type: 'ipfix_bridge_reply', exporters: [{ ...IPFIX, collectorSetId: 0 }] }],
  [FROM_13, { type: 'ipfix_flow_reply', exporters: [IPFIX, { ...IPFIX, collectorSetId: 12_345 }] }],
  [
    FROM_13,
    {
      type: 'flow_mod',
      match: [],
      actions: [
        { type: 'output', port: 1 },
        { type: 'nx_write_metadata', value: 5n, mask: 255n },
      ],
    },
  ],
  [
    FROM_13,
    {
      type: 'queue_stats_reply',
      queues: [
        { port: 1, queue: 2, txBytes: 3n, txPackets: 4n, txErrors: ALL_COOKIE, durationSec: 5, durationNsec: 0 },
      ],
    },
  ],
  [FROM_13, { type: 'bundle_control', bundleId: 7, control: 'discard_request', flags: 3 }],
  [FROM_13, { type: 'error', errorType: 5, code: 1, data: bytes('040e000800000001') }],
  [[OF13], { type: 'error', errorType: 0xffff, code: 2313, experimenter: 0x4f4e_4600, data: bytes('') }],
  [FROM_13, { type: 'error', errorType: 0xffff, code: 15, experimenter: 0x2320, data: bytes('') }],
  [FROM_14, { type: 'error', errorType: 17, code: 13, data: bytes('') }],
  [[OF10], { type: 'error', errorType: 1, code: 6, data: bytes('') }],
];

/** Texts that say less than the message, and what they leave out. */
const LEFT_OUT: readonly (readonly [versions: readonly Version[], what: string])[] = [
  [[OF13], 'ONFST_FLOW_MONITOR reply leaves out the priority of flows:'],
  [[OF14, OF15], 'OFPST_FLOW_MONITOR reply leaves out the priority of flows:'],
  [[OF14, OF15], 'OFPT_REQUESTFORWARD leaves out the number of the request:'],
];

/** Reads ovs-ofctl's text and prints what was read; or why it cannot be read. */
function readBack(text: string): string | OpenFlowError {
  try {
    const { version, message } = parseMessage(text);
    return formatMessage(version, message).trimEnd();
  } catch (error) {
    if (error instanceof OpenFlowError) return error;
    throw error;
  }
}

describe.each(ALL)('messages of version %i', (version) => {
  it('print as ovs-ofctl prints them, and survive', async () => {
    const messages: readonly Message[] = MESSAGES.filter(([versions]) => versions.includes(version)).map(
      ([, body], at) => ({ ...body, xid: at + 1 }),
    );
    const file = join(dir, `${version}.bin`);
    const frames = messages.map((message) => encodeMessage(version, message));
    await writeFile(file, Buffer.concat(frames));
    const printed = (await ofctl(version, ['ofp-parse', file]))
      .split(/^(?=(?:OFP|NX|ONF)\w+ (?:request |reply )?(?:\(OF[\d.]+\) )?\(xid=0x)/m)
      .map((text) => text.trimEnd());
    const wrong: string[] = [];
    const refused = new Set<string>();
    let at = 0;
    for (const [place, frame] of frames.entries()) {
      const { message } = decodeMessage(frame);
      expect(Buffer.from(encodeMessage(version, message)).toString('hex')).toBe(Buffer.from(frame).toString('hex'));
      const ours = formatMessage(version, message).trimEnd();
      // A message in a message begins like one of its own.
      let theirs = printed[at] ?? '';
      at += 1;
      while (at < printed.length && !printed[at]?.includes(`(xid=0x${(place + 2).toString(16)})`)) {
        theirs += `\n${printed[at]}`;
        at += 1;
      }
      const back = readBack(theirs);
      if (back instanceof OpenFlowError)
        refused.add(back.message.replace(/^the text of | it cannot be read back$/g, ''));
      else if (back !== theirs) wrong.push(`read back as\n${back}\nfrom\n${theirs}`);
      if (ours !== theirs) wrong.push(`ours\n${ours}\ntheirs\n${theirs}\n${Buffer.from(frame).toString('hex')}`);
    }
    expect(wrong).toEqual([]);
    expect([...refused].toSorted()).toEqual(
      LEFT_OUT.filter(([versions]) => versions.includes(version)).map(([, what]) => what),
    );
  });
});
