// Keeps the flows of a file on a bridge until it is interrupted: through restarts of the switch, and whatever others do
// to them. Flows of other cookies are left alone.
//   node keep-flows.ts unix:/run/openvswitch/br0.mgmt FILE ROUND
// ROUND grows with every start. Open vSwitch has a place for it:
//   ovs-vsctl set bridge br0 external_ids:round=2
import { readFile } from 'node:fs/promises';
import { connect, FlowKeeper, nextRound, parseFlows } from '@ovenbird/openflow';

const [remote = '', file = '', round] = process.argv.slice(2);
const abort = new AbortController();
process.once('SIGINT', () => abort.abort());
process.once('SIGTERM', () => abort.abort());

const flows = parseFlows(await readFile(file, 'utf8'));
const sw = connect({ remote, signal: abort.signal });
const keeper = new FlowKeeper({
  connection: sw,
  categories: [7],
  round: nextRound(round === undefined ? undefined : Number(round)),
  onEvent(event) {
    if (event.type === 'installed') {
      console.log(`${event.why}: ${event.added} added, ${event.modified} modified, ${event.deleted} deleted`);
    } else if (event.type === 'failed') {
      console.log(`${event.error.message}; next attempt in ${event.retryMs} ms`);
    }
  },
});
keeper.set(
  flows.map(({ tableId, priority, match, actions, cookie = 0n }) => {
    return { tableId, priority, match, actions, object: Number(cookie) };
  }),
);
// All that is wanted has been said: what earlier runs left goes.
keeper.complete();
await keeper.installed(abort.signal);
console.log(`${keeper.size} flows are installed; interrupt me`);
