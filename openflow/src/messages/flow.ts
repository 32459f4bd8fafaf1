/** Flows: changing them, and hearing that they are gone (OpenFlow 1.5.1 §7.3.4.2, §7.4.2). */
import type { Action } from '../action.ts';
import { readInstructions, writeInstructions } from '../instruction.ts';
import { numberFor, type Words, wordFor } from '../layout.ts';
import type { Match } from '../match.ts';
import { readMatch, writeMatch } from '../match-codec.ts';
import { DEFAULT_PRIORITY } from '../match-format.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageSpec,
  type MessageText,
  standard,
} from '../message-spec.ts';
import { type FlowCounters, readCounters, writeCounters } from '../oxs.ts';
import { PORTS } from '../port.ts';
import {
  type BitNames,
  decimal,
  decimal64,
  hex32,
  hex64,
  part,
  port,
  readScalar,
  type Scalar,
  type TextItem,
  texts,
  word,
  words,
} from '../text.ts';
import { OF13, OF14, OF15 } from '../version.ts';

/** What to do. `_strict`: only to the flow of the same match and priority, else to all that the match includes. */
export type FlowCommand = 'add' | 'modify' | 'modify_strict' | 'delete' | 'delete_strict';

const COMMANDS: Words = { add: 0, modify: 1, modify_strict: 2, delete: 3, delete_strict: 4 };

/** OFPFF_ bits of a flow. */
export const FLOW_FLAGS: {
  readonly sendFlowRem: number;
  readonly checkOverlap: number;
  readonly resetCounts: number;
  readonly noPacketCounts: number;
  readonly noByteCounts: number;
} = { sendFlowRem: 1, checkOverlap: 2, resetCounts: 4, noPacketCounts: 8, noByteCounts: 16 };

/** The words of the flags, in the order in which they are printed. */
export const FLOW_FLAG_WORDS: BitNames = [
  [1, 'send_flow_rem'],
  [2, 'check_overlap'],
  [4, 'reset_counts'],
  [8, 'no_packet_counts'],
  [16, 'no_byte_counts'],
];

/** All tables, for deleting. */
export const ALL_TABLES = 0xff;
const NO_BUFFER = 0xffff_ffff;
/** Any group, as a filter. */
export const ANY_GROUP = 0xffff_ffff;

/** Changes flows. */
export interface FlowMod extends MessageBase {
  readonly type: 'flow_mod';
  /** Default `add`. */
  readonly command?: FlowCommand | undefined;
  /** Default 0. */
  readonly tableId?: number | undefined;
  /** Default 0x8000, as of ovs-ofctl. */
  readonly priority?: number | undefined;
  readonly match: Match;
  readonly cookie?: bigint | undefined;
  /** For modify and delete: only flows whose cookie has these bits like `cookie`. */
  readonly cookieMask?: bigint | undefined;
  /** Seconds; 0: never. */
  readonly idleTimeout?: number | undefined;
  readonly hardTimeout?: number | undefined;
  readonly bufferId?: number | undefined;
  /** For delete: only flows that output there. */
  readonly outPort?: number | undefined;
  readonly outGroup?: number | undefined;
  /** FLOW_FLAGS. */
  readonly flags?: number | undefined;
  /** 1.4 and later: which flows are evicted first. */
  readonly importance?: number | undefined;
  /** What the packets meet; none: they are dropped. */
  readonly actions: readonly Action[];
}

/** Why a flow is gone. */
export type FlowRemovedReason = 'idle' | 'hard' | 'delete' | 'group_delete' | 'meter_delete' | 'eviction' | number;

/** The words of OFPRR_. */
export const FLOW_REMOVED_REASONS: Words = {
  idle: 0,
  hard: 1,
  delete: 2,
  group_delete: 3,
  meter_delete: 4,
  eviction: 5,
};

/** A flow is gone that had `send_flow_rem`. */
export interface FlowRemoved extends MessageBase {
  readonly type: 'flow_removed';
  readonly tableId: number;
  readonly reason: FlowRemovedReason;
  readonly priority: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly cookie: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly match: Match;
  /** The statistics as they came, where some of them are unknown (1.5): written instead of the above. */
  readonly rawStats?: Uint8Array | undefined;
}

/** `send_flow_rem check_overlap `, with a space at the end. */
export function formatFlowFlags(flags: number): string {
  if (flags === 0) return '';
  return FLOW_FLAG_WORDS.filter(([bit]) => (flags & bit) !== 0)
    .map(([, word]) => `${word} `)
    .join('');
}

const COMMAND: Scalar<FlowCommand> = word([
  ['add', 'ADD'],
  ['modify', 'MOD'],
  ['modify_strict', 'MOD_STRICT'],
  ['delete', 'DEL'],
  ['delete_strict', 'DEL_STRICT'],
]);

const NO_COOKIE = 0xffff_ffff_ffff_ffffn;
const mod = texts<MessageBody<FlowMod>>();

/** With a mask the cookie selects flows; without one it is what the flow gets. */
const COOKIE: TextItem<MessageBody<FlowMod>> = part(
  ({ cookie = 0n, cookieMask = 0n }) => {
    if (cookieMask !== 0n) return `cookie:0x${cookie.toString(16)}/0x${cookieMask.toString(16)} `;
    return cookie === 0n || cookie === NO_COOKIE ? '' : `cookie:0x${cookie.toString(16)} `;
  },
  (r, into, c) => {
    if (!r.accept('cookie:')) return;
    into['cookie'] = readScalar(r, hex64, c);
    if (r.accept('/')) into['cookieMask'] = readScalar(r, hex64, c);
    r.skipSpace();
  },
);

const MOD_TEXT: MessageText<FlowMod> = mod.text` ${mod.is('command', COMMAND, 'add')}${mod.optional('tableId', ' table:', decimal, 0)} ${mod.rule('match', 'priority', ' ')}${COOKIE}${mod.optional('idleTimeout', 'idle:', decimal, 0, ' ')}${mod.optional('hardTimeout', 'hard:', decimal, 0, ' ')}${mod.optional('importance', 'importance:', decimal, 0, ' ')}${mod.optional('bufferId', 'buf:', hex32, NO_BUFFER, ' ')}${mod.optional('outPort', 'out_port:', port, PORTS.ANY, ' ')}${mod.flags('flags', FLOW_FLAG_WORDS)}actions=${mod.actions('actions')}`;

const gone = texts<MessageBody<FlowRemoved>>();
const REASON: Scalar<FlowRemovedReason> = words<FlowRemovedReason>(...(Object.keys(FLOW_REMOVED_REASONS) as 'idle'[]));

const FLOW_MOD: MessageSpec<FlowMod> = {
  type: 'flow_mod',
  codes: [standard('OFPT_FLOW_MOD', 14)],
  read: (r, c) => {
    const cookie = r.u64();
    const cookieMask = r.u64();
    const tableId = r.u8();
    const command = r.u8();
    const idleTimeout = r.u16();
    const hardTimeout = r.u16();
    const priority = r.u16();
    const bufferId = r.u32();
    const outPort = r.u32();
    const outGroup = r.u32();
    const flags = r.u16();
    const importance = c.version >= OF14 ? r.u16() : 0;
    if (c.version < OF14) r.skip(2);
    const word = wordFor(COMMANDS, command);
    if (typeof word === 'number') throw r.malformed(`flow_mod command ${word}`);
    return {
      command: word as FlowCommand,
      tableId,
      priority,
      match: readMatch(r),
      cookie,
      cookieMask,
      idleTimeout,
      hardTimeout,
      bufferId,
      outPort,
      outGroup,
      flags,
      importance,
      actions: readInstructions(r, c.version),
    };
  },
  write: (w, m, c) => {
    w.u64(m.cookie ?? 0n);
    w.u64(m.cookieMask ?? 0n);
    w.u8(m.tableId ?? 0);
    w.u8(numberFor(COMMANDS, m.command ?? 'add', 'command'));
    w.u16(m.idleTimeout ?? 0);
    w.u16(m.hardTimeout ?? 0);
    w.u16(m.priority ?? DEFAULT_PRIORITY);
    w.u32(m.bufferId ?? NO_BUFFER);
    w.u32(m.outPort ?? PORTS.ANY);
    w.u32(m.outGroup ?? ANY_GROUP);
    w.u16(m.flags ?? 0);
    w.u16(c.version >= OF14 ? (m.importance ?? 0) : 0);
    writeMatch(w, c.version, m.match);
    writeInstructions(w, c.version, m.actions);
  },
  text: MOD_TEXT,
};

const FLOW_REMOVED: MessageSpec<FlowRemoved> = {
  type: 'flow_removed',
  codes: [standard('OFPT_FLOW_REMOVED', 11)],
  read: (r, c) => {
    if (c.version < OF15) {
      const cookie = r.u64();
      const priority = r.u16();
      const reason = wordFor(FLOW_REMOVED_REASONS, r.u8()) as FlowRemovedReason;
      const tableId = r.u8();
      const durationSec = r.u32();
      const durationNsec = r.u32();
      const idleTimeout = r.u16();
      const hardTimeout = r.u16();
      const packetCount = r.u64();
      const byteCount = r.u64();
      const counters = { durationSec, durationNsec, packetCount, byteCount };
      return { tableId, reason, priority, idleTimeout, hardTimeout, cookie, ...counters, match: readMatch(r) };
    }
    const tableId = r.u8();
    const reason = wordFor(FLOW_REMOVED_REASONS, r.u8()) as FlowRemovedReason;
    const priority = r.u16();
    const idleTimeout = r.u16();
    const hardTimeout = r.u16();
    const cookie = r.u64();
    const match = readMatch(r);
    const counters: FlowCounters = {};
    readCounters(r, counters);
    const { durationSec = 0, durationNsec = 0, packetCount = 0n, byteCount = 0n, rawStats } = counters;
    return {
      tableId,
      reason,
      priority,
      idleTimeout,
      hardTimeout,
      cookie,
      durationSec,
      durationNsec,
      packetCount,
      byteCount,
      match,
      rawStats,
    };
  },
  write: (w, m, c) => {
    const reason = numberFor(FLOW_REMOVED_REASONS, m.reason, 'reason');
    if (c.version <= OF14 && c.version >= OF13) {
      w.u64(m.cookie);
      w.u16(m.priority);
      w.u8(reason);
      w.u8(m.tableId);
      w.u32(m.durationSec);
      w.u32(m.durationNsec);
      w.u16(m.idleTimeout);
      w.u16(m.hardTimeout);
      w.u64(m.packetCount);
      w.u64(m.byteCount);
      writeMatch(w, c.version, m.match);
      return;
    }
    w.u8(m.tableId);
    w.u8(reason);
    w.u16(m.priority);
    w.u16(m.idleTimeout);
    w.u16(m.hardTimeout);
    w.u64(m.cookie);
    writeMatch(w, c.version, m.match);
    writeCounters(w, m);
  },
  text: gone.text` ${gone.rule('match', 'priority')} reason=${gone.is('reason', REASON)}${gone.optional('tableId', ' table_id=', decimal, ALL_TABLES)}${gone.optional('cookie', ' cookie:', hex64, 0n)} duration${gone.duration('durationSec', 'durationNsec')} idle${gone.is('idleTimeout', decimal)}${gone.optional('hardTimeout', ' hard', decimal, 0)} pkts${gone.is('packetCount', decimal64)} bytes${gone.is('byteCount', decimal64)}\n`,
};

export const FLOW_MESSAGES: readonly MessageSpec<MessageBase>[] = [erase(FLOW_MOD), erase(FLOW_REMOVED)];
