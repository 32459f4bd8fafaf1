/** Flow statistics as OpenFlow 1.5 writes them: OXS fields (OpenFlow 1.5.1 §7.2.4.2). */
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** What a flow has seen. Undefined: the switch does not say. */
export interface FlowCounters {
  durationSec?: number | undefined;
  durationNsec?: number | undefined;
  /** Seconds since the last packet. */
  idleAge?: number | undefined;
  idleNsec?: number | undefined;
  flowCount?: number | undefined;
  packetCount?: bigint | undefined;
  byteCount?: bigint | undefined;
  /**
   * All fields as they came, one behind the other with their headers, where some are unknown or stand in another order
   * than here: they are written instead of the above.
   */
  rawStats?: Uint8Array | undefined;
}

const OXS_CLASS = 0x8002;
const FIELD = { duration: 0, idle: 1, flowCount: 3, packets: 4, bytes: 5 } as const;

/** Their places in the order in which Open vSwitch writes them, by number. */
const PLACES: readonly number[] = [0, 1, -1, 4, 2, 3];

/** Reads `ofp_stats` and its padding. Fields it does not know are kept as they are. */
export function readCounters(r: Reader, into: FlowCounters): void {
  const start = r.pos;
  r.skip(2);
  const length = r.u16();
  if (length < 4) throw r.malformed(`statistics of ${length} bytes`);
  const end = r.narrow(length - 4);
  const first = r.pos;
  let last = -1;
  let isOrdered = true;
  while (r.pos < r.end) {
    const header = r.u32();
    const size = header & 0xff;
    const field = header >>> 16 === OXS_CLASS ? (header >>> 9) & 0x7f : -1;
    if (field === FIELD.duration && size === 8) {
      into.durationSec = r.u32();
      into.durationNsec = r.u32();
    } else if (field === FIELD.idle && size === 8) {
      into.idleAge = r.u32();
      into.idleNsec = r.u32();
    } else if (field === FIELD.flowCount && size === 4) into.flowCount = r.u32();
    else if (field === FIELD.packets && size === 8) into.packetCount = r.u64();
    else if (field === FIELD.bytes && size === 8) into.byteCount = r.u64();
    else {
      r.skip(size);
      isOrdered = false;
    }
    const place = PLACES[field] ?? -1;
    if (place <= last) isOrdered = false;
    last = place;
  }
  if (!isOrdered) {
    r.pos = first;
    into.rawStats = r.rest();
  }
  r.widen(end);
  r.skip(Math.min((8 - ((r.pos - start) % 8)) % 8, r.left));
}

function header(w: Writer, field: number, size: number): void {
  w.u32(((OXS_CLASS << 16) | (field << 9) | size) >>> 0);
}

function writeFields(w: Writer, counters: FlowCounters): void {
  if (counters.durationSec !== undefined) {
    header(w, FIELD.duration, 8);
    w.u32(counters.durationSec);
    w.u32(counters.durationNsec ?? 0);
  }
  if (counters.idleAge !== undefined) {
    header(w, FIELD.idle, 8);
    w.u32(counters.idleAge);
    w.u32(counters.idleNsec ?? 0);
  }
  if (counters.packetCount !== undefined) {
    header(w, FIELD.packets, 8);
    w.u64(counters.packetCount);
  }
  if (counters.byteCount !== undefined) {
    header(w, FIELD.bytes, 8);
    w.u64(counters.byteCount);
  }
  if (counters.flowCount !== undefined) {
    header(w, FIELD.flowCount, 4);
    w.u32(counters.flowCount);
  }
}

/** Writes `ofp_stats`. */
export function writeCounters(w: Writer, counters: FlowCounters): void {
  const start = w.length;
  w.u16(0);
  w.u16(0);
  if (counters.rawStats !== undefined) w.bytes(counters.rawStats);
  else writeFields(w, counters);
  w.patch16(start + 2, w.length - start);
  w.pad8(start);
}
