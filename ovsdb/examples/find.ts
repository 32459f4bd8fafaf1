// Finds a port by its name and the switch it is on, by indexes.
//   node find.ts unix:/run/ovn/ovnnb_db.sock PORT
import { connect, ovnNorthbound } from '@ovenbird/ovsdb';

const [remote = '', name = ''] = process.argv.slice(2);
const db = connect({
  remotes: [remote],
  database: ovnNorthbound,
  monitor: { Logical_Switch: ['name', 'ports'], Logical_Switch_Port: true },
  // The index on the set column `ports` leads from each port to its switch.
  indexes: { Logical_Switch: [['ports']], Logical_Switch_Port: [['name']] },
});
await db.synced(AbortSignal.timeout(10_000));

const [port] = db.replica.table('Logical_Switch_Port').find('name', name);
if (port === undefined) {
  console.log(`no port ${name}`);
} else {
  const [on] = db.replica.table('Logical_Switch').find('ports', port._uuid);
  console.log(`${port.name} ${port.addresses.join(' ')} tag=${port.tag ?? 'none'} on ${on?.name ?? 'no switch'}`);
}
await db.close();
