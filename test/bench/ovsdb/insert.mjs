// Inserts 500 switches with 100 ports each, a transaction per switch. Arguments: builder|bare REMOTE.
// Prints the milliseconds from the first request to the last reply.
import { connect as connectSocket } from 'node:net';
import { connect, ovnNorthbound } from '@ovenbird/ovsdb';
import { SWITCHES, switchTransaction } from './population.ts';

/** Transactions in flight at once: enough that the server does not wait; the reference writes all of them at once. */
const window = 32;

/** Through the typed builder, the replica following. */
async function builder(remote) {
  const db = connect({
    remotes: [remote],
    database: ovnNorthbound,
    monitor: { Logical_Switch: true, Logical_Switch_Port: true },
    indexes: { Logical_Switch_Port: [['name']] },
  });
  await db.synced();
  const start = performance.now();
  const replies = Array.from({ length: window }, () => Promise.resolve());
  for (let s = 0; s < SWITCHES; s += 1) {
    await replies[s % window];
    replies[s % window] = db.transact(switchTransaction(s));
  }
  await Promise.all(replies);
  const elapsed = performance.now() - start;
  const rows = db.replica.table('Logical_Switch_Port').size;
  await db.close();
  return { elapsed, rows };
}

/** A socket with the same monitor; all requests are encoded before the clock starts, and written at once. */
async function bare(remote) {
  const requests = Array.from({ length: SWITCHES }, (_, s) =>
    Buffer.from(JSON.stringify({ id: s + 10, method: 'transact', params: switchTransaction(s).toParams() })),
  );
  const columns = (table) => [{ columns: [...(ovnNorthbound.tables.get(table)?.columns.keys() ?? [])] }];
  const socket = connectSocket(remote.replace('unix:', ''));
  const monitor = { Logical_Switch: columns('Logical_Switch'), Logical_Switch_Port: columns('Logical_Switch_Port') };
  const schema = await ask(socket, { id: 0, method: 'get_schema', params: ['OVN_Northbound'] });
  for (const [table, [request]] of Object.entries(monitor)) {
    request.columns = request.columns.filter((column) => schema.result.tables[table].columns[column] !== undefined);
  }
  const zero = '00000000-0000-0000-0000-000000000000';
  await ask(socket, { id: 1, method: 'monitor_cond_since', params: ['OVN_Northbound', 'm', monitor, zero] });
  // The last reply is found by its id; nothing else is looked at.
  const last = `"id":${SWITCHES + 9},`;
  const start = performance.now();
  const done = new Promise((resolve) => {
    let tail = '';
    socket.on('data', (chunk) => {
      const text = tail + chunk.toString('latin1');
      if (text.includes(last)) resolve();
      tail = text.slice(-32);
    });
  });
  for (const request of requests) socket.write(request);
  await done;
  const elapsed = performance.now() - start;
  socket.destroy();
  return { elapsed };
}

function ask(socket, request) {
  return new Promise((resolve) => {
    let text = '';
    const onData = (chunk) => {
      text += chunk;
      try {
        const reply = JSON.parse(text);
        socket.off('data', onData);
        resolve(reply);
      } catch {
        // Not whole yet.
      }
    };
    socket.on('data', onData);
    socket.write(JSON.stringify(request));
  });
}

const [how, remote] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await (how === 'bare' ? bare(remote) : builder(remote)))}\n`);
