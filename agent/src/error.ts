/**
 * Every failure of the agent by name, with the number a CNI client sees. 1-99 are the CNI specification's own
 * (SPEC.md, "Error"; 8 and 999 come from the reference plugin library), 100 and above are ours.
 */
const CNI_CODES = {
  'incompatible-version': 1,
  'unsupported-field': 2,
  'invalid-environment': 4,
  io: 5,
  decode: 6,
  'invalid-config': 7,
  'invalid-netns': 8,
  'try-again': 11,
  'not-available': 50,
  'limited-connectivity': 51,
  'pod-unnamed': 100,
  'pod-refused': 101,
  'interface-exists': 102,
  'host-command': 103,
  'address-mismatch': 104,
  'check-failed': 105,
  'second-interface': 106,
  internal: 999,
} as const;

/** The closed set of failures; see {@link AgentError.cniCode} for their CNI numbers. */
export type AgentErrorCode = keyof typeof CNI_CODES;

/** The agent's only error class: says what is wrong, where, and what to do. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  /** Which failure. */
  readonly code: AgentErrorCode;
  /** Longer explanation for people (`details` of a CNI error). */
  readonly details: string | undefined;

  constructor(code: AgentErrorCode, message: string, options: { cause?: unknown; details?: string | undefined } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }

  /** Whether the same request may succeed later without anybody changing it. */
  get retryable(): boolean {
    return this.code === 'try-again' || this.code === 'io' || this.code === 'host-command' || this.code === 'internal';
  }

  /** The number in a CNI error object. */
  get cniCode(): number {
    return CNI_CODES[this.code];
  }
}

/** What somebody threw says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Ends work that went on after failures. @throws AgentError `try-again` with all of them */
export function throwTogether(failures: readonly string[]): void {
  if (failures.length > 0) throw new AgentError('try-again', failures.join('; '));
}

/** `error` as an AgentError: itself, or wrapped as `internal` (a bug or an unforeseen failure) keeping the cause. */
export function toAgentError(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  return new AgentError('internal', messageOf(error), { cause: error });
}
