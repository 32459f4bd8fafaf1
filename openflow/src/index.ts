/**
 * `@ovenbird/openflow`: OpenFlow 1.3, 1.4 and 1.5 with the extensions of Open vSwitch: codec, ovs-ofctl's text syntax,
 * connection, and a keeper of flow tables. Start at `connect`.
 */
export type * from './action.ts';
export { formatAction, formatActions, parseActions } from './action-text.ts';
export {
  type BitDeclaration,
  type BitField,
  type BitFields,
  defineBits,
  type Mark,
  matchMarks,
} from './bit-field.ts';
export type { BundleOptions } from './bundle.ts';
export { type Clock, systemClock } from './clock.ts';
export { parseCtFlush, parsePacketOut, parseTlvMaps } from './command-text.ts';
export { connect } from './connection.ts';
export type * from './connection-api.ts';
export { type Cookie, cookieFilter, decodeCookie, encodeCookie, nextRound } from './cookie.ts';
export { OpenFlowError, type OpenFlowErrorCode, type OpenFlowErrorDetails } from './error.ts';
export type { SwitchError } from './error-names.ts';
export type { Field, FieldFormat, FieldValue, Prerequisite } from './field.ts';
export type { FieldName } from './field-name.ts';
export { FIELDS, fieldNamed, findField } from './fields.ts';
export {
  diffFlows,
  type Flow,
  type FlowDiffOptions,
  flowChange,
  flowKey,
  flowsByKey,
  sameActions,
} from './flow-diff.ts';
export { type FlowChange, flowLines, formatFlow, parseFlow, parseFlowFilter, parseFlows } from './flow-text.ts';
export type { FlowWatch, FlowWatchOptions } from './flow-watch.ts';
export { Framer } from './framer.ts';
export { type GroupChange, parseGroup, parseGroups } from './group-text.ts';
export { FlowKeeper, type KeeperEvent, type KeeperOptions, type KeeperState } from './keeper.ts';
export type { KeptFlow } from './kept-flows.ts';
export { type Match, type MatchField, type MatchInput, match, matchKey, matchOn } from './match.ts';
export { DEFAULT_PRIORITY, formatMatch } from './match-format.ts';
export { matchIncludes } from './match-includes.ts';
export { parseMatch } from './match-parse.ts';
export type * from './message.ts';
export { type DecodedMessage, decodeMessage, encodeMessage, writeMessage } from './message-codec.ts';
export { formatMessage, parseMessage } from './message-text.ts';
export type { AsyncConfig, AsyncMasks, GetAsyncRequest, RequestForward } from './messages/async.ts';
export { BUNDLE_FLAGS, type BundleAdd, type BundleControl, type BundleControlType } from './messages/bundle.ts';
export { type CtFlush, type CtTuple, mapIpv4 } from './messages/ct-flush.ts';
export {
  ALL_TABLES,
  FLOW_FLAGS,
  type FlowCommand,
  type FlowMod,
  type FlowRemoved,
  type FlowRemovedReason,
} from './messages/flow.ts';
export {
  type FlowMonitorCancel,
  type FlowMonitorPause,
  type FlowMonitorReply,
  type FlowMonitorRequest,
  type FlowUpdate,
  MONITOR_FLAGS,
} from './messages/flow-monitor.ts';
export {
  type AggregateReply,
  type FlowCountersReply,
  type FlowFilter,
  type FlowStats,
  type FlowStatsReply,
  type FlowStatsRequest,
  formatFlowStats,
} from './messages/flow-stats.ts';
export type {
  Group as GroupEntry,
  GroupCommand,
  GroupDescReply,
  GroupMod,
  GroupRequest,
  GroupStats,
  GroupStatsReply,
} from './messages/group.ts';
export type { GroupFeaturesReply, GroupFeaturesRequest } from './messages/group-features.ts';
export { BUCKETS, type Bucket, GROUPS, type GroupType, type Selection } from './messages/group-structure.ts';
export type { IpfixReply, IpfixRequest, IpfixStats } from './messages/ipfix.ts';
export {
  METER_FLAGS,
  METERS,
  type Meter as MeterEntry,
  type MeterBand,
  type MeterConfigReply,
  type MeterFeaturesReply,
  type MeterFeaturesRequest,
  type MeterMod,
  type MeterRequest,
  type MeterStats,
  type MeterStatsReply,
} from './messages/meter.ts';
export type {
  CtFlushZone,
  PacketIn2,
  SetControllerId,
  SetPacketInFormat,
  TlvMap,
  TlvTableMod,
  TlvTableReply,
} from './messages/nicira.ts';
export type { PacketIn, PacketOut } from './messages/packet.ts';
export {
  customCounters,
  type PortDescReply,
  type PortMod,
  type PortRequest,
  type PortStats,
  type PortStatsReply,
  type PortStatus,
} from './messages/port.ts';
export type { Port } from './messages/port-structure.ts';
export type {
  QueueConfigReply,
  QueueDesc,
  QueueDescReply,
  QueueDescRequest,
  QueueStats,
  QueueStatsReply,
  QueueStatsRequest,
} from './messages/queue.ts';
export type {
  Config,
  DescReply,
  DescRequest,
  Echo,
  Empty,
  ErrorMessage,
  FeaturesReply,
  Hello,
  Role,
  RoleMessage,
  RoleStatus,
} from './messages/session.ts';
export type {
  TableFeatures,
  TableFeaturesMessage,
  TableRequest,
  TableStats,
  TableStatsReply,
} from './messages/table.ts';
export type { TableDesc, TableDescReply, TableMod, TableStatus } from './messages/table-config.ts';
export { type MeterChange, parseMeter } from './meter-text.ts';
export type { PacketInQueue, PacketInQueueOptions } from './packet-in-queue.ts';
export { PORTS } from './port.ts';
export type { RawProperty } from './property.ts';
export { rangeMasks, type ValueMask } from './ranges.ts';
export type { ReplyOf, RequestOf, RequestType } from './reply.ts';
export { type PartsOptions, type RequestOptions, Session, type SessionOptions, type Writing } from './session.ts';
export { type Subfield, subfield } from './subfield.ts';
export type { TlsFiles } from './transport.ts';
export { OF10, OF13, OF14, OF15, type Version } from './version.ts';
export { Writer } from './writer.ts';
