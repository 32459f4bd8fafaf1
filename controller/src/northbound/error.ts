/**
 * Why the northbound writer refuses.
 * - `invalid_output`: a unit emitted something that cannot be written; a defect in compile or a column this OVN lacks.
 * - `conflict`: two units emit one row.
 * - `needs_newer_ovn`: the connected schema lacks a table or column that a unit needs.
 * - `refused`: ovsdb-server refused the unit's rows.
 * - `waiting`: a row that the unit refers to is not in the database yet.
 * - `safety_stop`: the unit's deletions wait for `ovenbird confirm-deletion`.
 * - `fenced`: another controller raised the epoch; this process must not write any more.
 * - `other_cluster`, `other_controller`: the database belongs to another cluster, or to Kube-OVN.
 * - `closed`: the writer was stopped.
 */
export type NorthboundErrorCode =
  | 'invalid_output'
  | 'conflict'
  | 'needs_newer_ovn'
  | 'refused'
  | 'waiting'
  | 'safety_stop'
  | 'fenced'
  | 'other_cluster'
  | 'other_controller'
  | 'closed';

/** The one error class of the northbound writer. */
export class NorthboundError extends Error {
  override readonly name: string = 'NorthboundError';
  readonly code: NorthboundErrorCode;
  /** Whether the same rows may be accepted later without anybody changing the unit. */
  readonly retryable: boolean;
  constructor(code: NorthboundErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = code === 'conflict' || code === 'refused' || code === 'waiting' || code === 'safety_stop';
  }
}
