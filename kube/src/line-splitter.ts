import { KubeError } from './error.ts';

const newline = 0x0a;

/**
 * Cuts a byte stream into lines. A line that arrives a byte at a time costs no more than one that arrives whole:
 * pieces are joined once, when the line is complete. Cutting at bytes is safe, as no multi-byte UTF-8 character
 * contains 0x0A.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** @param maxBytes longest line; etcd stores objects of at most 1.5 MiB, so the default leaves ample room */
  constructor(maxBytes: number = 16 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes the next piece and returns the lines it completed, without their ends; empty ones are skipped.
   *
   * @throws KubeError `protocol` for a line over the limit
   */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end));
      const line = Buffer.concat(this.#pieces, this.#bytes).toString('utf8').trim();
      this.#pieces = [];
      this.#bytes = 0;
      if (line !== '') lines.push(line);
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes) {
      throw new KubeError('protocol', `a line of the stream is longer than ${this.#maxBytes} bytes`);
    }
    this.#pieces.push(piece);
  }
}
