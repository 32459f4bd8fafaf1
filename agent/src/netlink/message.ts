/**
 * Netlink messages (netlink(7)) as bytes. Numbers are in the byte order of the host, which is little-endian on every
 * architecture that Ovenbird runs on.
 */

/** One request. */
export interface NetlinkRequest {
  readonly type: number;
  /** Beside NLM_F_REQUEST and NLM_F_ACK. */
  readonly flags?: number;
  readonly body: Buffer;
  /** The same in the words of ip(8), for messages. */
  readonly what: string;
  /** Asks for all objects (NLM_F_DUMP): goes alone. */
  readonly dump?: true;
}

/** The answer to one request. */
export interface NetlinkReply {
  /** 0 = done. */
  readonly errno: number;
  /** What the kernel says about a failure (NLMSGERR_ATTR_MSG), if anything. */
  readonly text: string | undefined;
  /** Bodies of the objects asked for. */
  readonly objects: readonly Buffer[];
}

const HEADER = 16;
const FLAGS = { request: 0x01, ack: 0x04, dump: 0x300, capped: 0x100, ackTlvs: 0x200 } as const;
const TYPE_ERROR = 2;
const TYPE_DONE = 3;
const ERROR_ATTRIBUTE_MESSAGE = 1;

const aligned = (length: number): number => (length + 3) & ~3;

/** An attribute, or a nested one (rtnetlink(7)). */
export function attribute(type: number, ...content: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(content);
  const bytes = Buffer.alloc(aligned(4 + payload.length));
  bytes.writeUInt16LE(4 + payload.length, 0);
  bytes.writeUInt16LE(type, 2);
  payload.copy(bytes, 4);
  return bytes;
}

/** An unsigned 32 bit number. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A text with the zero byte at its end. */
export const text = (value: string): Buffer => Buffer.from(`${value}\0`);

/** Requests as one datagram; the n-th one gets the sequence number `first` + n. */
export function encodeRequests(requests: readonly NetlinkRequest[], first: number): Buffer {
  return Buffer.concat(
    requests.map(({ type, flags = 0, body, dump }, index) => {
      const bytes = Buffer.alloc(aligned(HEADER + body.length));
      bytes.writeUInt32LE(HEADER + body.length, 0);
      bytes.writeUInt16LE(type, 4);
      bytes.writeUInt16LE(FLAGS.request | FLAGS.ack | (dump === true ? FLAGS.dump : flags), 6);
      bytes.writeUInt32LE((first + index) >>> 0, 8);
      body.copy(bytes, HEADER);
      return bytes;
    }),
  );
}

/** What is in a datagram from the kernel. */
export interface NetlinkAnswer {
  readonly sequence: number;
  /** Absent for an object, which an acknowledgement or the end of the dump follows. */
  readonly errno?: number;
  readonly text?: string;
  readonly body?: Buffer;
}

/** Splits a datagram from the kernel. @throws RangeError when it is not made of whole messages */
export function decodeAnswers(datagram: Buffer): readonly NetlinkAnswer[] {
  const answers: NetlinkAnswer[] = [];
  for (let at = 0; at < datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER || at + length > datagram.length) throw new RangeError(`netlink message of ${length} bytes`);
    const sequence = datagram.readUInt32LE(at + 8);
    const body = datagram.subarray(at + HEADER, at + length);
    const type = datagram.readUInt16LE(at + 4);
    if (type === TYPE_DONE) answers.push({ sequence, errno: body.length < 4 ? 0 : Math.abs(body.readInt32LE(0)) });
    else if (type === TYPE_ERROR) {
      const said = errorText(body, datagram.readUInt16LE(at + 6));
      answers.push({ sequence, errno: Math.abs(body.readInt32LE(0)), ...(said === undefined ? {} : { text: said }) });
    } else answers.push({ sequence, body: Buffer.from(body) });
    at += aligned(length);
  }
  return answers;
}

/** The message of the kernel behind an error: after the request's header, or after all of it (NLM_F_CAPPED). */
function errorText(body: Buffer, flags: number): string | undefined {
  if ((flags & FLAGS.ackTlvs) === 0) return undefined;
  const request = (flags & FLAGS.capped) === 0 ? aligned(body.readUInt32LE(4)) : HEADER;
  const found = attributes(body.subarray(4 + request)).get(ERROR_ATTRIBUTE_MESSAGE);
  return found?.toString('utf8').replace(/\0.*$/s, '');
}

/** Attributes by type; of several of a type the last. */
export function attributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) break;
    found.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += aligned(length);
  }
  return found;
}
