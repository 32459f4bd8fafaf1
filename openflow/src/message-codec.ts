/** Messages on the wire: header, and what the declarations say (OpenFlow 1.5.1 §7.1). */
import { OpenFlowError } from './error.ts';
import type { Message, UnknownMessage, UnknownMultipart } from './message.ts';
import type { MessageBase, MessageContext } from './message-spec.ts';
import { entryOfCode, entryOfType, type MessageEntry } from './message-table.ts';
import { Reader } from './reader.ts';
import { isVersion, OF10, type Version, versionName } from './version.ts';
import { Writer } from './writer.ts';

const HELLO = 0;
const EXPERIMENTER = 4;
const MULTIPART_REQUEST = 18;
const MULTIPART_REPLY = 19;
const MULTIPART_EXPERIMENTER = 0xffff;
const MORE = 1;

/** A message and the version it came in. */
export interface DecodedMessage {
  readonly version: Version;
  readonly message: Message;
}

/** What stands in every header. */
export interface Header {
  readonly version: number;
  readonly messageType: number;
  readonly length: number;
  readonly xid: number;
}

/** Reads a header. @throws OpenFlowError `malformed` for less than 8 bytes */
export function readHeader(bytes: Uint8Array): Header {
  const r = new Reader(bytes);
  return { version: r.u8(), messageType: r.u8(), length: r.u16(), xid: r.u32() };
}

function contextOf({ version, code }: MessageEntry): MessageContext {
  return {
    version,
    name: code.name,
    readMessage: (bytes) => readInner(version, bytes),
    writeMessage: (w, message, xid) => writeMessage(w, version, message as Message, xid),
  };
}

/** A message in a message, which must be of the same version (OFPBRC_BAD_VERSION). */
function readInner(version: Version, bytes: Uint8Array): Message {
  const decoded = decodeMessage(bytes);
  if (decoded.version === version) return decoded.message;
  throw new OpenFlowError(
    'malformed',
    `bad OpenFlow message: one of version ${versionName(decoded.version)} in one of ${versionName(version)}`,
  );
}

const CONTEXTS = new Map<MessageEntry, MessageContext>();

/** The context of a message in a version; made once. */
function contextFor(entry: MessageEntry): MessageContext {
  let context = CONTEXTS.get(entry);
  if (context === undefined) {
    context = contextOf(entry);
    CONTEXTS.set(entry, context);
  }
  return context;
}

function readBody(r: Reader, xid: number, entry: MessageEntry, more: boolean): Message {
  const body = entry.spec.read(r, contextFor(entry));
  const message = { type: entry.spec.type, xid, ...body, ...(entry.code.kind === 'reply' ? { more } : {}) };
  return message as unknown as Message;
}

function readMultipart(r: Reader, version: Version, xid: number, kind: 'request' | 'reply'): Message {
  const multipartType = r.u16();
  const more = (r.u16() & MORE) !== 0;
  r.skip(4);
  const start = r.pos;
  let entry: MessageEntry | undefined;
  if (multipartType === MULTIPART_EXPERIMENTER && r.left >= 8) {
    entry = entryOfCode(version, kind, multipartType, r.u32(), r.u32());
  } else entry = entryOfCode(version, kind, multipartType);
  if (entry !== undefined) return readBody(r, xid, entry, more);
  r.pos = start;
  return { type: `unknown_multipart_${kind}`, xid, multipartType, more, data: r.rest() };
}

/** Errors of values inside of a message, as errors of the message. */
function asMalformed(error: unknown): OpenFlowError {
  if (error instanceof OpenFlowError && error.code === 'malformed') return error;
  const text = error instanceof Error ? error.message : String(error);
  return new OpenFlowError('malformed', `bad OpenFlow message: ${text}`, { cause: error });
}

/**
 * Decodes one message. What this package does not know becomes `unknown_message` and the like, with its bytes.
 * @param bytes exactly one message, as `Framer` cuts them
 * @throws OpenFlowError `malformed`; the stream itself is not damaged by that
 */
export function decodeMessage(bytes: Uint8Array): DecodedMessage {
  const r = new Reader(bytes);
  const versionByte = r.u8();
  const messageType = r.u8();
  const length = r.u16();
  const xid = r.u32();
  if (length !== bytes.length) throw r.malformed(`its header says ${length} bytes, it has ${bytes.length}`);
  // The greeting has the same form in every version, also in later ones than are known here.
  let version: Version = OF10;
  if (isVersion(versionByte)) version = versionByte;
  else if (messageType !== HELLO)
    throw r.malformed(`version 0x${versionByte.toString(16)} is none of 1.0, 1.3, 1.4, 1.5`);
  try {
    return { version, message: readMessage(r, version, messageType, xid) };
  } catch (error) {
    throw asMalformed(error);
  }
}

function readMessage(r: Reader, version: Version, messageType: number, xid: number): Message {
  if (version !== OF10 && (messageType === MULTIPART_REQUEST || messageType === MULTIPART_REPLY)) {
    return readMultipart(r, version, xid, messageType === MULTIPART_REQUEST ? 'request' : 'reply');
  }
  const start = r.pos;
  let entry: MessageEntry | undefined;
  if (messageType === EXPERIMENTER && r.left >= 8) entry = entryOfCode(version, 'type', messageType, r.u32(), r.u32());
  else entry = entryOfCode(version, 'type', messageType);
  if (entry !== undefined) return readBody(r, xid, entry, false);
  r.pos = start;
  return { type: 'unknown_message', xid, messageType, data: r.rest() };
}

function writeHeader(w: Writer, version: Version, messageType: number, xid: number): void {
  w.u8(version);
  w.u8(messageType);
  w.u16(0);
  w.u32(xid);
}

function writeMultipartHeader(w: Writer, multipartType: number, more: boolean | undefined): void {
  w.u16(multipartType);
  w.u16(more === true ? MORE : 0);
  w.u32(0);
}

/** A message that is kept as bytes. */
function writeUnknown(w: Writer, version: Version, message: UnknownMessage | UnknownMultipart, xid: number): void {
  if (message.type === 'unknown_message') writeHeader(w, version, message.messageType, xid);
  else {
    writeHeader(w, version, message.type === 'unknown_multipart_request' ? MULTIPART_REQUEST : MULTIPART_REPLY, xid);
    writeMultipartHeader(w, message.multipartType, message.more);
  }
  w.bytes(message.data);
}

function writeKnown(w: Writer, entry: MessageEntry, message: MessageBase, xid: number): void {
  const { code, spec, version } = entry;
  if (code.kind === 'type') writeHeader(w, version, code.number, xid);
  else {
    writeHeader(w, version, code.kind === 'request' ? MULTIPART_REQUEST : MULTIPART_REPLY, xid);
    writeMultipartHeader(w, code.number, (message as { readonly more?: boolean }).more);
  }
  if (code.experimenter !== undefined) {
    w.u32(code.experimenter);
    w.u32(code.subtype ?? 0);
  }
  spec.write(w, message, contextFor(entry));
}

/**
 * Writes one message behind what a writer already holds.
 * @param xid transaction id, by default the message's own
 * @throws OpenFlowError `unencodable` where the version lacks it, `invalid_value`, `too_large`; nothing is written then
 */
export function writeMessage(w: Writer, version: Version, message: Message, xid: number = message.xid): void {
  const start = w.length;
  try {
    if (isUnknown(message)) writeUnknown(w, version, message, xid);
    else {
      const entry = entryOfType(version, message.type);
      if (entry === undefined) {
        throw new OpenFlowError('unencodable', `OpenFlow ${versionName(version)} has no message "${message.type}"`);
      }
      writeKnown(w, entry, message, xid);
    }
    w.patch16(start + 2, w.length - start);
  } catch (error) {
    w.truncate(start);
    throw error;
  }
}

const UNKNOWN: ReadonlySet<string> = new Set([
  'unknown_message',
  'unknown_multipart_request',
  'unknown_multipart_reply',
]);

/** Whether a message is one that is kept as bytes. */
export function isUnknown(message: Message): message is UnknownMessage | UnknownMultipart {
  return UNKNOWN.has(message.type);
}

/** Encodes one message. @throws OpenFlowError as `writeMessage` */
export function encodeMessage(version: Version, message: Message): Uint8Array<ArrayBuffer> {
  const w = new Writer();
  writeMessage(w, version, message);
  return w.take();
}
