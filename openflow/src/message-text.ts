/** Messages as text: what `ovs-ofctl ofp-print` prints, and the way back. */
import { OpenFlowError } from './error.ts';
import { hexDump, parseHexDump } from './hex-dump.ts';
import type { Message, UnknownMessage, UnknownMultipart } from './message.ts';
import { type DecodedMessage, decodeMessage, encodeMessage, isUnknown } from './message-codec.ts';
import { entryOfName, entryOfType, type MessageEntry } from './message-table.ts';
import { unmetPrerequisite } from './prerequisite.ts';
import type { TextContext } from './text.ts';
import { TextReader } from './text-reader.ts';
import { OF10, OF13, OF14, OF15, type Version, versionName } from './version.ts';

function contextOf({ version, code }: MessageEntry): TextContext {
  return {
    version,
    name: code.name,
    formatMessage: (message) => formatMessage(version, message as Message),
    formatBytes,
    parseMessage: (r) => readMessage(r).message,
    parseBytes,
  };
}

/** The match of a message whose prerequisites a switch would check. */
function hasUnmetPrerequisite(message: Message): boolean {
  return message.type === 'flow_mod' && unmetPrerequisite(message.match) !== undefined;
}

const MORE = ' flags=[more]';

/** ovs-ofctl prints an error for these; this is said in a way that can be read again. */
function formatUnknown(label: string, message: UnknownMessage | UnknownMultipart): string {
  const { data } = message;
  const bytes = ` ${data.length} bytes\n${hexDump(data)}`;
  if (message.type === 'unknown_message') return `type=${message.messageType} ${label}${bytes}`;
  const kind = message.type === 'unknown_multipart_request' ? 'request' : 'reply';
  return `multipart ${kind} type=${message.multipartType} ${label}${message.more === true ? MORE : ''}${bytes}`;
}

/**
 * A message as `ovs-ofctl ofp-print` prints it. `parseMessage` reads it again, where the text says all of the message:
 * the README lists what it leaves out. Table features are shortened.
 * A match that lacks a prerequisite prints as the error that a switch would answer with.
 */
export function formatMessage(version: Version, message: Message): string {
  // The first version needs no name.
  const name = version === OF10 ? '' : `(OF${versionName(version)}) `;
  const label = `${name}(xid=0x${message.xid.toString(16)}):`;
  if (isUnknown(message)) return formatUnknown(label, message);
  const entry = entryOfType(version, message.type);
  if (entry === undefined) return `${message.type} ${label} (not in this version)`;
  const head = `${entry.code.name} ${label}`;
  if (hasUnmetPrerequisite(message)) {
    return `${head} ***decode error: OFPBMC_BAD_PREREQ***\n${hexDump(encodeMessage(version, message))}`;
  }
  const more = (message as { readonly more?: boolean }).more === true ? MORE : '';
  return head + more + entry.spec.text.format(message, contextOf(entry));
}

/** The text of a message in an error, which may be cut off: what cannot be decoded is printed as hex. */
function formatBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return `${EMPTY}\n`;
  const length = bytes.length < 4 ? 0 : ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
  if (length > bytes.length) return `(***truncated to ${bytes.length} bytes from ${length}***)\n${hexDump(bytes)}`;
  try {
    const { version, message } = decodeMessage(bytes);
    return formatMessage(version, message);
  } catch {
    return `***decode error: OFPBRC_BAD_LEN***\n${hexDump(bytes)}`;
  }
}

const EMPTY = 'OpenFlow message is empty';
const AS_HEX = /\(\*\*\*truncated to \d+ bytes from \d+\*\*\*\)\n|\*\*\*decode error: \w+\*\*\*\n/y;

/** What `formatBytes` printed. */
function parseBytes(r: TextReader): Uint8Array {
  r.skipSpace();
  if (r.accept(EMPTY)) return new Uint8Array();
  if (r.take(AS_HEX) !== undefined) return parseHexDump(r);
  const { version, message } = readMessage(r);
  return encodeMessage(version, message);
}

const UNKNOWN = /(?:multipart (?:request|reply) )?type=\d+ /y;

/** What `formatUnknown` printed, after its type. */
function readUnknown(r: TextReader, type: string): DecodedMessage {
  const number = Number(/\d+/.exec(type)?.[0]);
  const { version, xid } = readLabel(r);
  const more = r.accept(MORE);
  if (r.take(/ \d+ bytes\n?/y) === undefined) throw r.expected('a number of bytes');
  const data = parseHexDump(r);
  if (type.startsWith('type')) return { version, message: { type: 'unknown_message', xid, messageType: number, data } };
  const kind = type.startsWith('multipart request') ? 'unknown_multipart_request' : 'unknown_multipart_reply';
  return { version, message: { type: kind, xid, multipartType: number, more, data } };
}

const NAME = /[A-Z]+T_[A-Z0-9_]+(?: request| reply)?/y;
const BY_NAME: Readonly<Record<string, Version>> = { '1.3': OF13, '1.4': OF14, '1.5': OF15 };

function readMessage(r: TextReader): DecodedMessage {
  r.skipSpace();
  const unknown = r.take(UNKNOWN);
  if (unknown !== undefined) return readUnknown(r, unknown);
  const name = r.take(NAME);
  if (name === undefined) throw r.expected('the name of a message');
  const { version, xid } = readLabel(r);
  const entry = entryOfName(version, name);
  if (entry === undefined) {
    throw new OpenFlowError('syntax', `OpenFlow ${versionName(version)} has no message ${name}`);
  }
  if (r.take(/ \*\*\*decode error: \w+\*\*\*\n/y) !== undefined) return decodeMessage(parseHexDump(r));
  const more = entry.code.kind === 'reply' ? { more: r.accept(MORE) } : {};
  const body = entry.spec.text.parse(r, contextOf(entry));
  const message = { type: entry.spec.type, xid, ...more, ...body };
  return { version, message: message as unknown as Message };
}

/** `(OF1.5) (xid=0x2):` */
function readLabel(r: TextReader): { readonly version: Version; readonly xid: number } {
  r.skipSpace();
  const version = r.accept('(OF') ? BY_NAME[r.take(/1\.\d/y) ?? ''] : OF10;
  if (version === undefined) throw r.expected('a version from 1.3 to 1.5');
  if (version !== OF10) r.expect(') ');
  r.expect('(xid=0x');
  const xid = r.take(/[0-9a-f]{1,8}(?=\):)/y);
  if (xid === undefined) throw r.expected('a transaction id');
  r.expect('):');
  return { version, xid: Number.parseInt(xid, 16) };
}

/**
 * Reads the text of one message: what `formatMessage` and `ovs-ofctl ofp-print` print.
 * @throws OpenFlowError `syntax` for other text, and for the texts of messages that leave a part of them out;
 * `invalid_value`, `prerequisite`, `malformed`
 * @example parseMessage('OFPT_FLOW_MOD (OF1.5) (xid=0x2): ADD table:1 ip actions=drop')
 */
export function parseMessage(text: string): DecodedMessage {
  const r = new TextReader(text);
  const decoded = readMessage(r);
  if (!r.atEnd) throw r.expected('the end');
  return decoded;
}
