import {
  type Client,
  type ClientEvent,
  type IndexSpec,
  type MonitorSpec,
  type OpenVswitch,
  OvsdbError,
  openVswitch,
  type Ref,
  type Row,
  type RowChange,
  Transaction,
} from '@ovenbird/ovsdb';
import type { Logger } from 'pino';
import { AgentError } from '../error.ts';
import { withDeadline } from '../wait-for.ts';

/** The integration bridge (ovn-controller(8), `external_ids:ovn-bridge`, its default). */
export const INTEGRATION_BRIDGE = 'br-int';

/** external_ids:vendor of every row the agent writes; rows without it are not ours to touch. */
export const VENDOR = 'ovenbird';

/** The agent's connection to the local Open_vSwitch database. */
export type Ovs = Client<OpenVswitch>;
/** A Port row as the replica holds it. */
export type PortRow = Row<OpenVswitch, 'Port'>;
/** An Interface row as the replica holds it. */
export type InterfaceRow = Row<OpenVswitch, 'Interface'>;
/** A Bridge row as the replica holds it. */
export type BridgeRow = Row<OpenVswitch, 'Bridge'>;
/** A change of some row of the local database. */
export type OvsChange = RowChange<OpenVswitch>;

/** Tables and columns the agent reads. Statistics columns change every few seconds and are left out. */
export const ovsMonitor: MonitorSpec<OpenVswitch> = {
  // Without cur_cfg and next_cfg, which every transaction of ovs-vsctl counts up.
  Open_vSwitch: ['bridges', 'external_ids', 'ovs_version'],
  Bridge: ['name', 'ports', 'datapath_type', 'fail_mode', 'external_ids'],
  Port: ['name', 'interfaces'],
  QoS: ['type', 'external_ids'],
  Interface: ['name', 'type', 'external_ids', 'ofport', 'ifindex', 'mac', 'mac_in_use', 'mtu_request', 'error'],
};

/** Indexes of the replica. */
export const ovsIndexes: IndexSpec<OpenVswitch> = {
  Bridge: [['name']],
  Port: [['interfaces']],
  Interface: [['name'], ['external_ids:iface-id'], ['external_ids:vendor']],
};

/** The integration bridge's row, or undefined while it does not exist. */
export function integrationBridge(ovs: Ovs): BridgeRow | undefined {
  return ovs.replica.table('Bridge').find('name', INTEGRATION_BRIDGE)[0];
}

/**
 * The QoS row of pods' ports: it makes vswitchd leave their queueing disciplines alone (ovs-vswitchd.conf.db(5),
 * `linux-noop`). Without it vswitchd removes, whenever it starts, the limits that others set on the links.
 */
export function noopQos(ovs: Ovs): Ref<'QoS'> | undefined {
  const rows = ovs.replica.table('QoS').rows();
  return [...rows].find(({ type, external_ids }) => type === 'linux-noop' && external_ids.get('vendor') === VENDOR)
    ?._uuid;
}

/** The Interface of that name. */
export function interfaceNamed(ovs: Ovs, name: string): InterfaceRow | undefined {
  return ovs.replica.table('Interface').find('name', name)[0];
}

/** The Port that holds an Interface. */
export function portOf(ovs: Ovs, iface: Ref<'Interface'>): PortRow | undefined {
  return ovs.replica.table('Port').find('interfaces', iface)[0];
}

/**
 * Adds to `transaction` what removes an Interface's Port from its bridge. Port and Interface rows vanish by themselves
 * when nothing refers to them (ovs-vswitchd.conf.db(5): neither table is a root).
 */
export function removePort(ovs: Ovs, transaction: Transaction<OpenVswitch>, iface: InterfaceRow): void {
  const port = portOf(ovs, iface._uuid);
  if (port === undefined) return;
  transaction.mutate('Bridge', [['ports', 'includes', [port._uuid]]], 'ports', 'delete', [port._uuid]);
}

/** A new, empty transaction on the local database. */
export function newTransaction(): Transaction<OpenVswitch> {
  return new Transaction(openVswitch);
}

/**
 * Whether what was built from the replica may be built anew: nothing was changed, or the connection ended before the reply and
 * the replica, once it is in sync again, shows whether it was.
 */
export function mayBuildAnew(error: unknown): boolean {
  if (error instanceof OvsdbError && error.code === 'outcome_unknown') return true;
  return error instanceof Error && 'retryable' in error && error.retryable === true;
}

/**
 * Commits `build()`; when it was refused for a reason that may pass (connection lost, a row changed meanwhile) builds it
 * anew from the replica and tries again, at most five times.
 * @throws OvsdbError what the last try failed with; AgentError `try-again` while the database is not connected
 */
export async function commit(
  ovs: Ovs,
  build: () => Transaction<OpenVswitch> | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    await ovs.synced(signal);
    const transaction = build();
    if (transaction === undefined) return;
    try {
      await ovs.transact(transaction);
      return;
    } catch (error) {
      if (attempt === 5 || !mayBuildAnew(error)) throw error;
    }
  }
}

/** How long a CNI request may wait for the local database, milliseconds. */
export const DATABASE_PATIENCE_MS = 15_000;

/** What is wrong while the local database does not answer, and what to do; for people who wait for a pod. */
export function databaseUnavailable(remote: string, cause?: Error): AgentError {
  const why = cause === undefined ? '' : ` (${cause.message})`;
  return new AgentError(
    'try-again',
    `the local Open vSwitch database does not answer on ${remote}${why}: does ovsdb-server run on this node, and has it this socket?`,
    cause === undefined ? {} : { cause },
  );
}

/**
 * Runs work on the local database that may not wait for it forever.
 * @param remote where the database is
 * @param patienceMs {@link DATABASE_PATIENCE_MS} at most
 * @throws AgentError `try-again` naming the database when that is over; the signal's reason when aborted; what the work throws
 */
export async function withPatience(
  remote: string,
  patienceMs: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const deadlineMs = Math.min(patienceMs, DATABASE_PATIENCE_MS);
  await withDeadline({ deadlineMs, signal, expired: () => databaseUnavailable(remote) }, work);
}

/** Logs once that the local database cannot be reached, and once that it is back; everything else is for debugging. */
export function logDatabase(
  remote: string,
  log: Pick<Logger, 'debug' | 'info' | 'warn'>,
): (event: ClientEvent) => void {
  let isAway = false;
  return (event) => {
    log.debug(event, 'ovsdb');
    if (event.type === 'disconnected' && !isAway) {
      isAway = true;
      log.warn(`${databaseUnavailable(remote, event.error).message} Pods are neither attached nor detached meanwhile`);
    } else if (event.type === 'synced' && isAway) {
      isAway = false;
      log.info(`the local Open vSwitch database answers on ${remote}`);
    }
  };
}
