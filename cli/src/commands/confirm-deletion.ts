import { labDirectory, layoutOf, readState } from '@ovenbird/deploy';
import { connect, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';
import { UsageError } from '../usage.ts';

/** NB_Global.external_ids: the controller's safety catch waits for its token here (controller/src/northbound/safety.ts). */
const confirmKey = 'ovenbird/confirm-deletion';

/** Longest wait for the database, in milliseconds. */
const deadline = 10_000;

/**
 * `ovenbird confirm-deletion TOKEN`: lets deletions go on that the controller stopped because a list of the API server
 * lacked many pods at once. The token is in the controller's log; it stands for exactly these deletions.
 */
export async function confirmDeletion(args: readonly string[]): Promise<number> {
  const [token, ...more] = args;
  if (token === undefined || more.length > 0 || !/^[0-9a-f]{4,64}$/.test(token))
    throw new UsageError("ovenbird confirm-deletion TOKEN: the token is in the controller's log");
  const lab = readState(labDirectory()) === undefined ? undefined : layoutOf(labDirectory()).central.northbound;
  const remote = process.env['OVN_NB_DB'] || (lab === undefined ? undefined : `unix:${lab}`);
  if (remote === undefined) throw new UsageError('set OVN_NB_DB to the northbound database');
  const db = connect({
    remotes: remote.split(','),
    database: ovnNorthbound,
    monitor: { NB_Global: ['external_ids'] },
    leaderOnly: true,
  });
  try {
    await db.synced(AbortSignal.timeout(deadline));
    const [global] = db.replica.table('NB_Global').rows();
    if (global === undefined) throw new UsageError(`${remote} has no NB_Global row: no controller works on it`);
    const transaction = new Transaction(ovnNorthbound);
    // A map's insert does not replace a value, so an older token goes first.
    transaction.mutate('NB_Global', global._uuid, 'external_ids', 'delete', [confirmKey]);
    transaction.mutate('NB_Global', global._uuid, 'external_ids', 'insert', new Map([[confirmKey, token]]));
    await db.transact(transaction);
    process.stdout.write(`confirmed ${token}; the controller goes on\n`);
    return 0;
  } finally {
    await db.close();
  }
}
