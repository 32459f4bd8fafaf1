// One of many runs of this program works at a time: it holds a lock, and the server checks that at each commit.
//   node singleton.ts unix:/run/ovn/ovnnb_db.sock LOCK
import { connect, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';

const [remote = '', name = ''] = process.argv.slice(2);
const abort = new AbortController();
process.once('SIGINT', () => abort.abort());
process.once('SIGTERM', () => abort.abort());

const db = connect({ remotes: [remote], database: ovnNorthbound, monitor: { NB_Global: true }, signal: abort.signal });
const lock = db.lock(name);
lock.onChange((held) => console.log(held ? 'it is my turn' : 'not any more'));
console.log('waiting');
try {
  await lock.acquired(abort.signal);
  const work = new Transaction(ovnNorthbound).assert(name);
  work.mutate('NB_Global', [], 'external_ids', 'delete', ['worker']);
  work.mutate('NB_Global', [], 'external_ids', 'insert', new Map([['worker', String(process.pid)]]));
  await db.transact(work);
  console.log('done; interrupt me to let the next one in');
} catch (error) {
  if (!abort.signal.aborted) throw error;
}
