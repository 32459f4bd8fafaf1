/** What is wrong with an address. */
export type AddressErrorCode =
  | 'bad-ip'
  | 'bad-cidr'
  | 'bad-mac'
  | 'bad-range'
  | 'bad-pair'
  | 'bad-route'
  | 'family-mismatch'
  | 'out-of-range';

/** Text that is not the address it should be. Never retryable: the text has to change. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly code: AddressErrorCode;
  readonly retryable = false;
  /** The text that was refused. */
  readonly input: string;
  constructor(code: AddressErrorCode, input: string, message: string) {
    super(message);
    this.code = code;
    this.input = input;
  }
}
