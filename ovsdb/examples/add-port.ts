// Adds a port to a switch, which it makes if need be. Running it again changes nothing; a lost connection on the way
// does not make it happen twice.
//   node add-port.ts unix:/run/ovn/ovnnb_db.sock SWITCH PORT ['MAC IP']
import { commitOnce, connect, OvsdbError, ovnNorthbound, Transaction, toUuid } from '@ovenbird/ovsdb';

const [remote = '', switchName = '', portName = '', address = 'dynamic'] = process.argv.slice(2);
const db = connect({
  remotes: [remote],
  database: ovnNorthbound,
  monitor: { Logical_Switch: ['name', 'ports'], Logical_Switch_Port: ['name', 'addresses'] },
  indexes: { Logical_Switch: [['name']], Logical_Switch_Port: [['name']] },
  leaderOnly: true,
});
// UUIDs of our choice: the server refuses them a second time.
const [switchUuid, portUuid] = [toUuid(crypto.randomUUID()), toUuid(crypto.randomUUID())];
try {
  const results = await commitOnce(
    db,
    (replica) => {
      if (replica.table('Logical_Switch_Port').find('name', portName).length > 0) {
        return undefined;
      }
      const t = new Transaction(ovnNorthbound).comment(`add-port: ${portName}`);
      const port = t.insert('Logical_Switch_Port', { name: portName, addresses: [address] }, { uuid: portUuid });
      const [present] = replica.table('Logical_Switch').find('name', switchName);
      if (present === undefined) {
        t.insert('Logical_Switch', { name: switchName, ports: [port] }, { uuid: switchUuid });
      } else {
        // Refused, not lost, should the switch be deleted meanwhile.
        t.mutate('Logical_Switch', present._uuid, 'ports', 'insert', [port]);
      }
      return t;
    },
    { signal: AbortSignal.timeout(10_000) },
  );
  console.log(results === undefined ? `${portName} is there` : `${portName} added to ${switchName}`);
} catch (error) {
  if (!(error instanceof OvsdbError)) throw error;
  console.log(`${error.code} in ${error.table ?? 'no table'}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await db.close();
}
