/** Ports as structures: in port descriptions, port status, and features of OpenFlow 1.0. */

import { fromPort16, toPort16 } from '../port.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import type { Reader } from '../reader.ts';
import { OF10, OF14, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';

/** A port of the switch. */
export interface Port {
  readonly port: number;
  /** Ethernet address. */
  readonly hardwareAddress: number;
  readonly name: string;
  /** OFPPC_ bits. */
  readonly config: number;
  /** OFPPS_ bits. */
  readonly state: number;
  /** Current, advertised, supported features, those of the peer: OFPPF_ bits. */
  readonly current: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  /** In kbit/s; 0: not known. */
  readonly currentSpeed: number;
  readonly maxSpeed: number;
  /** False where a switch of 1.4 and later says nothing of features and speeds. */
  readonly ethernet?: false | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

const ETHERNET = 0;
const NAME_LENGTH = 16;

function readFeatures(r: Reader): Pick<Port, 'current' | 'advertised' | 'supported' | 'peer'> {
  return { current: r.u32(), advertised: r.u32(), supported: r.u32(), peer: r.u32() };
}

/** OpenFlow 1.0 has five of the bits elsewhere: from `OLD_SHIFTED` on they stand four places lower. */
const OLD_SHIFTED = 1 << 7;
const SHIFT = 4;

function fromOldFeatures(features: number): number {
  return (features & (OLD_SHIFTED - 1)) | ((features & ~(OLD_SHIFTED - 1)) << SHIFT);
}

function toOldFeatures(features: number): number {
  return (features & (OLD_SHIFTED - 1)) | ((features >>> SHIFT) & ~(OLD_SHIFTED - 1));
}

/** Kilobits per second of the speeds that feature bits name: the highest one; OpenFlow 1.0 has no number for it. */
function speedOf(features: number): number {
  const SPEEDS = [10_000, 10_000, 100_000, 100_000, 1_000_000, 1_000_000, 10_000_000];
  return SPEEDS.reduce((best, speed, bit) => ((features & (1 << bit)) === 0 ? best : Math.max(best, speed)), 0);
}

const NO_FEATURES = { current: 0, advertised: 0, supported: 0, peer: 0, currentSpeed: 0, maxSpeed: 0 };

/** Reads one port. */
export function readPort(r: Reader, version: Version): Port {
  if (version === OF10) {
    const port = fromPort16(r.u16());
    const hardwareAddress = r.uint(6);
    const name = r.text(NAME_LENGTH);
    const config = r.u32();
    const state = r.u32();
    const features = readFeatures(r);
    const current = fromOldFeatures(features.current);
    const supported = fromOldFeatures(features.supported);
    return {
      ...{ port, hardwareAddress, name, config, state, current, supported },
      advertised: fromOldFeatures(features.advertised),
      peer: fromOldFeatures(features.peer),
      currentSpeed: speedOf(current),
      maxSpeed: speedOf(supported),
    };
  }
  const start = r.pos;
  const port = r.u32();
  let length = 64;
  if (version >= OF14) {
    length = r.u16();
    r.skip(2);
  } else r.skip(4);
  const hardwareAddress = r.uint(6);
  r.skip(2);
  const name = r.text(NAME_LENGTH);
  const config = r.u32();
  const state = r.u32();
  const common = { port, hardwareAddress, name, config, state };
  if (version < OF14) return { ...common, ...readFeatures(r), currentSpeed: r.u32(), maxSpeed: r.u32() };
  if (length < r.pos - start) throw r.malformed(`a port of ${length} bytes`);
  const end = r.narrow(length - (r.pos - start));
  let features: typeof NO_FEATURES | undefined;
  const properties = readProperties(r, (type) => {
    if (type !== ETHERNET) return false;
    r.skip(4);
    features = { ...readFeatures(r), currentSpeed: r.u32(), maxSpeed: r.u32() };
    return true;
  });
  r.widen(end);
  return { ...common, ...(features ?? { ...NO_FEATURES, ethernet: false }), properties };
}

/** Reads ports up to the reader's end. */
export function readPorts(r: Reader, version: Version): readonly Port[] {
  const ports: Port[] = [];
  while (r.left > 0) ports.push(readPort(r, version));
  return ports;
}

function writeFeatures(w: Writer, port: Port): void {
  w.u32(port.current);
  w.u32(port.advertised);
  w.u32(port.supported);
  w.u32(port.peer);
}

/** Writes one port. */
export function writePort(w: Writer, version: Version, port: Port): void {
  const start = w.length;
  if (version === OF10) {
    w.u16(toPort16(port.port));
    w.uint(port.hardwareAddress, 6);
    w.text(port.name, NAME_LENGTH);
    w.u32(port.config);
    w.u32(port.state);
    for (const features of [port.current, port.advertised, port.supported, port.peer]) w.u32(toOldFeatures(features));
    return;
  }
  w.u32(port.port);
  w.zeros(4);
  w.uint(port.hardwareAddress, 6);
  w.zeros(2);
  w.text(port.name, NAME_LENGTH);
  w.u32(port.config);
  w.u32(port.state);
  const rest = (): void => {
    writeFeatures(w, port);
    w.u32(port.currentSpeed);
    w.u32(port.maxSpeed);
  };
  if (version < OF14) {
    rest();
    return;
  }
  writeProperties(w, port.properties, () => {
    if (port.ethernet === false) return;
    writeProperty(w, ETHERNET, () => {
      w.zeros(4);
      rest();
    });
  });
  w.patch16(start + 4, w.length - start);
}
