import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitFor } from '@ovenbird/deploy';
import type { Stream } from '../src/packet-stream.ts';

const script = fileURLToPath(new URL('arrivals.pl', import.meta.url));

/** Seconds of the clock that {@link Arrivals} speaks of (CLOCK_MONOTONIC). */
export const now = (): number => Number(process.hrtime.bigint()) / 1e9;

/** Streams of packets of which it is known, to about two milliseconds, when they begin and cease to arrive. */
export class Arrivals implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<void>;
  /** The last change of each stream. */
  readonly #state = new Map<string, { readonly open: boolean; readonly at: number }>();
  #errors = '';

  constructor(streams: readonly Stream[]) {
    this.#child = spawn('perl', [script], { stdio: 'pipe' });
    this.#ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const [word, name = '', time] = line.split(' ');
      this.#state.set(name, { open: word === 'in', at: Number(time) });
    });
    const lines = streams.map(({ name, from, to, address, port }) => `${name} ${from} ${to} ${address} ${port}\n`);
    this.#child.stdin.on('error', () => undefined).write(`${lines.join('')}\n`);
  }

  /**
   * Waits until packets of a stream arrive, or no longer do.
   * @returns when the first one arrived, or the last one, in seconds; what was so before is long past
   */
  async until(name: string, open: boolean): Promise<number> {
    return await waitFor(
      `${name} is ${open ? 'open' : 'closed'}`,
      () => {
        const state = this.#state.get(name);
        // A stream that never delivered anything is closed.
        if ((state?.open ?? false) !== open) return this.#errors || `it is ${state?.open === true ? 'open' : 'closed'}`;
        return { at: state?.at ?? 0 };
      },
      { deadline: 20_000, interval: 5 },
    ).then(({ at }) => at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }
}
