/** Ports: their changes, configuration, description, counters (OpenFlow 1.5.1 §7.4.3, §7.3.4.5, §7.3.5.7). */
import { layout } from '../layout.ts';
import {
  erase,
  hasProperties,
  type MessageBase,
  type MessageBody,
  type MessageSpec,
  multipart,
  standard,
} from '../message-spec.ts';
import { fromPort16, PORTS, toPort16 } from '../port.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import { Reader } from '../reader.ts';
import {
  counter,
  decimal64,
  mac,
  part,
  port as portText,
  readScalar,
  type Scalar,
  type Text,
  type TextItem,
  texts,
  word,
} from '../text.ts';
import { OF10, OF15, type Version } from '../version.ts';
import { Writer } from '../writer.ts';
import { type Port, readPort, readPorts, writePort } from './port-structure.ts';
import { FEATURE_BITS, PORT_CONFIG_BITS, PORT_TEXT, PORTS_TEXT } from './port-text.ts';

/** A port came, went, or changed. */
export interface PortStatus extends MessageBase {
  readonly type: 'port_status';
  readonly reason: 'add' | 'delete' | 'modify' | number;
  readonly port: Port;
}

/** Changes a port's configuration. `no-flood` exists in OpenFlow 1.0 only: later versions have no bit for it. */
export interface PortMod extends MessageBase {
  readonly type: 'port_mod';
  readonly port: number;
  readonly hardwareAddress: number;
  /** OFPPC_ bits, and which of them to change. */
  readonly config: number;
  readonly mask: number;
  /** OFPPF_ bits; 0: as it is. */
  readonly advertise?: number | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** Asks for ports, or their counters. */
export interface PortRequest extends MessageBase {
  readonly type: 'port_desc_request' | 'port_stats_request';
  /** Default: all. Before 1.5, descriptions come of all ports whatever this says. */
  readonly port?: number | undefined;
}

/** Ports. */
export interface PortDescReply extends MessageBase {
  readonly type: 'port_desc_reply';
  readonly more?: boolean | undefined;
  readonly ports: readonly Port[];
}

/** What a port has seen. 2^64-1: the switch does not count this. */
export interface PortStats {
  readonly port: number;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxFrameErrors: bigint;
  readonly rxOverErrors: bigint;
  readonly rxCrcErrors: bigint;
  readonly collisions: bigint;
  /** False where a switch of 1.4 and later says nothing of the last four. */
  readonly ethernet?: false | undefined;
  /** What else 1.4 and later say. */
  readonly properties: readonly RawProperty[];
}

/** What ports have seen. */
export interface PortStatsReply extends MessageBase {
  readonly type: 'port_stats_reply';
  readonly more?: boolean | undefined;
  readonly ports: readonly PortStats[];
}

const status = layout<Omit<PortStatus, 'type' | 'xid'>>();
const REASONS = { add: 0, delete: 1, modify: 2 };
const statusBody = status.struct([
  status.word(1, 'reason', REASONS),
  status.pad(7),
  status.nested('port', { read: readPort, write: (w, port: Port, version) => writePort(w, version, port) }),
]);

const REASON: Scalar<PortStatus['reason']> = word<PortStatus['reason']>([
  ['add', 'ADD'],
  ['delete', 'DEL'],
  ['modify', 'MOD'],
]);
const statusText = texts<MessageBody<PortStatus>>();

const PORT_STATUS: MessageSpec<PortStatus> = {
  type: 'port_status',
  codes: [standard('OFPT_PORT_STATUS', 12, { from: OF10 })],
  read: (r, c) => statusBody.read(r, c.version),
  write: (w, m, c) => statusBody.write(w, m, c.version),
  text: statusText.text` ${statusText.is('reason', REASON)}:${statusText.nested('port', PORT_TEXT)}`,
};

const ETHERNET = 0;
const modText = texts<MessageBody<PortMod>>();

/** `UNCHANGED` for no bits. */
const ADVERTISE: TextItem<MessageBody<PortMod>> = part(
  ({ advertise = 0 }, c) => (advertise === 0 ? 'UNCHANGED' : FEATURE_BITS.format(advertise, c)),
  (r, into, c) => {
    if (!r.accept('UNCHANGED')) into['advertise'] = readScalar(r, FEATURE_BITS, c);
  },
);

const PORT_MOD: MessageSpec<PortMod> = {
  type: 'port_mod',
  codes: [standard('OFPT_PORT_MOD', 16), standard('OFPT_PORT_MOD', 15, { from: OF10, to: OF10 })],
  read: (r, c) => {
    if (c.version === OF10) {
      const port = fromPort16(r.u16());
      const hardwareAddress = r.uint(6);
      const config = r.u32();
      const mask = r.u32();
      const advertise = r.u32();
      r.skip(4);
      return { port, hardwareAddress, config, mask, advertise };
    }
    const port = r.u32();
    r.skip(4);
    const hardwareAddress = r.uint(6);
    r.skip(2);
    const config = r.u32();
    const mask = r.u32();
    if (!hasProperties(c.version)) {
      const advertise = r.u32();
      r.skip(4);
      return { port, hardwareAddress, config, mask, advertise };
    }
    let advertise: number | undefined;
    const properties = readProperties(r, (type) => {
      if (type !== ETHERNET) return false;
      advertise = r.u32();
      return true;
    });
    return { port, hardwareAddress, config, mask, advertise, properties };
  },
  write: (w, { port, hardwareAddress, config, mask, advertise, properties }, c) => {
    if (c.version === OF10) {
      w.u16(toPort16(port));
      w.uint(hardwareAddress, 6);
      w.u32(config);
      w.u32(mask);
      w.u32(advertise ?? 0);
      w.zeros(4);
      return;
    }
    w.u32(port);
    w.zeros(4);
    w.uint(hardwareAddress, 6);
    w.zeros(2);
    w.u32(config);
    w.u32(mask);
    if (!hasProperties(c.version)) {
      w.u32(advertise ?? 0);
      w.zeros(4);
    } else {
      writeProperties(w, properties, () => {
        if (advertise !== undefined) writeProperty(w, ETHERNET, () => w.u32(advertise));
      });
    }
  },
  text: modText.text` port: ${modText.is('port', portText)}: addr:${modText.is('hardwareAddress', mac)}
     config: ${modText.is('config', PORT_CONFIG_BITS)}
     mask:   ${modText.is('mask', PORT_CONFIG_BITS)}
     advertise: ${ADVERTISE}
`,
};

const requestText = texts<MessageBody<PortRequest>>();

/** Asks about one port or all. Before 1.5 a request for descriptions has no body. */
function request(type: PortRequest['type'], name: string, number: number, label: string): MessageSpec<PortRequest> {
  const hasBody = (version: Version): boolean => type === 'port_stats_request' || version >= OF15;
  return {
    type,
    codes: [multipart(name, 'request', number)],
    read: (r, c) => {
      if (!hasBody(c.version)) return { port: PORTS.ANY };
      const port = r.u32();
      r.skip(4);
      return { port };
    },
    write: (w, { port }, c) => {
      if (!hasBody(c.version)) return;
      w.u32(port ?? PORTS.ANY);
      w.zeros(4);
    },
    // The label stands in the template's place of a literal: there are two of them.
    text: requestText.text` ${requestText.optional('port', `${label}=`, portText)}`,
  };
}

const descText = texts<MessageBody<PortDescReply>>();

const DESC_REPLY: MessageSpec<PortDescReply> = {
  type: 'port_desc_reply',
  codes: [multipart('OFPST_PORT_DESC', 'reply', 13)],
  read: (r, c) => ({ ports: readPorts(r, c.version) }),
  write: (w, { ports }, c) => {
    for (const port of ports) writePort(w, c.version, port);
  },
  text: descText.text`\n${descText.nested('ports', PORTS_TEXT)}`,
};

const BASIC = [
  'rxPackets',
  'txPackets',
  'rxBytes',
  'txBytes',
  'rxDropped',
  'txDropped',
  'rxErrors',
  'txErrors',
] as const;
const DETAILS = ['rxFrameErrors', 'rxOverErrors', 'rxCrcErrors', 'collisions'] as const;
type Counter = (typeof BASIC)[number] | (typeof DETAILS)[number];

const UNKNOWN = 0xffff_ffff_ffff_ffffn;
/** The switch does not know how long the port has been there. */
const NO_DURATION = 0xffff_ffff;

function readCounters(r: Reader, names: readonly Counter[], into: Partial<Record<Counter, bigint>>): void {
  for (const name of names) into[name] = r.u64();
}

function readStats(r: Reader, version: Version): PortStats {
  const into: Record<Counter, bigint> = Object.fromEntries(
    [...BASIC, ...DETAILS].map((name) => [name, UNKNOWN]),
  ) as Record<Counter, bigint>;
  if (!hasProperties(version)) {
    const port = r.u32();
    r.skip(4);
    readCounters(r, [...BASIC, ...DETAILS], into);
    return { port, durationSec: r.u32(), durationNsec: r.u32(), ...into, properties: [] };
  }
  const length = r.u16();
  if (length < 80) throw r.malformed(`statistics of a port in ${length} bytes`);
  const end = r.narrow(length - 2);
  r.skip(2);
  const port = r.u32();
  const durationSec = r.u32();
  const durationNsec = r.u32();
  readCounters(r, BASIC, into);
  let ethernet = false;
  const properties = readProperties(r, (type) => {
    if (type !== ETHERNET) return false;
    r.skip(4);
    readCounters(r, DETAILS, into);
    ethernet = true;
    return true;
  });
  r.widen(end);
  return { port, durationSec, durationNsec, ...into, ...(ethernet ? {} : { ethernet }), properties };
}

function writeStats(w: Writer, version: Version, stats: PortStats): void {
  if (!hasProperties(version)) {
    w.u32(stats.port);
    w.zeros(4);
    for (const name of [...BASIC, ...DETAILS]) w.u64(stats[name]);
    w.u32(stats.durationSec);
    w.u32(stats.durationNsec);
    return;
  }
  const start = w.length;
  w.zeros(4);
  w.u32(stats.port);
  w.u32(stats.durationSec);
  w.u32(stats.durationNsec);
  for (const name of BASIC) w.u64(stats[name]);
  writeProperties(w, stats.properties, () => {
    if (stats.ethernet === false) return;
    writeProperty(w, ETHERNET, () => {
      w.zeros(4);
      for (const name of DETAILS) w.u64(stats[name]);
    });
  });
  w.patch16(start, w.length - start);
}

const INTEL = 0x0000_aa01;
const EXPERIMENTER = 0xffff;
const CUSTOM = 2;

/** The counters that Open vSwitch's datapaths name themselves, in Intel's property. */
export function customCounters(stats: PortStats): readonly (readonly [name: string, value: bigint])[] {
  const counters: (readonly [string, bigint])[] = [];
  for (const { propertyType, data } of stats.properties) {
    const r = new Reader(data);
    if (propertyType !== EXPERIMENTER || r.left < 12 || r.u32() !== INTEL || r.u32() !== CUSTOM) continue;
    r.skip(2);
    const count = r.u16();
    for (let at = 0; at < count && r.left > 0; at += 1) {
      const length = r.u8();
      // The property is opaque to the decoder: a damaged one ends here.
      if (r.left < length + 8) break;
      counters.push([r.text(length), r.u64()]);
    }
  }
  return counters;
}

const PER_LINE = 3;
const COUNTER = /(\w+)=(\d+),/y;

/** Intel's property, as `customCounters` reads it. */
function customProperty(counters: readonly (readonly [name: string, value: bigint])[]): RawProperty {
  const w = new Writer();
  w.u32(INTEL);
  w.u32(CUSTOM);
  w.zeros(2);
  w.u16(counters.length);
  for (const [name, value] of counters) {
    w.u8(name.length);
    w.text(name, name.length);
    w.u64(value);
  }
  return { propertyType: EXPERIMENTER, data: w.take() };
}

const stats = texts<PortStats>();

/** A port's number, in two columns. */
const NUMBER: Scalar<number> = { ...portText, format: (number, c) => portText.format(number, c).padStart(2) };

const DURATION: TextItem<PortStats> = part(
  (from, c) =>
    from.durationSec === NO_DURATION
      ? ''
      : `           duration=${stats.duration('durationSec', 'durationNsec').format(from, c)}\n`,
  (r, into, c) => {
    if (r.accept('           duration=')) {
      stats.duration('durationSec', 'durationNsec').parse(r, into, c);
      r.expect('\n');
    } else Object.assign(into, { durationSec: NO_DURATION, durationNsec: NO_DURATION });
  },
);

/** Of the properties, Intel's counters are printed. */
const CUSTOM_COUNTERS: TextItem<PortStats> = part(
  (from) => {
    const counters = customCounters(from);
    if (counters.length === 0) return '';
    const cells = counters.map(
      ([name, value], at) => `${at % PER_LINE === 0 ? `\n${' '.repeat(22)}` : ' '}${name}=${value},`,
    );
    return `           CUSTOM Statistics${cells.join('')}\n`;
  },
  (r, into, c) => {
    const counters: (readonly [string, bigint])[] = [];
    if (r.accept('           CUSTOM Statistics')) {
      for (;;) {
        r.skipSpace();
        const [name, value] = r.take(COUNTER)?.slice(0, -1).split('=') ?? [];
        if (name === undefined || value === undefined) break;
        counters.push([name, decimal64.parse(value, c)]);
      }
    }
    into['properties'] = counters.length === 0 ? [] : [customProperty(counters)];
  },
);

const STATS: Text<PortStats> = stats.text`  port ${stats.is('port', NUMBER)}: rx pkts=${stats.is('rxPackets', counter)}, bytes=${stats.is('rxBytes', counter)}, drop=${stats.is('rxDropped', counter)}, errs=${stats.is('rxErrors', counter)}, frame=${stats.is('rxFrameErrors', counter)}, over=${stats.is('rxOverErrors', counter)}, crc=${stats.is('rxCrcErrors', counter)}
           tx pkts=${stats.is('txPackets', counter)}, bytes=${stats.is('txBytes', counter)}, drop=${stats.is('txDropped', counter)}, errs=${stats.is('txErrors', counter)}, coll=${stats.is('collisions', counter)}
${DURATION}${CUSTOM_COUNTERS}`;

const statsText = texts<MessageBody<PortStatsReply>>();

const STATS_REPLY: MessageSpec<PortStatsReply> = {
  type: 'port_stats_reply',
  codes: [multipart('OFPST_PORT', 'reply', 4)],
  read: (r, c) => {
    const ports: PortStats[] = [];
    while (r.left > 0) ports.push(readStats(r, c.version));
    return { ports };
  },
  write: (w, { ports }, c) => {
    for (const port of ports) writeStats(w, c.version, port);
  },
  text: statsText.text` ${statsText.counted('ports', 'ports', STATS)}`,
};

export const PORT_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(PORT_STATUS),
  erase(PORT_MOD),
  erase(request('port_desc_request', 'OFPST_PORT_DESC', 13, 'port')),
  erase(request('port_stats_request', 'OFPST_PORT', 4, 'port_no')),
  erase(DESC_REPLY),
  erase(STATS_REPLY),
];
