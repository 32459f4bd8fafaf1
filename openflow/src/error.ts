import type { SwitchError } from './error-names.ts';

/**
 * Why an OpenFlow call failed. The set is closed.
 *
 * Values and text:
 * - `invalid_value`: a value does not fit its field, action or message. - `syntax`: text that is not ovs-ofctl syntax.
 * - `prerequisite`: a field is matched on without what it needs (`tcp_dst` without `tcp`).
 * - `unencodable`: the OpenFlow version in use has no way to say this.
 *
 * Bytes:
 * - `malformed`: bytes that are no OpenFlow message; the message says where.
 * - `too_large`: a message beyond 65,535 bytes, or a multipart reply beyond the cap.
 *
 * Connection:
 * - `connect_failed`: one attempt to reach the switch failed. - `unsupported_version`: no common OpenFlow version.
 * - `disconnected`: there is no connection, so nothing was sent. - `outcome_unknown`: the connection ended after the
 *   request was sent; it may have been carried out. - `inactive`: the switch was silent for too long.
 * - `timeout`: no answer in time. - `closed`: the connection was closed by its user.
 *
 * From the switch:
 * - `switch_error`: an OFPT_ERROR; `switchError` names it, `offending` is the message it is about.
 * - `bundle_failed`: a bundle was refused as a whole; `offending` is the message at fault and `index` its place.
 */
export type OpenFlowErrorCode =
  | 'invalid_value'
  | 'syntax'
  | 'prerequisite'
  | 'unencodable'
  | 'malformed'
  | 'too_large'
  | 'connect_failed'
  | 'unsupported_version'
  | 'disconnected'
  | 'outcome_unknown'
  | 'inactive'
  | 'timeout'
  | 'closed'
  | 'switch_error'
  | 'bundle_failed';

/** Codes after which the same call may be made again: setting flows is idempotent, so an unknown outcome is no harm. */
const RETRYABLE: ReadonlySet<OpenFlowErrorCode> = new Set<OpenFlowErrorCode>([
  'connect_failed',
  'disconnected',
  'outcome_unknown',
  'inactive',
  'timeout',
]);

/** What an error is about, beyond its text. */
export interface OpenFlowErrorDetails {
  readonly cause?: unknown;
  /** The error that the switch sent. */
  readonly switchError?: SwitchError;
  /** The message that the switch refused, as decoded from the error's data. */
  readonly offending?: unknown;
  /** Of a list or a bundle: the place of the refused message, from 0. */
  readonly index?: number;
}

/** The one error class of this package. */
export class OpenFlowError extends Error {
  override readonly name: string = 'OpenFlowError';
  readonly code: OpenFlowErrorCode;
  /** Whether the same call can succeed later. */
  readonly retryable: boolean;
  readonly switchError: SwitchError | undefined;
  readonly offending: unknown;
  readonly index: number | undefined;

  constructor(code: OpenFlowErrorCode, message: string, details: OpenFlowErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = RETRYABLE.has(code);
    this.switchError = details.switchError;
    this.offending = details.offending;
    this.index = details.index;
  }

  /** The error itself if it is one of this package, else `invalid_value` with it as cause: a mistake of the caller. */
  static from(error: unknown): OpenFlowError {
    if (error instanceof OpenFlowError) return error;
    const text = error instanceof Error ? error.message : String(error);
    return new OpenFlowError('invalid_value', text, { cause: error });
  }

  /** The same error, about the message at a place of a list. */
  about(index: number): OpenFlowError {
    const { cause, switchError, offending } = this;
    return new OpenFlowError(this.code, `message ${index}: ${this.message}`, {
      index,
      ...(cause === undefined ? {} : { cause }),
      ...(switchError === undefined ? {} : { switchError }),
      ...(offending === undefined ? {} : { offending }),
    });
  }
}
