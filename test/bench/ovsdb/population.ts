/** The database of the OVSDB benchmark: 500 switches with 100 ports each, as a controller of pods would write them. */
import { type OvnNorthbound, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';

/** Logical switches. */
export const SWITCHES: number = 500;
/** Ports of each switch: one transaction inserts them all. */
export const PORTS: number = 100;

/** The name of port `p` of switch `s`. */
export const portName = (s: number, p: number): string => `web-${p}-${(s * PORTS + p).toString(36)}.team-${s % 50}`;

/** One switch with its ports, through the typed builder. */
export function switchTransaction(s: number): Transaction<OvnNorthbound> {
  const t = new Transaction(ovnNorthbound);
  const hex = (n: number): string => n.toString(16).padStart(2, '0');
  const ports = Array.from({ length: PORTS }, (_, p) => {
    const address = `0a:58:0a:${hex(s >> 8)}:${hex(s & 255)}:${hex(p)} 10.${16 + (s >> 8)}.${s & 255}.${p}`;
    return t.insert('Logical_Switch_Port', {
      name: portName(s, p),
      addresses: [address],
      port_security: [address],
      up: true,
      options: new Map([
        ['iface-id-ver', `${hex(s >> 8)}${hex(s & 255)}${hex(p)}00-6f70-462e-9e16-45d5bc827cda`],
        ['requested-chassis', `node-${s % 20}`],
      ]),
      external_ids: new Map([
        ['namespace', `team-${s % 50}`],
        ['ovenbird/owner', `Pod/team-${s % 50}/web-${p}`],
        ['pod', 'true'],
        ['vendor', 'ovenbird'],
      ]),
    });
  });
  t.insert('Logical_Switch', {
    name: `subnet-${s}`,
    ports,
    other_config: new Map([['subnet', `10.${16 + (s >> 8)}.${s & 255}.0/24`]]),
  });
  return t;
}
