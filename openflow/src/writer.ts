import { OpenFlowError } from './error.ts';

/** A growing buffer; lengths are filled in afterwards (`patch16`). */
export class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  /** How many bytes are written. */
  length = 0;

  constructor(capacity = 512) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Claims (before the buffer is looked at: it may grow) `length` bytes, which are zero or will be written by the caller, and returns where they begin. */
  #claim(length: number): number {
    const at = this.length;
    const end = at + length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.length = end;
    return at;
  }

  u8(value: number): void {
    const at = this.#claim(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#claim(2);
    this.#view.setUint16(at, value);
  }

  u32(value: number): void {
    const at = this.#claim(4);
    this.#view.setUint32(at, value);
  }

  u64(value: bigint): void {
    const at = this.#claim(8);
    this.#view.setBigUint64(at, value);
  }

  /** An unsigned integer of 1 to 6 bytes. */
  uint(value: number, length: number): void {
    const at = this.#claim(length);
    switch (length) {
      case 1:
        this.#view.setUint8(at, value);
        break;
      case 2:
        this.#view.setUint16(at, value);
        break;
      case 4:
        this.#view.setUint32(at, value);
        break;
      default: {
        let left = value;
        for (let i = length - 1; i >= 0; i -= 1) {
          this.#view.setUint8(at + i, left % 256);
          left = Math.floor(left / 256);
        }
      }
    }
  }

  /** An unsigned integer of any length. */
  big(value: bigint, length: number): void {
    const at = this.#claim(length);
    let left = value;
    let place = at + length;
    while (place - at >= 8) {
      place -= 8;
      this.#view.setBigUint64(place, left);
      left >>= 64n;
    }
    while (place > at) {
      place -= 1;
      this.#view.setUint8(place, Number(left & 0xffn));
      left >>= 8n;
    }
  }

  bytes(value: Uint8Array): void {
    const at = this.#claim(value.length);
    this.#bytes.set(value, at);
  }

  zeros(length: number): void {
    const at = this.#claim(length);
    const bytes = this.#bytes;
    // A few bytes, mostly: a loop is cheaper than a call of fill.
    for (let place = at; place < at + length; place += 1) bytes[place] = 0;
  }

  /** Zeros up to the next multiple of 8 from `start`. */
  pad8(start: number): void {
    const over = (this.length - start) % 8;
    if (over > 0) this.zeros(8 - over);
  }

  /** A string in a field of fixed length, padded with zeros. */
  text(value: string, length: number): void {
    const encoded = new TextEncoder().encode(value);
    if (encoded.length > length) {
      throw new OpenFlowError('invalid_value', `"${value}" has ${encoded.length} bytes, ${length} fit`);
    }
    this.bytes(encoded);
    this.zeros(length - encoded.length);
  }

  /** Fills in a length or count that became known later. */
  patch16(at: number, value: number): void {
    if (value > 0xffff) {
      throw new OpenFlowError('too_large', `${value} bytes do not fit in one OpenFlow message (at most 65535)`);
    }
    this.#view.setUint16(at, value);
  }

  /** Drops what was written after `length`. */
  truncate(length: number): void {
    this.length = length;
  }

  /** A copy of what is written from a place on. */
  since(start: number): Uint8Array {
    return this.#bytes.slice(start, this.length);
  }

  /** A copy of what is written. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }
}
