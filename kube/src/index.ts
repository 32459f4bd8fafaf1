/**
 * Talking to Kubernetes: a small HTTP client, list+watch into an indexed store, work queue, leader election, status
 * and events. Works against any API server, by kubeconfig or from inside a pod.
 */
export type { AccessOptions, AccessSource, ClusterAccess, TlsMaterial } from './access.ts';
export { loadAccess } from './access.ts';
export { Backoff, type BackoffOptions, backoffDelayMs } from './backoff.ts';
export { KubeClient, type KubeClientOptions, type KubeRequest, type Query } from './client.ts';
export { type Clock, sleep, systemClock } from './clock.ts';
export { type ConditionInput, isConditionTrue, mergeConditions } from './conditions.ts';
export { isKubeError, KubeError, type KubeErrorCode, type KubeErrorDetails, type RequestSubject } from './error.ts';
export { type EventInput, EventRecorder, type EventRecorderOptions } from './event-recorder.ts';
export type { AnswerReader } from './exchange.ts';
export { type ElectionEnd, LeaseElector, type LeaseElectorOptions } from './lease.ts';
export { dropBulk, metadataOnly } from './projection.ts';
export {
  Reflector,
  type ReflectorNotice,
  type ReflectorOptions,
  type ReflectorStatus,
  type StreamRequester,
} from './reflector.ts';
export {
  type CallOptions,
  type DeleteOptions,
  type ListOptions,
  type PatchOptions,
  type PatchType,
  type Requester,
  Resource,
  type WriteOptions,
} from './resource.ts';
export * from './resource-kind.ts';
export { type StatusUpdate, StatusWriter, type StatusWriterOptions } from './status-writer.ts';
export { type Change, type ObjectEvent, objectKey, type ReflectorSink, Store, type StoreOptions } from './store.ts';
export { toMicroTime, toTime } from './timestamp.ts';
export { TokenBucket } from './token-bucket.ts';
export type * from './types/cluster-policy.ts';
export type * from './types/core.ts';
export { controllerOf, runtimeUid } from './types/core.ts';
export type * from './types/groups.ts';
export type * from './types/meta.ts';
export {
  type AddOptions,
  type WorkItem,
  WorkQueue,
  type WorkQueueOptions,
  type WorkReport,
  type WorkResult,
} from './work-queue.ts';
