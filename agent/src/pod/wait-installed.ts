import type { Ref } from '@ovenbird/ovsdb';
import { AgentError } from '../error.ts';
import { type InterfaceRow, integrationBridge, type Ovs } from '../ovs/database.ts';
import { portHasFlows } from '../ovs/port-flows.ts';
import { waitFor, withDeadline } from '../wait-for.ts';
import type { PodContext } from './context.ts';

function lastState(ovs: Ovs, row: InterfaceRow | undefined): string {
  if (row === undefined) return 'its Interface row was deleted by somebody else';
  if (row.error !== undefined) return `ovs-vswitchd says: ${row.error}`;
  if (row.ofport === undefined) return 'ovs-vswitchd has not taken it in: does it run, or does it hang?';
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
      const isOpen = row.ofport !== undefined && row.ofport >= 0;
      return isOpen && row.external_ids.get('ovn-installed') === 'true' ? true : undefined;
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
 * Waits until br-int forwards for an interface of an earlier ADD. Its mark may be from before a restart of ovs-vswitchd, which
 * forgets all flows: the switch itself is asked for them, where the configuration says how.
 * @throws AgentError `try-again` with the last state after the deadline; the signal's reason when aborted
 */
export async function waitForwards(
  { ovs, config: { ovsRunDir, installTimeout } }: Pick<PodContext, 'ovs' | 'config'>,
  uuid: Ref<'Interface'>,
  signal: AbortSignal,
): Promise<void> {
  if (ovsRunDir === undefined) return await waitInstalled(ovs, uuid, signal, installTimeout);
  const table = ovs.replica.table('Interface');
  const portOf = (): number | undefined => table.get(uuid)?.ofport;
  const expired = (): AgentError => {
    const name = table.get(uuid)?.external_ids.get('iface-id') ?? uuid;
    const what = `waited ${installTimeout / 1000} s for br-int to have the flows of ${name} again`;
    return new AgentError('try-again', `${what}: do ovs-vswitchd and ovn-controller run?`);
  };
  await withDeadline({ deadlineMs: installTimeout, signal, expired }, async (either) => {
    for (let proven = false; !proven; ) {
      await waitInstalled(ovs, uuid, either, installTimeout);
      const ofport = portOf() ?? -1;
      if (ofport < 0) continue;
      // vswitchd numbers ports anew when it starts.
      const moved = new AbortController();
      const unsubscribe = ovs.replica.onChange(() => {
        if ((portOf() ?? -1) !== ofport) moved.abort();
      });
      const until = AbortSignal.any([either, moved.signal]);
      proven = await portHasFlows({ ovsRunDir, ofport, patience: 'until', signal: until })
        .catch((error: unknown) => {
          if (either.aborted || !moved.signal.aborted) throw error;
          return false;
        })
        .finally(unsubscribe);
    }
  });
}
