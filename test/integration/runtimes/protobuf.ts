/** The protobuf wire format (protobuf.dev/programming-guides/encoding), as far as the CRI's messages need it. */

type Scalar = 'string' | 'number' | 'bool' | 'bytes';
/** One field of a message: its number, its type, and whether it is a list. */
export type Field = readonly [id: number, type: Scalar | Message, list?: 'list'];
/** A message: its fields by name. */
export interface Message {
  readonly [name: string]: Field;
}
/** Content of a message; absent fields have their default. */
export type Content = Readonly<Record<string, unknown>>;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

const delimited = (id: number, bytes: Buffer): Buffer =>
  Buffer.concat([varint(id * 8 + 2), varint(bytes.length), bytes]);

function encodeField([id, type]: Field, value: unknown): Buffer {
  if (type === 'number' || type === 'bool') return Buffer.concat([varint(id * 8), varint(Number(value))]);
  if (type === 'string') return delimited(id, Buffer.from(value as string, 'utf8'));
  return delimited(id, type === 'bytes' ? (value as Buffer) : encode(type, value as Content));
}

/** Writes a message. @throws Error for a field that it does not have */
export function encode(message: Message, content: Content): Buffer {
  const parts = Object.entries(content).flatMap(([name, value]) => {
    const field = message[name];
    if (field === undefined) throw new Error(`the message has no field ${name}`);
    const values: readonly unknown[] = field[2] === 'list' ? (value as readonly unknown[]) : [value];
    return values.map((one) => encodeField(field, one));
  });
  return Buffer.concat(parts);
}

const defaults = { string: '', number: 0, bool: false, bytes: Buffer.alloc(0) } as const;

/** Reads a message; unknown fields are passed over, absent ones get their default (absent messages stay absent). */
export function decode(message: Message, buffer: Buffer): Record<string, unknown> {
  const content: Record<string, unknown> = {};
  const names = new Map(Object.entries(message).map(([name, field]) => [field[0], [name, field] as const]));
  for (const [name, [, type, list]] of Object.entries(message)) {
    if (list === 'list') content[name] = [];
    else if (typeof type === 'string') content[name] = defaults[type];
  }
  let offset = 0;
  const number = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = buffer.readUInt8(offset);
      offset += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (offset < buffer.length) {
    const key = number();
    const found = names.get(key >>> 3);
    let value: unknown;
    if ((key & 7) === 0) value = number();
    else if ((key & 7) === 2) {
      const length = number();
      value = buffer.subarray(offset, offset + length);
      offset += length;
    } else throw new Error(`wire type ${key & 7}`);
    if (found === undefined) continue;
    const [name, [, type, list]] = found;
    const read = typeof type === 'string' ? scalar(type, value) : decode(type, value as Buffer);
    if (list === 'list') (content[name] as unknown[]).push(read);
    else content[name] = read;
  }
  return content;
}

function scalar(type: Scalar, value: unknown): unknown {
  if (type === 'string') return (value as Buffer).toString('utf8');
  return type === 'bool' ? value !== 0 : value;
}
