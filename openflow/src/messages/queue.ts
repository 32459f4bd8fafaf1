/** Queues: counters, and how they are set up (OpenFlow 1.3.5 §7.3.6, OpenFlow 1.5.1 §7.3.5.8, §7.3.5.9). */
import {
  erase,
  hasProperties,
  type MessageBase,
  type MessageBody,
  type MessageCode,
  type MessageSpec,
  multipart,
  standard,
} from '../message-spec.ts';
import { fromPort16, PORTS, toPort16 } from '../port.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import type { Reader } from '../reader.ts';
import {
  counter,
  decimal,
  formatDuration,
  part,
  port,
  readDuration,
  readScalar,
  type Scalar,
  type Text,
  type TextItem,
  texts,
} from '../text.ts';
import { OF10, OF13, OF14, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';

/** Asks for the counters of queues. */
export interface QueueStatsRequest extends MessageBase {
  readonly type: 'queue_stats_request';
  readonly port?: number | undefined;
  readonly queue?: number | undefined;
}

/** What a queue has seen. 2^64-1: not counted. */
export interface QueueStats {
  readonly port: number;
  readonly queue: number;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  /** 2^32-1: not known. */
  readonly durationSec: number;
  readonly durationNsec: number;
}

/** What queues have seen. */
export interface QueueStatsReply extends MessageBase {
  readonly type: 'queue_stats_reply';
  readonly more?: boolean | undefined;
  readonly queues: readonly QueueStats[];
}

/** Asks how queues are set up. Before 1.4 there is `queue_get_config_request`, for one port. */
export interface QueueDescRequest extends MessageBase {
  readonly type: 'queue_desc_request' | 'queue_get_config_request';
  /** Default: all. */
  readonly port?: number | undefined;
  /** 1.4; default: all. */
  readonly queue?: number | undefined;
}

/** How a queue is set up. */
export interface QueueDesc {
  readonly port: number;
  readonly queue: number;
  /** In tenths of a percent. */
  readonly minRate?: number | undefined;
  readonly maxRate?: number | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** How queues are set up. */
export interface QueueDescReply extends MessageBase {
  readonly type: 'queue_desc_reply';
  readonly more?: boolean | undefined;
  readonly queues: readonly QueueDesc[];
}

/** How the queues of a port are set up (until 1.3). */
export interface QueueConfigReply extends MessageBase {
  readonly type: 'queue_get_config_reply';
  readonly port: number;
  readonly queues: readonly QueueDesc[];
}

const ALL_QUEUES = 0xffff_ffff;
/** The switch does not know how long the queue has been there. */
const NO_DURATION = 0xffff_ffff;

/** A queue's number, or all of them. */
const QUEUE: Scalar<number> = {
  pattern: /\w+/y,
  what: 'a queue',
  format: (queue) => (queue === ALL_QUEUES ? 'ALL' : String(queue)),
  parse: (text, c) => (text === 'ALL' ? ALL_QUEUES : decimal.parse(text, c)),
};
const queueRequest = texts<MessageBody<QueueStatsRequest>>();

const QUEUE_REQUEST: MessageSpec<QueueStatsRequest> = {
  type: 'queue_stats_request',
  codes: [multipart('OFPST_QUEUE', 'request', 5)],
  read: (r) => ({ port: r.u32(), queue: r.u32() }),
  write: (w, { port, queue }) => {
    w.u32(port ?? PORTS.ANY);
    w.u32(queue ?? ALL_QUEUES);
  },
  text: queueRequest.text` port=${queueRequest.is('port', port, PORTS.ANY)} queue=${queueRequest.is('queue', QUEUE, ALL_QUEUES)}`,
};

const queueStats = texts<QueueStats>();
const queueReply = texts<MessageBody<QueueStatsReply>>();

const QUEUE_DURATION: TextItem<QueueStats> = part(
  ({ durationSec, durationNsec }) => (durationSec === NO_DURATION ? '?' : formatDuration(durationSec, durationNsec)),
  (r, into) => {
    const [durationSec, durationNsec] = r.accept('?') ? [NO_DURATION, NO_DURATION] : readDuration(r);
    Object.assign(into, { durationSec, durationNsec });
  },
);

const QUEUE_STATS: Text<QueueStats> = queueStats.text`  port ${queueStats.is('port', port)} queue ${queueStats.is('queue', decimal)}: bytes=${queueStats.is('txBytes', counter)}, pkts=${queueStats.is('txPackets', counter)}, errors=${queueStats.is('txErrors', counter)}, duration=${QUEUE_DURATION}\n`;

const QUEUE_REPLY: MessageSpec<QueueStatsReply> = {
  type: 'queue_stats_reply',
  codes: [multipart('OFPST_QUEUE', 'reply', 5)],
  read: (r, c) => {
    const queues: QueueStats[] = [];
    while (r.left > 0) {
      let end = r.end;
      if (hasProperties(c.version)) {
        const length = r.u16();
        if (length < 48) throw r.malformed(`statistics of a queue in ${length} bytes`);
        end = r.narrow(length - 2);
        r.skip(6);
      } else end = r.narrow(40);
      const port = r.u32();
      const queue = r.u32();
      const txBytes = r.u64();
      const txPackets = r.u64();
      const txErrors = r.u64();
      queues.push({ port, queue, txBytes, txPackets, txErrors, durationSec: r.u32(), durationNsec: r.u32() });
      r.widen(end);
    }
    return { queues };
  },
  write: (w, { queues }, c) => {
    for (const queue of queues) {
      if (hasProperties(c.version)) {
        w.u16(48);
        w.zeros(6);
      }
      w.u32(queue.port);
      w.u32(queue.queue);
      w.u64(queue.txBytes);
      w.u64(queue.txPackets);
      w.u64(queue.txErrors);
      w.u32(queue.durationSec);
      w.u32(queue.durationNsec);
    }
  },
  text: queueReply.text` ${queueReply.counted('queues', 'queues', QUEUE_STATS)}`,
};

const PROPERTY = { minRate: 1, maxRate: 2 } as const;
/** A rate above 100 % says that it is not limited. */
const MAX_RATE = 1000;

/** Until 1.3 a property has 16 bytes, with padding before and after the rate. */
function readOldProperties(r: Reader, into: Mutable<QueueDesc>): void {
  const unknown: RawProperty[] = [];
  while (r.left >= 8) {
    const propertyType = r.u16();
    const length = r.u16();
    if (length < 8) throw r.malformed(`a property of a queue of ${length} bytes`);
    const end = r.narrow(length - 4);
    if (propertyType === PROPERTY.minRate && length === 16 && into.minRate === undefined && unknown.length === 0) {
      r.skip(4);
      into.minRate = r.u16();
    } else if (
      propertyType === PROPERTY.maxRate &&
      length === 16 &&
      into.maxRate === undefined &&
      unknown.length === 0
    ) {
      r.skip(4);
      into.maxRate = r.u16();
    } else unknown.push({ propertyType, data: r.rest() });
    r.widen(end);
  }
  if (unknown.length > 0) into.properties = unknown;
}

function writeOldProperties(w: Writer, { minRate, maxRate, properties }: QueueDesc): void {
  for (const [type, rate] of [
    [PROPERTY.minRate, minRate],
    [PROPERTY.maxRate, maxRate],
  ] as const) {
    if (rate === undefined) continue;
    w.u16(type);
    w.u16(16);
    w.zeros(4);
    w.u16(rate);
    w.zeros(6);
  }
  for (const { propertyType, data } of properties ?? []) {
    w.u16(propertyType);
    w.u16(4 + data.length);
    w.bytes(data);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The queues of one port, until 1.3: OpenFlow 1.0 has no port in each of them. */
function readOldQueue(r: Reader, version: Version, of: number): QueueDesc {
  const into: Mutable<QueueDesc> = { queue: r.u32(), port: version === OF10 ? of : r.u32() };
  const length = r.u16();
  const head = version === OF10 ? 8 : 16;
  if (length < head) throw r.malformed(`a queue of ${length} bytes`);
  r.skip(version === OF10 ? 2 : 6);
  const end = r.narrow(length - head);
  readOldProperties(r, into);
  r.widen(end);
  return into;
}

function writeOldQueue(w: Writer, version: Version, queue: QueueDesc): void {
  const start = w.length;
  w.u32(queue.queue);
  if (version !== OF10) w.u32(queue.port);
  const at = w.length;
  w.zeros(version === OF10 ? 4 : 8);
  writeOldProperties(w, queue);
  w.patch16(at, w.length - start);
}

function readNewQueue(r: Reader): QueueDesc {
  const into: Mutable<QueueDesc> = { port: r.u32(), queue: r.u32() };
  const length = r.u16();
  if (length < 16) throw r.malformed(`a queue of ${length} bytes`);
  const end = r.narrow(length - 10);
  r.skip(6);
  const properties = readProperties(r, (type, size) => {
    if (size !== 8 || (type !== PROPERTY.minRate && type !== PROPERTY.maxRate)) return false;
    into[type === PROPERTY.minRate ? 'minRate' : 'maxRate'] = r.u16();
    return true;
  });
  r.widen(end);
  if (properties.length > 0) into.properties = properties;
  return into;
}

function writeNewQueue(w: Writer, queue: QueueDesc): void {
  const start = w.length;
  w.u32(queue.port);
  w.u32(queue.queue);
  w.zeros(8);
  writeProperties(w, queue.properties, () => {
    for (const [type, rate] of [
      [PROPERTY.minRate, queue.minRate],
      [PROPERTY.maxRate, queue.maxRate],
    ] as const) {
      if (rate === undefined) continue;
      writeProperty(w, type, () => {
        w.u16(rate);
        w.zeros(2);
      });
    }
  });
  w.patch16(start + 8, w.length - start);
}

const described = texts<QueueDesc>();

/** `2.5%`, of tenths of a percent. */
const RATE: Scalar<number> = {
  pattern: /\d+\.\d%|\(disabled\)/y,
  what: 'a rate',
  format: (rate) => (rate <= MAX_RATE ? `${Math.floor(rate / 10)}.${rate % 10}%` : '(disabled)'),
  parse: (text) => (text === '(disabled)' ? 0xffff : Number(text.replace(/[.%]/g, ''))),
};

const DESCRIBED: Text<QueueDesc> = described.text`queue ${described.is('queue', decimal)}:${described.optional('minRate', ' min_rate:', RATE)}${described.optional('maxRate', ' max_rate:', RATE)}\n`;

interface OfPort {
  readonly port: number;
  readonly queues: readonly QueueDesc[];
}

/** Queues with their port in front, whenever that is another one than before. */
const QUEUES: Text<readonly QueueDesc[]> = {
  format: (queues, c) =>
    queues
      .map(
        (queue, at) =>
          `${queue.port === queues[at - 1]?.port ? '' : `port=${port.format(queue.port, c)}\n`}${DESCRIBED.format(queue, c)}`,
      )
      .join(''),
  parse: (r, c) => {
    const queues: QueueDesc[] = [];
    let of = 0;
    while (!r.atEnd) {
      if (r.accept('port=')) of = readScalar(r, port, c);
      else queues.push({ ...DESCRIBED.parse(r, c), port: of });
    }
    return queues;
  },
};

const asked = texts<MessageBody<QueueDescRequest>>();

function descRequest(type: QueueDescRequest['type'], codes: readonly MessageCode[]): MessageSpec<QueueDescRequest> {
  return {
    type,
    codes,
    read: (r, c) => {
      if (c.version >= OF14) return { port: r.u32(), queue: r.u32() };
      const of = c.version === OF10 ? fromPort16(r.u16()) : r.u32();
      r.skip(c.version === OF10 ? 2 : 4);
      return { port: of };
    },
    write: (w, { port: of = PORTS.ANY, queue }, c) => {
      if (c.version >= OF14) {
        w.u32(of);
        w.u32(queue ?? ALL_QUEUES);
      } else if (c.version === OF10) {
        w.u16(toPort16(of));
        w.zeros(2);
      } else {
        w.u32(of);
        w.zeros(4);
      }
    },
    text: asked.text` port=${asked.is('port', port, PORTS.ANY)}${asked.optional('queue', ' queue=', QUEUE, ALL_QUEUES)}`,
  };
}

const configText = texts<OfPort>();
const CONFIG_TEXT: Text<OfPort> = configText.text` port=${configText.is('port', port)}\n${configText.each('queues', '', DESCRIBED)}`;

const CONFIG_REPLY: MessageSpec<QueueConfigReply> = {
  type: 'queue_get_config_reply',
  codes: [
    standard('OFPT_QUEUE_GET_CONFIG_REPLY', 23, { to: OF13 }),
    standard('OFPT_QUEUE_GET_CONFIG_REPLY', 21, { from: OF10, to: OF10 }),
  ],
  read: (r, c) => {
    const of = c.version === OF10 ? fromPort16(r.u16()) : r.u32();
    r.skip(c.version === OF10 ? 6 : 4);
    const queues: QueueDesc[] = [];
    while (r.left > 0) queues.push(readOldQueue(r, c.version, of));
    return { port: of, queues };
  },
  write: (w, { port: of, queues }, c) => {
    if (c.version === OF10) {
      w.u16(toPort16(of));
      w.zeros(6);
    } else {
      w.u32(of);
      w.zeros(4);
    }
    for (const queue of queues) writeOldQueue(w, c.version, queue);
  },
  text: {
    format: (message, c) => CONFIG_TEXT.format(message, c),
    parse: (r, c) => {
      const { port: of, queues } = CONFIG_TEXT.parse(r, c);
      return { port: of, queues: queues.map((queue) => ({ ...queue, port: of })) };
    },
  },
};

const descText = texts<MessageBody<QueueDescReply>>();

const DESC_REPLY: MessageSpec<QueueDescReply> = {
  type: 'queue_desc_reply',
  codes: [multipart('OFPST_QUEUE_DESC', 'reply', 15, { from: OF14 })],
  read: (r) => {
    const queues: QueueDesc[] = [];
    while (r.left > 0) queues.push(readNewQueue(r));
    return { queues };
  },
  write: (w, { queues }) => {
    for (const queue of queues) writeNewQueue(w, queue);
  },
  text: descText.text` ${descText.nested('queues', QUEUES)}`,
};

export const QUEUE_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(QUEUE_REQUEST),
  erase(QUEUE_REPLY),
  erase(
    descRequest('queue_get_config_request', [
      standard('OFPT_QUEUE_GET_CONFIG_REQUEST', 22, { to: OF13 }),
      standard('OFPT_QUEUE_GET_CONFIG_REQUEST', 20, { from: OF10, to: OF10 }),
    ]),
  ),
  erase(CONFIG_REPLY),
  erase(descRequest('queue_desc_request', [multipart('OFPST_QUEUE_DESC', 'request', 15, { from: OF14 })])),
  erase(DESC_REPLY),
];
