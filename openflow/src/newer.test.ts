/** What Open vSwitch 3.1 does not have, so that ovs-ofctl cannot judge it. */
import { expect, it } from 'vitest';
import type { Sample } from './action.ts';
import { formatActions, parseActions } from './action-text.ts';
import { parseCtFlush } from './command-text.ts';
import { match } from './match.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { formatMessage, parseMessage } from './message-text.ts';
import { OF13, OF14, OF15, type Version } from './version.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

it.each<Version>([OF13, OF14, OF15])('samples with ids from fields, in version %i (Open vSwitch 3.4)', (version) => {
  const text =
    'sample(probability=12345,collector_set_id=1,obs_domain_id=NXM_NX_REG0[0..15],obs_point_id=7,sampling_port=3,egress)';
  const actions = parseActions(text);
  expect(actions).toMatchObject([{ type: 'sample', obsDomainId: { offset: 0, bits: 16 }, obsPointId: 7 }]);
  expect(formatActions(actions)).toBe(text);
  const bytes = encodeMessage(version, { type: 'packet_out', xid: 1, actions, data: new Uint8Array() });
  expect(hex(bytes)).toContain(
    [
      'ffff0028',
      '00002320',
      '00333039',
      '00000001',
      '00010004',
      '000f0000',
      '00000000',
      '00000007',
      '00030200',
      '00000000',
    ].join(''),
  );
  const { message } = decodeMessage(bytes);
  expect(message).toMatchObject({ actions });
  expect(hex(encodeMessage(version, message))).toBe(hex(bytes));
});

it('a sample with numbers alone keeps the form in which it came', () => {
  const action = 'ffff002800002320003330390000000100000000000000020000000000000003ffff000000000000';
  const bytes = Buffer.from(`060d004000000001ffffffff002800000001000400000000${action}`, 'hex');
  const { version, message } = decodeMessage(bytes);
  expect(message).toMatchObject({ actions: [{ type: 'unknown_action' }] });
  expect(hex(encodeMessage(version, message))).toBe(hex(bytes));
  // In the older form they are as before.
  const older = parseActions('sample(probability=1,obs_domain_id=2)') as readonly Sample[];
  expect(older[0]?.obsDomainId).toBe(2);
});

it('counters of flows without their actions (multipart 17)', () => {
  const request = { type: 'flow_counters_request', xid: 5, tableId: 3, match: match({ eth_type: 0x800 }) } as const;
  const asked = decodeMessage(encodeMessage(OF15, request)).message;
  expect(asked).toMatchObject({ type: 'flow_counters_request', tableId: 3 });
  expect(() => encodeMessage(OF14, request)).toThrow(expect.objectContaining({ code: 'unencodable' }));
  const flows = [
    { tableId: 3, priority: 7, reason: 0, match: request.match, packetCount: 4n, byteCount: 56n },
    {
      tableId: 4,
      priority: 0x8000,
      reason: 1,
      match: [],
      durationSec: 5,
      durationNsec: 500_000_000,
      idleAge: 2,
      idleNsec: 0,
    },
  ];
  const bytes = encodeMessage(OF15, { type: 'flow_counters_reply', xid: 5, more: true, flows });
  const { message } = decodeMessage(bytes);
  expect(message).toMatchObject({ type: 'flow_counters_reply', more: true, flows });
  const text = formatMessage(OF15, message);
  expect(text).toBe(
    'OFPST_FLOW_STATS reply (OF1.5) (xid=0x5): flags=[more]\n' +
      ' table=3, n_packets=4, n_bytes=56, stat_reason=0 priority=7,ip\n' +
      ' duration=5.500s, table=4, idle_age=2, stat_reason=1 ',
  );
  expect(hex(encodeMessage(OF15, parseMessage(text).message))).toBe(hex(bytes));
});

it('connections to forget by mark and labels (Open vSwitch 3.3)', () => {
  const flush = parseCtFlush('zone=5 mark=0x10/0xf0 labels=0x1 ct_nw_proto=6,ct_nw_src=10.0.0.1');
  expect(flush).toMatchObject({ mark: 0x10, markMask: 0xf0, labels: 1n, labelsMask: (1n << 128n) - 1n });
  const bytes = encodeMessage(OF15, { ...flush, xid: 1 });
  expect(hex(bytes)).toContain(`000300080000001000040008000000f000050014${'0'.repeat(31)}1`);
  const { message } = decodeMessage(bytes);
  expect(message).toMatchObject({ type: 'ct_flush', zone: 5, mark: 0x10, labels: 1n });
  expect(hex(encodeMessage(OF15, message))).toBe(hex(bytes));
  expect(hex(encodeMessage(OF15, parseMessage(formatMessage(OF15, message)).message))).toBe(hex(bytes));
});
