/** Why an address cannot be given. The waiting pod is tried again when something in `waitFor` changes. */
export type AllocCode =
  | 'no-subnet' // no usable subnet for the pod (missing, being deleted, in conflict)
  | 'forbidden' // the namespace may not use what was asked for
  | 'invalid' // a malformed annotation
  | 'outside' // a static address outside of its subnet
  | 'excluded' // a static address in excludeIps, or the gateway
  | 'taken' // a static address or MAC that somebody else holds
  | 'exhausted' // no free address left
  | 'family' // a family that the subnet does not have
  | 'no-pool' // an IPPool that does not exist or is not usable
  | 'pool-forbidden' // an IPPool, or an address of one, that the namespace may not use
  | 'vip-forbidden' // a Vip that does not exist, or is for another namespace
  | 'no-vip' // a Vip that has no address itself
  | 'pool-exhausted'; // no free address left in an IPPool

export class AllocError extends Error {
  override readonly name = 'AllocError';
  readonly code: AllocCode;
  /** All of them go away by somebody's change, none by time alone. */
  readonly retryable = true;
  /** Subnets whose freed addresses or changes may help. */
  readonly subnets: readonly string[];

  constructor(code: AllocCode, message: string, subnets: readonly string[] = []) {
    super(message);
    this.code = code;
    this.subnets = subnets;
  }
}
