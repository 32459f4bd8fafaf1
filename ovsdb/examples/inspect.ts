// Lists the databases of a server with their tables and numbers of rows, by the methods of RFC 7047 themselves: for a
// schema that is not known beforehand. With the server's control socket it also asks the daemon for its version.
//   node inspect.ts unix:/run/ovn/ovnnb_db.sock [/run/ovn/ovnnb_db.ctl]
import { appctl, OvsdbError, protocol } from '@ovenbird/ovsdb';

const [remote = '', control] = process.argv.slice(2);
const session = await protocol.openSession(remote);
console.log(`server ${await protocol.getServerId(session)}`);
for (const database of await protocol.listDatabases(session)) {
  const schema = (await protocol.getSchema(session, database)) as { version: string; tables: Record<string, object> };
  console.log(`${database} ${schema.version}`);
  const tables = Object.keys(schema.tables);
  const selects = tables.map((table) => ({ op: 'select', table, where: [], columns: ['_uuid'] }));
  const results = (await protocol.transactRaw(session, database, selects)) as { rows: unknown[] }[];
  for (const [i, table] of tables.entries()) {
    console.log(`  ${table}: ${results[i]?.rows.length ?? 0}`);
  }
}
session.close(new OvsdbError('closed', 'done'));
if (control !== undefined) {
  console.log((await appctl(control, 'version')).trim());
}
