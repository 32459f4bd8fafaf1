/** How a message is declared: its codes in the versions, its body, its text. */
import type { Reader } from './reader.ts';
import type { TextContext } from './text.ts';
import type { TextReader } from './text-reader.ts';
import { NX, OF13, OF14, OF15, ONF, type Version } from './version.ts';
import type { Writer } from './writer.ts';

/** What every message has. */
export interface MessageBase {
  readonly type: string;
  /** Transaction id: a reply has that of its request. */
  readonly xid: number;
}

/** Where a message stands in a version. */
export interface MessageCode {
  /** `OFPT_FLOW_MOD`, `NXT_RESUME`, `OFPST_FLOW request`: as ovs-ofctl prints it. */
  readonly name: string;
  readonly from: Version;
  readonly to: Version;
  /** `type`: of the header; `request` and `reply`: multipart messages. */
  readonly kind: 'type' | 'request' | 'reply';
  /** Type, or multipart type. */
  readonly number: number;
  /** Of experimenters' messages: id and subtype; `number` is then 4, or 0xffff for a multipart message. */
  readonly experimenter?: number;
  readonly subtype?: number;
}

/** What messages that hold messages need. */
export interface MessageContext {
  readonly version: Version;
  /** The code under which the message goes in this version. */
  readonly name: string;
  readonly readMessage: (bytes: Uint8Array) => unknown;
  /** @param xid by default the message's own */
  readonly writeMessage: (w: Writer, message: unknown, xid?: number) => void;
}

/** A message without what the header says. */
export type MessageBody<M extends MessageBase> = Omit<M, 'type' | 'xid'>;

/** A message, declared once. */
export interface MessageSpec<M extends MessageBase> {
  readonly type: M['type'];
  readonly codes: readonly MessageCode[];
  readonly read: (r: Reader, c: MessageContext) => MessageBody<M>;
  readonly write: (w: Writer, message: M, c: MessageContext) => void;
  readonly text: MessageText<M>;
}

/** What ovs-ofctl prints after `NAME (OF1.5) (xid=0x1):`, and the way back. */
export interface MessageText<M extends MessageBase> {
  readonly format: (message: M, c: TextContext) => string;
  readonly parse: (r: TextReader, c: TextContext) => MessageBody<M>;
}

/** The text of messages without a body. */
export const NO_TEXT: { readonly format: () => string; readonly parse: () => object } = {
  format: () => '',
  parse: () => ({}),
};

interface Versions {
  readonly from?: Version;
  readonly to?: Version;
}

/** A message with a type of its own; 1.3 and later unless said otherwise. */
export function standard(name: string, number: number, { from = OF13, to = OF15 }: Versions = {}): MessageCode {
  return { name, kind: 'type', number, from, to };
}

const EXPERIMENTER = 4;
const MULTIPART_EXPERIMENTER = 0xffff;

/** Nicira's extension message. */
export function nxt(name: string, subtype: number, { from = OF13, to = OF15 }: Versions = {}): MessageCode {
  return { name, kind: 'type', number: EXPERIMENTER, experimenter: NX, subtype, from, to };
}

/** An extension of the Open Networking Foundation for 1.3, of what 1.4 has as a message of its own. */
export function onft(name: string, subtype: number): MessageCode {
  return { name, kind: 'type', number: EXPERIMENTER, experimenter: ONF, subtype, from: OF13, to: OF13 };
}

/** A multipart message. */
export function multipart(
  name: string,
  kind: 'request' | 'reply',
  number: number,
  { from = OF13, to = OF15 }: Versions = {},
): MessageCode {
  return { name: `${name} ${kind}`, kind, number, from, to };
}

/** An experimenter's multipart message. */
export function experimenterMultipart(
  name: string,
  kind: 'request' | 'reply',
  experimenter: number,
  subtype: number,
  { from = OF13, to = OF15 }: Versions = {},
): MessageCode {
  return { name: `${name} ${kind}`, kind, number: MULTIPART_EXPERIMENTER, experimenter, subtype, from, to };
}

/** ONF's multipart extension for 1.3. */
export function onfst(name: string, kind: 'request' | 'reply', subtype: number): MessageCode {
  return experimenterMultipart(name, kind, ONF, subtype, { to: OF13 });
}

/** Puts a declaration of one message among those of all. */
export function erase<M extends MessageBase>(spec: MessageSpec<M>): MessageSpec<MessageBase> {
  return spec as unknown as MessageSpec<MessageBase>;
}

/** From 1.4 on many structures have properties instead of fixed fields. */
export const hasProperties = (version: Version): boolean => version >= OF14;
