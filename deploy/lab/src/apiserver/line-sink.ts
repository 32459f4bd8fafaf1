/** Writes the lines of a watch to its response: what comes together goes out as one chunk. */
import type { ServerResponse } from 'node:http';
import type { WatchSink } from './watch.ts';

/**
 * A sink over a response whose headers were sent. Not `cork`: Node 24 writes corked chunks of a chunked response after its end.
 * @param backlog bytes that a client may be behind before it is cut off (it then starts again, as with the real server)
 * @param gatherMs what comes within so many milliseconds goes out as one chunk; 0: what one turn of the event loop brings
 */
export function lineSink(response: ServerResponse, backlog: number, gatherMs = 0): WatchSink {
  let pending: Buffer[] = [];
  const flush = (): void => {
    const [first, ...more] = pending;
    if (first === undefined) return;
    pending = [];
    if (response.destroyed || response.writableEnded) return;
    response.write(more.length === 0 ? first : Buffer.concat([first, ...more]));
    if (response.writableLength > backlog) response.destroy();
  };
  return {
    write: (line) => {
      pending.push(line);
      if (pending.length > 1) return;
      if (gatherMs > 0) setTimeout(flush, gatherMs);
      else process.nextTick(flush);
    },
    end: () => {
      flush();
      response.end();
    },
  };
}
