/** Meters in ovs-ofctl syntax (ovs-ofctl(8), "Meter Syntax"): what add-meter takes, and what dump-meters prints. */
import { OpenFlowError } from './error.ts';
import { METER_FLAGS, METERS, type MeterBand, type MeterMod } from './messages/meter.ts';
import { parseNumber } from './number-text.ts';

/** A change to a meter, without a transaction id. */
export type MeterChange = Omit<MeterMod, 'xid'>;

const RESERVED: Readonly<Record<string, number>> = {
  all: METERS.ALL,
  controller: METERS.CONTROLLER,
  slowpath: METERS.SLOWPATH,
};

const FLAGS: Readonly<Record<string, number>> = METER_FLAGS;

interface Band {
  type?: string;
  rate?: number;
  burst?: number;
  precedence?: number;
}

const BAND_KEYS: Readonly<Record<string, 'rate' | 'burst' | 'precedence'>> = {
  rate: 'rate',
  burst_size: 'burst',
  prec_level: 'precedence',
};

function finishBand({ type, rate, burst = 0, precedence = 0 }: Band, flags: number, text: string): MeterBand {
  if (rate === undefined || rate === 0) throw new OpenFlowError('syntax', `"${text}": a band needs a rate above 0`);
  if ((flags & METER_FLAGS.burst) !== 0 && burst === 0) {
    throw new OpenFlowError('syntax', `"${text}": with the flag burst, each band needs a burst_size`);
  }
  if (type === 'drop') return { band: 'drop', rate, burst };
  if (type === 'dscp_remark') return { band: 'dscp_remark', rate, burst, precedence };
  throw new OpenFlowError('syntax', `"${type}" is no type of band: drop, dscp_remark`);
}

/**
 * Parses one meter.
 * @param text as after `ovs-ofctl add-meter BRIDGE`, or what `dump-meters` prints
 * @throws OpenFlowError `syntax` or `invalid_value`
 * @example parseMeter('meter=256,pktps,burst,stats,bands=type=drop,rate=100,burst_size=200')
 */
export function parseMeter(text: string, command: MeterMod['command'] = 'add'): MeterChange {
  let meterId: number | undefined;
  let flags = 0;
  const bands: Band[] = [];
  // What begins a band is `type=`; the word before the first one says only that bands follow.
  for (const part of text.replaceAll(/\bbands?=/g, ' ').split(/[,\s]+/)) {
    if (part === '') continue;
    const [key = '', value] = part.split('=');
    const bandKey = BAND_KEYS[key];
    const band = bands.at(-1);
    if (key === 'meter' && value !== undefined) meterId = RESERVED[value] ?? parseNumber(value, METERS.MAX, key);
    else if (value === undefined && FLAGS[key] !== undefined) flags |= FLAGS[key];
    else if (key === 'flags' && value !== undefined) flags |= parseNumber(value, 0xffff, key);
    else if (key === 'type' && value !== undefined) bands.push({ type: value });
    else if (bandKey !== undefined && value !== undefined && band !== undefined) {
      band[bandKey] = parseNumber(value, bandKey === 'precedence' ? 0xff : 0xffff_ffff, key);
    } else throw new OpenFlowError('syntax', `"${part}" is no part of a meter (ovs-ofctl(8), Meter Syntax)`);
  }
  if (meterId === undefined) {
    if (command !== 'delete') throw new OpenFlowError('syntax', `"${text}" needs meter=`);
    meterId = METERS.ALL;
  }
  // As of ovs-ofctl: rates are in kbit/s unless said otherwise.
  if (command !== 'delete' && (flags & (METER_FLAGS.kbps | METER_FLAGS.pktps)) === 0) flags |= METER_FLAGS.kbps;
  if (command !== 'delete' && bands.length === 0) throw new OpenFlowError('syntax', `"${text}" needs bands=`);
  return { type: 'meter_mod', command, meterId, flags, bands: bands.map((band) => finishBand(band, flags, text)) };
}
