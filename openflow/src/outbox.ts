/** What waits to be written: in order, and no faster than the other side reads. */
import type { Writable } from 'node:stream';

/** Writes a piece of something; returns whether it has written all. */
export type WriteStep = () => boolean;

/**
 * A queue in front of a stream. While the stream's buffer is full nothing is made into bytes, so a long list of
 * messages costs memory for one piece at a time.
 */
export class Outbox {
  readonly #stream: Writable;
  #steps: WriteStep[] = [];
  #ended = false;
  #flushing = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('drain', () => this.#flush());
  }

  /** How much waits in the queue, not counting the stream's own buffer. */
  get waiting(): number {
    return this.#steps.length;
  }

  /** Bytes that are written and that the other side has not read. */
  get unreadBytes(): number {
    return this.#stream.writableLength;
  }

  /** Adds a step, which runs as soon as those before it are done and the stream takes bytes. */
  add(step: WriteStep): void {
    if (this.#ended) return;
    this.#steps.push(step);
    this.#flush();
  }

  /** Writes at once, before all that waits: for echo. */
  now(bytes: Uint8Array): void {
    if (!this.#ended) this.#stream.write(bytes);
  }

  /** Drops all that waits. */
  end(): void {
    this.#ended = true;
    this.#steps = [];
  }

  #flush(): void {
    // A step that writes may make the stream drain at once, which comes back here.
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      let at = 0;
      while (at < this.#steps.length && !this.#stream.writableNeedDrain && !this.#ended) {
        if (this.#steps[at]?.() !== false) at += 1;
      }
      this.#steps = this.#steps.slice(at);
    } finally {
      this.#flushing = false;
    }
  }
}
