import { type Clock, type KubeClient, sleep } from '@ovenbird/kube';
import type { LabPod } from '../workloads/objects.ts';
import { CniError, type CniResult, type CniRunner, type CniTarget, IFNAME, type NetworkList } from './cni.ts';
import type { NodeConfig } from './config.ts';
import { moveDefaultRoutes, withDefaultRoutes } from './default-routes.ts';
import { furtherNetworks } from './further-networks.ts';
import type { FurtherNetwork, PodRecord } from './pod-record.ts';
import type { Semaphore } from './semaphore.ts';

/** What the network of pods needs of the kubelet. */
export interface NetworkContext {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly node: (name: string) => NodeConfig | undefined;
  readonly runner: (node: NodeConfig) => CniRunner;
  /** Bounds how many plugins start at once. */
  readonly plugins: Semaphore;
}

/** A network that a sandbox was, or may have been, attached to. */
type Attached = Pick<FurtherNetwork, 'network' | 'result'> & Partial<FurtherNetwork>;

/** A plugin that waits (for the pod's address) must not keep others from starting: it holds its place this long. */
const PLUGIN_START_MS = 1000;

/** The CNI calls for sandboxes: what a runtime does for the cluster's network, and Multus for further ones. */
export class PodNetwork {
  readonly #context: NetworkContext;

  constructor(context: NetworkContext) {
    this.#context = context;
  }

  /** ADD of the cluster's network. @throws CniError */
  async add(record: PodRecord, node: NodeConfig, network: NetworkList, signal: AbortSignal): Promise<CniResult> {
    return await this.#plugin(signal, () => this.#context.runner(node).add(network, targetOf(record), signal));
  }

  /**
   * What Multus does when it stands before the cluster's network: the pod's further networks, one after the other.
   * @param record with the result of {@link add}
   * @param keep records what is about to be made, and what came of it
   * @throws CniError, KubeError
   */
  async addFurther(
    pod: LabPod,
    record: PodRecord,
    node: NodeConfig,
    keep: (made: Pick<PodRecord, 'further' | 'result'>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, runner } = this.#context;
    const networks = await furtherNetworks(pod, client, node.cniSocket);
    const added: FurtherNetwork[] = [];
    for (const wanted of networks) {
      keep({ further: [...added, wanted] });
      const target = { ...targetOf(record), ...wanted };
      const result = await this.#plugin(signal, () => runner(node).add(wanted.network, target, signal));
      added.push({ ...wanted, result });
      keep({ further: [...added] });
    }
    if (!networks.some(({ gateways }) => gateways.length > 0)) return;
    await moveDefaultRoutes(record.netns, IFNAME, networks);
    keep({
      result: withDefaultRoutes(record.result, []),
      further: added.map((one) => ({ ...one, result: withDefaultRoutes(one.result, one.gateways) })),
    });
  }

  /**
   * What CRI-O does with a sandbox that it finds when it starts: CHECK (ocicni, GetPodNetworkStatus). Multus passes it on to the
   * cluster's network and to no other.
   * @throws CniError
   */
  async check(record: PodRecord): Promise<void> {
    const { runner, signal } = this.#context;
    const node = this.#context.node(record.node);
    const { network, result } = record;
    if (network === undefined || node === undefined) return;
    await this.#plugin(signal, () => runner(node).check(network, targetOf(record), result, signal));
  }

  /** DEL of each network, the last one first, also after one that fails, as Multus does. @throws CniError the failures together */
  async delete(record: PodRecord): Promise<void> {
    const { runner, signal } = this.#context;
    const node = this.#context.node(record.node);
    if (node === undefined) return;
    const { network, result, further = [] } = record;
    const networks: readonly Attached[] = [...(network ? [{ network, result }] : []), ...further];
    const failures: string[] = [];
    for (const one of networks.toReversed()) {
      const target = { ...targetOf(record), ...one };
      await this.#plugin(signal, () => runner(node).del(one.network, target, one.result, signal)).catch(
        (error: unknown) => failures.push(error instanceof Error ? error.message : String(error)),
      );
    }
    if (failures.length > 0) throw new CniError(failures.join(' / '));
  }

  async #plugin<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    const release = await this.#context.plugins.acquire();
    const over = new AbortController();
    try {
      signal.throwIfAborted();
      void sleep(this.#context.clock, PLUGIN_START_MS, over.signal).then(release);
      return await run();
    } finally {
      over.abort();
      release();
    }
  }
}

/** What CNI calls for a sandbox are about. */
export function targetOf(record: PodRecord): CniTarget {
  return {
    containerId: record.containerId,
    netns: `/run/netns/${record.netns}`,
    podNamespace: record.namespace,
    podName: record.name,
    podUid: record.uid,
  };
}
