// Has a bridge stop the first packet of every Ethernet source and ask: lets it go on, and learns the port for the
// packets after it, until it is interrupted.
//   node hold-packets.ts unix:/run/openvswitch/br0.mgmt
import { connect, formatMatch, match, matchOn, parseActions } from '@ovenbird/openflow';

const abort = new AbortController();
process.once('SIGINT', () => abort.abort());
process.once('SIGTERM', () => abort.abort());

const sw = connect({
  remote: process.argv[2] ?? '',
  signal: abort.signal,
  async: {},
  // At every connection: a switch that restarted has forgotten.
  setup: (session) =>
    session.send([{ type: 'flow_mod', priority: 0, match: [], actions: parseActions('controller(pause),NORMAL') }]),
});
await sw.connected();
console.log('ready');
for await (const packet of sw.packetIns({ limit: 1_000, signal: abort.signal })) {
  if (packet.type !== 'packet_in2') continue;
  const port = matchOn(packet.metadata, 'in_port_oxm');
  const source = Buffer.from(packet.packet.subarray(6, 12)).toString('hex');
  await sw.send([
    {
      type: 'flow_mod',
      match: match({ in_port_oxm: port?.value, eth_src: Number(`0x${source}`) }),
      idleTimeout: 60,
      actions: parseActions('NORMAL'),
    },
  ]);
  sw.resume(packet);
  console.log(`${source} is at ${formatMatch(packet.metadata)}`);
}
