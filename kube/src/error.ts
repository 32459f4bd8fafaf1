import type { Status } from './types/meta.ts';

/**
 * What went wrong, as a closed set.
 *
 * | code | when |
 * | --- | --- |
 * | bad-request | 400: the server could not read the request |
 * | unauthorized | 401: credentials missing or expired (the client has already read them again once) |
 * | forbidden | 403: RBAC, an admission plugin, or a terminating namespace |
 * | not-found | 404: no such object, or no such kind (CRD not installed) |
 * | unsupported | 405, 406, 415: the resource has no such verb or content type |
 * | already-exists | 409 `AlreadyExists`: create of a name that is taken |
 * | conflict | 409: resourceVersion or UID precondition failed (a UID mismatch also as 422); read again, then decide again |
 * | gone | 410: resourceVersion or continue token too old; list again |
 * | too-large | 413: the request body is over the server's limit |
 * | invalid | 422: the object breaks its schema; the message lists the fields |
 * | too-many-requests | 429: priority and fairness, or an eviction that must wait |
 * | internal | 500 and unknown 5xx |
 * | unavailable | 502, 503: no server behind the address just now |
 * | timeout | 408, 504, or no answer within the client's limit (the request may have been carried out) |
 * | network | no connection, reset, TLS failure |
 * | protocol | the answer is not what the API promises (not JSON, no metadata ...) |
 * | aborted | the caller's AbortSignal fired |
 * | config | kubeconfig, token or certificate files are missing or wrong, or the call itself is |
 */
export type KubeErrorCode =
  | 'bad-request'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'unsupported'
  | 'already-exists'
  | 'conflict'
  | 'gone'
  | 'too-large'
  | 'invalid'
  | 'too-many-requests'
  | 'internal'
  | 'unavailable'
  | 'timeout'
  | 'network'
  | 'protocol'
  | 'aborted'
  | 'config';

const retryableCodes: ReadonlySet<KubeErrorCode> = new Set([
  'too-many-requests',
  'internal',
  'unavailable',
  'timeout',
  'network',
  'protocol',
]);

/** What was attempted, for messages: `patch pods default/a`. */
export interface RequestSubject {
  readonly verb: string;
  /** Plural, with the subresource if any: `pods/status`. */
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** `patch pods default/a`. */
export function describeSubject(subject: RequestSubject): string {
  const target = [subject.namespace, subject.name].filter((part) => part !== undefined && part !== '').join('/');
  return target === '' ? `${subject.verb} ${subject.resource}` : `${subject.verb} ${subject.resource} ${target}`;
}

/** Optional facts about an error. */
export interface KubeErrorDetails {
  readonly subject?: RequestSubject | undefined;
  /** HTTP status, if the server answered. */
  readonly status?: number | undefined;
  /** `Status.reason` of the server, such as `AlreadyExists`. */
  readonly reason?: string | undefined;
  /** The server's wish (Retry-After), milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** The whole `Status` the server sent. */
  readonly body?: Status | undefined;
  readonly cause?: unknown;
}

/** The one error class of this package. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly code: KubeErrorCode;
  /** The same request, unchanged, may succeed later. `conflict` is not: read first. */
  readonly retryable: boolean;
  readonly subject: RequestSubject | undefined;
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly body: Status | undefined;

  constructor(code: KubeErrorCode, message: string, details: KubeErrorDetails = {}) {
    const what = details.subject === undefined ? '' : `${describeSubject(details.subject)}: `;
    super(`${what}${message} (${code})`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = retryableCodes.has(code);
    this.subject = details.subject;
    this.status = details.status;
    this.reason = details.reason;
    this.retryAfterMs = details.retryAfterMs;
    this.body = details.body;
  }

  /** Wraps whatever was thrown; a KubeError passes unchanged. */
  static from(thrown: unknown, subject?: RequestSubject): KubeError {
    if (thrown instanceof KubeError) return thrown;
    const { code, message } = classify(thrown);
    return new KubeError(code, message, { subject, cause: thrown });
  }
}

/** Whether `thrown` is a KubeError, of one of `codes` if any are given. */
export function isKubeError(thrown: unknown, ...codes: readonly KubeErrorCode[]): thrown is KubeError {
  return thrown instanceof KubeError && (codes.length === 0 || codes.includes(thrown.code));
}

const tlsErrors: ReadonlyMap<string, string> = new Map([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'set certificate-authority in the kubeconfig to the CA that signed it'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'set certificate-authority in the kubeconfig to the CA that signed it'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'set certificate-authority in the kubeconfig to the CA that signed it'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'set certificate-authority in the kubeconfig to the CA that signed it'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'use a server name that the certificate holds, or set tls-server-name'],
  ['CERT_HAS_EXPIRED', 'renew the certificate of the API server'],
]);

function classify(thrown: unknown): { code: KubeErrorCode; message: string } {
  if (!(thrown instanceof Error)) return { code: 'internal', message: String(thrown) };
  if (thrown.name === 'AbortError') return { code: 'aborted', message: 'aborted by the caller' };
  const systemCode = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
  if (systemCode === 'UND_ERR_CONNECT_TIMEOUT') {
    return { code: 'network', message: 'no connection to the API server in time; check the address and the route' };
  }
  if (systemCode === 'UND_ERR_HEADERS_TIMEOUT' || systemCode === 'UND_ERR_BODY_TIMEOUT') {
    return { code: 'timeout', message: 'the API server did not answer in time' };
  }
  const hint = tlsErrors.get(systemCode);
  if (hint !== undefined) {
    return { code: 'network', message: `the API server's certificate is not trusted: ${thrown.message}; ${hint}` };
  }
  if (thrown instanceof AggregateError && thrown.message === '') {
    const parts = thrown.errors.map((part) => (part instanceof Error ? part.message : String(part)));
    return { code: 'network', message: parts.join('; ') };
  }
  if (systemCode !== '') return { code: 'network', message: thrown.message };
  return { code: 'internal', message: thrown.message };
}

/**
 * A patch with `metadata.uid` as precondition: some servers answer a mismatch with 409, others find that the immutable
 * field uid was changed (422).
 */
function isUidMismatch(status: number, body: Status | undefined): boolean {
  return status === 422 && body?.details?.causes?.some((cause) => cause.field === 'metadata.uid') === true;
}

function codeOfStatus(status: number, reason: string | undefined): KubeErrorCode {
  switch (status) {
    case 400:
      return 'bad-request';
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      return 'not-found';
    case 405:
    case 406:
    case 415:
      return 'unsupported';
    case 408:
    case 504:
      return 'timeout';
    case 409:
      return reason === 'AlreadyExists' ? 'already-exists' : 'conflict';
    case 410:
      return 'gone';
    case 413:
      return 'too-large';
    case 422:
      return 'invalid';
    case 429:
      return 'too-many-requests';
    case 502:
    case 503:
      return 'unavailable';
    default:
      return status >= 500 ? 'internal' : 'protocol';
  }
}

/**
 * The error for an HTTP answer that is not 2xx, or for a `Status` object in a watch stream (there `status` is its
 * `code`).
 *
 * @param text the body, for servers and proxies that do not answer with a `Status`
 * @param retryAfter the Retry-After header: seconds or an HTTP date (RFC 9110 10.2.3)
 */
export function errorOfResponse(
  status: number,
  text: string,
  retryAfter: string | undefined,
  subject: RequestSubject | undefined,
): KubeError {
  const body = parseStatus(text);
  const excerpt = text.trim().slice(0, 200);
  const message = body?.message ?? (excerpt === '' ? `HTTP status ${status}` : `HTTP status ${status}: ${excerpt}`);
  return new KubeError(isUidMismatch(status, body) ? 'conflict' : codeOfStatus(status, body?.reason), message, {
    subject,
    status,
    reason: body?.reason,
    body,
    retryAfterMs: parseRetryAfter(retryAfter) ?? secondsToMs(body?.details?.retryAfterSeconds),
  });
}

/** The error for an ERROR event in a watch stream. */
export function errorOfStatus(status: Status, subject: RequestSubject | undefined): KubeError {
  return errorOfResponse(status.code ?? 500, JSON.stringify(status), undefined, subject);
}

function secondsToMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function parseRetryAfter(header: string | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function parseStatus(text: string): Status | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status'
      ? (value as Status)
      : undefined;
  } catch {
    return undefined;
  }
}
