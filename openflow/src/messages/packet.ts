/** Packets to the controller and from it (OpenFlow 1.5.1 §7.3.6, §7.4.1). */
import type { Action, PacketInReason } from '../action.ts';
import { readActions, writeActions } from '../action-codec.ts';
import { formatActions } from '../action-text.ts';
import { PACKET_IN_REASONS } from '../actions/output.ts';
import { OpenFlowError } from '../error.ts';
import { numberFor, wordFor } from '../layout.ts';
import { match as buildMatch, type Match, matchOn } from '../match.ts';
import { readMatch, writeMatch } from '../match-codec.ts';
import { formatMatch } from '../match-format.ts';
import { erase, type MessageBase, type MessageSpec, standard } from '../message-spec.ts';
import { formatPacket } from '../packet-text.ts';
import { fromPort16, PORTS, toPort16 } from '../port.ts';
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

/** What ovs-ofctl says about a packet that came in. */
export function formatPacketIn(m: {
  readonly tableId: number;
  readonly cookie: bigint;
  readonly totalLen: number;
  readonly match: Match;
  readonly reason: PacketInReason;
  readonly bufferId: number;
  readonly data: Uint8Array;
}): string {
  const table = m.tableId === 0 ? '' : ` table_id=${m.tableId}`;
  const cookie = m.cookie === NO_COOKIE ? '' : ` cookie=0x${m.cookie.toString(16)}`;
  let text = `${table}${cookie} total_len=${m.totalLen} ${formatMatch(m.match)} (via ${m.reason}) data_len=${m.data.length}`;
  if (m.bufferId === NO_BUFFER) {
    text += ' (unbuffered)';
    if (m.totalLen !== m.data.length) text += ' (***total_len != data_len***)';
  } else text += ` buffer=0x${m.bufferId.toString(16).padStart(8, '0')}`;
  return `${text}\n`;
}

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
  format: (m) => formatPacketIn(m) + formatPacket(m.data),
};

const FROM_CONTROLLER: Match = buildMatch({ in_port_oxm: PORTS.CONTROLLER });

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
  format: ({ bufferId = NO_BUFFER, match = FROM_CONTROLLER, actions, data }) => {
    const head = ` ${formatMatch(match)} actions=${formatActions(actions)}`;
    if (bufferId !== NO_BUFFER) return `${head} buffer=0x${bufferId.toString(16).padStart(8, '0')}`;
    return `${head} data_len=${data.length}${data.length === 0 ? '' : `\n${formatPacket(data)}`}`;
  },
};

export const PACKET_MESSAGES: readonly MessageSpec<MessageBase>[] = [erase(PACKET_IN), erase(PACKET_OUT)];
