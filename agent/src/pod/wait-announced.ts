import type { Pod, Store } from '@ovenbird/kube';
import { AgentError } from '../error.ts';
import { waitFor } from '../wait-for.ts';
import { type Announcement, readAnnouncement } from './announcement.ts';
import type { PodIdentity } from './request.ts';

/** How long ADD waits for the controller, milliseconds; containerd gives up after 2 to 4 minutes. */
export const ANNOUNCE_DEADLINE_MS = 60_000;
/** How long the agent's watch may lag behind the runtime's before a pod counts as not ours, milliseconds. */
export const APPEAR_DEADLINE_MS = 10_000;

/** Deadlines of {@link waitAnnounced}, milliseconds. */
export interface AnnounceDeadlines {
  readonly announceMs: number;
  readonly appearMs: number;
}

/** Phases in which a pod has no network any more (its address was given back). */
const TERMINAL: ReadonlySet<string> = new Set(['Succeeded', 'Failed']);

/** The pod if the API server's current one is the one asked for, undefined while it is not (yet). */
function current(pods: Store<Pod>, identity: PodIdentity): Pod | undefined {
  const pod = pods.get(`${identity.namespace}/${identity.name}`);
  if (pod === undefined || (identity.uid !== undefined && pod.metadata.uid !== identity.uid)) return undefined;
  const label = `pod ${identity.namespace}/${identity.name}`;
  if (pod.spec.hostNetwork === true) {
    throw new AgentError('pod-refused', `${label} uses the node's network (hostNetwork): it gets no interface`);
  }
  if (TERMINAL.has(pod.status?.phase ?? '')) {
    throw new AgentError('pod-refused', `${label} has ended (phase ${pod.status?.phase ?? ''}): it gets no interface`);
  }
  return pod;
}

/**
 * Waits until the controller has announced the addresses of a pod.
 * @param pods the pods of this node
 * @param nodeName for messages
 * @throws AgentError `try-again` naming the step that did not come in time, `pod-refused` for pods that get no interface
 */
export async function waitAnnounced(
  pods: Store<Pod>,
  identity: PodIdentity,
  nodeName: string,
  signal: AbortSignal,
  deadlines: AnnounceDeadlines = { announceMs: ANNOUNCE_DEADLINE_MS, appearMs: APPEAR_DEADLINE_MS },
): Promise<Announcement> {
  const label = `pod ${identity.namespace}/${identity.name}`;
  const changed = (look: () => void): (() => void) => pods.onChange(look);
  const started = performance.now();
  const listed = pods.generation > 0;
  await waitFor([changed], () => current(pods, identity), {
    deadlineMs: listed ? deadlines.appearMs : deadlines.announceMs,
    signal,
    expired: () => {
      const known = pods.get(`${identity.namespace}/${identity.name}`);
      if (pods.generation === 0) {
        return new AgentError('try-again', `${label}: the agent of ${nodeName} has not been able to list its pods yet`);
      }
      return known === undefined
        ? new AgentError(
            'try-again',
            `${label} is not on ${nodeName}, says the API server: deleted, or on another node`,
          )
        : new AgentError(
            'try-again',
            `${label} has the UID ${known.metadata.uid ?? ''}, not ${identity.uid ?? ''}: this sandbox belongs to a pod of the same name that is gone`,
          );
    },
  });
  const left = Math.max(0, deadlines.announceMs - (performance.now() - started));
  return await waitFor(
    [changed],
    () => {
      const pod = current(pods, identity);
      if (pod === undefined) throw new AgentError('try-again', `${label} was deleted while it waited for its address`);
      return readAnnouncement(pod);
    },
    {
      deadlineMs: left,
      signal,
      expired: () =>
        new AgentError(
          'try-again',
          `waited ${deadlines.announceMs / 1000} s for the controller to give ${label} an address; \`kubectl describe pod -n ${identity.namespace} ${identity.name}\` shows its events`,
        ),
    },
  );
}
