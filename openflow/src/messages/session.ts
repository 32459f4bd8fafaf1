/** Messages of the session: greeting, errors, echo, features, configuration, barriers, roles. */
import { describeError, findError } from '../error-names.ts';
import { hexDump, parseHexDump } from '../hex-dump.ts';
import { type Body, layout, type Words } from '../layout.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageCode,
  type MessageSpec,
  type MessageText,
  multipart,
  NO_TEXT,
  nxt,
  onft,
  standard,
} from '../message-spec.ts';
import { parseNumber } from '../number-text.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import type { Reader } from '../reader.ts';
import {
  type BitNames,
  bits,
  decimal,
  decimal64,
  line,
  part,
  type Scalar,
  type Text,
  type TextItem,
  texts,
  word,
  words,
} from '../text.ts';
import { OF10, OF14, type Version } from '../version.ts';
import { type Port, readPorts, writePort } from './port-structure.ts';
import { PORTS_TEXT } from './port-text.ts';

/** Messages without a body. */
export interface Empty extends MessageBase {
  readonly type: 'features_request' | 'get_config_request' | 'barrier_request' | 'barrier_reply' | 'tlv_table_request';
}

/** The first message of either side. */
export interface Hello extends MessageBase {
  readonly type: 'hello';
  /** The versions it can speak, as in its bitmap; undefined when it has none: every version up to the header's. */
  readonly versions?: readonly number[] | undefined;
  /** Elements that nobody knows yet. */
  readonly others?: readonly RawProperty[] | undefined;
}

/** The switch refuses something. */
export interface ErrorMessage extends MessageBase {
  readonly type: 'error';
  readonly errorType: number;
  readonly code: number;
  /** When errorType is 0xffff. */
  readonly experimenter?: number | undefined;
  /** The message it is about, or the beginning of it. */
  readonly data: Uint8Array;
}

/** Asks whether the other side is there. */
export interface Echo extends MessageBase {
  readonly type: 'echo_request' | 'echo_reply';
  readonly data: Uint8Array;
}

/** What the switch is. */
export interface FeaturesReply extends MessageBase {
  readonly type: 'features_reply';
  readonly datapathId: bigint;
  readonly buffers: number;
  readonly tables: number;
  readonly auxiliaryId?: number | undefined;
  /** OFPC_ bits. */
  readonly capabilities: number;
  /** OpenFlow 1.0: the actions it has, by bit. Later: reserved. */
  readonly reserved?: number | undefined;
  /** OpenFlow 1.0 only; later there is a request for them. */
  readonly ports?: readonly Port[] | undefined;
}

/** How the switch treats fragments, and how much of a packet it sends on a table miss. */
export interface Config extends MessageBase {
  readonly type: 'get_config_reply' | 'set_config';
  /** OFPC_FRAG_ bits: 0 normal, 1 drop, 2 reassemble, 3 nx-match. */
  readonly flags: number;
  /** On a service connection of Open vSwitch, 0 also means: send no asynchronous messages at all. */
  readonly missSendLen: number;
}

/** A controller's role. */
export type Role = 'nochange' | 'equal' | 'primary' | 'secondary' | number;

/** Asks for a role, or says which it is. */
export interface RoleMessage extends MessageBase {
  readonly type: 'role_request' | 'role_reply';
  readonly role: Role;
  readonly generationId: bigint;
}

/** The role was changed by somebody else's doing. */
export interface RoleStatus extends MessageBase {
  readonly type: 'role_status';
  readonly role: Role;
  readonly reason: number;
  readonly generationId: bigint;
  /** Properties. */
  readonly data: Uint8Array;
}

/** Asks what the switch is called. */
export interface DescRequest extends MessageBase {
  readonly type: 'desc_request';
}

/** What the switch is called. */
export interface DescReply extends MessageBase {
  readonly type: 'desc_reply';
  readonly more?: boolean | undefined;
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly serialNumber: string;
  readonly description: string;
}

function empty(type: Empty['type'], codes: readonly MessageCode[]): MessageSpec<Empty> {
  return { type, codes, read: () => ({}), write: () => undefined, text: NO_TEXT };
}

/** A message that is one fixed structure. */
function fixed<M extends MessageBase>(
  type: M['type'],
  codes: readonly MessageCode[],
  body: Body<MessageBody<M>>,
  text: MessageText<M>,
): MessageSpec<M> {
  return {
    type,
    codes,
    read: (r, c) => body.read(r, c.version),
    write: (w, message, c) => body.write(w, message, c.version),
    text,
  };
}

/** Version numbers of a bitmap: bit n of word w is version 32w + n. */
function readBitmap(r: Reader): readonly number[] {
  const versions: number[] = [];
  for (let base = 0; r.left >= 4; base += 32) {
    const word = r.u32();
    for (let bit = 0; bit < 32; bit += 1) if (((word >>> bit) & 1) === 1) versions.push(base + bit);
  }
  return versions;
}

const VERSION_BITMAP = 1;

const hello = texts<MessageBody<Hello>>();

/** Without a bitmap, all up to the header's version. */
const BITMAP: Scalar<readonly number[] | undefined> = {
  pattern: /[^\n]*/y,
  what: 'versions',
  format: (versions, c) =>
    (versions ?? Array.from({ length: c.version }, (_, at) => at + 1))
      .map((version) => `0x${version.toString(16).padStart(2, '0')}`)
      .join(', '),
  parse: (text) => text.split(',').map((version) => parseNumber(version, MAX_VERSION, 'a version')),
};

const MAX_VERSION = 0xff;

const HELLO: MessageSpec<Hello> = {
  type: 'hello',
  codes: [standard('OFPT_HELLO', 0, { from: OF10 })],
  read: (r) => {
    let versions: readonly number[] | undefined;
    const others = readProperties(r, (type) => {
      if (type !== VERSION_BITMAP) return false;
      versions = readBitmap(r);
      return true;
    });
    return { versions, others };
  },
  write: (w, { versions, others }) => {
    writeProperties(w, others, () => {
      if (versions === undefined) return;
      const words = Array.from({ length: Math.floor(Math.max(0, ...versions) / 32) + 1 }, () => 0);
      for (const version of versions) words[version >> 5] = (words[version >> 5] ?? 0) | (1 << (version & 31));
      writeProperty(w, VERSION_BITMAP, () => {
        for (const word of words) w.u32(word >>> 0);
      });
    });
  },
  text: hello.text`\n version bitmap: ${hello.is('versions', BITMAP)}\n`,
};

const HELLO_FAILED = 0;
const ERROR_NAME = /[^\n]+/y;
const EXPERIMENTER_ERROR = 0xffff;
/** How OpenFlow 1.0 said it: type and code that mean "Nicira's error follows". */
const NICIRA_ERROR = 0xb0c2;

const ERROR: MessageSpec<ErrorMessage> = {
  type: 'error',
  codes: [standard('OFPT_ERROR', 1, { from: OF10 })],
  read: (r, c) => {
    const errorType = r.u16();
    const code = r.u16();
    if (errorType === EXPERIMENTER_ERROR && c.version !== OF10) {
      return { errorType, code, experimenter: r.u32(), data: r.rest() };
    }
    if (errorType === NICIRA_ERROR && c.version === OF10 && r.left >= 8) {
      const experimenter = r.u32();
      const niciraType = r.u16();
      const niciraCode = r.u16();
      return { errorType: EXPERIMENTER_ERROR, code: (niciraType << 8) | niciraCode, experimenter, data: r.rest() };
    }
    return { errorType, code, data: r.rest() };
  },
  write: (w, { errorType, code, experimenter, data }, c) => {
    if (experimenter !== undefined && c.version === OF10) {
      w.u16(NICIRA_ERROR);
      w.u16(0);
      w.u32(experimenter);
      w.u16(code >> 8);
      w.u16(code & 0xff);
    } else {
      w.u16(errorType);
      w.u16(code);
      if (experimenter !== undefined) w.u32(experimenter);
    }
    w.bytes(data);
  },
  text: {
    format: ({ errorType, code, experimenter, data }, c) => {
      const { name } = describeError(c.version, errorType, code, experimenter);
      // A refused hello explains itself in words; the other errors return the message.
      if (errorType === HELLO_FAILED) return ` ${name}\n${new TextDecoder().decode(data)}\n`;
      return ` ${name}\n${c.formatBytes(data)}`;
    },
    parse: (r, c) => {
      r.skipSpace();
      const named = r.take(ERROR_NAME);
      const found = named === undefined ? undefined : findError(c.version, named);
      if (found === undefined) throw r.expected('the name of an error');
      r.take(/\n/y);
      const data =
        found.errorType === HELLO_FAILED
          ? new TextEncoder().encode((r.take(/[^]*/y) ?? '').replace(/\n$/, ''))
          : c.parseBytes(r);
      return { ...found, data };
    },
  },
};

function echo(type: Echo['type'], name: string, number: number): MessageSpec<Echo> {
  return {
    type,
    codes: [standard(name, number, { from: OF10 })],
    read: (r) => ({ data: r.rest() }),
    write: (w, { data }) => w.bytes(data),
    text: {
      format: ({ data }) => ` ${data.length} bytes of payload\n${hexDump(data)}`,
      parse: (r) => {
        r.skipSpace();
        r.take(/\d+/y);
        r.expect(' bytes of payload\n');
        return { data: parseHexDump(r) };
      },
    },
  };
}

/** OFPC_ bits. 8 is STP in 1.0 and group statistics later; 5 fragments are reassembled. */
const CAPABILITIES: BitNames = [
  [1 << 0, 'FLOW_STATS'],
  [1 << 1, 'TABLE_STATS'],
  [1 << 2, 'PORT_STATS'],
  [1 << 3, 'GROUP_STATS'],
  [1 << 5, 'IP_REASM'],
  [1 << 6, 'QUEUE_STATS'],
  [1 << 8, 'PORT_BLOCKED'],
];
const LATER_CAPABILITIES: typeof CAPABILITIES = [...CAPABILITIES, [1 << 9, 'BUNDLES'], [1 << 10, 'FLOW_MONITORING']];
const FIRST_CAPABILITIES: typeof CAPABILITIES = [
  ...CAPABILITIES.filter(([bit]) => bit !== 1 << 3 && bit !== 1 << 8),
  [1 << 3, 'STP'],
  [1 << 7, 'ARP_MATCH_IP'],
];

function capabilityNames(version: Version): typeof CAPABILITIES {
  if (version === OF10) return FIRST_CAPABILITIES;
  return version >= OF14 ? LATER_CAPABILITIES : CAPABILITIES;
}

/** Bits of the actions in a features reply of OpenFlow 1.0 (OFPAT10_). */
const FIRST_ACTIONS: BitNames = [
  [1 << 0, 'output'],
  [1 << 11, 'enqueue'],
  [1 << 1, 'set_vlan_vid'],
  [1 << 2, 'set_vlan_pcp'],
  [1 << 3, 'strip_vlan'],
  [1 << 4, 'mod_dl_src'],
  [1 << 5, 'mod_dl_dst'],
  [1 << 6, 'mod_nw_src'],
  [1 << 7, 'mod_nw_dst'],
  [1 << 8, 'mod_nw_tos'],
  [1 << 9, 'mod_tp_src'],
  [1 << 10, 'mod_tp_dst'],
];

const features = texts<MessageBody<FeaturesReply>>();

/** 64 bits as 16 digits. */
const DATAPATH: Scalar<bigint> = {
  pattern: /[0-9a-f]{16}/y,
  what: 'a datapath id',
  format: (id) => id.toString(16).padStart(16, '0'),
  parse: (text) => BigInt(`0x${text}`),
};

const FIRST_TEXT: Text<MessageBody<FeaturesReply>> =
  features.text`actions: ${features.is('reserved', bits(FIRST_ACTIONS), 0)}\n${features.nested('ports', PORTS_TEXT)}`;

/** What OpenFlow 1.0 has in addition. */
const FIRST_FEATURES: TextItem<MessageBody<FeaturesReply>> = part(
  (from, c) => (c.version === OF10 ? FIRST_TEXT.format({ ...from, ports: from.ports ?? [] }, c) : ''),
  (r, into, c) => {
    if (c.version === OF10) Object.assign(into, FIRST_TEXT.parse(r, c));
  },
);

const FEATURES_REPLY: MessageSpec<FeaturesReply> = {
  type: 'features_reply',
  codes: [standard('OFPT_FEATURES_REPLY', 6, { from: OF10 })],
  read: (r, c) => {
    const datapathId = r.u64();
    const buffers = r.u32();
    const tables = r.u8();
    const auxiliaryId = r.u8();
    r.skip(2);
    const capabilities = r.u32();
    const reserved = r.u32();
    const common = { datapathId, buffers, tables, auxiliaryId, capabilities, reserved };
    return c.version === OF10 ? { ...common, ports: readPorts(r, c.version) } : common;
  },
  write: (w, { datapathId, buffers, tables, auxiliaryId, capabilities, reserved, ports }, c) => {
    w.u64(datapathId);
    w.u32(buffers);
    w.u8(tables);
    w.u8(auxiliaryId ?? 0);
    w.zeros(2);
    w.u32(capabilities);
    w.u32(reserved ?? 0);
    if (c.version === OF10) for (const port of ports ?? []) writePort(w, c.version, port);
  },
  text: features.text` dpid:${features.is('datapathId', DATAPATH)}\nn_tables:${features.is('tables', decimal)}, n_buffers:${features.is('buffers', decimal)}${features.optional('auxiliaryId', ', auxiliary_id:', decimal, 0)}\ncapabilities: ${features.is('capabilities', bits(capabilityNames))}\n${FIRST_FEATURES}`,
};

const FRAGMENTS: Scalar<number> = word([
  [0, 'normal'],
  [1, 'drop'],
  [2, 'reassemble'],
  [3, 'nx-match'],
]);
const configText = texts<MessageBody<Config>>();

const configuration = layout<MessageBody<Config>>();

function config(type: Config['type'], name: string, number: number): MessageSpec<Config> {
  return fixed<Config>(
    type,
    [standard(name, number, { from: OF10 })],
    configuration.struct([configuration.u16('flags'), configuration.u16('missSendLen')]),
    configText.text` frags=${configText.is('flags', FRAGMENTS)} miss_send_len=${configText.is('missSendLen', decimal)}\n`,
  );
}

const ROLES: Words = { nochange: 0, equal: 1, primary: 2, secondary: 3 };
const NO_GENERATION = 0xffff_ffff_ffff_ffffn;

const ROLE: Scalar<Role> = words<Role>('nochange', 'equal', 'primary', 'secondary');
const roleText = texts<MessageBody<RoleMessage>>();

const roles = layout<MessageBody<RoleMessage>>();

function role(type: RoleMessage['type'], name: string, number: number): MessageSpec<RoleMessage> {
  return fixed<RoleMessage>(
    type,
    [standard(name, number)],
    roles.struct([roles.word(4, 'role', ROLES), roles.pad(4), roles.u64('generationId')]),
    roleText.text` role=${roleText.is('role', ROLE)}${roleText.optional('generationId', ' generation_id=', decimal64, NO_GENERATION)}`,
  );
}

const status = layout<MessageBody<RoleStatus>>();
const ROLE_REASON: Scalar<number> = word([
  [0, 'primary_request'],
  [1, 'configuration_changed'],
  [2, 'experimenter_data_changed'],
]);
const statusText = texts<MessageBody<RoleStatus>>();

const ROLE_STATUS: MessageSpec<RoleStatus> = fixed<RoleStatus>(
  'role_status',
  [standard('OFPT_ROLE_STATUS', 30, { from: OF14 }), onft('ONFT_ROLE_STATUS', 1911)],
  status.struct([
    status.word(4, 'role', ROLES),
    status.u8('reason'),
    status.pad(3),
    status.u64('generationId'),
    status.rest('data'),
  ]),
  statusText.text` role=${statusText.is('role', ROLE)}${statusText.optional('generationId', ' generation_id=', decimal64, NO_GENERATION)} reason=${statusText.is('reason', ROLE_REASON)}${statusText.none<Uint8Array>('data', new Uint8Array())}`,
);

const DESC_REQUEST: MessageSpec<DescRequest> = {
  type: 'desc_request',
  codes: [multipart('OFPST_DESC', 'request', 0)],
  read: () => ({}),
  write: () => undefined,
  text: NO_TEXT,
};

const desc = layout<MessageBody<DescReply>>();
const descText = texts<MessageBody<DescReply>>();

const DESC_REPLY: MessageSpec<DescReply> = fixed<DescReply>(
  'desc_reply',
  [multipart('OFPST_DESC', 'reply', 0)],
  desc.struct([
    desc.text('manufacturer', 256),
    desc.text('hardware', 256),
    desc.text('software', 256),
    desc.text('serialNumber', 32),
    desc.text('description', 256),
  ]),
  descText.text`\nManufacturer: ${descText.is('manufacturer', line)}\nHardware: ${descText.is('hardware', line)}\nSoftware: ${descText.is('software', line)}\nSerial Num: ${descText.is('serialNumber', line)}\nDP Description: ${descText.is('description', line)}\n`,
);

export const SESSION_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(HELLO),
  erase(ERROR),
  erase(echo('echo_request', 'OFPT_ECHO_REQUEST', 2)),
  erase(echo('echo_reply', 'OFPT_ECHO_REPLY', 3)),
  erase(empty('features_request', [standard('OFPT_FEATURES_REQUEST', 5, { from: OF10 })])),
  erase(FEATURES_REPLY),
  erase(empty('get_config_request', [standard('OFPT_GET_CONFIG_REQUEST', 7, { from: OF10 })])),
  erase(config('get_config_reply', 'OFPT_GET_CONFIG_REPLY', 8)),
  erase(config('set_config', 'OFPT_SET_CONFIG', 9)),
  erase(
    empty('barrier_request', [
      standard('OFPT_BARRIER_REQUEST', 20),
      standard('OFPT_BARRIER_REQUEST', 18, { from: OF10, to: OF10 }),
    ]),
  ),
  erase(
    empty('barrier_reply', [
      standard('OFPT_BARRIER_REPLY', 21),
      standard('OFPT_BARRIER_REPLY', 19, { from: OF10, to: OF10 }),
    ]),
  ),
  erase(role('role_request', 'OFPT_ROLE_REQUEST', 24)),
  erase(role('role_reply', 'OFPT_ROLE_REPLY', 25)),
  erase(ROLE_STATUS),
  erase(DESC_REQUEST),
  erase(DESC_REPLY),
  erase(empty('tlv_table_request', [nxt('NXT_TLV_TABLE_REQUEST', 25)])),
];
