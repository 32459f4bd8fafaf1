import { OpenFlowError } from './error.ts';

/** A cursor over the bytes of one message. Every read is checked: one beyond the end is `malformed`. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  /** Where the next read begins. */
  pos: number;
  /** The end of what may be read; narrowed while a nested structure is read. */
  end: number;

  constructor(bytes: Uint8Array, pos = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = pos;
    this.end = end;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.end - this.pos;
  }

  /** Claims `length` bytes and returns where they begin. */
  #claim(length: number): number {
    const at = this.pos;
    if (at + length > this.end) throw this.malformed(`${length} bytes wanted, ${this.end - at} left`);
    this.pos = at + length;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#claim(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#claim(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#claim(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#claim(8));
  }

  /** An unsigned integer of 1 to 6 bytes. */
  uint(length: number): number {
    const at = this.#claim(length);
    switch (length) {
      case 1:
        return this.#view.getUint8(at);
      case 2:
        return this.#view.getUint16(at);
      case 4:
        return this.#view.getUint32(at);
      default: {
        let value = 0;
        for (let i = 0; i < length; i += 1) value = value * 256 + this.#view.getUint8(at + i);
        return value;
      }
    }
  }

  /** An unsigned integer of any length. */
  big(length: number): bigint {
    const at = this.#claim(length);
    if (length === 8) return this.#view.getBigUint64(at);
    if (length === 16) return (this.#view.getBigUint64(at) << 64n) | this.#view.getBigUint64(at + 8);
    let value = 0n;
    for (let i = 0; i < length; i += 1) value = (value << 8n) | BigInt(this.#view.getUint8(at + i));
    return value;
  }

  /** A copy: a message must not keep the buffer it came in. */
  copy(length: number): Uint8Array {
    const at = this.#claim(length);
    return this.bytes.slice(at, at + length);
  }

  /** What is left, as a copy. */
  rest(): Uint8Array {
    return this.copy(this.left);
  }

  skip(length: number): void {
    this.#claim(length);
  }

  /** Narrows to the next `length` bytes; give the result to `widen` afterwards. */
  narrow(length: number): number {
    if (length < 0 || this.pos + length > this.end) {
      throw this.malformed(`a structure of ${length} bytes, ${this.end - this.pos} left`);
    }
    const { end } = this;
    this.end = this.pos + length;
    return end;
  }

  /** Goes to the end of a narrowed structure and makes what follows readable again. */
  widen(end: number): void {
    this.pos = this.end;
    this.end = end;
  }

  /** A string of fixed length, padded with zeros. Bytes that are not UTF-8 become U+FFFD. */
  text(length: number): string {
    const at = this.#claim(length);
    const zero = this.bytes.subarray(at, at + length).indexOf(0);
    return new TextDecoder().decode(this.bytes.subarray(at, zero < 0 ? at + length : at + zero));
  }

  /** An error that names the place. */
  malformed(what: string): OpenFlowError {
    return new OpenFlowError('malformed', `bad OpenFlow message at byte ${this.pos}: ${what}`);
  }
}
