import type { ObjectRef, Pod, Store } from '@ovenbird/kube';
import { AgentError } from '../error.ts';
import { waitFor } from '../wait-for.ts';
import { type Announcement, readAnnouncement } from './announcement.ts';
import type { PodIdentity } from './request.ts';

/** Where pods are looked up. */
export interface PodSource {
  /** The pods of this node, as far as the watch has come. */
  readonly pods: Store<Pod>;
  /** Reads one pod from the API server itself; undefined when it does not exist. */
  readonly lookup: (ref: ObjectRef, signal: AbortSignal) => Promise<Pod | undefined>;
  readonly nodeName: string;
}

/** Deadlines of {@link waitAnnounced}, milliseconds. */
export interface AnnounceDeadlines {
  /** How long the controller may take; containerd gives up after 2 to 4 minutes. */
  readonly announceMs: number;
  /** How long the agent's watch may lag behind the runtime's before the API server is asked. */
  readonly appearMs: number;
}

/** Whether a pod has come to its end: it has no network any more, its address was given back. */
export function hasEnded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

const labelOf = ({ namespace, name }: PodIdentity): string => `pod ${namespace}/${name}`;

/** The pod if it is the incarnation asked for. @throws AgentError `pod-refused` for pods that get no interface */
function accepted(pod: Pod | undefined, identity: PodIdentity): Pod | undefined {
  if (pod === undefined || (identity.uid !== undefined && pod.metadata.uid !== identity.uid)) return undefined;
  if (pod.spec.hostNetwork === true) {
    throw new AgentError(
      'pod-refused',
      `${labelOf(identity)} uses the node's network (hostNetwork): it gets no interface`,
    );
  }
  if (hasEnded(pod)) {
    const phase = pod.status?.phase ?? '';
    throw new AgentError('pod-refused', `${labelOf(identity)} has ended (phase ${phase}): it gets no interface`);
  }
  return pod;
}

/**
 * Asks the API server why the watch does not show a pod.
 * @throws AgentError `try-again` when it is not a pod of this node; returns when it is, so that the watch merely lags
 */
async function explainAbsence(source: PodSource, identity: PodIdentity, signal: AbortSignal): Promise<void> {
  const label = labelOf(identity);
  let pod: Pod | undefined;
  try {
    pod = await source.lookup({ namespace: identity.namespace, name: identity.name }, signal);
  } catch (cause) {
    // Who gave up knows why.
    signal.throwIfAborted();
    const what = `cannot look up ${label} at the API server, the runtime asks again; if that lasts: does this node reach the API server?`;
    throw new AgentError('try-again', `${what} ${String(cause)}`, { cause });
  }
  if (pod === undefined) throw new AgentError('try-again', `${label} does not exist: was it deleted?`);
  if (identity.uid !== undefined && pod.metadata.uid !== identity.uid) {
    throw new AgentError(
      'try-again',
      `${label} has the UID ${pod.metadata.uid ?? ''}, not ${identity.uid}: this sandbox belongs to a pod of the same name that is gone`,
    );
  }
  if (pod.spec.nodeName !== source.nodeName) {
    throw new AgentError(
      'try-again',
      `${label} is on node ${pod.spec.nodeName ?? '(none)'}, not on ${source.nodeName}`,
    );
  }
  accepted(pod, identity);
}

/**
 * Waits until the controller has announced the addresses of a pod.
 * @param read the announcement of the interface in question; of the first one by default
 * @throws AgentError `try-again` naming the step that did not come in time, `pod-refused` for pods that get no interface
 */
export async function waitAnnounced(
  source: PodSource,
  identity: PodIdentity,
  signal: AbortSignal,
  deadlines: AnnounceDeadlines,
  read: (pod: Pod) => Announcement | undefined = readAnnouncement,
): Promise<Announcement> {
  const { pods } = source;
  const key = `${identity.namespace}/${identity.name}`;
  const changed = (look: () => void): (() => void) => pods.onChange(look);
  const started = performance.now();
  const remaining = (): number => Math.max(0, deadlines.announceMs - (performance.now() - started));
  const known = (): true | undefined => (accepted(pods.get(key), identity) === undefined ? undefined : true);
  const late = new AgentError(
    'try-again',
    `${labelOf(identity)} is not in the agent's watch; can the agent reach the API server?`,
  );
  const appear = (deadlineMs: number): Promise<true> =>
    waitFor([changed], known, { deadlineMs, signal, expired: () => late });
  try {
    await appear(deadlines.appearMs);
  } catch (error) {
    if (error !== late) throw error;
    await explainAbsence(source, identity, signal);
    await appear(remaining());
  }
  return await waitFor(
    [changed],
    () => {
      const pod = accepted(pods.get(key), identity);
      if (pod === undefined) {
        throw new AgentError('try-again', `${labelOf(identity)} was deleted while it waited for its address`);
      }
      return read(pod);
    },
    {
      deadlineMs: remaining(),
      signal,
      expired: () =>
        new AgentError(
          'try-again',
          `waited ${deadlines.announceMs / 1000} s for the controller to give ${labelOf(identity)} an address; \`kubectl describe pod -n ${identity.namespace} ${identity.name}\` shows its events`,
        ),
    },
  );
}
