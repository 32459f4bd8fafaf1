/** Committing through lost connections: once, not at least once. */
import type { Client } from './client-api.ts';
import { OvsdbError } from './error.ts';
import type { Replica } from './replica.ts';
import type { OperationResult } from './result.ts';
import type { Transaction } from './transaction.ts';

/**
 * Brings the database to where `plan` wants it. Nothing is sent again blindly: after a lost connection `plan` is called
 * anew, with the replica in sync, and says what is left to do.
 *
 * A Raft leader's last entries can take effect after it died and the new leader was read. So let what `plan` returns be
 * refused when it is done already: give inserts explicit uuids, and other changes a `wait`. Such a refusal after a lost
 * connection leads to another look at the replica, which then shows what was done.
 * @param plan reads the replica and returns the transaction to make, or undefined when there is nothing left to do.
 * @returns the results of the commit whose reply came; undefined when `plan` found nothing (left) to do.
 * @throws OvsdbError `closed` (also when the signal aborts), `count_mismatch`, or the server's refusal.
 */
export async function commitOnce<DB>(
  client: Client<DB>,
  plan: (replica: Replica<DB>) => Transaction<DB> | undefined,
  options: { readonly signal?: AbortSignal } = {},
): Promise<readonly OperationResult[] | undefined> {
  let uncertain = false;
  for (;;) {
    await client.synced(options.signal);
    const transaction = plan(client.replica);
    if (transaction === undefined) {
      return undefined;
    }
    try {
      return await client.transact(transaction, options);
    } catch (error) {
      if (!(error instanceof OvsdbError)) {
        throw error;
      }
      if (error.code === 'outcome_unknown') {
        uncertain = true;
      } else if (uncertain && (error.code === 'duplicate_uuid' || error.code === 'wait_failed')) {
        uncertain = false;
      } else if (error.code !== 'disconnected') {
        throw error;
      }
    }
  }
}
