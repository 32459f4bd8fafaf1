import { type Clock, systemClock } from './clock.ts';
import { isKubeError, KubeError } from './error.ts';
import { Recent } from './recent.ts';
import { type Requester, Resource } from './resource.ts';
import { apiVersionOf, EVENTS, type ResourceKind } from './resource-kind.ts';
import { toTime } from './timestamp.ts';
import { TokenBucket } from './token-bucket.ts';
import type { KubeEvent, ObjectReference } from './types/core.ts';
import type { KubeObject } from './types/meta.ts';
import { WorkQueue } from './work-queue.ts';

/** What happened to an object, for people. */
export interface EventInput {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase word, at most 128 characters. */
  readonly reason: string;
  /** A sentence: what is wrong and what to do. Cut at 1024 characters, the API's limit. */
  readonly message: string;
}

/** Settings of an {@link EventRecorder}. */
export interface EventRecorderOptions {
  readonly client: Requester;
  /** Who reports: `ovenbird-controller`. */
  readonly component: string;
  /** Which instance: a pod or node name. */
  readonly instance: string;
  /** Different events of one object at once. Default 25, as client-go. */
  readonly burst?: number | undefined;
  /** Events of one object a second after that. Default one in 5 minutes, as client-go. */
  readonly perSecond?: number | undefined;
  readonly onError?: ((error: KubeError) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

interface Series {
  readonly involved: ObjectReference;
  readonly input: EventInput;
  name: string;
  /** The Event exists on the server. */
  stored: boolean;
  count: number;
  storedCount: number;
  firstMs: number;
  lastMs: number;
}

/** Objects and series remembered; whoever falls out starts a new Event. */
const memory = 4096;
const maxMessage = 1024;
/** Room for `.` and 16 hex digits within 253 characters of a name. */
const maxNamePrefix = 236;

/**
 * Writes `core/v1` Events. The same event again raises `count` and `lastTimestamp` of the first instead of making
 * another; each object has a bucket of its own, so one object in a loop cannot drown the others. Nothing here throws
 * or waits: events are told best-effort, and what cannot be written after a few attempts is dropped and counted.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #events: Resource<KubeEvent>;
  readonly #clock: Clock;
  readonly #queue: WorkQueue<string>;
  readonly #series = new Recent<string, Series>(memory);
  readonly #buckets = new Recent<string, TokenBucket>(memory);
  #dropped = 0;
  #names = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#events = new Resource(options.client, EVENTS);
    this.#clock = options.clock ?? systemClock;
    this.#queue = new WorkQueue<string>({
      process: async ({ key, attempt, signal }) => this.#flush(key, attempt, signal),
      concurrency: 2,
      backoff: { initialMs: 1000, maxMs: 60_000 },
      signal: options.signal,
      clock: options.clock,
    });
    this.#queue.start();
  }

  /** Events not written: over an object's rate, or refused for good. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Records what happened to an object. */
  record<T extends KubeObject>(kind: ResourceKind<T>, object: T, input: EventInput): void {
    const { namespace, name, uid, resourceVersion } = object.metadata;
    const objectId = `${kind.kind}/${namespace ?? ''}/${name}/${uid ?? ''}`;
    if (!this.#bucketOf(objectId).tryTake()) {
      this.#dropped += 1;
      return;
    }
    const message = input.message.slice(0, maxMessage);
    const key = JSON.stringify([objectId, input.type, input.reason, message]);
    const nowMs = this.#clock.wallMs();
    let series = this.#series.get(key);
    if (series === undefined) {
      const involved = { apiVersion: apiVersionOf(kind), kind: kind.kind, namespace, name, uid, resourceVersion };
      const name_ = this.#newName(name, nowMs);
      series = {
        involved,
        input: { ...input, message },
        name: name_,
        stored: false,
        count: 0,
        storedCount: 0,
        firstMs: nowMs,
        lastMs: nowMs,
      };
    }
    series.count += 1;
    series.lastMs = nowMs;
    this.#series.set(key, series);
    this.#queue.add(key);
  }

  /** Resolves when nothing is being written or due. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  #bucketOf(objectId: string): TokenBucket {
    let bucket = this.#buckets.get(objectId);
    if (bucket === undefined) {
      const { burst = 25, perSecond = 1 / 300 } = this.#options;
      bucket = new TokenBucket({ perSecond, burst, clock: this.#clock });
    }
    this.#buckets.set(objectId, bucket);
    return bucket;
  }

  /** Unique like client-go's: the object's name and the time, with a counter for those of one millisecond. */
  #newName(objectName: string, nowMs: number): string {
    this.#names += 1;
    const nanoseconds = BigInt(Math.trunc(nowMs)) * 1_000_000n + BigInt(this.#names % 1_000_000);
    return `${objectName.slice(0, maxNamePrefix)}.${nanoseconds.toString(16)}`;
  }

  async #flush(key: string, attempt: number, signal: AbortSignal): Promise<void> {
    const series = this.#series.get(key);
    if (series === undefined || series.count === series.storedCount) return;
    try {
      await this.#write(series, signal);
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (error.code === 'aborted') return;
      if (error.retryable && attempt < 5) throw error;
      // A namespace that is being deleted refuses new objects; so may RBAC. Neither is worth a queue.
      this.#dropped += 1;
      series.storedCount = series.count;
      this.#options.onError?.(error);
    }
  }

  async #write(series: Series, signal: AbortSignal): Promise<void> {
    const { count } = series;
    // Events of cluster-scoped objects live in `default`, where kubectl describe looks for them.
    const ref = { namespace: series.involved.namespace ?? 'default', name: series.name };
    if (series.stored) {
      try {
        await this.#events.patch(ref, { count, lastTimestamp: toTime(series.lastMs) }, { signal });
        series.storedCount = count;
        return;
      } catch (error) {
        if (!isKubeError(error, 'not-found')) throw error;
        // Events expire (an hour by default): begin a new one.
        series.stored = false;
        series.name = this.#newName(series.involved.name ?? '', this.#clock.wallMs());
        ref.name = series.name;
      }
    }
    try {
      await this.#events.create(this.#eventOf(series, ref), { signal });
    } catch (error) {
      // Our own create whose answer was lost.
      if (!isKubeError(error, 'already-exists')) throw error;
    }
    series.stored = true;
    series.storedCount = count;
  }

  #eventOf(series: Series, ref: { namespace: string; name: string }): KubeEvent {
    const { component, instance } = this.#options;
    return {
      metadata: ref,
      involvedObject: series.involved,
      type: series.input.type,
      reason: series.input.reason,
      message: series.input.message,
      count: series.count,
      firstTimestamp: toTime(series.firstMs),
      lastTimestamp: toTime(series.lastMs),
      source: { component, host: instance },
      reportingComponent: component,
      reportingInstance: instance,
    };
  }
}
