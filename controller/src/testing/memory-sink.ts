import type { DurablePort } from '../alloc/load.ts';
import type { RowSink } from '../brain.ts';
import { ADDRESS_KEY } from '../compile/names.ts';
import type { Known } from '../live.ts';
import { toAtoms } from '../northbound/atoms.ts';
import type { DesiredRow, Output } from '../northbound/rows.ts';
import { bandwidthsOf, type QosRow } from '../qos/live.ts';
import type { LiveSubnet } from '../subnet/verdict.ts';

const text = (row: DesiredRow, key: string): string | undefined => {
  const ids = row.columns['external_ids'];
  return ids instanceof Map ? (ids.get(key) as string | undefined) : undefined;
};

/** A northbound database that commits at once: for tests of everything above the writer. */
export class MemorySink implements RowSink {
  readonly units: Map<string, readonly Output[]> = new Map();
  /** Units whose last change was inferred from a list. */
  readonly inferred: Set<string> = new Set();
  /** Outputs are looked at as the writer does; a benchmark measures without that. */
  checks = true;
  /** Called with every unit that is set, with the options production gives the writer. */
  onUnit: (...unit: Parameters<RowSink['setUnit']>) => void = () => undefined;
  /** Called for each unit whose commit is waited for, which has then to resolve. */
  onWait: (unit: string) => Promise<void> = () => Promise.resolve();
  #gate: PromiseWithResolvers<void> | undefined;

  setUnit(...[unit, outputs, options]: Parameters<RowSink['setUnit']>): void {
    // What the writer would refuse is a defect of the unit.
    if (this.checks) toAtoms(outputs);
    this.onUnit(unit, outputs, options);
    if (options.inferred) this.inferred.add(unit);
    else this.inferred.delete(unit);
    if (outputs.length === 0) this.units.delete(unit);
    else this.units.set(unit, outputs);
  }

  /** Nothing is committed until `open`. */
  close(): void {
    this.#gate = Promise.withResolvers<void>();
  }

  open(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async committed(unit: string): Promise<void> {
    await this.#gate?.promise;
    await this.onWait(unit);
  }

  rows(table?: string): DesiredRow[] {
    const rows: DesiredRow[] = [];
    for (const outputs of this.units.values()) {
      for (const output of outputs)
        if (output.kind === 'row' && (table === undefined || output.table === table)) rows.push(output);
    }
    return rows;
  }

  /** Set members, as `table uuid column value`. */
  members(): string[] {
    const members = new Set<string>();
    for (const outputs of this.units.values()) {
      for (const output of outputs) {
        if (output.kind === 'member') members.add(`${output.table} ${output.uuid} ${output.column} ${output.value}`);
      }
    }
    return [...members].sort();
  }

  /** The whole content, comparable. */
  content(): unknown {
    const rows = this.rows()
      .map((row) => ({ table: row.table, uuid: row.uuid, columns: row.columns }))
      .sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
    return { rows, members: this.members() };
  }

  /** What a restarted controller would read back. */
  live(): Known {
    const subnets = new Map<string, LiveSubnet>();
    for (const row of this.rows('Logical_Switch')) {
      const [vpc = '', cidr = '', gateway = ''] = ['vpc', 'cidr', 'gateway'].map((key) => text(row, key));
      subnets.set(row.key, { vpc, cidr, gateway });
    }
    const ports: DurablePort[] = [];
    for (const row of this.rows('Logical_Switch_Port')) {
      const uid = text(row, 'ovenbird/uid');
      if (uid === undefined) continue;
      const addresses = row.columns['addresses'];
      const keepFor = text(row, 'ovenbird/keep-for');
      const network = text(row, 'ovenbird/network');
      const via = text(row, 'ovenbird/via');
      ports.push({
        owner: row.owner,
        uid,
        subnet: text(row, 'ovenbird/subnet') ?? '',
        addresses:
          Array.isArray(addresses) && addresses.length > 0 ? String(addresses[0]) : (text(row, ADDRESS_KEY) ?? ''),
        ...(keepFor === undefined ? {} : { keepFor }),
        ...(network === undefined ? {} : { network }),
        ...(via === undefined ? {} : { via }),
      });
    }
    const limits = this.rows('QoS').flatMap((row) => {
      const uid = text(row, 'ovenbird/uid');
      const { direction, bandwidth } = row.columns as unknown as Pick<QosRow, 'direction' | 'bandwidth'>;
      return uid === undefined ? [] : [{ owner: row.owner, uid, direction, bandwidth }];
    });
    return { subnets, ports, bandwidths: bandwidthsOf(limits) };
  }
}
