import { connect, openVswitch } from '@ovenbird/ovsdb';
import type { TestLab } from '../src/lab.ts';

/** Notes when the nodes' Open vSwitch databases say that the flows of a pod's interface are there. */
export interface InstalledWatch {
  /** performance.now() at which an interface was `ovn-installed`, by pod name. */
  readonly installed: ReadonlyMap<string, number>;
  readonly close: () => Promise<void>;
}

/**
 * Monitors table Interface of every node (`ovn-installed` is set by ovn-controller: ovn-controller(8)).
 * @param namespace of the pods
 */
export async function watchInstalled(lab: TestLab, namespace: string, signal: AbortSignal): Promise<InstalledWatch> {
  const installed = new Map<string, number>();
  const clients = await Promise.all(
    lab.nodes.map(async (node) => {
      const db = connect({
        remotes: [`unix:${lab.layout.node(node).db}`],
        database: openVswitch,
        monitor: { Interface: ['external_ids'] },
        signal,
      });
      db.replica.onChange((changes) => {
        const now = performance.now();
        for (const change of changes) {
          if (change.table !== 'Interface') continue;
          const ids = change.new?.external_ids;
          const name = ids?.get('pod_name');
          if (name === undefined || ids?.get('pod_namespace') !== namespace) continue;
          if (ids.get('ovn-installed') === 'true' && !installed.has(name)) installed.set(name, now);
        }
      });
      await db.synced(signal);
      return db;
    }),
  );
  return {
    installed,
    close: async () => {
      await Promise.all(clients.map((db) => db.close()));
    },
  };
}
