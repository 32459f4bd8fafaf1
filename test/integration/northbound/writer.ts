/** The northbound writer on a real ovsdb-server, for the tests of this folder. */
import { systemClock } from '@ovenbird/kube';
import { type Client, connect, type MonitorSpec, type OvnNorthbound, ovnNorthbound } from '@ovenbird/ovsdb';
import type { Drift } from '../../../controller/src/northbound/drift.ts';
import type { NorthboundError } from '../../../controller/src/northbound/error.ts';
import { Fence } from '../../../controller/src/northbound/fence.ts';
import { Northbound } from '../../../controller/src/northbound/northbound.ts';
import { OvsdbStore } from '../../../controller/src/northbound/ovsdb-store.ts';
import { monitoredColumns } from '../../../controller/src/northbound/ownership.ts';
import type { Output, Scalar, Value } from '../../../controller/src/northbound/rows.ts';
import type { SafetyStop } from '../../../controller/src/northbound/safety.ts';
import { CLUSTER } from '../../../controller/src/northbound/testing/units.ts';
import type { TestServer } from '../ovsdb/server.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export type Units = ReadonlyMap<string, readonly Output[]>;

/** A writer with a connection of its own; ends with `stop`. */
export class TestWriter {
  readonly client: Client<OvnNorthbound>;
  readonly store: OvsdbStore;
  readonly fence: Fence;
  readonly northbound: Northbound;
  readonly drifts: [string, readonly Drift[]][] = [];
  readonly stops: SafetyStop[] = [];
  readonly fenced: NorthboundError[] = [];
  readonly #ends = new AbortController();

  constructor(server: TestServer, identity: string) {
    const monitor = monitoredColumns() as MonitorSpec<OvnNorthbound>;
    this.client = connect({ remotes: [server.remote], database: ovnNorthbound, monitor });
    this.store = new OvsdbStore(this.client);
    this.fence = new Fence({ store: this.store, clusterUid: CLUSTER, identity, clock: systemClock });
    this.northbound = new Northbound({
      store: this.store,
      fence: this.fence,
      clock: systemClock,
      log: silent,
      onDrift: (unit, drifts) => this.drifts.push([unit, drifts]),
      onSafetyStop: (stop) => this.stops.push(stop),
      onFenced: (error) => this.fenced.push(error),
    });
  }

  set(units: Units): void {
    for (const [name, outputs] of units) {
      const pod = name.startsWith('Pod/');
      this.northbound.setUnit(name, outputs, { rank: pod ? 5 : 1, lane: pod ? 'pod' : 'bulk' });
    }
  }

  /** Takes the fence, sets the units, starts, and waits until all of it is in the database. */
  async run(units: Units): Promise<void> {
    await this.fence.acquire(this.#ends.signal);
    this.set(units);
    this.northbound.start(this.#ends.signal);
    await Promise.all([...units.keys()].map((name) => this.northbound.committed(name)));
  }

  async stop(): Promise<void> {
    this.#ends.abort();
    await this.client.close();
  }
}

/** Everything of the replica that the writer looks at, in an order that does not depend on the server. */
export function dump(store: OvsdbStore): Record<string, Record<string, Record<string, unknown>>> {
  const out: Record<string, Record<string, Record<string, unknown>>> = {};
  for (const [table, columns] of Object.entries(monitoredColumns())) {
    const rows = [...store.rows(table)].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [uuid, row] of rows) {
      out[table] ??= {};
      out[table][uuid] = Object.fromEntries(columns.map((column) => [column, plain(row[column])]));
    }
  }
  return out;
}

function plain(value: Value): unknown {
  const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1);
  if (value instanceof Map) {
    const pairs = [...(value as ReadonlyMap<string, Scalar>)];
    return Object.fromEntries(pairs.sort(([a], [b]) => byText(a, b)));
  }
  return Array.isArray(value) ? (value as readonly Scalar[]).toSorted(byText) : value;
}
