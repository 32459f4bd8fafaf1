/** Dumping flows (OpenFlow 1.5.1 §7.3.5.2): the flows themselves, or their sum. */
import type { Action } from '../action.ts';
import { readInstructions, writeInstructions } from '../instruction.ts';
import type { Match } from '../match.ts';
import { readMatch, writeMatch } from '../match-codec.ts';
import { erase, type MessageBase, type MessageBody, type MessageSpec, multipart } from '../message-spec.ts';
import { type FlowCounters, readCounters, writeCounters } from '../oxs.ts';
import { PORTS } from '../port.ts';
import type { Reader } from '../reader.ts';
import {
  decimal,
  decimal64,
  formatDuration,
  hex64,
  matchText,
  NO_CONTEXT,
  part,
  port,
  readDuration,
  type Text,
  type TextItem,
  texts,
} from '../text.ts';
import { OF14, OF15, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';
import { ALL_TABLES, ANY_GROUP, FLOW_FLAG_WORDS } from './flow.ts';

/** Which flows. */
export interface FlowFilter {
  /** Default: all. */
  readonly tableId?: number | undefined;
  /** Only flows that output there. */
  readonly outPort?: number | undefined;
  readonly outGroup?: number | undefined;
  /** Only flows whose cookie has the bits of the mask like this. */
  readonly cookie?: bigint | undefined;
  readonly cookieMask?: bigint | undefined;
  /** Only flows that match no more than this. Default: all. */
  readonly match?: Match | undefined;
}

/** Asks for flows, or for their sum. */
export interface FlowStatsRequest extends MessageBase, FlowFilter {
  /** `flow_counters_request`: without actions (1.5; not in Open vSwitch). */
  readonly type: 'flow_stats_request' | 'aggregate_request' | 'flow_counters_request';
}

/** A flow of the switch. */
export interface FlowStats {
  readonly tableId: number;
  readonly priority: number;
  readonly match: Match;
  readonly cookie: bigint;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly importance: number;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  /** Seconds since the last packet, where the switch says it (1.5). */
  readonly idleAge: number | undefined;
  readonly idleNsec: number | undefined;
  /** The statistics as they came, where some of them are unknown (1.5): written instead of the above. */
  readonly rawStats?: Uint8Array | undefined;
  readonly actions: readonly Action[];
}

/** Flows. A long dump comes in several of these: all but the last say `more`. */
export interface FlowStatsReply extends MessageBase {
  readonly type: 'flow_stats_reply';
  readonly more?: boolean | undefined;
  readonly flows: readonly FlowStats[];
}

/** A flow without its actions. */
export type FlowCountersEntry = Pick<FlowStats, 'tableId' | 'priority' | 'match'> &
  FlowCounters & {
    /** 0: asked for; 1: a threshold of a flow's own `stat_trigger` was passed. */
    readonly reason: number;
  };

/** Flows with their counters only (1.5). Open vSwitch has no such message. */
export interface FlowCountersReply extends MessageBase {
  readonly type: 'flow_counters_reply';
  readonly more?: boolean | undefined;
  readonly flows: readonly FlowCountersEntry[];
}

/** Flows, summed up. */
export interface AggregateReply extends MessageBase {
  readonly type: 'aggregate_reply';
  readonly more?: boolean | undefined;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flowCount: number;
}

const filter = texts<MessageBody<FlowStatsRequest>>();
const FILTER: Text<MessageBody<FlowStatsRequest>> =
  filter.text`${filter.optional('tableId', ' table=', decimal, ALL_TABLES)}${filter.optional('outPort', ' out_port=', port, PORTS.ANY)} ${filter.is('match', matchText, [])}`;

function request(
  type: FlowStatsRequest['type'],
  name: string,
  number: number,
  from?: Version,
): MessageSpec<FlowStatsRequest> {
  return {
    type,
    codes: [multipart(name, 'request', number, from === undefined ? {} : { from })],
    read: (r) => {
      const tableId = r.u8();
      r.skip(3);
      const outPort = r.u32();
      const outGroup = r.u32();
      r.skip(4);
      const cookie = r.u64();
      const cookieMask = r.u64();
      return { tableId, outPort, outGroup, cookie, cookieMask, match: readMatch(r) };
    },
    write: (w, m, c) => {
      w.u8(m.tableId ?? ALL_TABLES);
      w.zeros(3);
      w.u32(m.outPort ?? PORTS.ANY);
      w.u32(m.outGroup ?? ANY_GROUP);
      w.zeros(4);
      w.u64(m.cookie ?? 0n);
      w.u64(m.cookieMask ?? 0n);
      writeMatch(w, c.version, m.match ?? []);
    },
    text: FILTER,
  };
}

/** Reads one flow of a reply. */
function readFlow(r: Reader, version: Version): FlowStats {
  const start = r.pos;
  const length = r.u16();
  if (length < 4) throw r.malformed(`a flow of ${length} bytes`);
  const end = r.narrow(length - (r.pos - start));
  const flow = version < OF15 ? readOldFlow(r, version) : readNewFlow(r, version);
  r.widen(end);
  return flow;
}

function readOldFlow(r: Reader, version: Version): FlowStats {
  const tableId = r.u8();
  r.skip(1);
  const durationSec = r.u32();
  const durationNsec = r.u32();
  const priority = r.u16();
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  const flags = r.u16();
  const importance = version >= OF14 ? r.u16() : 0;
  r.skip(version >= OF14 ? 2 : 4);
  const cookie = r.u64();
  const packetCount = r.u64();
  const byteCount = r.u64();
  const match = readMatch(r);
  const actions = readInstructions(r, version);
  return {
    tableId,
    priority,
    match,
    cookie,
    idleTimeout,
    hardTimeout,
    flags,
    importance,
    durationSec,
    durationNsec,
    packetCount,
    byteCount,
    idleAge: undefined,
    idleNsec: undefined,
    actions,
  };
}

function readNewFlow(r: Reader, version: Version): FlowStats {
  r.skip(2);
  const tableId = r.u8();
  r.skip(1);
  const priority = r.u16();
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  const flags = r.u16();
  const importance = r.u16();
  const cookie = r.u64();
  const match = readMatch(r);
  const counters: FlowCounters = {};
  readCounters(r, counters);
  const actions = readInstructions(r, version);
  return {
    tableId,
    priority,
    match,
    cookie,
    idleTimeout,
    hardTimeout,
    flags,
    importance,
    durationSec: counters.durationSec ?? 0,
    durationNsec: counters.durationNsec ?? 0,
    packetCount: counters.packetCount ?? 0n,
    byteCount: counters.byteCount ?? 0n,
    idleAge: counters.idleAge,
    idleNsec: counters.idleNsec,
    rawStats: counters.rawStats,
    actions,
  };
}

function writeFlow(w: Writer, version: Version, flow: FlowStats): void {
  const start = w.length;
  w.u16(0);
  if (version < OF15) {
    w.u8(flow.tableId);
    w.zeros(1);
    w.u32(flow.durationSec);
    w.u32(flow.durationNsec);
    w.u16(flow.priority);
    w.u16(flow.idleTimeout);
    w.u16(flow.hardTimeout);
    w.u16(flow.flags);
    w.u16(version >= OF14 ? flow.importance : 0);
    w.zeros(2);
    w.u64(flow.cookie);
    w.u64(flow.packetCount);
    w.u64(flow.byteCount);
    writeMatch(w, version, flow.match);
  } else {
    w.zeros(2);
    w.u8(flow.tableId);
    w.zeros(1);
    w.u16(flow.priority);
    w.u16(flow.idleTimeout);
    w.u16(flow.hardTimeout);
    w.u16(flow.flags);
    w.u16(flow.importance);
    w.u64(flow.cookie);
    writeMatch(w, version, flow.match);
    writeCounters(w, flow);
  }
  writeInstructions(w, version, flow.actions);
  w.patch16(start, w.length - start);
}

/** Numbers that a switch does not know. */
const UNKNOWN = 0xffff_ffff_ffff_ffffn;

const shown = texts<FlowStats>();
const FLOW: Text<FlowStats> = shown.text`cookie=${shown.is('cookie', hex64)}, duration=${shown.duration('durationSec', 'durationNsec')}, table=${shown.is('tableId', decimal)}, ${shown.optional('packetCount', 'n_packets=', decimal64, UNKNOWN, ', ')}${shown.optional('byteCount', 'n_bytes=', decimal64, UNKNOWN, ', ')}${shown.optional('idleTimeout', 'idle_timeout=', decimal, 0, ', ')}${shown.optional('hardTimeout', 'hard_timeout=', decimal, 0, ', ')}${shown.flags('flags', FLOW_FLAG_WORDS)}${shown.optional('importance', 'importance=', decimal, 0, ', ')}${shown.optional('idleAge', 'idle_age=', decimal, undefined, ', ')}${shown.rule('match', 'priority', ' ')}actions=${shown.actions('actions')}`;

/** One flow as `ovs-ofctl dump-flows` prints it, without the space in front. */
export function formatFlowStats(flow: FlowStats): string {
  return FLOW.format(flow, NO_CONTEXT);
}

const statsText = texts<MessageBody<FlowStatsReply>>();
const sum = texts<MessageBody<AggregateReply>>();

const FLOW_STATS_REPLY: MessageSpec<FlowStatsReply> = {
  type: 'flow_stats_reply',
  codes: [multipart('OFPST_FLOW', 'reply', 1)],
  read: (r, c) => {
    const flows: FlowStats[] = [];
    while (r.left > 0) flows.push(readFlow(r, c.version));
    return { flows };
  },
  write: (w, m, c) => {
    for (const flow of m.flows) writeFlow(w, c.version, flow);
  },
  text: statsText.text`${statsText.each('flows', '\n ', FLOW)}`,
};

const AGGREGATE_REPLY: MessageSpec<AggregateReply> = {
  type: 'aggregate_reply',
  codes: [multipart('OFPST_AGGREGATE', 'reply', 2)],
  read: (r, c) => {
    if (c.version < OF15) {
      const packetCount = r.u64();
      const byteCount = r.u64();
      const flowCount = r.u32();
      r.skip(4);
      return { packetCount, byteCount, flowCount };
    }
    const counters: FlowCounters = {};
    readCounters(r, counters);
    const { packetCount = 0n, byteCount = 0n, flowCount = 0 } = counters;
    return { packetCount, byteCount, flowCount };
  },
  write: (w, { packetCount, byteCount, flowCount }, c) => {
    if (c.version < OF15) {
      w.u64(packetCount);
      w.u64(byteCount);
      w.u32(flowCount);
      w.zeros(4);
    } else writeCounters(w, { packetCount, byteCount, flowCount });
  },
  text: sum.text` packet_count=${sum.is('packetCount', decimal64)} byte_count=${sum.is('byteCount', decimal64)} flow_count=${sum.is('flowCount', decimal)}`,
};

const counted = texts<FlowCountersEntry>();

/** How long the flow has been there, where the switch says it. */
const AGE: TextItem<FlowCountersEntry> = part(
  ({ durationSec, durationNsec = 0 }) =>
    durationSec === undefined ? '' : `duration=${formatDuration(durationSec, durationNsec)}, `,
  (r, into) => {
    if (!r.accept('duration=')) return;
    [into['durationSec'], into['durationNsec']] = readDuration(r);
    r.expect(', ');
  },
);

const COUNTED: Text<FlowCountersEntry> = counted.text`${AGE}table=${counted.is('tableId', decimal)}, ${counted.optional('packetCount', 'n_packets=', decimal64, undefined, ', ')}${counted.optional('byteCount', 'n_bytes=', decimal64, undefined, ', ')}${counted.optional('idleAge', 'idle_age=', decimal, undefined, ', ')}stat_reason=${counted.is('reason', decimal)} ${counted.rule('match', 'priority')}`;
const countersText = texts<MessageBody<FlowCountersReply>>();

/** The smallest entry: its head, a match and statistics that are empty. */
const MIN_ENTRY = 24;

const COUNTERS_REPLY: MessageSpec<FlowCountersReply> = {
  type: 'flow_counters_reply',
  codes: [multipart('OFPST_FLOW_STATS', 'reply', 17, { from: OF15 })],
  read: (r) => {
    const flows: FlowCountersEntry[] = [];
    while (r.left > 0) {
      const length = r.u16();
      if (length < MIN_ENTRY) throw r.malformed(`the counters of a flow in ${length} bytes`);
      const end = r.narrow(length - 2);
      r.skip(2);
      const tableId = r.u8();
      const reason = r.u8();
      const priority = r.u16();
      const match = readMatch(r);
      const counters: FlowCounters = {};
      readCounters(r, counters);
      flows.push({ tableId, reason, priority, match, ...counters });
      r.widen(end);
    }
    return { flows };
  },
  write: (w, { flows }, c) => {
    for (const flow of flows) {
      const start = w.length;
      w.zeros(4);
      w.u8(flow.tableId);
      w.u8(flow.reason);
      w.u16(flow.priority);
      writeMatch(w, c.version, flow.match);
      writeCounters(w, flow);
      w.patch16(start, w.length - start);
    }
  },
  // As a line of a dump: ovs-ofctl does not know this message.
  text: countersText.text`${countersText.each('flows', '\n ', COUNTED)}`,
};

export const FLOW_STATS_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(request('flow_stats_request', 'OFPST_FLOW', 1)),
  erase(request('aggregate_request', 'OFPST_AGGREGATE', 2)),
  erase(FLOW_STATS_REPLY),
  erase(AGGREGATE_REPLY),
  erase(request('flow_counters_request', 'OFPST_FLOW_STATS', 17, OF15)),
  erase(COUNTERS_REPLY),
];
