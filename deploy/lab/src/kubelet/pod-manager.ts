import { type Change, Reflector, Store } from '@ovenbird/kube';
import { LAB_PODS, type LabPod } from '../workloads/objects.ts';
import type { PodRecord } from './pod-record.ts';
import { isHealthy, type KubeletContext, PodWorker } from './pod-worker.ts';
import { killGroup } from './process.ts';

/** Watches the pods of each of its nodes, as the kubelet of that node would, and gives each UID a worker. */
export class PodManager {
  readonly #context: KubeletContext;
  /** By UID: the old and the new pod of one name live side by side for a moment. */
  readonly #workers = new Map<string, PodWorker>();
  readonly #running = new Set<Promise<void>>();
  /** One a node: a name can stand on two of them for a moment, when a pod is created anew. */
  readonly #stores: readonly Store<LabPod>[];
  #records = new Map<string, PodRecord>();

  constructor(context: KubeletContext) {
    this.#context = context;
    this.#stores = context.nodeNames.map(() => new Store<LabPod>());
  }

  /** The worker of the pod that has this name now. */
  find(namespace: string, name: string): PodWorker | undefined {
    const pods = this.#stores.flatMap((store) => store.get(`${namespace}/${name}`) ?? []);
    const pod = pods.find(({ metadata }) => metadata.deletionTimestamp === undefined) ?? pods[0];
    return this.#workers.get(pod?.metadata.uid ?? '');
  }

  /** Takes over what an earlier kubelet left, then follows the API until the signal fires. */
  async run(): Promise<void> {
    const { client, signal, records, log } = this.#context;
    for (const record of records.load((problem) => log.error({ problem }, 'unreadable record'))) {
      this.#records.set(record.uid, record);
    }
    const reflectors = this.#context.nodeNames.map((nodeName, index) => {
      const sink = this.#stores[index] as Store<LabPod>;
      sink.onChange((changes) => {
        for (const change of changes) this.#apply(change);
      });
      return new Reflector({
        client,
        kind: LAB_PODS,
        fieldSelector: `spec.nodeName=${nodeName}`,
        sink,
        signal,
        onNotice: (notice) => {
          if (notice.type === 'error') log.warn({ error: notice.error.message, nodeName }, 'watching pods');
          if (notice.type === 'handler-error') log.error({ error: String(notice.error), nodeName }, 'watching pods');
        },
      });
    });
    for (const reflector of reflectors) reflector.start();
    try {
      await Promise.all(reflectors.map((reflector) => reflector.synced));
    } catch {
      return; // stopped before the first list
    }
    // What is recorded and not listed belongs to pods that went while no kubelet was looking.
    for (const uid of this.#records.keys()) this.#start(uid, undefined);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (const worker of this.#workers.values()) worker.poke();
    await Promise.all(this.#running);
  }

  #apply(change: Change<LabPod>): void {
    const before = change.old?.metadata.uid;
    const now = change.new?.metadata.uid;
    if (before !== undefined && before !== now) this.#workers.get(before)?.update(undefined);
    const pod = change.new;
    if (!pod || now === undefined) return;
    const worker = this.#workers.get(now);
    if (worker) worker.update(pod);
    else if (this.#context.node(pod.spec.nodeName ?? '')) this.#start(now, pod);
  }

  #start(uid: string, pod: LabPod | undefined): void {
    const record = this.#records.get(uid);
    this.#records.delete(uid);
    const worker = new PodWorker(this.#context, pod, record && this.#usable(record), () => {
      if (this.#workers.get(uid) === worker) this.#workers.delete(uid);
    });
    this.#workers.set(uid, worker);
    const running = worker.run();
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** A sandbox that lost its namespace, or whose ADD did not finish, is made anew; its processes are of no use. */
  #usable(record: PodRecord): PodRecord {
    if (record.sandbox === 'gone' || isHealthy(record)) return record;
    for (const { process } of record.containers) if (process) killGroup(process);
    return { ...record, sandbox: 'adding', containers: [] };
  }
}
