// The longest pause of the event loop, milliseconds, while a dump arrives. Arguments: replica REMOTE | parse FILE.
import { readFileSync } from 'node:fs';
import { connect, ovnNorthbound } from '@ovenbird/ovsdb';

/** Turns the event loop without rest and returns what tells the longest turn. */
function watch() {
  let longest = 0;
  let running = true;
  let last = performance.now();
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    running = false;
    return Math.max(longest, performance.now() - last);
  };
}

const [how, argument] = process.argv.slice(2);
if (how === 'parse') {
  const text = readFileSync(argument, 'utf8');
  const start = performance.now();
  JSON.parse(text);
  process.stdout.write(`${JSON.stringify({ longest: performance.now() - start })}\n`);
} else {
  const longest = watch();
  const db = connect({
    remotes: [argument],
    database: ovnNorthbound,
    monitor: { Logical_Switch_Port: true },
    indexes: { Logical_Switch_Port: [['name']] },
  });
  await db.synced();
  const { size } = db.replica.table('Logical_Switch_Port');
  process.stdout.write(`${JSON.stringify({ longest: longest(), rows: size, rss: process.resourceUsage().maxRSS })}\n`);
  await db.close();
}
