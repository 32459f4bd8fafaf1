/** Which asynchronous messages a connection gets (OpenFlow 1.5.1 §7.3.10), and requests of others (§7.4.6). */
import type { FlagNames } from '../flags-text.ts';
import type { Message } from '../message.ts';
import {
  erase,
  hasProperties,
  type MessageBase,
  type MessageCode,
  type MessageSpec,
  NO_TEXT,
  nxt,
  onft,
  standard,
} from '../message-spec.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import type { Reader } from '../reader.ts';
import { incomplete, type Text } from '../text.ts';
import type { TextReader } from '../text-reader.ts';
import { OF10, OF13, OF14, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';

/** Reasons by bit: bit n stands for reason n. */
export interface AsyncMasks {
  readonly packetIn?: number | undefined;
  readonly portStatus?: number | undefined;
  readonly flowRemoved?: number | undefined;
  /** 1.4 and later. */
  readonly roleStatus?: number | undefined;
  readonly tableStatus?: number | undefined;
  readonly requestForward?: number | undefined;
}

/** Asks for the configuration. */
export interface GetAsyncRequest extends MessageBase {
  readonly type: 'get_async_request';
}

/** The configuration: to set, or as it is. */
export interface AsyncConfig extends MessageBase {
  /** The last two are Nicira's forms of `set_async`, for switches before 1.3; the second one has properties. */
  readonly type: 'set_async' | 'get_async_reply' | 'nx_set_async' | 'nx_set_async2';
  /** As primary or equal. */
  readonly primary: AsyncMasks;
  readonly secondary: AsyncMasks;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** Another controller changed a group or meter: its request. */
export interface RequestForward extends MessageBase {
  readonly type: 'requestforward';
  readonly request: Message;
}

const KINDS = ['packetIn', 'portStatus', 'flowRemoved', 'roleStatus', 'tableStatus', 'requestForward'] as const;

/** The old form has these three only, first for primary, then for secondary. */
const OLD_KINDS = KINDS.slice(0, 3);

type Masks = { -readonly [K in keyof AsyncMasks]: AsyncMasks[K] };

function readConfig(r: Reader, withProperties: boolean): Omit<AsyncConfig, 'type' | 'xid'> {
  const primary: Masks = {};
  const secondary: Masks = {};
  if (!withProperties) {
    for (const kind of OLD_KINDS) {
      primary[kind] = r.u32();
      secondary[kind] = r.u32();
    }
    return { primary, secondary };
  }
  // Even types are for secondaries, odd ones for primaries.
  const properties = readProperties(r, (type, length) => {
    const kind = KINDS[type >> 1];
    if (kind === undefined || length !== 8) return false;
    (type % 2 === 0 ? secondary : primary)[kind] = r.u32();
    return true;
  });
  return { primary, secondary, ...(properties.length === 0 ? {} : { properties }) };
}

function writeConfig(w: Writer, m: AsyncConfig, withProperties: boolean): void {
  if (!withProperties) {
    for (const kind of OLD_KINDS) {
      w.u32(m.primary[kind] ?? 0);
      w.u32(m.secondary[kind] ?? 0);
    }
    return;
  }
  writeProperties(w, m.properties, () => {
    for (const [at, kind] of KINDS.entries()) {
      for (const [odd, masks] of [m.secondary, m.primary].entries()) {
        const mask = masks[kind];
        if (mask !== undefined) writeProperty(w, at * 2 + odd, () => w.u32(mask));
      }
    }
  });
}

/** Label and reasons by bit, as ovs-ofctl lists them: all kinds, whether they were said or not. */
const TEXTS: readonly (readonly [kind: (typeof KINDS)[number], label: string, reasons: FlagNames])[] = [
  ['packetIn', 'PACKET_IN', bits(['no_match', 'action', 'invalid_ttl', 'action_set', 'group', 'packet_out'])],
  ['portStatus', 'PORT_STATUS', bits(['add', 'delete', 'modify'])],
  ['flowRemoved', 'FLOW_REMOVED', bits(['idle', 'hard', 'delete', 'group_delete', 'meter_delete', 'eviction'])],
  ['roleStatus', 'ROLE_STATUS', bits(['primary_request', 'configuration_changed', 'experimenter_data_changed'])],
  [
    'tableStatus',
    'TABLE_STATUS',
    [
      [1 << 3, 'vacancy_down'],
      [1 << 4, 'vacancy_up'],
    ],
  ],
  ['requestForward', 'REQUESTFORWARD', bits(['group_mod_request', 'meter_mod_request'])],
];

function bits(names: readonly string[]): FlagNames {
  return names.map((name, at) => [1 << at, name] as const);
}

function formatMasks(masks: AsyncMasks): string {
  return TEXTS.map(([kind, label, reasons]) => {
    const mask = masks[kind] ?? 0;
    const words = reasons.filter(([bit]) => (mask & bit) !== 0).map(([, word]) => ` ${word}`);
    return `\n${label.padStart(16)}:${words.length === 0 ? ' (off)' : words.join('')}`;
  }).join('');
}

/** Reads what `formatMasks` printed, of the kinds that this version has. */
function parseMasks(r: TextReader, kinds: readonly string[]): AsyncMasks {
  const masks: Masks = {};
  for (const [kind, label, reasons] of TEXTS) {
    r.expect(`\n${label}:`);
    let mask = 0;
    if (!r.accept(' (off)')) for (const [bit, word] of reasons) if (r.accept(` ${word}`)) mask |= bit;
    if (kinds.includes(kind)) masks[kind] = mask;
  }
  return masks;
}

const TEXT: Text<Pick<AsyncConfig, 'primary' | 'secondary'>> = {
  format: ({ primary, secondary }) => `\n primary:${formatMasks(primary)}\n\n secondary:${formatMasks(secondary)}`,
  parse: (r, c) => {
    const kinds = hasProperties(c.version) || c.name.endsWith('2') ? KINDS : OLD_KINDS;
    r.expect('\n primary:');
    const primary = parseMasks(r, kinds);
    r.expect('\n secondary:');
    return { primary, secondary: parseMasks(r, kinds) };
  },
};

function config(
  type: AsyncConfig['type'],
  codes: readonly MessageCode[],
  withProperties: (version: Version) => boolean = hasProperties,
): MessageSpec<AsyncConfig> {
  return {
    type,
    codes,
    read: (r, c) => readConfig(r, withProperties(c.version)),
    write: (w, m, c) => writeConfig(w, m, withProperties(c.version)),
    text: TEXT,
  };
}

const GET: MessageSpec<GetAsyncRequest> = {
  type: 'get_async_request',
  codes: [standard('OFPT_GET_ASYNC_REQUEST', 26)],
  read: () => ({}),
  write: () => undefined,
  text: NO_TEXT,
};

const FORWARD: MessageSpec<RequestForward> = {
  type: 'requestforward',
  codes: [standard('OFPT_REQUESTFORWARD', 32, { from: OF14 }), onft('ONFT_REQUESTFORWARD', 2350)],
  read: (r, c) => ({ request: c.readMessage(r.rest()) as Message }),
  write: (w, m, c) => c.writeMessage(w, m.request),
  // Of the request, what follows its name and number: the number is lost.
  text: incomplete(
    'the number of the request',
    (m, c) => ` reason=${m.request.type}${c.formatMessage(m.request).replace(/^[^:]*:/, '')}`,
  ),
};

export const ASYNC_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(GET),
  erase(config('get_async_reply', [standard('OFPT_GET_ASYNC_REPLY', 27)])),
  erase(config('set_async', [standard('OFPT_SET_ASYNC', 28)])),
  erase(config('nx_set_async', [nxt('NXT_SET_ASYNC_CONFIG', 19, { from: OF10, to: OF13 })], () => false)),
  erase(config('nx_set_async2', [nxt('NXT_SET_ASYNC_CONFIG2', 27, { from: OF10, to: OF13 })], () => true)),
  erase(FORWARD),
];
