// Makes the flows of a bridge those of a file in ovs-ofctl's syntax: only the difference, in one atomic bundle.
//   node replace-flows.ts unix:/run/openvswitch/br0.mgmt FILE
import { readFile } from 'node:fs/promises';
import { connect, diffFlows, OpenFlowError, parseFlows } from '@ovenbird/openflow';

const [remote = '', file = ''] = process.argv.slice(2);
const sw = connect({ remote });
try {
  const wanted = parseFlows(await readFile(file, 'utf8'));
  await sw.connected();
  const changes = diffFlows(await sw.dumpFlows(), wanted);
  await sw.bundle(changes);
  console.log(`${wanted.length} flows, ${changes.length} changes`);
} catch (error) {
  if (!(error instanceof OpenFlowError)) throw error;
  // Of a bundle that the switch refuses, this names the flow; nothing was changed.
  console.log(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
await sw.close();
