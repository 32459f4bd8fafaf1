import { OpenFlowError } from './error.ts';
import { parsePlain } from './number-text.ts';

/** Reserved port numbers (OpenFlow 1.5.1 §7.2.1.2, `OFPP_`). */
export const PORTS: {
  readonly UNSET: number;
  readonly IN_PORT: number;
  readonly TABLE: number;
  readonly NORMAL: number;
  readonly FLOOD: number;
  readonly ALL: number;
  readonly CONTROLLER: number;
  readonly LOCAL: number;
  readonly ANY: number;
} = {
  UNSET: 0xffff_fff7,
  IN_PORT: 0xffff_fff8,
  TABLE: 0xffff_fff9,
  NORMAL: 0xffff_fffa,
  FLOOD: 0xffff_fffb,
  ALL: 0xffff_fffc,
  CONTROLLER: 0xffff_fffd,
  LOCAL: 0xffff_fffe,
  ANY: 0xffff_ffff,
};

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(PORTS).map(([name, number]) => [number, name]));
const NUMBERS: ReadonlyMap<string, number> = new Map([...Object.entries(PORTS), ['NONE', PORTS.ANY]]);

/** `LOCAL`, `3`. */
export function formatPort(port: number): string {
  return port < 0xffff_ff00 ? String(port) : (NAMES.get(port) ?? String(port));
}

/** The number of a port's text: decimal, 0x hexadecimal or a reserved name in any case; undefined for other names. */
export function findPort(text: string): number | undefined {
  const plain = parsePlain(text);
  if (plain >= 0 && plain < 0xfff7) return plain;
  if (/^(?:0x[0-9a-f]+|\d+)$/i.test(text)) {
    const port = Number(text);
    // The 16-bit numbers of OpenFlow 1.0 mean the same reserved ports.
    if (port >= 0xfff7 && port <= 0xffff) return port + 0xffff_0000;
    return port <= 0xffff_ffff ? port : undefined;
  }
  return NUMBERS.get(text.toUpperCase());
}

/** @throws OpenFlowError `syntax` */
export function parsePort(text: string): number {
  const port = findPort(text.trim());
  if (port === undefined) {
    throw new OpenFlowError(
      'syntax',
      `"${text}" is no port; write its number, or one of ${[...NUMBERS.keys()].join(', ')}`,
    );
  }
  return port;
}

/** A port as OpenFlow 1.0 and Nicira's extensions write it, in 16 bits. @throws OpenFlowError `invalid_value` */
export function toPort16(port: number): number {
  if (port >= 0xffff_fff7) return port - 0xffff_0000;
  if (port < 0xff00) return port;
  throw new OpenFlowError('invalid_value', `port ${port} does not fit where OpenFlow has 16 bits for it`);
}

/** The 32-bit form of a 16-bit port. */
export function fromPort16(port: number): number {
  return port >= 0xfff7 ? port + 0xffff_0000 : port;
}
