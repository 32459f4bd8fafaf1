/** What went wrong in the lab, as a closed set. */
export type LabErrorCode =
  /** A command that the lab ran (ip, ovs-vsctl ...) failed. */
  | 'command-failed'
  /** A program that the lab needs is not installed. */
  | 'missing-program'
  /** The lab makes network namespaces, which takes root. */
  | 'not-permitted'
  /** A process or condition did not come about before its deadline. */
  | 'not-ready'
  /** Another command works on the same lab. */
  | 'locked'
  /** No lab runs in the state directory. */
  | 'not-running'
  /** The lab has no process, node or option of that name. */
  | 'unknown-name'
  /** The user ended a start before it was done. */
  | 'interrupted'
  /** An option is wrong. */
  | 'bad-option';

/**
 * The error of the lab's library. The message says what is wrong, where, and what to do.
 * `retryable` is true when the same call may succeed later without a change (a lock, a slow start).
 */
export class LabError extends Error {
  override readonly name = 'LabError';
  readonly code: LabErrorCode;
  readonly retryable: boolean;

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.retryable = code === 'locked' || code === 'not-ready';
  }
}
