import { type LoggedKind, logMeterName } from './names.ts';
import type { RowBuilder } from './rows-builder.ts';

/**
 * ACL columns of a logged rule. The meter limits the entries of all logged rules of the object on each chassis: what it
 * refuses is counted by Open vSwitch and never reaches ovn-controller (ovn-nb(5), ACL meter).
 */
export const logColumns = (
  kind: LoggedKind,
  key: string,
): { readonly log: boolean; readonly severity: string; readonly meter: string } => ({
  log: true,
  severity: 'info',
  meter: logMeterName(kind, key),
});

/** Emits the Meter of an object's logged rules. @param rate entries a second */
export function logMeter(rows: RowBuilder, kind: LoggedKind, key: string, rate: number): void {
  const name = logMeterName(kind, key);
  const band = rows.row('Meter_Band', 'log', { action: 'drop', rate, burst_size: rate });
  rows.row('Meter', name, { name, unit: 'pktps', bands: [band.uuid] });
}
