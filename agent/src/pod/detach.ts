import { AgentError } from '../error.ts';
import { deleteLink } from '../host/link.ts';
import { DATABASE_PATIENCE_MS, databaseUnavailable, withPatience } from '../ovs/database.ts';
import type { PodContext } from './context.ts';
import { detachTransaction } from './interface-row.ts';
import { hostVethName } from './veth.ts';

/**
 * Takes an attachment away: its port on br-int, then its veth pair (both ends). Does nothing for one that does not exist.
 * Not abortable by callers: half a clean-up helps nobody.
 * @throws AgentError `try-again` while the local database cannot be reached
 */
export async function detach(
  context: Pick<PodContext, 'config' | 'ovs' | 'commits' | 'containers' | 'log'>,
  containerId: string,
  ifname: string,
): Promise<void> {
  const hostName = hostVethName(containerId, ifname);
  const { ovsdb } = context.config;
  try {
    await withPatience(ovsdb, DATABASE_PATIENCE_MS, undefined, (signal) =>
      context.commits.commit(hostName, () => detachTransaction(context.ovs, hostName, containerId), signal),
    );
  } catch (error) {
    // Traffic must stop even if the row has to stay for a later DEL or GC.
    await deleteLink(hostName);
    if (error instanceof AgentError || !(error instanceof Error)) throw error;
    throw databaseUnavailable(ovsdb, error);
  }
  await deleteLink(hostName);
  const object = context.containers.of(containerId, ifname);
  if (object === undefined) return;
  // The interface is gone, and that is what DEL is for: the address can wait until the API server is back.
  await context.containers.remove(object).catch((err: unknown) => {
    context.log.warn({ err, object: object.metadata.name }, 'could not give an address back yet');
  });
}
