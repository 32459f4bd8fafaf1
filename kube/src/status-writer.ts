import { type Clock, sleep, systemClock } from './clock.ts';
import { type ConditionInput, mergeConditions } from './conditions.ts';
import { isKubeError, KubeError } from './error.ts';
import { mergePatchOf } from './merge-patch.ts';
import { Recent } from './recent.ts';
import { type Requester, Resource } from './resource.ts';
import type { ResourceKind } from './resource-kind.ts';
import { TokenBucket } from './token-bucket.ts';
import type { Condition, KubeObject, ObjectRef } from './types/meta.ts';
import { isOlderVersion } from './watch-event.ts';
import { WorkQueue } from './work-queue.ts';

/** What to write into an object's status. Fields and conditions not named stay as they are. */
export interface StatusUpdate {
  /** Made equal as given; `undefined` removes a field. `conditions` has its own place below. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly conditions?: readonly ConditionInput[] | undefined;
}

/** Settings of a {@link StatusWriter}. */
export interface StatusWriterOptions {
  readonly client: Requester;
  /** Name in managedFields. Default `ovenbird-status`. */
  readonly fieldManager?: string | undefined;
  /** Writes a second, all objects together. Default 20. */
  readonly perSecond?: number | undefined;
  /** Writes at once before the rate counts. Default 50. */
  readonly burst?: number | undefined;
  /** Requests at a time. Default 4. */
  readonly concurrency?: number | undefined;
  /** A write failed; `retrying` says whether it comes again. */
  readonly onError?: ((error: KubeError, retrying: boolean) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

interface Pending {
  readonly kind: ResourceKind;
  /** The newest state of the object that a caller has seen. */
  object: KubeObject;
  fields: Record<string, unknown>;
  readonly conditions: Map<string, ConditionInput>;
}

interface Known {
  readonly resourceVersion: string;
  readonly generation: number | undefined;
  readonly status: Readonly<Record<string, unknown>>;
}

/** Conflicts in a row before the write waits its turn again. */
const maxConflicts = 5;

/**
 * Writes status, off everybody's critical path: updates of one object that arrive while one is waiting become one
 * write, an update that changes nothing becomes none, the rate is bounded, and failures are retried with backoff.
 * It never throws to who updates. An update for an object that is gone, or has another UID by now, is dropped.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  readonly #queue: WorkQueue<string>;
  readonly #pending = new Map<string, Pending>();
  /** Our own latest writes, by UID: callers' copies lag behind the watch. */
  readonly #written = new Recent<string, Known>(4096);
  #writes = 0;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { perSecond = 20, burst = 50 } = options;
    this.#bucket = new TokenBucket({ perSecond, burst, clock: this.#clock });
    this.#queue = new WorkQueue<string>({
      process: async ({ key, signal }) => this.#flush(key, signal),
      concurrency: options.concurrency ?? 4,
      backoff: { initialMs: 500, maxMs: 60_000 },
      signal: options.signal,
      clock: options.clock,
      random: options.random,
    });
    this.#queue.start();
  }

  /** Requests that changed something on the server so far. */
  get writes(): number {
    return this.#writes;
  }

  /** Objects that wait for a write. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Asks for a status.
   *
   * @param object as the caller saw it: name, UID, resourceVersion, generation (which becomes observedGeneration) and
   * the status it had
   */
  update<T extends KubeObject>(kind: ResourceKind<T>, object: T, update: StatusUpdate): void {
    const key = `${kind.group}/${kind.plural}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const old = this.#pending.get(key);
    const joined: Pending =
      old !== undefined && old.object.metadata.uid === object.metadata.uid
        ? old
        : { kind, object, fields: {}, conditions: new Map() };
    joined.object = object;
    joined.fields = { ...joined.fields, ...update.fields };
    for (const condition of update.conditions ?? []) joined.conditions.set(condition.type, condition);
    this.#pending.set(key, joined);
    this.#queue.add(key);
  }

  /** Resolves when nothing is being written or due; writes that wait for a retry do not count. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  async #flush(key: string, signal: AbortSignal): Promise<void> {
    const pending = this.#pending.get(key);
    if (pending === undefined) return;
    this.#pending.delete(key);
    try {
      await this.#write(pending, signal);
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (error.code === 'not-found' || error.code === 'aborted') return;
      // What the server finds invalid stays invalid; permissions and everything else may come back.
      const retrying = error.code !== 'invalid' && error.code !== 'bad-request' && error.code !== 'too-large';
      this.#report(error, retrying);
      if (!retrying) return;
      this.#restore(key, pending);
      throw error;
    }
  }

  /** Puts a failed update back, below what has been asked for since. */
  #restore(key: string, failed: Pending): void {
    const newer = this.#pending.get(key);
    if (newer === undefined) {
      this.#pending.set(key, failed);
    } else if (newer.object.metadata.uid === failed.object.metadata.uid) {
      newer.fields = { ...failed.fields, ...newer.fields };
      for (const [type, input] of failed.conditions) if (!newer.conditions.has(type)) newer.conditions.set(type, input);
    }
  }

  async #write(pending: Pending, signal: AbortSignal): Promise<void> {
    const { kind, object } = pending;
    const resource = new Resource(this.#options.client, kind);
    const ref: ObjectRef = { namespace: object.metadata.namespace, name: object.metadata.name };
    let base = this.#freshest(object);
    for (let conflicts = 0; ; ) {
      const status = this.#patchFor(pending, base);
      if (status === undefined) return;
      const waitMs = this.#bucket.reserve();
      if (waitMs > 0) await sleep(this.#clock, waitMs, signal);
      // The version matters only for lists, which a merge patch replaces as a whole, with conditions of others in it.
      const resourceVersion = 'conditions' in status ? base.resourceVersion : undefined;
      const patch = { metadata: { uid: object.metadata.uid, resourceVersion }, status };
      try {
        const fieldManager = this.#options.fieldManager ?? 'ovenbird-status';
        const written = await resource.patchStatus(ref, patch, { fieldManager, signal });
        this.#writes += 1;
        this.#remember(written);
        return;
      } catch (error) {
        if (!isKubeError(error, 'conflict') || (conflicts += 1) > maxConflicts) throw error;
      }
      const current = await resource.get(ref, { signal });
      if (current.metadata.uid !== object.metadata.uid) return;
      base = knownOf(current);
    }
  }

  #patchFor(pending: Pending, base: Known): Record<string, unknown> | undefined {
    const patchOf = (generation: number | undefined): Record<string, unknown> | undefined => {
      const desired: Record<string, unknown> = { ...pending.fields };
      if (pending.conditions.size > 0) {
        const existing = Array.isArray(base.status['conditions']) ? (base.status['conditions'] as Condition[]) : [];
        const wallMs = this.#clock.wallMs();
        desired['conditions'] = mergeConditions(existing, pending.conditions.values(), generation, wallMs);
      }
      return mergePatchOf(base.status, desired);
    };
    if (pending.kind.statusSubresource !== false) return patchOf(pending.object.metadata.generation);
    // What is written makes the next generation, which it is about.
    return patchOf(base.generation) && patchOf(base.generation === undefined ? undefined : base.generation + 1);
  }

  #freshest(object: KubeObject): Known {
    const seen = knownOf(object);
    const written = this.#written.get(object.metadata.uid ?? '');
    return written !== undefined && isOlderVersion(seen.resourceVersion, written.resourceVersion) ? written : seen;
  }

  #remember(object: KubeObject): void {
    if (object.metadata.uid !== undefined) this.#written.set(object.metadata.uid, knownOf(object));
  }

  #report(error: KubeError, retrying: boolean): void {
    try {
      this.#options.onError?.(error, retrying);
    } catch {
      // A broken logger must not lose the update.
    }
  }
}

function knownOf(object: KubeObject & { readonly status?: unknown }): Known {
  const { status } = object;
  return {
    resourceVersion: object.metadata.resourceVersion ?? '',
    generation: object.metadata.generation,
    status: typeof status === 'object' && status !== null ? (status as Record<string, unknown>) : {},
  };
}
