import {
  type AnyDatabase,
  type Client,
  type DatabaseSpec,
  type OvnNorthbound,
  OvsdbError,
  ovnNorthbound,
  Transaction,
  toUuid,
} from '@ovenbird/ovsdb';
import type { Value } from './rows.ts';
import { type NbChange, type NbOp, type NbRow, type NbStore, NbTransactError } from './store.ts';

const database = ovnNorthbound as unknown as DatabaseSpec<AnyDatabase>;

/**
 * The northbound database through the OVSDB client. The client's replica must hold `monitoredColumns()` (more is fine).
 */
export class OvsdbStore implements NbStore {
  readonly #client: Client<AnyDatabase>;

  constructor(client: Client<OvnNorthbound>) {
    this.#client = client as unknown as Client<AnyDatabase>;
  }

  get generation(): number {
    return this.#client.replica.generation;
  }

  synced(signal: AbortSignal): Promise<void> {
    return this.#client.synced(signal);
  }

  get(table: string, uuid: string): NbRow | undefined {
    return this.#client.replica.table(table).get(uuid) as NbRow | undefined;
  }

  *rows(table: string): Generator<readonly [string, NbRow]> {
    for (const row of this.#client.replica.table(table).rows()) yield [row._uuid, row as unknown as NbRow];
  }

  hasTable(table: string): boolean {
    return this.#client.hasTable(table);
  }

  hasColumn(table: string, column: string): boolean {
    return this.#client.hasColumn(table, column);
  }

  onChange(listener: (changes: readonly NbChange[]) => void): () => void {
    return this.#client.replica.onChange((changes) => listener(changes as readonly NbChange[]));
  }

  async transact(ops: readonly NbOp[], signal: AbortSignal): Promise<void> {
    const transaction = new Transaction(database);
    // One of our operations may be several of RFC 7047's: which one each of those came from.
    const origins: number[] = [];
    try {
      for (const [index, op] of ops.entries()) {
        append(transaction, op);
        while (origins.length < transaction.size) origins.push(index);
      }
      await this.#client.transact(transaction, { signal });
    } catch (error) {
      throw toTransactError(error, origins);
    }
  }
}

function append(transaction: Transaction<AnyDatabase>, op: NbOp): void {
  const uuid = toUuid(op.uuid);
  switch (op.op) {
    case 'insert':
      transaction.insert(op.table, written(op.row), { uuid });
      return;
    case 'update':
      transaction.update(op.table, uuid, written(op.row), { expectCount: 1 });
      return;
    case 'mutate':
      for (const [column, mutator, value] of op.mutations) {
        const options = op.mustMatch ? { expectCount: 1 } : {};
        // The mutator decides the operand's type, which a table name at run time cannot tell the compiler.
        transaction.mutate(op.table, uuid, column as never, mutator, value as never, options);
      }
      return;
    case 'delete':
      transaction.delete(op.table, uuid);
      return;
    case 'exists':
      transaction.waitForRow(op.table, uuid);
      return;
    case 'fence':
      transaction.wait({
        table: op.table,
        where: [
          ['_uuid', '==', uuid],
          ['external_ids', 'includes', op.includes],
        ],
        columns: [],
        until: '==',
        rows: [{}],
      });
      return;
    case 'unchanged':
      transaction.wait({
        table: op.table,
        where: uuid,
        columns: ['external_ids'],
        until: '==',
        rows: [{ external_ids: op.externalIds }],
      });
      return;
  }
}

/** `null` clears an optional column; an `undefined` one would be left as it is. */
function written(row: NbRow): Record<string, Exclude<Value, undefined> | null> {
  return Object.fromEntries(Object.entries(row).map(([column, value]) => [column, value ?? null]));
}

function toTransactError(error: unknown, origins: readonly number[]): NbTransactError {
  if (!(error instanceof OvsdbError)) throw error;
  const op = error.op === undefined ? undefined : origins[error.op];
  switch (error.code) {
    case 'disconnected':
    case 'outcome_unknown':
    case 'closed':
    case 'inactive':
    case 'unsuitable_server':
    case 'protocol_error':
    case 'count_mismatch':
      return new NbTransactError('unknown', error.message, op, error);
    case 'wait_failed':
      return new NbTransactError('wait_failed', error.message, op, error);
    case 'resources_exhausted':
    case 'io_error':
    case 'permission_error':
    case 'not_allowed':
    case 'unknown_database':
    case 'canceled':
      return new NbTransactError('unavailable', error.message, op, error);
    default:
      return new NbTransactError('refused', error.message, op, error);
  }
}
