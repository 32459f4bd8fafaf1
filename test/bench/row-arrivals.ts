import { connect, ovnNorthbound, ovnSouthbound } from '@ovenbird/ovsdb';
import type { TestLab } from '../src/lab.ts';

/** performance.now() at which the rows of pods' ports came, by port name (`<pod>.<namespace>`). */
export interface RowArrivals {
  /** Logical_Switch_Port, northbound. */
  readonly northbound: ReadonlyMap<string, number>;
  /** Port_Binding, southbound. */
  readonly southbound: ReadonlyMap<string, number>;
  readonly close: () => Promise<void>;
}

/** Monitors both databases; a row that goes is forgotten, and its next coming counts. @param namespace of the pods */
export async function watchRows(lab: TestLab, namespace: string, signal: AbortSignal): Promise<RowArrivals> {
  const northbound = new Map<string, number>();
  const southbound = new Map<string, number>();
  const note = (times: Map<string, number>, gone: string | undefined, come: string | undefined): void => {
    const name = come ?? gone ?? '';
    if (!name.endsWith(`.${namespace}`)) return;
    if (come === undefined) times.delete(name);
    else if (!times.has(name)) times.set(name, performance.now());
  };
  const nb = connect({
    remotes: [`unix:${lab.layout.central.northbound}`],
    database: ovnNorthbound,
    monitor: { Logical_Switch_Port: ['name'] },
    signal,
  });
  nb.replica.onChange((changes) => {
    for (const change of changes) {
      if (change.table === 'Logical_Switch_Port') note(northbound, change.old?.name, change.new?.name);
    }
  });
  const sb = connect({
    remotes: [`unix:${lab.layout.central.southbound}`],
    database: ovnSouthbound,
    monitor: { Port_Binding: ['logical_port'] },
    signal,
  });
  sb.replica.onChange((changes) => {
    for (const change of changes) {
      if (change.table === 'Port_Binding') note(southbound, change.old?.logical_port, change.new?.logical_port);
    }
  });
  await Promise.all([nb.synced(signal), sb.synced(signal)]);
  return { northbound, southbound, close: async () => void (await Promise.all([nb.close(), sb.close()])) };
}
