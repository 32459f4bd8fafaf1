import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from './error.ts';

/** Options of {@link waitFor}. Times in milliseconds. */
export interface WaitOptions {
  /** Longest time to wait. */
  readonly deadline: number;
  /** Pause between two looks, default 20. */
  readonly interval?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called once when the deadline passed; its text is appended to the error (the tail of a log, for example). */
  readonly onTimeout?: () => string | Promise<string>;
}

/**
 * Looks at a condition until it holds. `look` returns `undefined` or `false` for "not yet", or a string that says what is
 * still missing; anything else ends the waiting and is returned.
 * @throws LabError `not-ready` when the deadline passed, with the last state seen.
 */
export async function waitFor<T>(
  describe: string,
  look: () => Promise<T | string | false | undefined> | T | string | false | undefined,
  options: WaitOptions,
): Promise<Exclude<T, string | false | undefined>> {
  const end = performance.now() + options.deadline;
  let last = 'nothing seen yet';
  for (;;) {
    options.signal?.throwIfAborted();
    const seen = await look();
    if (seen !== undefined && seen !== false && typeof seen !== 'string')
      return seen as Exclude<T, string | false | undefined>;
    if (typeof seen === 'string') last = seen;
    if (performance.now() > end) {
      const more = options.onTimeout === undefined ? '' : `\n${await options.onTimeout()}`;
      const seconds = Math.round(options.deadline / 100) / 10;
      throw new LabError('not-ready', `${describe}: not after ${seconds} s (last state: ${last})${more}`);
    }
    await sleep(options.interval ?? 20, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** Whether something accepts connections on a unix socket (`{path}`) or TCP port now. */
export function accepts(
  where: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = 'path' in where ? connect(where.path) : connect(where.port, where.host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      socket.destroy();
      resolve(false);
    });
  });
}
