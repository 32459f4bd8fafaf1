/** Nicira's extension messages: packet-ins that can be resumed, controller ids, tunnel options. */
import type { PacketInReason } from '../action.ts';
import { PACKET_IN_REASONS } from '../actions/output.ts';
import { type Body, layout, numberFor, type Words, wordFor } from '../layout.ts';
import type { Match } from '../match.ts';
import { readMatchFields, writeMatchFields } from '../match-codec.ts';
import { erase, type MessageBase, type MessageBody, type MessageCode, type MessageSpec, nxt } from '../message-spec.ts';
import { formatBytes } from '../number-text.ts';
import { formatPacket } from '../packet-text.ts';
import { type RawProperty, readProperties, writeProperty, writeRawProperties } from '../property.ts';
import { OF10, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';
import { formatPacketIn, NO_BUFFER } from './packet.ts';

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

/** Asks how an IPFIX exporter does. */
export interface IpfixRequest extends MessageBase {
  readonly type: 'ipfix_bridge_request' | 'ipfix_flow_request';
}

function fixed<M extends MessageBase>(
  type: M['type'],
  code: MessageCode,
  body: Body<MessageBody<M>>,
  format: (message: M) => string,
): MessageSpec<M> {
  return {
    type,
    codes: [code],
    read: (r, c) => body.read(r, c.version),
    write: (w, message, c) => body.write(w, message, c.version),
    format,
  };
}

const FORMATS: Words = { standard: 0, nxt_packet_in: 1, nxt_packet_in2: 2 };
const format = layout<MessageBody<SetPacketInFormat>>();
const controller = layout<MessageBody<SetControllerId>>();
const zone = layout<MessageBody<CtFlushZone>>();

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
  writeRawProperties(w, m.properties);
}

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
    format: (m) => {
      const { packet, fullLen, bufferId, tableId, cookie, reason, metadata, userdata } = m;
      const head = formatPacketIn({
        tableId: tableId ?? 0,
        cookie: cookie ?? 0n,
        totalLen: fullLen ?? packet.length,
        match: metadata,
        reason: reason ?? 'no_match',
        bufferId: bufferId ?? NO_BUFFER,
        data: packet,
      });
      const data = userdata === undefined || userdata.length === 0 ? '' : ` userdata=${formatBytes(userdata)}\n`;
      return head + data + formatPacket(packet);
    },
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

/** `%#6x`: zero has no 0x in front. */
function hexColumn(value: number, width: number): string {
  return (value === 0 ? '0' : `0x${value.toString(16)}`).padStart(width);
}

function formatMaps(maps: readonly TlvMap[]): string {
  const rows = maps.map(
    ({ optionClass, optionType, length, index }) =>
      `\n ${hexColumn(optionClass, 6)}  ${hexColumn(optionType, 4)}  ${String(length).padStart(6)}  tun_metadata${index}`,
  );
  return ` mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------${rows.join('')}`;
}

const TLV_COMMANDS: Words = { add: 0, delete: 1, clear: 2 };
const mod = layout<MessageBody<TlvTableMod>>();
const reply = layout<MessageBody<TlvTableReply>>();

function ipfix(type: IpfixRequest['type'], name: string, subtype: number): MessageSpec<IpfixRequest> {
  return {
    type,
    codes: [
      { name: `${name} request`, kind: 'request', number: 0xffff, experimenter: 0x2320, subtype, from: 4, to: 6 },
    ],
    read: () => ({}),
    write: () => undefined,
    format: () => '',
  };
}

export const NICIRA_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(
    fixed<SetPacketInFormat>(
      'set_packet_in_format',
      nxt('NXT_SET_PACKET_IN_FORMAT', 16, { from: OF10 }),
      format.struct([format.word(4, 'format', FORMATS)]),
      (m) => ` format=${m.format}`,
    ),
  ),
  erase(
    fixed<SetControllerId>(
      'set_controller_id',
      nxt('NXT_SET_CONTROLLER_ID', 20, { from: OF10 }),
      controller.struct([controller.pad(6), controller.u16('controllerId')]),
      (m) => ` id=${m.controllerId}`,
    ),
  ),
  erase(
    fixed<CtFlushZone>(
      'ct_flush_zone',
      nxt('NXT_CT_FLUSH_ZONE', 29, { from: OF10 }),
      zone.struct([zone.pad(6), zone.u16('zone')]),
      (m) => ` zone_id=${m.zone}`,
    ),
  ),
  erase(packetIn2('packet_in2', nxt('NXT_PACKET_IN2', 30, { from: OF10 }))),
  erase(packetIn2('resume', nxt('NXT_RESUME', 28, { from: OF10 }))),
  erase(
    fixed<TlvTableMod>(
      'tlv_table_mod',
      nxt('NXT_TLV_TABLE_MOD', 24, { from: OF10 }),
      mod.struct([mod.word(2, 'command', TLV_COMMANDS), mod.pad(6), mod.list('maps', mapBody)]),
      ({ command, maps }) => {
        if (command === 'clear') return '\n CLEAR';
        return `\n ${{ add: 'ADD', delete: 'DEL' }[command as 'add'] ?? command}${formatMaps(maps)}`;
      },
    ),
  ),
  erase(
    fixed<TlvTableReply>(
      'tlv_table_reply',
      nxt('NXT_TLV_TABLE_REPLY', 26, { from: OF10 }),
      reply.struct([reply.u32('maxOptionSpace'), reply.u16('maxFields'), reply.pad(10), reply.list('maps', mapBody)]),
      ({ maxOptionSpace, maxFields, maps }) => {
        const used = maps.reduce((sum, { length }) => sum + length, 0);
        return `\n max option space=${maxOptionSpace} max fields=${maxFields}\n allocated option space=${used}\n\n${formatMaps(maps)}`;
      },
    ),
  ),
  erase(ipfix('ipfix_bridge_request', 'NXST_IPFIX_BRIDGE', 3)),
  erase(ipfix('ipfix_flow_request', 'NXST_IPFIX_FLOW', 4)),
];
