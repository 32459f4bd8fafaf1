/** What groups a switch can have (OpenFlow 1.5.1 §7.3.5.11). */
import { erase, type MessageBase, type MessageBody, type MessageSpec, multipart, NO_TEXT } from '../message-spec.ts';
import { type BitNames, bits, hex32, part, type Scalar, type Text, type TextItem, texts } from '../text.ts';

/** Asks what groups the switch can have. */
export interface GroupFeaturesRequest extends MessageBase {
  readonly type: 'group_features_request';
}

/** What groups the switch can have; arrays by group type. */
export interface GroupFeaturesReply extends MessageBase {
  readonly type: 'group_features_reply';
  readonly more?: boolean | undefined;
  readonly types: number;
  readonly capabilities: number;
  readonly maxGroups: readonly number[];
  readonly actions: readonly number[];
}

const FEATURES_REQUEST: MessageSpec<GroupFeaturesRequest> = {
  type: 'group_features_request',
  codes: [multipart('OFPST_GROUP_FEATURES', 'request', 8)],
  read: () => ({}),
  write: () => undefined,
  text: NO_TEXT,
};

const TYPE_NAMES = ['all', 'select', 'indirect', 'fast failover'];

/** Bits of actions by the words in which ovs-ofctl lists what groups can do. */
const ACTION_NAMES: BitNames = [
  [1 << 0, 'output'],
  [1 << 22, 'group'],
  [1 << 25, 'set_field'],
  [1 << 18, 'strip_vlan'],
  [1 << 17, 'push_vlan'],
  [1 << 23, 'mod_nw_ttl'],
  [1 << 24, 'dec_ttl'],
  [1 << 15, 'set_mpls_ttl'],
  [1 << 16, 'dec_mpls_ttl'],
  [1 << 19, 'push_mpls'],
  [1 << 20, 'pop_mpls'],
  [1 << 21, 'set_queue'],
];

const TYPE_FEATURES = texts<TypeFeatures>();

/** What groups of a type can do. */
interface TypeFeatures {
  readonly maxGroups: number;
  readonly actions: number;
}

const ACTION_BITS: Scalar<number> = {
  pattern: /[^\n]*/y,
  what: 'names of actions',
  format: (actions) =>
    ACTION_NAMES.filter(([bit]) => (actions & bit) !== 0)
      .map(([, name]) => name)
      .join(' '),
  parse: (text, c) => (text === '' ? 0 : bits(ACTION_NAMES).parse(text, c)),
};

const OF_TYPE: Text<TypeFeatures> = TYPE_FEATURES.text` group:\n       max_groups=${TYPE_FEATURES.is('maxGroups', hex32)}\n       actions: ${TYPE_FEATURES.is('actions', ACTION_BITS)}\n`;

const features = texts<MessageBody<GroupFeaturesReply>>();

/** The types that there are. */
const FEATURES: TextItem<MessageBody<GroupFeaturesReply>> = part(
  ({ types, maxGroups, actions }, c) =>
    TYPE_NAMES.map((name, at) =>
      (types & (1 << at)) === 0
        ? ''
        : `    ${name}${OF_TYPE.format({ maxGroups: maxGroups[at] ?? 0, actions: actions[at] ?? 0 }, c)}`,
    ).join(''),
  (r, into, c) => {
    const all = TYPE_NAMES.map((name) =>
      r.accept(`    ${name}`) ? OF_TYPE.parse(r, c) : { maxGroups: 0, actions: 0 },
    );
    into['maxGroups'] = all.map(({ maxGroups }) => maxGroups);
    into['actions'] = all.map(({ actions }) => actions);
  },
);

const FEATURES_REPLY: MessageSpec<GroupFeaturesReply> = {
  type: 'group_features_reply',
  codes: [multipart('OFPST_GROUP_FEATURES', 'reply', 8)],
  read: (r) => {
    const types = r.u32();
    const capabilities = r.u32();
    const four = (): readonly number[] => [r.u32(), r.u32(), r.u32(), r.u32()];
    return { types, capabilities, maxGroups: four(), actions: four() };
  },
  write: (w, { types, capabilities, maxGroups, actions }) => {
    w.u32(types);
    w.u32(capabilities);
    for (const numbers of [maxGroups, actions]) {
      for (let at = 0; at < 4; at += 1) w.u32(numbers[at] ?? 0);
    }
  },
  text: features.text`\n Group table:\n    Types:  ${features.is('types', hex32)}\n    Capabilities:  ${features.is('capabilities', hex32)}\n${FEATURES}`,
};

export const GROUP_FEATURES_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(FEATURES_REQUEST),
  erase(FEATURES_REPLY),
];
