/** Packets to the controller and from it (OpenFlow 1.5.1 §7.3.6, §7.4.1). */
import type { Action, PacketInReason } from '../action.ts';
import { readActions, writeActions } from '../action-codec.ts';
import { formatActions, parseActions } from '../action-text.ts';
import { PACKET_IN_REASONS } from '../actions/output.ts';
import { OpenFlowError } from '../error.ts';
import { numberFor, wordFor } from '../layout.ts';
import { match as buildMatch, type Match, matchOn } from '../match.ts';
import { readMatch, writeMatch } from '../match-codec.ts';
import { erase, type MessageBase, type MessageBody, type MessageSpec, standard } from '../message-spec.ts';
import { formatPacket, parsePacket } from '../packet-text.ts';
import { fromPort16, PORTS, toPort16 } from '../port.ts';
import {
  decimal,
  hex64,
  matchText,
  part,
  readScalar,
  type Scalar,
  type Text,
  type TextItem,
  texts,
  words,
} from '../text.ts';
import { OF10, OF15, versionName } from '../version.ts';

/** No packet is buffered: Open vSwitch 2.8 and later buffer none. */
export const NO_BUFFER = 0xffff_ffff;
const NO_COOKIE = 0xffff_ffff_ffff_ffffn;

/** A packet for the controller, in the standard form. */
export interface PacketIn extends MessageBase {
  readonly type: 'packet_in';
  readonly bufferId: number;
  /** Of the whole packet. */
  readonly totalLen: number;
  readonly reason: PacketInReason;
  readonly tableId: number;
  readonly cookie: bigint;
  /** Where the packet came in, and what else the switch knows of it besides its bytes. */
  readonly match: Match;
  readonly data: Uint8Array;
}

/** A packet from the controller. */
export interface PacketOut extends MessageBase {
  readonly type: 'packet_out';
  readonly bufferId?: number | undefined;
  /** in_port, by default CONTROLLER; since 1.5 also registers, metadata, tunnel id to begin with. */
  readonly match?: Match | undefined;
  readonly actions: readonly Action[];
  readonly data: Uint8Array;
}

const REASON: Scalar<PacketInReason> = words<PacketInReason>(...(Object.keys(PACKET_IN_REASONS) as 'action'[]));

/** `buffer=0x00000001`. */
const BUFFER: Scalar<number> = {
  pattern: /0x[0-9a-f]{8}/y,
  what: 'a buffer',
  format: (id) => `0x${id.toString(16).padStart(8, '0')}`,
  parse: Number,
};

/** A packet that came in, in any form. */
export type PacketInText = MessageBody<PacketIn>;

const shown = texts<PacketInText>();

/** Where it is: in a buffer, or here; `data` are zeros until the packet itself is read. */
const LENGTHS: TextItem<PacketInText> = part(
  ({ data, bufferId, totalLen }, c) => {
    if (bufferId !== NO_BUFFER) return `data_len=${data.length} buffer=${BUFFER.format(bufferId, c)}`;
    return `data_len=${data.length} (unbuffered)${totalLen === data.length ? '' : ' (***total_len != data_len***)'}`;
  },
  (r, into, c) => {
    r.expect('data_len=');
    into['data'] = new Uint8Array(Math.min(readScalar(r, decimal, c), MAX_PACKET));
    if (r.accept(' buffer=')) into['bufferId'] = readScalar(r, BUFFER, c);
    else {
      r.expect(' (unbuffered)');
      r.accept(' (***total_len != data_len***)');
      into['bufferId'] = NO_BUFFER;
    }
  },
);

const MAX_PACKET = 0xffff;

/** What ovs-ofctl says about a packet that came in, before its headers. */
export const PACKET_IN_TEXT: Text<PacketInText> = shown.text`${shown.optional('tableId', ' table_id=', decimal, 0)}${shown.optional('cookie', ' cookie=', hex64, NO_COOKIE)} total_len=${shown.is('totalLen', decimal)} ${shown.is('match', matchText)} (via ${shown.is('reason', REASON)}) ${LENGTHS}\n`;

const PACKET_IN: MessageSpec<PacketIn> = {
  type: 'packet_in',
  codes: [standard('OFPT_PACKET_IN', 10, { from: OF10 })],
  read: (r, c) => {
    const bufferId = r.u32();
    const totalLen = r.u16();
    if (c.version === OF10) {
      const port = fromPort16(r.u16());
      const reason = wordFor(PACKET_IN_REASONS, r.u8()) as PacketInReason;
      r.skip(1);
      const match = buildMatch({ in_port_oxm: port });
      return { bufferId, totalLen, reason, tableId: 0, cookie: NO_COOKIE, match, data: r.rest() };
    }
    const reason = wordFor(PACKET_IN_REASONS, r.u8()) as PacketInReason;
    const tableId = r.u8();
    const cookie = r.u64();
    const match = readMatch(r);
    r.skip(2);
    return { bufferId, totalLen, reason, tableId, cookie, match, data: r.rest() };
  },
  write: (w, m, c) => {
    w.u32(m.bufferId);
    w.u16(m.totalLen);
    const reason = numberFor(PACKET_IN_REASONS, m.reason, 'reason');
    if (c.version === OF10) {
      w.u16(toPort16(Number(matchOn(m.match, 'in_port_oxm')?.value ?? PORTS.ANY)));
      w.u8(reason);
      w.zeros(1);
    } else {
      w.u8(reason);
      w.u8(m.tableId);
      w.u64(m.cookie);
      writeMatch(w, c.version, m.match);
      w.zeros(2);
    }
    w.bytes(m.data);
  },
  text: {
    format: (m, c) => PACKET_IN_TEXT.format(m, c) + formatPacket(m.data),
    parse: (r, c) => {
      const packet = PACKET_IN_TEXT.parse(r, c);
      return { ...packet, data: parsePacket(r, packet.data.length) };
    },
  },
};

const FROM_CONTROLLER: Match = buildMatch({ in_port_oxm: PORTS.CONTROLLER });

const out = texts<MessageBody<PacketOut>>();
const ACTIONS: Scalar<string> = { pattern: /\S+/y, what: 'actions', format: String, parse: (text) => text };

const OUT_TEXT: Text<MessageBody<PacketOut>> = out.text` ${out.is('match', matchText, FROM_CONTROLLER)} actions=${part(
  ({ actions }) => formatActions(actions),
  (r, into, c) => {
    into['actions'] = parseActions(readScalar(r, ACTIONS, c));
  },
)}${part(
  ({ bufferId = NO_BUFFER, data }, c) => {
    if (bufferId !== NO_BUFFER) return ` buffer=${BUFFER.format(bufferId, c)}`;
    return ` data_len=${data.length}${data.length === 0 ? '' : `\n${formatPacket(data)}`}`;
  },
  (r, into, c) => {
    if (r.accept(' buffer=')) Object.assign(into, { bufferId: readScalar(r, BUFFER, c), data: new Uint8Array() });
    else {
      r.expect(' data_len=');
      into['data'] = parsePacket(r, readScalar(r, decimal, c));
    }
  },
)}`;

const PACKET_OUT: MessageSpec<PacketOut> = {
  type: 'packet_out',
  codes: [standard('OFPT_PACKET_OUT', 13)],
  read: (r, c) => {
    const bufferId = r.u32();
    let match: Match;
    let length: number;
    if (c.version < OF15) {
      match = buildMatch({ in_port_oxm: r.u32() });
      length = r.u16();
      r.skip(6);
    } else {
      length = r.u16();
      r.skip(2);
      match = readMatch(r);
    }
    const end = r.narrow(length);
    const actions = readActions(r, c.version);
    r.widen(end);
    return { bufferId, match, actions, data: r.rest() };
  },
  write: (w, { bufferId, match = FROM_CONTROLLER, actions, data }, c) => {
    w.u32(bufferId ?? NO_BUFFER);
    let at: number;
    if (c.version < OF15) {
      const [only, ...others] = match;
      if (only === undefined || only.field.name !== 'in_port_oxm' || others.length > 0) {
        throw new OpenFlowError(
          'unencodable',
          `a packet_out of OpenFlow ${versionName(c.version)} says in_port and nothing else of the packet`,
        );
      }
      w.u32(Number(only.value));
      at = w.length;
      w.zeros(8);
    } else {
      at = w.length;
      w.zeros(4);
      writeMatch(w, c.version, match);
    }
    const start = w.length;
    writeActions(w, c.version, actions);
    w.patch16(at, w.length - start);
    w.bytes(data);
  },
  text: OUT_TEXT,
};

export const PACKET_MESSAGES: readonly MessageSpec<MessageBase>[] = [erase(PACKET_IN), erase(PACKET_OUT)];
