// Prints every change of switches and their ports until it is interrupted.
//   node watch.ts unix:/run/ovn/ovnnb_db.sock
import { connect, ovnNorthbound } from '@ovenbird/ovsdb';

const abort = new AbortController();
process.once('SIGINT', () => abort.abort());
process.once('SIGTERM', () => abort.abort());

const db = connect({
  remotes: process.argv.slice(2),
  database: ovnNorthbound,
  monitor: { Logical_Switch: ['name'], Logical_Switch_Port: ['name', 'addresses', 'up'] },
  signal: abort.signal,
  onEvent(event) {
    if (event.type === 'synced') {
      console.log(`in sync with ${event.remote}: ${event.rows} rows${event.reloaded ? ', loaded anew' : ''}`);
    } else if (event.type === 'disconnected') {
      console.log(`${event.remote}: ${event.error.message}; next attempt in ${event.retryMs} ms`);
    }
  },
});

for (const table of ['Logical_Switch', 'Logical_Switch_Port'] as const) {
  db.replica.table(table).onChange((changes) => {
    for (const { old, new: row } of changes) {
      const what = old === undefined ? 'new' : row === undefined ? 'gone' : 'changed';
      console.log(`${table} ${(row ?? old)?.name ?? ''}: ${what}`);
    }
  });
}
