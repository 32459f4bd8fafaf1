/** The flow monitor: hearing of every change to flows (OpenFlow 1.5.1 §7.3.5.20; ONF's extension 1870 for 1.3). */
import type { Action } from '../action.ts';
import { formatActions } from '../action-text.ts';
import { OpenFlowError } from '../error.ts';
import { readInstructions, writeInstructions } from '../instruction.ts';
import { numberFor, type Words, wordFor } from '../layout.ts';
import type { Match } from '../match.ts';
import { readMatch, writeMatch } from '../match-codec.ts';
import { formatMatch } from '../match-format.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageSpec,
  multipart,
  NO_TEXT,
  onfst,
  onft,
} from '../message-spec.ts';
import { PORTS } from '../port.ts';
import type { Reader } from '../reader.ts';
import { type BitNames, bits, decimal, hex32, matchText, part, port, readScalar, type Text, texts } from '../text.ts';
import { OF14, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';
import { ALL_TABLES, ANY_GROUP, FLOW_REMOVED_REASONS, type FlowRemovedReason } from './flow.ts';

/** OFPFMF_ bits: what to report and how. */
export const MONITOR_FLAGS: {
  readonly initial: number;
  readonly add: number;
  readonly removed: number;
  readonly modify: number;
  readonly instructions: number;
  readonly noAbbrev: number;
  readonly onlyOwn: number;
} = { initial: 1, add: 2, removed: 4, modify: 8, instructions: 16, noAbbrev: 32, onlyOwn: 64 };

/** Starts, changes or ends a monitor. */
export interface FlowMonitorRequest extends MessageBase {
  readonly type: 'flow_monitor_request';
  /** Its number, of the requester's choice. */
  readonly id: number;
  /** Default `add`; `modify` and `delete` need 1.4. */
  readonly command?: 'add' | 'modify' | 'delete' | undefined;
  /** MONITOR_FLAGS. */
  readonly flags: number;
  readonly tableId?: number | undefined;
  readonly outPort?: number | undefined;
  readonly outGroup?: number | undefined;
  readonly match?: Match | undefined;
}

/** A change. */
export type FlowUpdate =
  | {
      readonly event: 'initial' | 'added' | 'removed' | 'modified';
      readonly tableId: number;
      readonly reason: FlowRemovedReason;
      readonly priority: number;
      readonly idleTimeout: number;
      readonly hardTimeout: number;
      readonly cookie: bigint;
      readonly match: Match;
      /** Empty unless the monitor has the flag `instructions`. */
      readonly actions: readonly Action[];
    }
  /** A change of the monitor's own: the transaction says which. */
  | { readonly event: 'abbrev'; readonly xid: number }
  /** Too much to tell: changes are lost until `resumed`, before which all flows that changed are told again. */
  | { readonly event: 'paused' }
  | { readonly event: 'resumed' };

/** Changes: the answer to the request, then with xid 0 whenever there are some. */
export interface FlowMonitorReply extends MessageBase {
  readonly type: 'flow_monitor_reply';
  readonly more?: boolean | undefined;
  readonly updates: readonly FlowUpdate[];
}

/** Ends a monitor (1.3). */
export interface FlowMonitorCancel extends MessageBase {
  readonly type: 'flow_monitor_cancel';
  readonly id: number;
}

/** Changes are lost from here on, or told again (1.3). */
export interface FlowMonitorPause extends MessageBase {
  readonly type: 'flow_monitor_paused' | 'flow_monitor_resumed';
}

const COMMANDS: Words = { add: 0, modify: 1, delete: 2 };
const FLAG_NAMES: BitNames = [
  [1, 'initial'],
  [2, 'add'],
  [4, 'delete'],
  [8, 'modify'],
  [16, 'actions'],
  [32, 'no-abbrev'],
  [64, 'own'],
];

/** The bit that ONF's extension has for `onlyOwn`. The others are at the same places; `noAbbrev` it has not. */
const OLD_OWN = 32;
const COMMON_FLAGS = 31;

function fromOldFlags(flags: number): number {
  return (flags & COMMON_FLAGS) | ((flags & OLD_OWN) === 0 ? 0 : MONITOR_FLAGS.onlyOwn);
}

function toOldFlags(flags: number): number {
  if ((flags & MONITOR_FLAGS.noAbbrev) !== 0) {
    throw new OpenFlowError('unencodable', 'OpenFlow 1.3 has flow monitors without the flag noAbbrev');
  }
  return (flags & COMMON_FLAGS) | ((flags & MONITOR_FLAGS.onlyOwn) === 0 ? 0 : OLD_OWN);
}

/** ONF's extension for 1.3 has its fields in another order, and no commands. */
function readOldRequest(r: Reader): Omit<FlowMonitorRequest, 'type' | 'xid'> {
  const id = r.u32();
  const flags = r.u16();
  r.skip(2);
  const outPort = r.u32();
  const tableId = r.u8();
  r.skip(3);
  return { id, flags: fromOldFlags(flags), outPort, tableId, match: readMatch(r) };
}

function writeOldRequest(w: Writer, version: Version, m: FlowMonitorRequest): void {
  if ((m.command ?? 'add') !== 'add') {
    throw new OpenFlowError('unencodable', 'OpenFlow 1.3 ends a flow monitor by flow_monitor_cancel, and changes none');
  }
  w.u32(m.id);
  w.u16(toOldFlags(m.flags));
  const at = w.length;
  w.u16(0);
  w.u32(m.outPort ?? PORTS.ANY);
  w.u8(m.tableId ?? ALL_TABLES);
  w.zeros(3);
  const start = w.length;
  writeMatch(w, version, m.match ?? []);
  w.patch16(at, w.length - start);
}

const requestText = texts<MessageBody<FlowMonitorRequest>>();
const WATCHED: Text<MessageBody<FlowMonitorRequest>> =
  requestText.text`flags=${requestText.is('flags', bits(FLAG_NAMES, ','))}${requestText.optional('outPort', ' out_port=', port, PORTS.ANY)}${requestText.optional('outGroup', ' out_group=', decimal, ANY_GROUP)}${requestText.optional('tableId', ' table=', decimal, ALL_TABLES)}`;

const REQUEST: MessageSpec<FlowMonitorRequest> = {
  type: 'flow_monitor_request',
  codes: [multipart('OFPST_FLOW_MONITOR', 'request', 16, { from: OF14 }), onfst('ONFST_FLOW_MONITOR', 'request', 1870)],
  read: (r, c) => {
    if (c.version < OF14) return readOldRequest(r);
    const id = r.u32();
    const outPort = r.u32();
    const outGroup = r.u32();
    const flags = r.u16();
    const tableId = r.u8();
    const command = wordFor(COMMANDS, r.u8());
    if (typeof command === 'number') throw r.malformed(`flow monitor command ${command}`);
    return { id, command: command as 'add', flags, tableId, outPort, outGroup, match: readMatch(r) };
  },
  write: (w, m, c) => {
    if (c.version < OF14) {
      writeOldRequest(w, c.version, m);
      return;
    }
    w.u32(m.id);
    w.u32(m.outPort ?? PORTS.ANY);
    w.u32(m.outGroup ?? ANY_GROUP);
    w.u16(m.flags);
    w.u8(m.tableId ?? ALL_TABLES);
    w.u8(numberFor(COMMANDS, m.command ?? 'add', 'command'));
    writeMatch(w, c.version, m.match ?? []);
  },
  text: requestText.text`\n id=${requestText.is('id', decimal)} ${part(
    (m, c) => {
      if (m.command === 'delete') return 'command=delete';
      const match = formatMatch(m.match ?? []);
      return `${WATCHED.format(m, c)}${match === '' ? '' : ` ${match}`}`;
    },
    (r, into, c) => {
      if (r.accept('command=delete')) Object.assign(into, { command: 'delete', flags: 0 });
      else {
        Object.assign(into, { command: 'add' }, WATCHED.parse(r, c));
        r.skipSpace();
        into['match'] = readScalar(r, matchText, c);
      }
    },
  )}`,
};

const EVENTS = ['initial', 'added', 'removed', 'modified', 'abbrev', 'paused', 'resumed'] as const;

/** The events of Nicira's form, which ONF's extension for 1.3 has. */
const OLD_EVENTS = ['added', 'removed', 'modified', 'abbrev'] as const;

function readUpdate(r: Reader, version: Version): FlowUpdate {
  const start = r.pos;
  const length = r.u16();
  if (length < 8) throw r.malformed(`a flow update of ${length} bytes`);
  const code = r.u16();
  const event = version < OF14 ? OLD_EVENTS[code] : EVENTS[code];
  const end = r.narrow(length - (r.pos - start));
  let update: FlowUpdate;
  if (event === undefined) throw r.malformed(`flow update event ${code}`);
  if (event === 'abbrev') update = { event, xid: r.u32() };
  else if (event === 'paused' || event === 'resumed') update = { event };
  else update = version < OF14 ? readOldUpdate(r, version, event) : readNewUpdate(r, version, event);
  r.widen(end);
  return update;
}

type FullEvent = 'initial' | 'added' | 'removed' | 'modified';

function readNewUpdate(r: Reader, version: Version, event: FullEvent): FlowUpdate {
  const tableId = r.u8();
  const reason = wordFor(FLOW_REMOVED_REASONS, r.u8()) as FlowRemovedReason;
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  const priority = r.u16();
  r.skip(4);
  const cookie = r.u64();
  const match = readMatch(r);
  const actions = readInstructions(r, version);
  return { event, tableId, reason, priority, idleTimeout, hardTimeout, cookie, match, actions };
}

function readOldUpdate(r: Reader, version: Version, event: FullEvent): FlowUpdate {
  const reason = wordFor(FLOW_REMOVED_REASONS, r.u16()) as FlowRemovedReason;
  const priority = r.u16();
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  r.skip(2);
  const tableId = r.u8();
  r.skip(1);
  const cookie = r.u64();
  const match = readMatch(r);
  const actions = readInstructions(r, version);
  return { event, tableId, reason, priority, idleTimeout, hardTimeout, cookie, match, actions };
}

function writeUpdate(w: Writer, version: Version, update: FlowUpdate): void {
  const start = w.length;
  w.u16(0);
  const code = version < OF14 ? OLD_EVENTS.indexOf(update.event as 'added') : EVENTS.indexOf(update.event);
  w.u16(Math.max(code, 0));
  if (update.event === 'abbrev') w.u32(update.xid);
  else if (update.event === 'paused' || update.event === 'resumed') w.zeros(4);
  else {
    const reason = numberFor(FLOW_REMOVED_REASONS, update.reason, 'reason');
    if (version < OF14) {
      w.u16(reason);
      w.u16(update.priority);
      w.u16(update.idleTimeout);
      w.u16(update.hardTimeout);
      const at = w.length;
      w.u16(0);
      w.u8(update.tableId);
      w.zeros(1);
      w.u64(update.cookie);
      const match = w.length;
      writeMatch(w, version, update.match);
      w.patch16(at, w.length - match);
    } else {
      w.u8(update.tableId);
      w.u8(reason);
      w.u16(update.idleTimeout);
      w.u16(update.hardTimeout);
      w.u16(update.priority);
      w.zeros(4);
      w.u64(update.cookie);
      writeMatch(w, version, update.match);
    }
    writeInstructions(w, version, update.actions);
  }
  w.patch16(start, w.length - start);
}

const EVENT_WORDS = { initial: 'INITIAL', added: 'ADDED', removed: 'DELETED', modified: 'MODIFIED' } as const;

function formatUpdate(update: FlowUpdate): string {
  if (update.event === 'abbrev') return `ABBREV xid=0x${update.xid.toString(16)}`;
  if (update.event === 'paused' || update.event === 'resumed') return update.event.toUpperCase();
  const { event, reason, tableId, idleTimeout, hardTimeout, cookie, match, actions } = update;
  let text = `${EVENT_WORDS[event]}${event === 'removed' ? ` reason=${reason}` : ''} table=${tableId}`;
  if (idleTimeout !== 0) text += ` idle_timeout=${idleTimeout}`;
  if (hardTimeout !== 0) text += ` hard_timeout=${hardTimeout}`;
  const rule = formatMatch(match);
  text += ` cookie=${cookie === 0n ? '0' : `0x${cookie.toString(16)}`} ${rule}`;
  if (actions.length === 0) return text;
  return `${text}${rule === '' ? '' : ' '}actions=${formatActions(actions)}`;
}

const UPDATE: Text<FlowUpdate> = {
  format: formatUpdate,
  parse: (r, c) => {
    if (r.accept('PAUSED')) return { event: 'paused' };
    if (r.accept('RESUMED')) return { event: 'resumed' };
    if (r.accept('ABBREV xid=')) return { event: 'abbrev', xid: readScalar(r, hex32, c) };
    throw new OpenFlowError('syntax', `the text of ${c.name} leaves out the priority of flows: it cannot be read back`);
  },
};
const updatesText = texts<MessageBody<FlowMonitorReply>>();

const REPLY: MessageSpec<FlowMonitorReply> = {
  type: 'flow_monitor_reply',
  codes: [multipart('OFPST_FLOW_MONITOR', 'reply', 16, { from: OF14 }), onfst('ONFST_FLOW_MONITOR', 'reply', 1870)],
  read: (r, c) => {
    const updates: FlowUpdate[] = [];
    while (r.left > 0) updates.push(readUpdate(r, c.version));
    return { updates };
  },
  write: (w, m, c) => {
    for (const update of m.updates) writeUpdate(w, c.version, update);
  },
  text: updatesText.text`${updatesText.each('updates', '\n event=', UPDATE)}`,
};

const cancelText = texts<MessageBody<FlowMonitorCancel>>();

const CANCEL: MessageSpec<FlowMonitorCancel> = {
  type: 'flow_monitor_cancel',
  codes: [onft('ONFT_FLOW_MONITOR_CANCEL', 1870)],
  read: (r) => ({ id: r.u32() }),
  write: (w, { id }) => w.u32(id),
  text: cancelText.text` id=${cancelText.is('id', decimal)}`,
};

function pause(type: FlowMonitorPause['type'], name: string, subtype: number): MessageSpec<FlowMonitorPause> {
  return { type, codes: [onft(name, subtype)], read: () => ({}), write: () => undefined, text: NO_TEXT };
}

export const FLOW_MONITOR_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(REQUEST),
  erase(REPLY),
  erase(CANCEL),
  erase(pause('flow_monitor_paused', 'ONFT_FLOW_MONITOR_PAUSED', 1871)),
  erase(pause('flow_monitor_resumed', 'ONFT_FLOW_MONITOR_RESUMED', 1872)),
];
