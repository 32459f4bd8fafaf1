/**
 * `@ovenbird/ovsdb`: an OVSDB client (RFC 7047 and the extensions of ovsdb-server(7)) with typed tables, a replica in
 * memory and typed transactions. Start at `connect`.
 */
export { type AppctlOptions, appctl } from './appctl.ts';
export { connect } from './client.ts';
export type { Client, ClientEvent, ClientState, ConnectOptions } from './client-api.ts';
export type { Clock } from './clock.ts';
export { commitOnce } from './commit-once.ts';
export { OvsdbError, type OvsdbErrorCode, type OvsdbErrorContext } from './error.ts';
export type { FramerLimits } from './framer.ts';
export { type OvnNorthbound, ovnNorthbound } from './gen/ovn-nb.ts';
export { type OvnSouthbound, ovnSouthbound } from './gen/ovn-sb.ts';
export { type OpenVswitch, openVswitch } from './gen/vswitch.ts';
export type { Json, JsonObject } from './json.ts';
export type { Lock } from './lock.ts';
export * as protocol from './protocol.ts';
export type { ChangeListener, Replica, TableListener, TableReplica } from './replica.ts';
export type { OperationResult, SelectedRow } from './result.ts';
export type { ServerStatus } from './server-database.ts';
export type { CallOptions, Session } from './session.ts';
export { type ColumnKind, type ColumnSpec, type DatabaseSpec, defineDatabase, type TableSpec } from './spec.ts';
export {
  type CountOptions,
  type InsertOptions,
  type Operation,
  Transaction,
  type WaitOperation,
} from './transaction.ts';
export type { TlsFiles } from './transport.ts';
export type {
  AnyDatabase,
  Atom,
  ColumnName,
  Condition,
  ConditionFunction,
  IndexPart,
  IndexSpec,
  IndexValue,
  MonitorSpec,
  MutableColumn,
  MutationValue,
  Mutator,
  PartialRow,
  Row,
  RowChange,
  TableMonitor,
  TableName,
  Value,
  Where,
  Writable,
} from './types.ts';
export { isUuid, type Ref, toRef, toUuid, type Uuid, ZERO_UUID } from './uuid.ts';
export { defaultValue, valuesEqual } from './value.ts';
