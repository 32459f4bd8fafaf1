// Prints the flows of a bridge, with what ovs-ofctl would call their filter.
//   node dump-flows.ts unix:/run/openvswitch/br0.mgmt [table=3,tcp]
import { connect, formatActions, formatMatch, parseFlowFilter } from '@ovenbird/openflow';

const [remote = '', filter = ''] = process.argv.slice(2);
const sw = connect({ remote });
await sw.connected();
for (const { tableId, priority, match, actions, packetCount, cookie } of await sw.dumpFlows(parseFlowFilter(filter))) {
  const what = formatMatch(match) === '' ? 'everything' : formatMatch(match);
  console.log(
    `table ${tableId} priority ${priority}: ${what} → ${formatActions(actions)} (${packetCount} packets, cookie 0x${cookie.toString(16)})`,
  );
}
await sw.close();
