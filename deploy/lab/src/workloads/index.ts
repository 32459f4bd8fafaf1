import type { KubeClient } from '@ovenbird/kube';
import { startDaemonSets } from './daemon-set.ts';
import { startDeployments } from './deployment.ts';
import { startEndpoints } from './endpoints-controller.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { Informers, type WorkloadContext } from './informers.ts';
import { startJobs } from './job.ts';
import { startNamespaces } from './namespaces.ts';
import { startPodGc } from './pod-gc.ts';
import { startReplicaSets } from './replica-set.ts';
import { startScheduler } from './scheduler.ts';
import { startStatefulSets } from './stateful-set.ts';

/** What the controllers run with. */
export interface WorkloadsOptions {
  /** As kube-controller-manager: reads and writes nearly everything. */
  readonly client: KubeClient;
  /** As kube-scheduler; default: the same client. */
  readonly schedulerClient?: KubeClient | undefined;
  /** Ends all of them. */
  readonly signal: AbortSignal;
  /** Failures that are retried. Default: dropped. */
  readonly onError?: ((what: string, error: unknown) => void) | undefined;
}

/**
 * Starts what kube-scheduler and kube-controller-manager are in a real cluster, as far as the lab needs them. All are
 * plain clients of the API.
 *
 * @returns resolves when everything is listed and the controllers work; rejects when stopped before
 */
export async function startWorkloads(options: WorkloadsOptions): Promise<void> {
  const { client, signal } = options;
  const onError = options.onError ?? ((): void => undefined);
  const informers = new Informers({ client, signal, onError });
  const context: WorkloadContext = { client, informers, signal, onError };
  startScheduler(context, options.schedulerClient ?? client);
  startReplicaSets(context);
  startDeployments(context);
  startStatefulSets(context);
  startDaemonSets(context);
  startJobs(context);
  startEndpoints(context);
  startNamespaces(context);
  startPodGc(context);
  startGarbageCollector(context);
  await informers.synced();
}
