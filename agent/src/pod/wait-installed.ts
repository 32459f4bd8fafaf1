import type { Ref } from '@ovenbird/ovsdb';
import { AgentError } from '../error.ts';
import type { Daemons } from '../node/daemons.ts';
import { type InterfaceRow, integrationBridge, type Ovs } from '../ovs/database.ts';
import { waitFor } from '../wait-for.ts';

function lastState(ovs: Ovs, row: InterfaceRow | undefined): string {
  if (row === undefined) return 'its Interface row was deleted by somebody else';
  if (row.error !== undefined) return `ovs-vswitchd says: ${row.error}`;
  if (row.ofport === undefined) return 'ovs-vswitchd has not taken it in: is it running?';
  if (row.ofport < 0) return 'ovs-vswitchd could not open it';
  const ovnSeen = integrationBridge(ovs)?.external_ids.has('ovn-nb-cfg') === true;
  return ovnSeen
    ? `OVS port ${row.ofport} is there but OVN has not bound it: does the logical switch port ${row.external_ids.get('iface-id') ?? ''} exist with this pod's UID in options:iface-id-ver?`
    : `OVS port ${row.ofport} is there but ovn-controller has not reported: is it running and connected to the southbound database?`;
}

/**
 * Waits until ovn-controller says that the flows of an interface are in place (`external_ids:ovn-installed=true`,
 * ovn-controller(8)). The row is one we just inserted, so the mark cannot be left from before.
 * @param deadlineMs how long that may take (tens of milliseconds are usual)
 * @throws AgentError `try-again` with the last state after the deadline; the signal's reason when aborted
 */
export async function waitInstalled(
  ovs: Ovs,
  uuid: Ref<'Interface'>,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<void> {
  const table = ovs.replica.table('Interface');
  await waitFor(
    [
      (look) =>
        ovs.replica.onChange((changes) => {
          if (changes.some((change) => change.uuid === uuid)) look();
        }),
    ],
    () => {
      const row = table.get(uuid);
      if (row === undefined) throw new AgentError('try-again', `the port was not installed: ${lastState(ovs, row)}`);
      return row.external_ids.get('ovn-installed') === 'true' ? true : undefined;
    },
    {
      deadlineMs,
      signal,
      expired: () => {
        const row = table.get(uuid);
        const name = row?.external_ids.get('iface-id') ?? uuid;
        return new AgentError(
          'try-again',
          `waited ${deadlineMs / 1000} s for OVN to install the flows of ${name}: ${lastState(ovs, row)}`,
        );
      },
    },
  );
}

/**
 * Waits until the switch has the flows that it was given before its last start, as far as can be known.
 * @throws AgentError `try-again` after the deadline; the signal's reason when aborted
 */
export async function waitFlows(
  daemons: Pick<Daemons, 'hasFlows' | 'onChange'>,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<void> {
  await waitFor([(look) => daemons.onChange(look)], () => (daemons.hasFlows ? true : undefined), {
    deadlineMs,
    signal,
    expired: () =>
      new AgentError('try-again', `waited ${deadlineMs / 1000} s for ovs-vswitchd to start and get its flows back`),
  });
}
