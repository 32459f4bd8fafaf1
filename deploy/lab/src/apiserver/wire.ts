/** The protobuf wire format (protobuf.dev/programming-guides/encoding), reading only. */

/** One field as it stands in a message. */
export interface WireField {
  readonly number: number;
  /** Varints and fixed-width numbers. */
  readonly value?: bigint;
  /** Length-delimited fields. */
  readonly bytes?: Buffer;
  /** Whether `value` is a 64-bit float's bits (wire type 1). */
  readonly fixed64?: boolean;
}

/** Reads the fields of a message. Throws RangeError or Error where the bytes are no message. */
export function fieldsOf(buffer: Buffer): WireField[] {
  const fields: WireField[] = [];
  let offset = 0;
  const varint = (): bigint => {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = buffer.readUInt8(offset++);
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
    }
    throw new Error(`varint of more than 10 bytes at offset ${offset}`);
  };
  while (offset < buffer.length) {
    const key = Number(varint());
    const number = key >>> 3;
    switch (key & 7) {
      case 0:
        fields.push({ number, value: BigInt.asIntN(64, varint()) });
        break;
      case 1:
        fields.push({ number, value: buffer.readBigUInt64LE(offset), fixed64: true });
        offset += 8;
        break;
      case 2: {
        const length = Number(varint());
        if (offset + length > buffer.length) throw new RangeError(`field ${number} ends after the message does`);
        fields.push({ number, bytes: buffer.subarray(offset, offset + length) });
        offset += length;
        break;
      }
      case 5:
        fields.push({ number, value: BigInt(buffer.readUInt32LE(offset)) });
        offset += 4;
        break;
      default:
        throw new Error(`wire type ${key & 7} of field ${number} is not known`);
    }
  }
  return fields;
}
