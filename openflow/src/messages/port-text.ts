/** Ports as ovs-ofctl prints them. */
import { type BitNames, bits, decimal, line, mac, port, type Scalar, type Text, texts } from '../text.ts';
import type { Port } from './port-structure.ts';

/** OFPPC_ bits; 1, 3 and 4 exist in OpenFlow 1.0 only. */
const PORT_CONFIG: BitNames = [
  [1 << 0, 'PORT_DOWN'],
  [1 << 1, 'NO_STP'],
  [1 << 2, 'NO_RECV'],
  [1 << 3, 'NO_RECV_STP'],
  [1 << 4, 'NO_FLOOD'],
  [1 << 5, 'NO_FWD'],
  [1 << 6, 'NO_PACKET_IN'],
];

const PORT_STATE: BitNames = [
  [1 << 0, 'LINK_DOWN'],
  [1 << 1, 'BLOCKED'],
  [1 << 2, 'LIVE'],
];

const FEATURES: BitNames = [
  ...['10MB-HD', '10MB-FD', '100MB-HD', '100MB-FD', '1GB-HD', '1GB-FD', '10GB-FD', '40GB-FD', '100GB-FD', '1TB-FD'],
  ...['OTHER', 'COPPER', 'FIBER', 'AUTO_NEG', 'AUTO_PAUSE', 'AUTO_PAUSE_ASYM'],
].map((name, bit): readonly [number, string] => [1 << bit, name]);

/** OFPPC_ bits as they are printed. */
export const PORT_CONFIG_BITS: Scalar<number> = bits(PORT_CONFIG);
/** OFPPF_ bits as they are printed. */
export const FEATURE_BITS: Scalar<number> = bits(FEATURES);

/** Kilobits per second in megabits: what is less is lost. */
const SPEED: Scalar<number> = {
  ...decimal,
  format: (kilobits) => String(Math.floor(kilobits / 1000)),
  parse: (text, c) => decimal.parse(text, c) * 1000,
};

const NAME: Scalar<string> = { ...line, pattern: /[^)\n]*/y };
const shown = texts<Port>();

/** One port, several lines. */
export const PORT_TEXT: Text<Port> = shown.text` ${shown.is('port', port)}(${shown.is('name', NAME)}): addr:${shown.is('hardwareAddress', mac)}
     config:     ${shown.is('config', PORT_CONFIG_BITS)}
     state:      ${shown.is('state', bits(PORT_STATE))}
${shown.optional('current', '     current:    ', FEATURE_BITS, 0, '\n')}${shown.optional('advertised', '     advertised: ', FEATURE_BITS, 0, '\n')}${shown.optional('supported', '     supported:  ', FEATURE_BITS, 0, '\n')}${shown.optional('peer', '     peer:       ', FEATURE_BITS, 0, '\n')}     speed: ${shown.is('currentSpeed', SPEED)} Mbps now, ${shown.is('maxSpeed', SPEED)} Mbps max
`;

/** Ports up to the end, sorted as ovs-ofctl sorts them: LOCAL is the last one. */
export const PORTS_TEXT: Text<readonly Port[]> = {
  format: (ports, c) =>
    [...ports]
      .sort((a, b) => a.port - b.port)
      .map((each) => PORT_TEXT.format(each, c))
      .join(''),
  parse: (r, c) => {
    const ports: Port[] = [];
    while (!r.atEnd) ports.push(PORT_TEXT.parse(r, c));
    return ports;
  },
};
