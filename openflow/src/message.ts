/** Every message, as a discriminated union. */
import type { MessageBase } from './message-spec.ts';
import type { AsyncConfig, GetAsyncRequest, RequestForward } from './messages/async.ts';
import type { BundleAdd, BundleControl } from './messages/bundle.ts';
import type { CtFlush } from './messages/ct-flush.ts';
import type { FlowMod, FlowRemoved } from './messages/flow.ts';
import type {
  FlowMonitorCancel,
  FlowMonitorPause,
  FlowMonitorReply,
  FlowMonitorRequest,
} from './messages/flow-monitor.ts';
import type { AggregateReply, FlowCountersReply, FlowStatsReply, FlowStatsRequest } from './messages/flow-stats.ts';
import type { GroupDescReply, GroupMod, GroupRequest, GroupStatsReply } from './messages/group.ts';
import type { GroupFeaturesReply, GroupFeaturesRequest } from './messages/group-features.ts';
import type { IpfixReply, IpfixRequest } from './messages/ipfix.ts';
import type {
  MeterConfigReply,
  MeterFeaturesReply,
  MeterFeaturesRequest,
  MeterMod,
  MeterRequest,
  MeterStatsReply,
} from './messages/meter.ts';
import type {
  CtFlushZone,
  PacketIn2,
  SetControllerId,
  SetPacketInFormat,
  TlvTableMod,
  TlvTableReply,
} from './messages/nicira.ts';
import type { PacketIn, PacketOut } from './messages/packet.ts';
import type { PortDescReply, PortMod, PortRequest, PortStatsReply, PortStatus } from './messages/port.ts';
import type {
  QueueConfigReply,
  QueueDescReply,
  QueueDescRequest,
  QueueStatsReply,
  QueueStatsRequest,
} from './messages/queue.ts';
import type {
  Config,
  DescReply,
  DescRequest,
  Echo,
  Empty,
  ErrorMessage,
  FeaturesReply,
  Hello,
  RoleMessage,
  RoleStatus,
} from './messages/session.ts';
import type { TableFeaturesMessage, TableRequest, TableStatsReply } from './messages/table.ts';

import type { TableDescReply, TableMod, TableStatus } from './messages/table-config.ts';

/** A message that this package does not know, kept as it is. */
export interface UnknownMessage extends MessageBase {
  readonly type: 'unknown_message';
  /** The type byte of its header. */
  readonly messageType: number;
  /** What follows the header. */
  readonly data: Uint8Array;
}

/** A multipart message that this package does not know, kept as it is. */
export interface UnknownMultipart extends MessageBase {
  readonly type: 'unknown_multipart_request' | 'unknown_multipart_reply';
  readonly multipartType: number;
  readonly more?: boolean | undefined;
  readonly data: Uint8Array;
}

/** Any message. */
export type Message =
  | AggregateReply
  | AsyncConfig
  | BundleAdd
  | BundleControl
  | Config
  | CtFlush
  | CtFlushZone
  | DescReply
  | DescRequest
  | Echo
  | Empty
  | ErrorMessage
  | FeaturesReply
  | FlowMod
  | FlowMonitorCancel
  | FlowMonitorPause
  | FlowMonitorReply
  | FlowMonitorRequest
  | FlowRemoved
  | FlowCountersReply
  | FlowStatsReply
  | FlowStatsRequest
  | GetAsyncRequest
  | GroupDescReply
  | GroupFeaturesReply
  | GroupFeaturesRequest
  | GroupMod
  | GroupRequest
  | GroupStatsReply
  | Hello
  | IpfixReply
  | IpfixRequest
  | MeterConfigReply
  | MeterFeaturesReply
  | MeterFeaturesRequest
  | MeterMod
  | MeterRequest
  | MeterStatsReply
  | PacketIn
  | PacketIn2
  | PacketOut
  | PortDescReply
  | PortMod
  | PortRequest
  | PortStatsReply
  | PortStatus
  | QueueConfigReply
  | QueueDescReply
  | QueueDescRequest
  | QueueStatsReply
  | QueueStatsRequest
  | RequestForward
  | RoleMessage
  | RoleStatus
  | SetControllerId
  | SetPacketInFormat
  | TableDescReply
  | TableFeaturesMessage
  | TableMod
  | TableRequest
  | TableStatsReply
  | TableStatus
  | TlvTableMod
  | TlvTableReply
  | UnknownMessage
  | UnknownMultipart;

/** The members of a union that can have a type, with just that type: some interfaces stand for several messages. */
export type Narrow<M, T> = M extends { readonly type: infer U }
  ? T extends U
    ? M & { readonly type: T }
    : never
  : never;

/** The message of a type. */
export type MessageOf<T extends Message['type']> = Narrow<Message, T>;

type WithoutXid<M> = M extends Message ? Omit<M, 'xid'> & { readonly xid?: number } : never;

/** A message to send: the connection gives it a transaction id. */
export type Outgoing = WithoutXid<Message>;

/** Messages that are made when they are sent: making one overlaps sending those before it. */
export interface MessageList {
  readonly length: number;
  /** @throws OpenFlowError when it cannot be made */
  readonly get: (index: number) => Outgoing;
}
