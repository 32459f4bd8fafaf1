// Recorded update3 frames through a socket into the replica, and JSON.parse of the same frames, in turn.
// Arguments: REMOTE FRAMES COUNT ROUNDS. FRAMES has one frame a line. Prints milliseconds per round.
import { readFileSync } from 'node:fs';
import { connect, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';

const [remote, framesPath, countText, roundsText] = process.argv.slice(2);
const frames = readFileSync(framesPath, 'utf8').trimEnd().split('\n');
const db = connect({
  remotes: [remote],
  database: ovnNorthbound,
  monitor: { Logical_Switch_Port: true, Address_Set: true },
  indexes: { Logical_Switch_Port: [['name']], Address_Set: [['name']] },
});
await db.synced();
let changes = 0;
db.replica.onChange((list) => {
  changes += list.length;
});
const replica = [];
const parse = [];
for (let round = 0; round <= Number(roundsText); round += 1) {
  changes = 0;
  let start = performance.now();
  // The server sends the frames, then the reply.
  await db.transact(new Transaction(ovnNorthbound).comment('go'));
  const first = performance.now() - start;
  if (changes !== Number(countText)) throw new Error(`${changes} changes, not ${countText}`);
  start = performance.now();
  for (const frame of frames) JSON.parse(frame);
  const second = performance.now() - start;
  // The first round warms both up.
  if (round > 0) {
    replica.push(first);
    parse.push(second);
  }
}
process.stdout.write(`${JSON.stringify({ replica, parse })}\n`);
await db.close();
