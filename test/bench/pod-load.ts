import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@ovenbird/deploy';
import { type HasMetadata, type KubeClient, type ObjectEvent, PODS, type Pod, Reflector } from '@ovenbird/kube';

/** Pods to create, and how fast. */
export interface PodPlan {
  readonly namespace: string;
  /** Names are `<prefix>-<number>`. */
  readonly prefix: string;
  readonly count: number;
  /** Pods are bound to these, in turn. */
  readonly nodes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Creations per second; absent = as fast as {@link parallel} requests go. */
  readonly rate?: number;
}

/** What became of a plan; times in milliseconds from the request that creates a pod to the watch event. */
export interface PodTimes {
  /** Pods per second from the first request to the last event. */
  readonly perSecond: number;
  /** One per pod. */
  readonly delays: readonly number[];
}

/** Requests in flight when pods are created or deleted. */
const parallel = 32;

/** Longest time for a plan, in milliseconds. */
const deadline = 60_000;

/**
 * Creates and deletes pods and notes when each of them reaches a state, by one watch on its namespace.
 */
export class PodLoad {
  readonly #client: KubeClient;
  readonly #namespace: string;
  readonly #signal: AbortSignal;
  readonly #isDone: (pod: HasMetadata) => boolean;
  readonly #done = new Map<string, number>();
  readonly #alive = new Set<string>();

  private constructor(
    client: KubeClient,
    namespace: string,
    isDone: (pod: HasMetadata) => boolean,
    signal: AbortSignal,
  ) {
    this.#client = client;
    this.#namespace = namespace;
    this.#isDone = isDone;
    this.#signal = signal;
  }

  /** performance.now() of the watch event that showed a pod done, by name, for pods that are there. */
  get done(): ReadonlyMap<string, number> {
    return this.#done;
  }

  /**
   * Starts the watch.
   * @param isDone whether a pod is where the benchmark wants it
   */
  static async open(
    client: KubeClient,
    namespace: string,
    isDone: (pod: HasMetadata) => boolean,
    signal: AbortSignal,
  ): Promise<PodLoad> {
    const load = new PodLoad(client, namespace, isDone, signal);
    const reflector = new Reflector<Pod, HasMetadata>({
      client,
      kind: PODS,
      namespace,
      project: ({ metadata }) => ({ metadata }),
      sink: {
        replace: (pods) => load.#seen(pods.map((object) => ({ type: 'ADDED', object }))),
        apply: (events) => load.#seen(events),
      },
      signal,
    });
    reflector.start();
    await reflector.synced;
    return load;
  }

  #seen(events: readonly ObjectEvent<HasMetadata>[]): void {
    const now = performance.now();
    for (const { type, object } of events) {
      const { name } = object.metadata;
      if (type === 'DELETED') {
        this.#alive.delete(name);
        this.#done.delete(name);
        continue;
      }
      this.#alive.add(name);
      if (!this.#done.has(name) && this.#isDone(object)) this.#done.set(name, now);
    }
  }

  /** Creates pods and waits until all of them are done. @throws LabError `not-ready` */
  async create(plan: PodPlan): Promise<PodTimes> {
    const started = await this.send(plan);
    const names = [...started.keys()];
    await waitFor(
      `${plan.count} pods of ${plan.prefix} are announced`,
      () => {
        const missing = names.filter((name) => !this.#done.has(name));
        return missing.length === 0 ? true : `${missing.length} are not, ${missing[0]} for example`;
      },
      { deadline, interval: 5, signal: this.#signal },
    );
    return timesOf(started, this.#done);
  }

  /** Creates pods and returns when each request was sent, by name. */
  async send(plan: PodPlan): Promise<ReadonlyMap<string, number>> {
    const { prefix, count, nodes, labels, rate } = plan;
    const pods = this.#client.resource(PODS);
    const started = new Map<string, number>();
    await forEachOf(count, rate, this.#signal, async (index) => {
      const name = `${prefix}-${index}`;
      started.set(name, performance.now());
      const nodeName = nodes[index % nodes.length];
      await pods.create(
        {
          metadata: { namespace: this.#namespace, name, labels },
          spec: { ...(nodeName === undefined ? {} : { nodeName }), containers: [{ name: 'main', image: 'lab' }] },
        },
        { signal: this.#signal },
      );
    });
    return started;
  }

  /** Deletes all pods of the namespace at once and waits until they are gone. @param rate deletions per second */
  async clear(rate?: number): Promise<void> {
    const names = [...this.#alive];
    const pods = this.#client.resource(PODS);
    await forEachOf(names.length, rate, this.#signal, async (index) => {
      const name = names[index];
      if (name === undefined) return;
      await pods.delete({ namespace: this.#namespace, name }, { gracePeriodSeconds: 0, signal: this.#signal });
    });
    await waitFor(
      `the pods of ${this.#namespace} are gone`,
      () => (this.#alive.size === 0 ? true : `${this.#alive.size} are left`),
      { deadline, interval: 5, signal: this.#signal },
    );
  }
}

/** Throughput and delays of a set of names. @throws Error when one of them has no end */
export function timesOf(started: ReadonlyMap<string, number>, ended: ReadonlyMap<string, number>): PodTimes {
  const delays: number[] = [];
  let last = 0;
  for (const [name, start] of started) {
    const end = ended.get(name);
    if (end === undefined) throw new Error(`${name} has a start and no end`);
    delays.push(end - start);
    last = Math.max(last, end);
  }
  const first = Math.min(...started.values());
  return { perSecond: (started.size / (last - first)) * 1000, delays };
}

/**
 * Calls `work` for 0 ... count - 1. With a rate, calls begin at that rate whether or not earlier ones have ended (an open
 * loop: a slow server does not slow the load down); without, {@link parallel} at a time.
 */
async function forEachOf(
  count: number,
  rate: number | undefined,
  signal: AbortSignal,
  work: (index: number) => Promise<void>,
): Promise<void> {
  const calls: Promise<void>[] = [];
  if (rate === undefined) {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < count) await work(next++);
    };
    for (let index = 0; index < parallel; index += 1) calls.push(worker());
  } else {
    const begin = performance.now();
    for (let index = 0; index < count; index += 1) {
      const due = begin + (index * 1000) / rate - performance.now();
      if (due > 0) await pause(due, undefined, { signal });
      const call = work(index);
      // Reported by Promise.all below; until then it must not count as unhandled.
      call.catch(() => undefined);
      calls.push(call);
    }
  }
  await Promise.all(calls);
}
