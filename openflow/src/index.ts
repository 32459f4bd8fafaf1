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
export { type FlowChange, formatFlow, parseFlow, parseFlowFilter, parseFlows } from './flow-text.ts';
export type { FlowWatch, FlowWatchOptions } from './flow-watch.ts';
export { Framer } from './framer.ts';
export { type GroupChange, parseGroup, parseGroups } from './group-text.ts';
export { FlowKeeper, type KeeperEvent, type KeeperOptions, type KeeperState } from './keeper.ts';
export type { KeptFlow } from './kept-flows.ts';
export { type Match, type MatchField, type MatchInput, match, matchKey, matchOn } from './match.ts';
export { formatMatch } from './match-format.ts';
export { matchIncludes } from './match-includes.ts';
export { parseMatch } from './match-parse.ts';
export type * from './message.ts';
export { type DecodedMessage, decodeMessage, encodeMessage, formatMessage, writeMessage } from './message-codec.ts';
export type { FlowUpdate } from './messages/flow-monitor.ts';
export { type MeterChange, parseMeter } from './meter-text.ts';
export type { PacketInQueue, PacketInQueueOptions } from './packet-in-queue.ts';
export { PORTS } from './port.ts';
export { rangeMasks, type ValueMask } from './ranges.ts';
export type { ReplyOf, RequestOf, RequestType } from './reply.ts';
export { type PartsOptions, type RequestOptions, Session, type SessionOptions, type Writing } from './session.ts';
export { type Subfield, subfield } from './subfield.ts';
export type { TlsFiles } from './transport.ts';
export { OF10, OF13, OF14, OF15, type Version } from './version.ts';
export { Writer } from './writer.ts';
