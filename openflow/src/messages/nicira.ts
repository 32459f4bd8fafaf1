/** Nicira's extension messages: packet-ins that can be resumed, controller ids, tunnel options. */
import type { PacketInReason } from '../action.ts';
import { PACKET_IN_REASONS } from '../actions/output.ts';
import { type Body, layout, numberFor, type Words, wordFor } from '../layout.ts';
import type { Match } from '../match.ts';
import { readMatchFields, writeMatchFields } from '../match-codec.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageCode,
  type MessageSpec,
  type MessageText,
  nxt,
} from '../message-spec.ts';
import { formatBytes, parseBytes } from '../number-text.ts';
import { formatPacket, parsePacket } from '../packet-text.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import {
  decimal,
  hexadecimal,
  part,
  readScalar,
  type Scalar,
  type Text,
  type TextItem,
  texts,
  word,
  words,
} from '../text.ts';
import { OF10, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';
import { NO_BUFFER, PACKET_IN_TEXT } from './packet.ts';

/** Chooses the form of packet-ins on this connection. */
export interface SetPacketInFormat extends MessageBase {
  readonly type: 'set_packet_in_format';
  readonly format: 'standard' | 'nxt_packet_in' | 'nxt_packet_in2' | number;
}

/** Names this connection: `controller` actions with this id send packets here. The default is 0. */
export interface SetControllerId extends MessageBase {
  readonly type: 'set_controller_id';
  readonly controllerId: number;
}

/** Forgets the connections of a zone. */
export interface CtFlushZone extends MessageBase {
  readonly type: 'ct_flush_zone';
  readonly zone: number;
}

/**
 * A packet for the controller, in Nicira's second form; as a `resume` it goes back. Packet and continuation are bytes
 * to be returned as they came: Open vSwitch refuses a resume in which they were taken apart and put together again.
 */
export interface PacketIn2 extends MessageBase {
  readonly type: 'packet_in2' | 'resume';
  readonly packet: Uint8Array;
  /** Of the whole packet, where only a part of it came. */
  readonly fullLen?: number | undefined;
  readonly bufferId?: number | undefined;
  readonly tableId?: number | undefined;
  readonly cookie?: bigint | undefined;
  readonly reason?: PacketInReason | undefined;
  /** Registers and other fields that are not in the packet's bytes. */
  readonly metadata: Match;
  /** As in the controller action. */
  readonly userdata?: Uint8Array | undefined;
  /** Present when the action said `pause`. Opaque. */
  readonly continuation?: Uint8Array | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** A tunnel option (Geneve) and the tun_metadata field that holds it. */
export interface TlvMap {
  readonly optionClass: number;
  readonly optionType: number;
  /** In bytes. */
  readonly length: number;
  /** Of tun_metadata. */
  readonly index: number;
}

/** Changes which tunnel options are known. */
export interface TlvTableMod extends MessageBase {
  readonly type: 'tlv_table_mod';
  readonly command: 'add' | 'delete' | 'clear' | number;
  readonly maps: readonly TlvMap[];
}

/** Which tunnel options are known. */
export interface TlvTableReply extends MessageBase {
  readonly type: 'tlv_table_reply';
  /** In bytes, for all options together. */
  readonly maxOptionSpace: number;
  readonly maxFields: number;
  readonly maps: readonly TlvMap[];
}

function fixed<M extends MessageBase>(
  type: M['type'],
  code: MessageCode,
  body: Body<MessageBody<M>>,
  text: MessageText<M>,
): MessageSpec<M> {
  return {
    type,
    codes: [code],
    read: (r, c) => body.read(r, c.version),
    write: (w, message, c) => body.write(w, message, c.version),
    text,
  };
}

const FORMATS: Words = { standard: 0, nxt_packet_in: 1, nxt_packet_in2: 2 };
const format = layout<MessageBody<SetPacketInFormat>>();
const controller = layout<MessageBody<SetControllerId>>();
const zone = layout<MessageBody<CtFlushZone>>();
const formatText = texts<MessageBody<SetPacketInFormat>>();
const FORMAT: Scalar<SetPacketInFormat['format']> = words<SetPacketInFormat['format']>(
  ...(Object.keys(FORMATS) as 'standard'[]),
);
const controllerText = texts<MessageBody<SetControllerId>>();
const zoneText = texts<MessageBody<CtFlushZone>>();

/** Types of the properties of NXT_PACKET_IN2. */
const PROPERTY = {
  packet: 0,
  fullLen: 1,
  bufferId: 2,
  tableId: 3,
  cookie: 4,
  reason: 5,
  metadata: 6,
  userdata: 7,
  continuation: 8,
} as const;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function writePacketIn2(w: Writer, m: PacketIn2, version: Version): void {
  const { packet, fullLen, bufferId, tableId, cookie, reason, metadata, userdata, continuation } = m;
  writeProperties(w, m.properties, () => {
    if (packet.length > 0) writeProperty(w, PROPERTY.packet, () => w.bytes(packet));
    if (fullLen !== undefined) writeProperty(w, PROPERTY.fullLen, () => w.u32(fullLen));
    if (bufferId !== undefined) writeProperty(w, PROPERTY.bufferId, () => w.u32(bufferId));
    if (tableId !== undefined) writeProperty(w, PROPERTY.tableId, () => w.u8(tableId));
    if (cookie !== undefined) {
      writeProperty(w, PROPERTY.cookie, () => {
        w.zeros(4);
        w.u64(cookie);
      });
    }
    if (reason !== undefined) {
      writeProperty(w, PROPERTY.reason, () => w.u8(numberFor(PACKET_IN_REASONS, reason, 'reason')));
    }
    if (metadata.length > 0) writeProperty(w, PROPERTY.metadata, () => writeMatchFields(w, version, metadata));
    if (userdata !== undefined) writeProperty(w, PROPERTY.userdata, () => w.bytes(userdata));
    if (continuation !== undefined) writeProperty(w, PROPERTY.continuation, () => w.bytes(continuation));
  });
}

/** Packet, its length and headers, and bytes of the action's; a continuation is opaque, and not printed. */
const PACKET_IN2_TEXT: MessageText<PacketIn2> = {
  format: (m, c) => {
    const { packet, fullLen, bufferId, tableId, cookie, reason, metadata, userdata } = m;
    const head = PACKET_IN_TEXT.format(
      {
        tableId: tableId ?? 0,
        cookie: cookie ?? 0n,
        totalLen: fullLen ?? packet.length,
        match: metadata,
        reason: reason ?? 'no_match',
        bufferId: bufferId ?? NO_BUFFER,
        data: packet,
      },
      c,
    );
    const data = userdata === undefined || userdata.length === 0 ? '' : ` userdata=${formatBytes(userdata)}\n`;
    return head + data + formatPacket(packet);
  },
  parse: (r, c) => {
    const { tableId, cookie, totalLen, match, reason, bufferId, data } = PACKET_IN_TEXT.parse(r, c);
    const userdata = r.accept(' userdata=') ? parseBytes(r.take(/\S+/y) ?? '') : undefined;
    const packet = parsePacket(r, data.length);
    return {
      ...{ packet, tableId, cookie, reason, metadata: match, userdata },
      ...(totalLen === data.length ? {} : { fullLen: totalLen }),
      ...(bufferId === NO_BUFFER ? {} : { bufferId }),
    };
  },
};

function packetIn2(type: PacketIn2['type'], code: MessageCode): MessageSpec<PacketIn2> {
  return {
    type,
    codes: [code],
    read: (r) => {
      const into: Mutable<MessageBody<PacketIn2>> = { packet: new Uint8Array(), metadata: [] };
      const properties = readProperties(r, (property, length) => {
        switch (property) {
          case PROPERTY.packet:
            into.packet = r.rest();
            return true;
          case PROPERTY.fullLen:
            into.fullLen = r.u32();
            return true;
          case PROPERTY.bufferId:
            into.bufferId = r.u32();
            return true;
          case PROPERTY.tableId:
            into.tableId = r.u8();
            return true;
          case PROPERTY.cookie:
            if (length !== 16) return false;
            r.skip(4);
            into.cookie = r.u64();
            return true;
          case PROPERTY.reason:
            into.reason = wordFor(PACKET_IN_REASONS, r.u8()) as PacketInReason;
            return true;
          case PROPERTY.metadata:
            into.metadata = readMatchFields(r);
            return true;
          case PROPERTY.userdata:
            into.userdata = r.rest();
            return true;
          case PROPERTY.continuation:
            into.continuation = r.rest();
            return true;
          default:
            return false;
        }
      });
      if (properties.length > 0) into.properties = properties;
      return into;
    },
    write: (w, m, c) => writePacketIn2(w, m, c.version),
    text: PACKET_IN2_TEXT,
  };
}

const map = layout<TlvMap>();
const mapBody: Body<TlvMap> = map.struct([
  map.u16('optionClass'),
  map.u8('optionType'),
  map.u8('length'),
  map.u16('index'),
  map.pad(2),
]);

/** Padded to a column. */
function column(scalar: Scalar<number>, width: number): Scalar<number> {
  return {
    ...scalar,
    pattern: new RegExp(` *(?:${scalar.pattern.source})`, 'y'),
    format: (value, c) => scalar.format(value, c).padStart(width),
    parse: (text, c) => scalar.parse(text.trim(), c),
  };
}

const mapText = texts<TlvMap>();
const MAP: Text<TlvMap> = mapText.text`${mapText.is('optionClass', column(hexadecimal, 6))}  ${mapText.is('optionType', column(hexadecimal, 4))}  ${mapText.is('length', column(decimal, 6))}  tun_metadata${mapText.is('index', decimal)}`;

/** The maps of a table. */
const MAPS: Text<readonly TlvMap[]> = {
  format: (maps, c) => TABLE.format({ maps }, c),
  parse: (r, c) => TABLE.parse(r, c).maps,
};

const tables = texts<{ readonly maps: readonly TlvMap[] }>();
const TABLE: Text<{ readonly maps: readonly TlvMap[] }> =
  tables.text` mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------${tables.each('maps', '\n ', MAP)}`;

const TLV_COMMANDS: Words = { add: 0, delete: 1, clear: 2 };
const mod = layout<MessageBody<TlvTableMod>>();
const modText = texts<MessageBody<TlvTableMod>>();
const COMMAND: Scalar<TlvTableMod['command']> = word<TlvTableMod['command']>([
  ['add', 'ADD'],
  ['delete', 'DEL'],
  ['clear', 'CLEAR'],
]);

/** What is added or deleted; nothing when all are. */
const CHANGED: TextItem<MessageBody<TlvTableMod>> = part(
  (m, c) => (m.command === 'clear' ? '' : TABLE.format(m, c)),
  (r, into, c) => Object.assign(into, into['command'] === 'clear' ? { maps: [] } : TABLE.parse(r, c)),
);
const replyText = texts<MessageBody<TlvTableReply>>();

/** The sum of the lengths, which follows from the table. */
const USED: TextItem<MessageBody<TlvTableReply>> = part(
  ({ maps }) => String(maps.reduce((sum, { length }) => sum + length, 0)),
  (r, _into, c) => readScalar(r, decimal, c),
);
const reply = layout<MessageBody<TlvTableReply>>();

export const NICIRA_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(
    fixed<SetPacketInFormat>(
      'set_packet_in_format',
      nxt('NXT_SET_PACKET_IN_FORMAT', 16, { from: OF10 }),
      format.struct([format.word(4, 'format', FORMATS)]),
      formatText.text` format=${formatText.is('format', FORMAT)}`,
    ),
  ),
  erase(
    fixed<SetControllerId>(
      'set_controller_id',
      nxt('NXT_SET_CONTROLLER_ID', 20, { from: OF10 }),
      controller.struct([controller.pad(6), controller.u16('controllerId')]),
      controllerText.text` id=${controllerText.is('controllerId', decimal)}`,
    ),
  ),
  erase(
    fixed<CtFlushZone>(
      'ct_flush_zone',
      nxt('NXT_CT_FLUSH_ZONE', 29, { from: OF10 }),
      zone.struct([zone.pad(6), zone.u16('zone')]),
      zoneText.text` zone_id=${zoneText.is('zone', decimal)}`,
    ),
  ),
  erase(packetIn2('packet_in2', nxt('NXT_PACKET_IN2', 30, { from: OF10 }))),
  erase(packetIn2('resume', nxt('NXT_RESUME', 28, { from: OF10 }))),
  erase(
    fixed<TlvTableMod>(
      'tlv_table_mod',
      nxt('NXT_TLV_TABLE_MOD', 24, { from: OF10 }),
      mod.struct([mod.word(2, 'command', TLV_COMMANDS), mod.pad(6), mod.list('maps', mapBody)]),
      modText.text`\n ${modText.is('command', COMMAND)}${CHANGED}`,
    ),
  ),
  erase(
    fixed<TlvTableReply>(
      'tlv_table_reply',
      nxt('NXT_TLV_TABLE_REPLY', 26, { from: OF10 }),
      reply.struct([reply.u32('maxOptionSpace'), reply.u16('maxFields'), reply.pad(10), reply.list('maps', mapBody)]),
      replyText.text`\n max option space=${replyText.is('maxOptionSpace', decimal)} max fields=${replyText.is('maxFields', decimal)}\n allocated option space=${USED}\n\n${replyText.nested('maps', MAPS)}`,
    ),
  ),
];
