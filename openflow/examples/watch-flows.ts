// Prints the flows of a bridge and every change of them, until it is interrupted.
//   node watch-flows.ts unix:/run/openvswitch/br0.mgmt
import { connect, formatActions, formatMatch } from '@ovenbird/openflow';

const abort = new AbortController();
process.once('SIGINT', () => abort.abort());
process.once('SIGTERM', () => abort.abort());

const sw = connect({
  remote: process.argv[2] ?? '',
  signal: abort.signal,
  onEvent(event) {
    if (event.type === 'disconnected') console.log(`${event.error.message}; next attempt in ${event.retryMs} ms`);
  },
});
await sw.watchFlows({
  onStart: () => console.log('connected'),
  onUpdates(updates) {
    for (const update of updates) {
      if (!('match' in update)) console.log(update.event);
      else {
        const { event, tableId, match, actions } = update;
        console.log(`${event}: table=${tableId} ${formatMatch(match)} actions=${formatActions(actions)}`);
      }
    }
  },
});
