/** Meters (OpenFlow 1.5.1 §7.3.4.4, §7.3.5.12 to 14). */
import { numberFor, type Words, wordFor } from '../layout.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageSpec,
  multipart,
  NO_TEXT,
  standard,
} from '../message-spec.ts';
import { hex, parseNumber } from '../number-text.ts';
import type { Reader } from '../reader.ts';
import {
  type BitNames,
  bits,
  decimal,
  decimal64,
  hexadecimal,
  part,
  readScalar,
  type Scalar,
  type Text,
  type TextContext,
  type TextItem,
  texts,
  word,
} from '../text.ts';
import type { TextReader } from '../text-reader.ts';
import type { Writer } from '../writer.ts';

/** Reserved meter numbers. */
export const METERS: {
  readonly MAX: number;
  readonly SLOWPATH: number;
  readonly CONTROLLER: number;
  readonly ALL: number;
} = {
  MAX: 0xffff_0000,
  SLOWPATH: 0xffff_fffd,
  CONTROLLER: 0xffff_fffe,
  ALL: 0xffff_ffff,
};

/** OFPMF_ bits. Rates are in kbit/s or packets per second. */
export const METER_FLAGS: {
  readonly kbps: number;
  readonly pktps: number;
  readonly burst: number;
  readonly stats: number;
} = {
  kbps: 1,
  pktps: 2,
  burst: 4,
  stats: 8,
};

/** What happens above a rate. */
export type MeterBand =
  | { readonly band: 'drop'; readonly rate: number; readonly burst: number }
  | { readonly band: 'dscp_remark'; readonly rate: number; readonly burst: number; readonly precedence: number }
  | {
      readonly band: 'unknown';
      readonly bandType: number;
      readonly rate: number;
      readonly burst: number;
      readonly data: Uint8Array;
    };

/** A meter. */
export interface Meter {
  readonly meterId: number;
  /** METER_FLAGS. */
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}

/** Changes a meter. Meters cannot be in a bundle. */
export interface MeterMod extends MessageBase, Meter {
  readonly type: 'meter_mod';
  readonly command: 'add' | 'modify' | 'delete';
}

/** Asks for meters. */
export interface MeterRequest extends MessageBase {
  readonly type: 'meter_config_request' | 'meter_stats_request';
  /** Default: all. */
  readonly meterId?: number | undefined;
}

/** Meters as they are. */
export interface MeterConfigReply extends MessageBase {
  readonly type: 'meter_config_reply';
  readonly more?: boolean | undefined;
  readonly meters: readonly Meter[];
}

/** What a meter has seen. */
export interface MeterStats {
  readonly meterId: number;
  readonly flowCount: number;
  readonly packetInCount: bigint;
  readonly byteInCount: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly bands: readonly { readonly packetCount: bigint; readonly byteCount: bigint }[];
}

/** What meters have seen. */
export interface MeterStatsReply extends MessageBase {
  readonly type: 'meter_stats_reply';
  readonly more?: boolean | undefined;
  readonly meters: readonly MeterStats[];
}

/** Asks what meters the switch can have. */
export interface MeterFeaturesRequest extends MessageBase {
  readonly type: 'meter_features_request';
}

/** What meters the switch can have. */
export interface MeterFeaturesReply extends MessageBase {
  readonly type: 'meter_features_reply';
  readonly more?: boolean | undefined;
  readonly maxMeters: number;
  readonly bandTypes: number;
  readonly capabilities: number;
  readonly maxBands: number;
  readonly maxColor: number;
}

const COMMANDS: Words = { add: 0, modify: 1, delete: 2 };
const DROP = 1;
const DSCP_REMARK = 2;

function readBands(r: Reader): readonly MeterBand[] {
  const bands: MeterBand[] = [];
  while (r.left > 0) {
    const type = r.u16();
    const length = r.u16();
    if (length < 12) throw r.malformed(`a meter band of ${length} bytes`);
    const end = r.narrow(length - 4);
    const rate = r.u32();
    const burst = r.u32();
    if (type === DROP) bands.push({ band: 'drop', rate, burst });
    else if (type === DSCP_REMARK) bands.push({ band: 'dscp_remark', rate, burst, precedence: r.u8() });
    else bands.push({ band: 'unknown', bandType: type, rate, burst, data: r.rest() });
    r.widen(end);
  }
  return bands;
}

function writeBands(w: Writer, bands: readonly MeterBand[]): void {
  for (const band of bands) {
    const start = w.length;
    if (band.band === 'unknown') w.u16(band.bandType);
    else w.u16(band.band === 'drop' ? DROP : DSCP_REMARK);
    w.u16(0);
    w.u32(band.rate);
    w.u32(band.burst);
    if (band.band === 'unknown') w.bytes(band.data);
    else if (band.band === 'dscp_remark') w.u8(band.precedence);
    else w.zeros(1);
    if (band.band !== 'unknown') w.zeros(3);
    w.patch16(start + 2, w.length - start);
  }
}

/** `all`, `256`. */
function formatMeterId(id: number): string {
  if (id <= METERS.MAX) return String(id);
  if (id === METERS.ALL) return 'all';
  if (id === METERS.CONTROLLER) return 'controller';
  return id === METERS.SLOWPATH ? 'slowpath' : 'unknown';
}

const RESERVED: Readonly<Record<string, number>> = {
  all: METERS.ALL,
  controller: METERS.CONTROLLER,
  slowpath: METERS.SLOWPATH,
};

const METER_ID: Scalar<number> = {
  pattern: /\w+/y,
  what: 'a meter',
  format: formatMeterId,
  parse: (text) => RESERVED[text] ?? parseNumber(text, METERS.MAX, 'meter'),
};

const FLAG_NAMES: BitNames = [
  [1, 'kbps'],
  [2, 'pktps'],
  [4, 'burst'],
  [8, 'stats'],
];
const BAND_NAMES: BitNames = [
  [1 << DROP, 'drop'],
  [1 << DSCP_REMARK, 'dscp_remark'],
];

function formatBand(band: MeterBand, flags: number): string {
  const type = band.band === 'unknown' ? String(band.bandType) : band.band;
  const burst = (flags & METER_FLAGS.burst) === 0 ? '' : ` burst_size=${band.burst}`;
  return `\ntype=${type} rate=${band.rate}${burst}${band.band === 'dscp_remark' ? ` prec_level=${band.precedence}` : ''}`;
}

const BAND_TYPE: Scalar<'drop' | 'dscp_remark'> = word([
  ['drop', 'drop'],
  ['dscp_remark', 'dscp_remark'],
]);

function parseBand(r: TextReader, c: TextContext): MeterBand {
  const band = readScalar(r, BAND_TYPE, c);
  r.expect(' rate=');
  const rate = readScalar(r, decimal, c);
  const burst = r.accept(' burst_size=') ? readScalar(r, decimal, c) : 0;
  if (band === 'drop') return { band, rate, burst };
  r.expect(' prec_level=');
  return { band, rate, burst, precedence: readScalar(r, decimal, c) };
}

const meter = texts<Meter>();

/** Flags with a name, then those without. */
const FLAGS: TextItem<Meter> = part(
  ({ flags }, c) => {
    const known = meter.flags('flags', FLAG_NAMES).format({ flags } as Meter, c);
    return (flags & ~15) === 0 ? known : `${known}flags:${hex(flags & ~15)} `;
  },
  (r, into, c) => {
    meter.flags('flags', FLAG_NAMES).parse(r, into, c);
    if (r.accept('flags:')) into['flags'] = (into['flags'] as number) | readScalar(r, hexadecimal, c);
  },
);

const BANDS: TextItem<Meter> = part(
  ({ bands, flags }) => bands.map((band) => formatBand(band, flags)).join(''),
  (r, into, c) => {
    const all: MeterBand[] = [];
    while (r.accept('\ntype=')) all.push(parseBand(r, c));
    into['bands'] = all;
  },
);

const METER: Text<Meter> = meter.text`meter=${meter.is('meterId', METER_ID)} ${FLAGS}bands=${BANDS}\n`;

const modText = texts<MessageBody<MeterMod>>();
const COMMAND: Scalar<MeterMod['command']> = word([
  ['add', 'ADD'],
  ['modify', 'MOD'],
  ['delete', 'DEL'],
]);

const METER_MOD: MessageSpec<MeterMod> = {
  type: 'meter_mod',
  codes: [standard('OFPT_METER_MOD', 29)],
  read: (r) => {
    const command = wordFor(COMMANDS, r.u16());
    if (typeof command === 'number') throw r.malformed(`meter_mod command ${command}`);
    const flags = r.u16();
    const meterId = r.u32();
    return { command: command as MeterMod['command'], flags, meterId, bands: readBands(r) };
  },
  write: (w, { command, flags, meterId, bands }) => {
    w.u16(numberFor(COMMANDS, command, 'command'));
    w.u16(flags);
    w.u32(meterId);
    writeBands(w, bands);
  },
  text: modText.text` ${modText.is('command', COMMAND)} ${part(
    (m, c) => METER.format(m, c),
    (r, into, c) => Object.assign(into, METER.parse(r, c)),
  )}`,
};

const requestText = texts<MessageBody<MeterRequest>>();

function request(type: MeterRequest['type'], name: string, number: number): MessageSpec<MeterRequest> {
  return {
    type,
    codes: [multipart(name, 'request', number)],
    read: (r) => {
      const meterId = r.u32();
      r.skip(4);
      return { meterId };
    },
    write: (w, { meterId }) => {
      w.u32(meterId ?? METERS.ALL);
      w.zeros(4);
    },
    text: requestText.text` meter=${requestText.is('meterId', METER_ID, METERS.ALL)}`,
  };
}

const configText = texts<MessageBody<MeterConfigReply>>();

const CONFIG_REPLY: MessageSpec<MeterConfigReply> = {
  type: 'meter_config_reply',
  codes: [multipart('OFPST_METER_CONFIG', 'reply', 10)],
  read: (r) => {
    const meters: Meter[] = [];
    while (r.left > 0) {
      const length = r.u16();
      if (length < 8) throw r.malformed(`a meter of ${length} bytes`);
      const end = r.narrow(length - 2);
      const flags = r.u16();
      const meterId = r.u32();
      meters.push({ meterId, flags, bands: readBands(r) });
      r.widen(end);
    }
    return { meters };
  },
  write: (w, { meters }) => {
    for (const { meterId, flags, bands } of meters) {
      const start = w.length;
      w.u16(0);
      w.u16(flags);
      w.u32(meterId);
      writeBands(w, bands);
      w.patch16(start, w.length - start);
    }
  },
  text: configText.text`${configText.each('meters', '\n', METER)}`,
};

const bandStats = texts<MeterStats['bands'][number]>();
const stats = texts<MeterStats>();
const statsText = texts<MessageBody<MeterStatsReply>>();

const BAND_STATS: Text<MeterStats['bands'][number]> =
  bandStats.text`packet_count:${bandStats.is('packetCount', decimal64)} byte_count:${bandStats.is('byteCount', decimal64)}\n`;
const STATS: Text<MeterStats> = stats.text`meter:${stats.is('meterId', METER_ID)} flow_count:${stats.is('flowCount', decimal)} packet_in_count:${stats.is('packetInCount', decimal64)} byte_in_count:${stats.is('byteInCount', decimal64)} duration:${stats.duration('durationSec', 'durationNsec')} bands:\n${stats.numbered('bands', (place) => `${place}: `, BAND_STATS)}`;

const STATS_REPLY: MessageSpec<MeterStatsReply> = {
  type: 'meter_stats_reply',
  codes: [multipart('OFPST_METER', 'reply', 9)],
  read: (r) => {
    const meters: MeterStats[] = [];
    while (r.left > 0) {
      const meterId = r.u32();
      const length = r.u16();
      if (length < 40) throw r.malformed(`statistics of a meter in ${length} bytes`);
      const end = r.narrow(length - 6);
      r.skip(6);
      const flowCount = r.u32();
      const packetInCount = r.u64();
      const byteInCount = r.u64();
      const durationSec = r.u32();
      const durationNsec = r.u32();
      const bands: { packetCount: bigint; byteCount: bigint }[] = [];
      while (r.left > 0) bands.push({ packetCount: r.u64(), byteCount: r.u64() });
      meters.push({ meterId, flowCount, packetInCount, byteInCount, durationSec, durationNsec, bands });
      r.widen(end);
    }
    return { meters };
  },
  write: (w, { meters }) => {
    for (const meter of meters) {
      w.u32(meter.meterId);
      w.u16(40 + meter.bands.length * 16);
      w.zeros(6);
      w.u32(meter.flowCount);
      w.u64(meter.packetInCount);
      w.u64(meter.byteInCount);
      w.u32(meter.durationSec);
      w.u32(meter.durationNsec);
      for (const band of meter.bands) {
        w.u64(band.packetCount);
        w.u64(band.byteCount);
      }
    }
  },
  text: statsText.text`${statsText.each('meters', '\n', STATS)}`,
};

const FEATURES_REQUEST: MessageSpec<MeterFeaturesRequest> = {
  type: 'meter_features_request',
  codes: [multipart('OFPST_METER_FEATURES', 'request', 11)],
  read: () => ({}),
  write: () => undefined,
  text: NO_TEXT,
};

const features = texts<MessageBody<MeterFeaturesReply>>();

const FEATURES_REPLY: MessageSpec<MeterFeaturesReply> = {
  type: 'meter_features_reply',
  codes: [multipart('OFPST_METER_FEATURES', 'reply', 11)],
  read: (r) => {
    const maxMeters = r.u32();
    const bandTypes = r.u32();
    const capabilities = r.u32();
    const maxBands = r.u8();
    const maxColor = r.u8();
    r.skip(2);
    return { maxMeters, bandTypes, capabilities, maxBands, maxColor };
  },
  write: (w, { maxMeters, bandTypes, capabilities, maxBands, maxColor }) => {
    w.u32(maxMeters);
    w.u32(bandTypes);
    w.u32(capabilities);
    w.u8(maxBands);
    w.u8(maxColor);
    w.zeros(2);
  },
  text: features.text`\nmax_meter:${features.is('maxMeters', decimal)} max_bands:${features.is('maxBands', decimal)} max_color:${features.is('maxColor', decimal)}\nband_types: ${features.is('bandTypes', bits(BAND_NAMES))}\ncapabilities: ${features.is('capabilities', bits(FLAG_NAMES))}\n`,
};

export const METER_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(METER_MOD),
  erase(request('meter_config_request', 'OFPST_METER_CONFIG', 10)),
  erase(request('meter_stats_request', 'OFPST_METER', 9)),
  erase(CONFIG_REPLY),
  erase(STATS_REPLY),
  erase(FEATURES_REQUEST),
  erase(FEATURES_REPLY),
];
