import { OvsdbError } from './error.ts';

/** What turns received bytes into messages. The seam for a reader that hands out rows while a large reply still arrives. */
export interface MessageReader {
  /** @throws OvsdbError `protocol_error` on bytes that no JSON-RPC peer sends; the connection is then of no use. */
  push(chunk: Buffer): void;
}

/** Bounds on one message. */
export interface FramerLimits {
  /** Bytes. V8 strings end near 512 MiB. */
  readonly maxBytes: number;
  /** Nesting of arrays and objects; OVS's own parser stops at 1000 (lib/json.c). */
  readonly maxDepth: number;
}

/** The limits used unless told otherwise. */
export const DEFAULT_LIMITS: FramerLimits = { maxBytes: 400 * 1024 * 1024, maxDepth: 1000 };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Cuts a byte stream of concatenated JSON objects into texts, one per object. OVSDB's JSON-RPC has no framing
 * (RFC 7047 §4), so the end of a message is where its braces close. Bytes are looked at once; strings, which are most
 * of OVSDB's traffic, are skipped with `indexOf`.
 */
export class JsonFramer implements MessageReader {
  readonly #onText: (text: string) => void;
  readonly #limits: FramerLimits;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #depth = 0;
  #inString = false;
  /** Whether the bytes so far end in an odd run of backslashes within a string. */
  #escaped = false;

  constructor(onText: (text: string) => void, limits: FramerLimits = DEFAULT_LIMITS) {
    this.#onText = onText;
    this.#limits = limits;
  }

  /** Bytes held of a message that has begun and not ended. */
  get pendingBytes(): number {
    return this.#partBytes;
  }

  push(chunk: Buffer): void {
    const end = chunk.length;
    /** Where the current message begins in this chunk. */
    let start = 0;
    let i = 0;
    while (i < end) {
      if (this.#inString) {
        i = this.#skipString(chunk, i);
        continue;
      }
      const byte = chunk[i];
      i += 1;
      switch (byte) {
        case QUOTE:
          if (this.#depth === 0) {
            throw badByte(byte);
          }
          this.#inString = true;
          break;
        case 0x7b: // {
        case 0x5b: // [
          if (this.#depth === 0) {
            if (byte === 0x5b) {
              throw badByte(byte);
            }
            start = i - 1;
          }
          this.#depth += 1;
          if (this.#depth > this.#limits.maxDepth) {
            throw new OvsdbError('protocol_error', `message nested deeper than ${this.#limits.maxDepth} levels`);
          }
          break;
        case 0x7d: // }
        case 0x5d: // ]
          if (this.#depth === 0) {
            throw badByte(byte);
          }
          this.#depth -= 1;
          if (this.#depth === 0) {
            this.#emit(chunk, start, i);
            start = i;
          }
          break;
        default:
          if (this.#depth === 0 && byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
            throw badByte(byte);
          }
      }
    }
    if (this.#depth > 0) {
      this.#hold(start === 0 ? chunk : chunk.subarray(start));
    }
  }

  /** Skips string bytes from `i`; returns the position after the closing quote, or the chunk's end. */
  #skipString(chunk: Buffer, i: number): number {
    const quote = chunk.indexOf(QUOTE, i);
    const stop = quote < 0 ? chunk.length : quote;
    let k = stop;
    while (k > i && chunk[k - 1] === BACKSLASH) {
      k -= 1;
    }
    // A run that reaches `i` goes on from the previous chunk; within a chunk `i` always follows a quote, with no run open.
    const odd = ((stop - k) & 1) === 1;
    const escaped = k === i && this.#escaped ? !odd : odd;
    if (quote < 0) {
      this.#escaped = escaped;
      return stop;
    }
    this.#escaped = false;
    this.#inString = escaped;
    return quote + 1;
  }

  #hold(part: Buffer): void {
    this.#partBytes += part.length;
    this.#checkSize(this.#partBytes);
    this.#parts.push(part);
  }

  #emit(chunk: Buffer, start: number, end: number): void {
    if (this.#parts.length === 0) {
      this.#checkSize(end - start);
      this.#onText(chunk.toString('utf8', start, end));
      return;
    }
    this.#hold(chunk.subarray(0, end));
    const whole = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#onText(whole.toString('utf8'));
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#limits.maxBytes) {
      throw new OvsdbError('protocol_error', `message larger than ${this.#limits.maxBytes} bytes`);
    }
  }
}

function badByte(byte: number | undefined): OvsdbError {
  const hex = (byte ?? 0).toString(16).padStart(2, '0');
  return new OvsdbError('protocol_error', `byte 0x${hex} between messages: the peer does not speak OVSDB's JSON-RPC`);
}
