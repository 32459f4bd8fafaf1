/** Which asynchronous messages a connection gets (OpenFlow 1.5.1 §7.3.10), and requests of others (§7.4.6). */
import type { Message } from '../message.ts';
import {
  erase,
  hasProperties,
  type MessageBase,
  type MessageCode,
  type MessageSpec,
  nxt,
  onft,
  standard,
} from '../message-spec.ts';
import { type RawProperty, readProperties, writeProperty, writeRawProperties } from '../property.ts';
import type { Reader } from '../reader.ts';
import { OF10, OF14 } from '../version.ts';
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
  readonly type: 'set_async' | 'get_async_reply';
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
  for (const [at, kind] of KINDS.entries()) {
    for (const [odd, masks] of [m.secondary, m.primary].entries()) {
      const mask = masks[kind];
      if (mask !== undefined) writeProperty(w, at * 2 + odd, () => w.u32(mask));
    }
  }
  writeRawProperties(w, m.properties);
}

function formatMasks(masks: AsyncMasks): string {
  return KINDS.filter((kind) => masks[kind] !== undefined)
    .map(
      (kind) =>
        `\n ${kind
          .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
          .toUpperCase()
          .padStart(15)}: 0x${(masks[kind] ?? 0).toString(16)}`,
    )
    .join('');
}

function config(type: AsyncConfig['type'], codes: readonly MessageCode[]): MessageSpec<AsyncConfig> {
  return {
    type,
    codes,
    read: (r, c) => readConfig(r, hasProperties(c.version)),
    write: (w, m, c) => writeConfig(w, m, hasProperties(c.version)),
    format: ({ primary, secondary }) => `\n primary:${formatMasks(primary)}\n\n secondary:${formatMasks(secondary)}`,
  };
}

const GET: MessageSpec<GetAsyncRequest> = {
  type: 'get_async_request',
  codes: [standard('OFPT_GET_ASYNC_REQUEST', 26)],
  read: () => ({}),
  write: () => undefined,
  format: () => '',
};

const FORWARD: MessageSpec<RequestForward> = {
  type: 'requestforward',
  codes: [standard('OFPT_REQUESTFORWARD', 32, { from: OF14 }), onft('ONFT_REQUESTFORWARD', 2350)],
  read: (r, c) => ({ request: c.readMessage(r.rest()) as Message }),
  write: (w, m, c) => c.writeMessage(w, m.request),
  format: (m, c) => ` reason=${m.request.type}\n${c.formatMessage(m.request)}`,
};

export const ASYNC_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(GET),
  erase(config('get_async_reply', [standard('OFPT_GET_ASYNC_REPLY', 27)])),
  erase(
    config('set_async', [standard('OFPT_SET_ASYNC', 28), nxt('NXT_SET_ASYNC_CONFIG', 19, { from: OF10, to: OF10 })]),
  ),
  erase(FORWARD),
];
