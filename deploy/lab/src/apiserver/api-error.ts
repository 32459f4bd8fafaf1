/**
 * Errors as the Kubernetes API reports them: HTTP code, machine-readable reason, and a `Status` object as the body.
 * Wording follows k8s.io/apimachinery/pkg/api/errors, since people (and some tools) know these sentences.
 */
import type { JsonObject } from './json.ts';

/** Why one field was refused: an element of `Status.details.causes`. */
export interface Cause {
  /** FieldValueInvalid, FieldValueRequired, FieldValueDuplicate, FieldValueNotSupported, FieldValueForbidden, FieldValueTypeInvalid ... */
  reason: string;
  message: string;
  field: string;
}

/** Which resource an error is about; `group` is empty for the core group. */
export interface Subject {
  group: string;
  plural: string;
  kind?: string;
}

interface Details extends JsonObject {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: Cause[];
  retryAfterSeconds?: number;
}

/** An error that becomes the HTTP answer. `code` is the HTTP status, `reason` one of metav1.StatusReason. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Details | undefined;

  constructor(code: number, reason: string, message: string, details?: Details) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** The `v1 Status` object sent to the client. */
  status(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

function qualified(subject: Subject): string {
  return subject.group === '' ? subject.plural : `${subject.plural}.${subject.group}`;
}

function about(subject: Subject, name: string): Details {
  return { name, ...(subject.group === '' ? {} : { group: subject.group }), kind: subject.plural };
}

/** 404 for an object. */
export function notFound(subject: Subject, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(subject)} "${name}" not found`, about(subject, name));
}

/** 404 for a path no resource is served at. */
export function noSuchPath(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource');
}

/** 409 for a create of what exists. */
export function alreadyExists(subject: Subject, name: string): ApiError {
  return new ApiError(409, 'AlreadyExists', `${qualified(subject)} "${name}" already exists`, about(subject, name));
}

/** 409 for a failed precondition or an optimistic-lock conflict. */
export function conflict(subject: Subject, name: string, why: string): ApiError {
  return new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(subject)} "${name}": ${why}`,
    about(subject, name),
  );
}

/** The reason of an optimistic-lock conflict, as the real server words it. */
export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

/** 422 with one cause per refused field. */
export function invalid(subject: Subject, name: string, causes: readonly Cause[]): ApiError {
  const shown = causes.map((cause) => (cause.field === '' ? cause.message : `${cause.field}: ${cause.message}`));
  const text = shown.length === 1 ? (shown[0] ?? '') : `[${shown.join(', ')}]`;
  const kind = subject.kind ?? subject.plural;
  return new ApiError(
    422,
    'Invalid',
    `${subject.group === '' ? kind : `${kind}.${subject.group}`} "${name}" is invalid: ${text}`,
    { name, ...(subject.group === '' ? {} : { group: subject.group }), kind, causes: [...causes] },
  );
}

/** 400: the request itself makes no sense. */
export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

/** 403 with the reason after the colon. */
export function forbidden(subject: Subject, name: string, why: string): ApiError {
  const target = name === '' ? qualified(subject) : `${qualified(subject)} "${name}"`;
  return new ApiError(403, 'Forbidden', `${target} is forbidden: ${why}`, about(subject, name));
}

/** 401: no or unknown credentials. */
export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

/** 410 for a resourceVersion whose history is gone: list again. */
export function expired(message: string): ApiError {
  return new ApiError(410, 'Expired', message);
}

/** 405 for a verb the resource has not. */
export function methodNotAllowed(): ApiError {
  return new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
}

/** 415 for a body in a format that is not understood; `supported` are the ones that are. */
export function unsupportedMediaType(got: string, supported: readonly string[]): ApiError {
  return new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format (${got || 'no content-type'}) - accepted media types include: ${supported.join(', ')}`,
  );
}

/** A cause `Invalid value: <JSON>: why`. */
export function invalidValue(field: string, value: unknown, why: string): Cause {
  return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${JSON.stringify(value) ?? 'null'}: ${why}` };
}

/** A cause `Required value[: why]`. */
export function requiredValue(field: string, why = ''): Cause {
  return { reason: 'FieldValueRequired', field, message: why === '' ? 'Required value' : `Required value: ${why}` };
}

/** A cause `Unsupported value: <JSON>: supported values: ...`. */
export function notSupported(field: string, value: unknown, supported: readonly unknown[]): Cause {
  const list = supported.map((item) => JSON.stringify(item)).join(', ');
  return {
    reason: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${JSON.stringify(value) ?? 'null'}: supported values: ${list}`,
  };
}

/** A cause `Forbidden: why`. */
export function forbiddenField(field: string, why: string): Cause {
  return { reason: 'FieldValueForbidden', field, message: `Forbidden: ${why}` };
}

/** A cause `Duplicate value: <JSON>`. */
export function duplicateValue(field: string, value: unknown): Cause {
  return { reason: 'FieldValueDuplicate', field, message: `Duplicate value: ${JSON.stringify(value) ?? 'null'}` };
}
