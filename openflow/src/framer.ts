import { OpenFlowError } from './error.ts';

const HEADER = 8;

/**
 * Cuts a byte stream into OpenFlow messages, wherever the chunks begin and end. A message's length stands in bytes 2-3
 * of its header (OpenFlow 1.5.1 §7.1.1), so nothing beyond 65,535 bytes is ever held back.
 */
export class Framer {
  #chunks: Uint8Array[] = [];
  #held = 0;

  /** How many bytes wait for the rest of their message. */
  get held(): number {
    return this.#held;
  }

  /**
   * Adds a chunk and returns the messages that are complete now; they share memory with the chunk.
   * @throws OpenFlowError `malformed` for a length below 8: where the next message begins cannot be known any more
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let bytes = chunk;
    if (this.#held > 0) {
      this.#chunks.push(chunk);
      this.#held += chunk.length;
      // A large message comes in many chunks: joining them once, when it is whole, keeps this linear.
      if (this.#held < this.#wanted()) return frames;
      bytes = Buffer.concat(this.#chunks);
      this.#chunks = [];
      this.#held = 0;
    }
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
      if (length < HEADER) {
        throw new OpenFlowError('malformed', `a message claims a length of ${length} bytes; its header alone has 8`);
      }
      if (bytes.length - at < length) break;
      frames.push(bytes.subarray(at, at + length));
      at += length;
    }
    if (at < bytes.length) {
      this.#chunks = [bytes.subarray(at)];
      this.#held = bytes.length - at;
    }
    return frames;
  }

  /** How many bytes the held message needs; its header while its length is not known. */
  #wanted(): number {
    const [first] = this.#chunks;
    if (first === undefined || first.length < 4) return HEADER;
    return Math.max(HEADER, ((first[2] ?? 0) << 8) | (first[3] ?? 0));
  }
}
