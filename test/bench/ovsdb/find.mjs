// Process start -> replica of Logical_Switch_Port -> one find by name. Arguments: REMOTE NAME.
// The compile cache keeps what V8 made of the sources, as a compiled program would.
import { enableCompileCache } from 'node:module';

if (process.env.NO_CACHE === undefined) enableCompileCache(process.env.CACHE_DIR);
const { connect, ovnNorthbound } = await import('@ovenbird/ovsdb');
const [remote, name] = process.argv.slice(2);
const db = connect({
  remotes: [remote],
  database: ovnNorthbound,
  // The columns that `ovn-nbctl find Logical_Switch_Port` of OVN 23.03 asks for: all.
  monitor: { Logical_Switch_Port: true },
  indexes: { Logical_Switch_Port: [['name']] },
});
await db.synced();
const [port] = db.replica.table('Logical_Switch_Port').find('name', name);
process.stdout.write(`${JSON.stringify(port)}\n`);
await db.close();
