import { AgentError } from '../error.ts';
import { deleteLink } from '../host/link.ts';
import { databaseUnavailable } from '../ovs/database.ts';
import type { PodContext } from './context.ts';
import { detachTransaction } from './interface-row.ts';
import { hostVethName } from './veth.ts';

/** How long a clean-up may wait for the local database, milliseconds. */
const DETACH_DEADLINE_MS = 15_000;

/**
 * Takes an attachment away: its port on br-int, then its veth pair (both ends). Does nothing for one that does not exist.
 * Not abortable by callers: half a clean-up helps nobody.
 * @throws AgentError `try-again` while the local database cannot be reached
 */
export async function detach(
  context: Pick<PodContext, 'ovs' | 'commits' | 'containers' | 'log'>,
  containerId: string,
  ifname: string,
): Promise<void> {
  const hostName = hostVethName(containerId, ifname);
  const signal = AbortSignal.timeout(DETACH_DEADLINE_MS);
  try {
    await context.commits.commit(hostName, () => detachTransaction(context.ovs, hostName, containerId), signal);
  } catch (error) {
    // Traffic must stop even if the row has to stay for a later DEL or GC.
    await deleteLink(hostName);
    throw error instanceof AgentError ? error : databaseUnavailable(error);
  }
  await deleteLink(hostName);
  const object = context.containers.of(containerId, ifname);
  if (object === undefined) return;
  // The interface is gone, and that is what DEL is for: the address can wait until the API server is back.
  await context.containers.remove(object).catch((err: unknown) => {
    context.log.warn({ err, object: object.metadata.name }, 'could not give an address back yet');
  });
}
