/** Bundles: messages that take effect together or not at all (OpenFlow 1.5.1 §7.3.9; ONF's extension for 1.3). */
import { numberFor, type Words, wordFor } from '../layout.ts';
import type { Message, Outgoing } from '../message.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageCode,
  type MessageSpec,
  onft,
  standard,
} from '../message-spec.ts';
import { type BitNames, bits, hexadecimal, part, type Scalar, texts, word } from '../text.ts';
import { OF14 } from '../version.ts';

/** What a control message is about. */
export type BundleControlType =
  | 'open_request'
  | 'open_reply'
  | 'close_request'
  | 'close_reply'
  | 'commit_request'
  | 'commit_reply'
  | 'discard_request'
  | 'discard_reply';

const TYPES: Words = {
  open_request: 0,
  open_reply: 1,
  close_request: 2,
  close_reply: 3,
  commit_request: 4,
  commit_reply: 5,
  discard_request: 6,
  discard_reply: 7,
};

/** OFPBF_ bits. */
export const BUNDLE_FLAGS: { readonly atomic: number; readonly ordered: number } = { atomic: 1, ordered: 2 };

/** Opens, closes, commits, discards. */
export interface BundleControl extends MessageBase {
  readonly type: 'bundle_control';
  readonly bundleId: number;
  readonly control: BundleControlType;
  /** BUNDLE_FLAGS. Replies of Open vSwitch have none. */
  readonly flags: number;
}

/** Adds a message. It must have the transaction id of this one, which it gets when it has none. */
export interface BundleAdd extends MessageBase {
  readonly type: 'bundle_add';
  readonly bundleId: number;
  readonly flags: number;
  readonly message: Outgoing;
  /** Properties, as they are. */
  readonly data?: Uint8Array | undefined;
}

const codes = (name: string, number: number, subtype: number): readonly MessageCode[] => [
  standard(`OFPT_${name}`, number, { from: OF14 }),
  onft(`ONFT_${name}`, subtype),
];

const FLAG_NAMES: BitNames = [
  [1, 'atomic'],
  [2, 'ordered'],
];

const CONTROL_WORD: Scalar<BundleControlType> = word(
  (Object.keys(TYPES) as BundleControlType[]).map((type) => [type, type.toUpperCase()] as const),
);
const control = texts<MessageBody<BundleControl>>();
const add = texts<MessageBody<BundleAdd>>();

const CONTROL: MessageSpec<BundleControl> = {
  type: 'bundle_control',
  codes: codes('BUNDLE_CONTROL', 33, 2300),
  read: (r) => {
    const bundleId = r.u32();
    const control = wordFor(TYPES, r.u16());
    if (typeof control === 'number') throw r.malformed(`bundle control type ${control}`);
    return { bundleId, control: control as BundleControlType, flags: r.u16() };
  },
  write: (w, { bundleId, control, flags }) => {
    w.u32(bundleId);
    w.u16(numberFor(TYPES, control, 'control'));
    w.u16(flags);
  },
  text: control.text`\n bundle_id=${control.is('bundleId', hexadecimal)} type=${control.is('control', CONTROL_WORD)} flags=${control.is('flags', bits(FLAG_NAMES))}`,
};

const ADD: MessageSpec<BundleAdd> = {
  type: 'bundle_add',
  codes: codes('BUNDLE_ADD_MESSAGE', 34, 2301),
  read: (r, c) => {
    const bundleId = r.u32();
    r.skip(2);
    const flags = r.u16();
    const start = r.pos;
    r.skip(2);
    const length = r.u16();
    r.pos = start;
    if (length < 8 || length > r.left) throw r.malformed(`a message of ${length} bytes in a bundle`);
    const message = c.readMessage(r.bytes.subarray(start, start + length)) as Message;
    r.skip(length);
    const data = r.rest();
    return { bundleId, flags, message, ...(data.length === 0 ? {} : { data }) };
  },
  write: (w, { xid, bundleId, flags, message, data }, c) => {
    w.u32(bundleId);
    w.u16(0);
    w.u16(flags);
    c.writeMessage(w, message, message.xid ?? xid);
    if (data !== undefined) w.bytes(data);
  },
  text: add.text`\n bundle_id=${add.is('bundleId', hexadecimal)} flags=${add.is('flags', bits(FLAG_NAMES))}\n${part(
    (m, c) => c.formatMessage({ xid: (m as BundleAdd).xid, ...m.message }),
    (r, into, c) => {
      into['message'] = c.parseMessage(r);
    },
  )}`,
};

export const BUNDLE_MESSAGES: readonly MessageSpec<MessageBase>[] = [erase(CONTROL), erase(ADD)];
