/** Ports as ovs-ofctl prints them. */
import { formatMac } from '../address.ts';
import { hex } from '../number-text.ts';
import { formatPort } from '../port.ts';
import type { Port } from './port-structure.ts';

/** OFPPC_ bits; 1, 3 and 4 exist in OpenFlow 1.0 only. */
export const PORT_CONFIG: readonly (readonly [bit: number, name: string])[] = [
  [1 << 0, 'PORT_DOWN'],
  [1 << 1, 'NO_STP'],
  [1 << 2, 'NO_RECV'],
  [1 << 3, 'NO_RECV_STP'],
  [1 << 4, 'NO_FLOOD'],
  [1 << 5, 'NO_FWD'],
  [1 << 6, 'NO_PACKET_IN'],
];

const PORT_STATE: readonly (readonly [bit: number, name: string])[] = [
  [1 << 0, 'LINK_DOWN'],
  [1 << 1, 'BLOCKED'],
  [1 << 2, 'LIVE'],
];

const FEATURES: readonly (readonly [bit: number, name: string])[] = [
  ...['10MB-HD', '10MB-FD', '100MB-HD', '100MB-FD', '1GB-HD', '1GB-FD', '10GB-FD', '40GB-FD', '100GB-FD', '1TB-FD'],
  ...['OTHER', 'COPPER', 'FIBER', 'AUTO_NEG', 'AUTO_PAUSE', 'AUTO_PAUSE_ASYM'],
].map((name, bit): readonly [number, string] => [1 << bit, name]);

function names(table: readonly (readonly [bit: number, name: string])[], bits: number): string {
  if (bits === 0) return '0';
  const parts = table.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
  const left = table.reduce((value, [bit]) => value & ~bit, bits) >>> 0;
  return [...parts, ...(left === 0 ? [] : [hex(left)])].join(' ');
}

/** The bits of a port's configuration. */
export function formatPortConfig(config: number): string {
  return names(PORT_CONFIG, config);
}

/** Feature bits. */
export function formatPortFeatures(features: number): string {
  return names(FEATURES, features);
}

/** One port, several lines. */
export function formatPortLines(port: Port): string {
  const lines = [
    ` ${formatPort(port.port)}(${port.name}): addr:${formatMac(port.hardwareAddress)}`,
    `     config:     ${formatPortConfig(port.config)}`,
    `     state:      ${names(PORT_STATE, port.state)}`,
  ];
  if (port.current !== 0) lines.push(`     current:    ${formatPortFeatures(port.current)}`);
  if (port.advertised !== 0) lines.push(`     advertised: ${formatPortFeatures(port.advertised)}`);
  if (port.supported !== 0) lines.push(`     supported:  ${formatPortFeatures(port.supported)}`);
  if (port.peer !== 0) lines.push(`     peer:       ${formatPortFeatures(port.peer)}`);
  const megabits = (kilobits: number): number => Math.floor(kilobits / 1000);
  lines.push(`     speed: ${megabits(port.currentSpeed)} Mbps now, ${megabits(port.maxSpeed)} Mbps max`);
  return lines.map((line) => `${line}\n`).join('');
}

/** Ports, sorted as ovs-ofctl sorts them: LOCAL is the last one. */
export function formatPorts(ports: readonly Port[]): string {
  return [...ports]
    .sort((a, b) => a.port - b.port)
    .map(formatPortLines)
    .join('');
}
