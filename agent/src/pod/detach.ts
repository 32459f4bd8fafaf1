import { AgentError } from '../error.ts';
import { deleteLink } from '../host/link.ts';
import { commit, databaseUnavailable, type Ovs } from '../ovs/database.ts';
import { detachTransaction } from './interface-row.ts';
import { hostVethName } from './veth.ts';

/** How long a clean-up may wait for the local database, milliseconds. */
const DETACH_DEADLINE_MS = 15_000;

/**
 * Takes an attachment away: its port on br-int, then its veth pair (both ends). Does nothing for one that does not exist.
 * Not abortable by callers: half a clean-up helps nobody.
 * @throws AgentError `try-again` while the local database cannot be reached
 */
export async function detach(context: { readonly ovs: Ovs }, containerId: string, ifname: string): Promise<void> {
  const hostName = hostVethName(containerId, ifname);
  const signal = AbortSignal.timeout(DETACH_DEADLINE_MS);
  try {
    await commit(context.ovs, () => detachTransaction(context.ovs, hostName, containerId), signal);
  } catch (error) {
    // Traffic must stop even if the row has to stay for a later DEL or GC.
    await deleteLink(hostName);
    throw error instanceof AgentError ? error : databaseUnavailable(error);
  }
  await deleteLink(hostName);
}
