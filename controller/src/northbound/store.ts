import type { Scalar, Value } from './rows.ts';

/** A row of the replica: decoded columns by name. */
export type NbRow = Readonly<Record<string, Value>>;

/** One row's change in the replica: inserted without `old`, deleted without `new`. */
export interface NbChange {
  readonly table: string;
  readonly uuid: string;
  readonly old?: NbRow | undefined;
  readonly new?: NbRow | undefined;
}

/** One mutation of a set or map column (RFC 7047 §5.1): for maps `delete` takes the keys as a set. */
export type Mutation = readonly [column: string, mutator: 'insert' | 'delete', value: Value];

/** The operations this writer needs (RFC 7047 §5.2), each on one row by UUID. */
export type NbOp =
  | { readonly op: 'insert'; readonly table: string; readonly uuid: string; readonly row: NbRow }
  /** An `undefined` value clears the optional column. Must match one row. */
  | { readonly op: 'update'; readonly table: string; readonly uuid: string; readonly row: NbRow }
  /** With `mustMatch`, must match one row. */
  | {
      readonly op: 'mutate';
      readonly table: string;
      readonly uuid: string;
      readonly mutations: readonly Mutation[];
      readonly mustMatch: boolean;
    }
  /** Matching no row is no error: the row may be gone already. */
  | { readonly op: 'delete'; readonly table: string; readonly uuid: string }
  /** `wait`, timeout 0, until the row exists. */
  | { readonly op: 'exists'; readonly table: string; readonly uuid: string }
  /** `wait`, timeout 0, until the row exists and its external_ids hold these pairs (whatever else they hold). */
  | {
      readonly op: 'fence';
      readonly table: string;
      readonly uuid: string;
      readonly includes: ReadonlyMap<string, string>;
    }
  /** `wait`, timeout 0, until the row's external_ids are exactly these: a compare for a compare-and-set. */
  | {
      readonly op: 'unchanged';
      readonly table: string;
      readonly uuid: string;
      readonly externalIds: ReadonlyMap<string, Scalar>;
    };

/**
 * Why a transaction did not commit.
 * - `unknown`: no (usable) answer; it may or may not have been committed. Compare again once `synced` resolves.
 * - `wait_failed`: a `wait` did not hold; nothing was written.
 * - `unavailable`: the server refuses everybody just now (disk, permission, conversion); nothing was written.
 * - `refused`: the server refused it (constraint, integrity ...); nothing was written.
 */
export type NbFailure = 'unknown' | 'wait_failed' | 'unavailable' | 'refused';

/** A transaction that did not commit. */
export class NbTransactError extends Error {
  override readonly name: string = 'NbTransactError';
  readonly failure: NbFailure;
  /** Index of the operation at fault; absent when the commit as a whole was refused. */
  readonly op: number | undefined;
  constructor(failure: NbFailure, message: string, op: number | undefined, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.failure = failure;
    this.op = op;
  }
}

/** What the differ reads. */
export interface NbReader {
  get(table: string, uuid: string): NbRow | undefined;
  rows(table: string): Iterable<readonly [uuid: string, row: NbRow]>;
  /** Whether the connected server's schema has the column (tables: `hasTable`). */
  hasTable(table: string): boolean;
  hasColumn(table: string, column: string): boolean;
}

/** The northbound database as this writer sees it: a replica in memory and a way to change the original. */
export interface NbStore extends NbReader {
  /** Grows when the replica was reloaded from nothing. */
  readonly generation: number;
  /** Resolves when the replica is a consistent copy of a live connection; rejects only when `signal` aborts. */
  synced(signal: AbortSignal): Promise<void>;
  /** One call per server update. @returns a function that unsubscribes. */
  onChange(listener: (changes: readonly NbChange[]) => void): () => void;
  /**
   * Commits all or nothing; when it resolves, the replica holds the result.
   * @throws NbTransactError
   */
  transact(ops: readonly NbOp[], signal: AbortSignal): Promise<void>;
}
