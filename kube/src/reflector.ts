import { Backoff } from './backoff.ts';
import type { KubeRequest } from './client.ts';
import { type Clock, sleep, systemClock } from './clock.ts';
import { KubeError, type RequestSubject } from './error.ts';
import type { AnswerReader } from './exchange.ts';
import { LineSplitter } from './line-splitter.ts';
import { dropBulk } from './projection.ts';
import { type Requester, Resource } from './resource.ts';
import { apiVersionOf, type ResourceKind } from './resource-kind.ts';
import type { ObjectEvent, ReflectorSink } from './store.ts';
import type { HasMetadata, KubeObject, ObjectMeta } from './types/meta.ts';
import { checkObject, isOlderVersion, parseWatchLine, type RawObject } from './watch-event.ts';

/** What a Reflector needs of a client. */
export interface StreamRequester extends Requester {
  /** Resolves at the end of the answer, see `KubeClient.stream`. */
  stream(request: KubeRequest, reader: AnswerReader): Promise<void>;
}

/** What a Reflector tells about itself: for logs and metrics. */
export type ReflectorNotice =
  | { readonly type: 'listed'; readonly objects: number; readonly durationMs: number; readonly resourceVersion: string }
  | { readonly type: 'watching'; readonly resourceVersion: string }
  | { readonly type: 'watch-ended'; readonly events: number; readonly durationMs: number }
  | { readonly type: 'error'; readonly error: KubeError; readonly retryInMs: number }
  /** A projection or the sink threw; the reflector went on. */
  | { readonly type: 'handler-error'; readonly error: unknown };

/** Settings of a {@link Reflector}. `P` is what `project` makes of a `T`. */
export interface ReflectorOptions<T extends KubeObject, P extends HasMetadata> {
  readonly client: StreamRequester;
  readonly kind: ResourceKind<T>;
  /** Absent = all namespaces. */
  readonly namespace?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly labelSelector?: string | undefined;
  /**
   * Keeps only what is needed of an object, right after parsing; must keep `metadata.name`, `namespace`, `uid` and
   * `resourceVersion`. Default: everything but managedFields and kubectl's last-applied annotation.
   */
  readonly project?: ((object: T) => P) | undefined;
  readonly sink: ReflectorSink<P>;
  /** Stops the reflector for good. */
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((notice: ReflectorNotice) => void) | undefined;
  /** Objects a page. Default 500. */
  readonly pageSize?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

/** Where a reflector stands. */
export interface ReflectorStatus {
  readonly phase: 'idle' | 'listing' | 'watching' | 'waiting';
  readonly resourceVersion: string | undefined;
  readonly lists: number;
  readonly watches: number;
  readonly handlerErrors: number;
  readonly lastError: KubeError | undefined;
}

/** client-go asks for 5 to 10 minutes; a little less meets the idle limits of more load balancers. */
const watchSeconds = { min: 240, max: 480 } as const;
/** After this the server should have ended the watch itself; whoever holds it open is not the server. */
const overdueMs = 30_000;
/** A watch that held so long without any data was a good one. */
const goodWatchMs = 60_000;
const backoffMs = { initialMs: 100, maxMs: 30_000 } as const;

/** One start(): whatever belongs to it checks `signal` after each await, so nothing outlives stop(). */
interface Run {
  readonly generation: number;
  readonly signal: AbortSignal;
  readonly stop: () => void;
}

/**
 * Keeps a sink equal to what the API server has: a paged list from a quorum of the store, then a watch from there,
 * for ever. Every failure is retried with growing, jittered delays; those shrink again only when data arrives, as a
 * server that accepts connections and drops them would otherwise be hammered.
 *
 * A list happens at start and when the server cannot continue from where we were (410, or versions that run
 * backwards), at no other time.
 */
export class Reflector<T extends KubeObject, P extends HasMetadata = T> {
  readonly #options: ReflectorOptions<T, P>;
  readonly #resource: Resource<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #watchBackoff: Backoff;
  readonly #listBackoff: Backoff;
  readonly #synced = Promise.withResolvers<void>();
  #generation = 0;
  #run: Run | undefined;
  #phase: ReflectorStatus['phase'] = 'idle';
  #resourceVersion: string | undefined;
  #lists = 0;
  #watches = 0;
  #handlerErrors = 0;
  #lastError: KubeError | undefined;

  constructor(options: ReflectorOptions<T, P>) {
    this.#options = options;
    this.#resource = new Resource(options.client, options.kind);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#watchBackoff = new Backoff({ ...backoffMs, random: this.#random });
    this.#listBackoff = new Backoff({ ...backoffMs, random: this.#random });
    // Nobody has to wait for it; a stop before the first list must not become an unhandled rejection.
    this.#synced.promise.catch(() => undefined);
  }

  /** Resolves once the sink has the first complete list; rejects (`aborted`) when stopped before. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get status(): ReflectorStatus {
    return {
      phase: this.#phase,
      resourceVersion: this.#resourceVersion,
      lists: this.#lists,
      watches: this.#watches,
      handlerErrors: this.#handlerErrors,
      lastError: this.#lastError,
    };
  }

  /** Begins, or does nothing when running. After a stop() it continues from where it was. */
  start(): void {
    const outer = this.#options.signal;
    if (this.#run !== undefined || outer?.aborted === true) return;
    const controller = new AbortController();
    const onAbort = (): void => this.stop();
    outer?.addEventListener('abort', onAbort, { once: true });
    this.#generation += 1;
    this.#run = {
      generation: this.#generation,
      signal: controller.signal,
      stop: () => {
        outer?.removeEventListener('abort', onAbort);
        controller.abort();
      },
    };
    void this.#loop(this.#run);
  }

  /** Ends at once: after it returns the sink is not called again. It is no error and reports none. */
  stop(): void {
    const run = this.#run;
    this.#run = undefined;
    this.#phase = 'idle';
    run?.stop();
    this.#synced.reject(new KubeError('aborted', 'stopped before the first list', { subject: this.#subject('list') }));
  }

  #subject(verb: string): RequestSubject {
    return this.#resource.subject(verb, this.#options.namespace);
  }

  async #loop(run: Run): Promise<void> {
    while (this.#current(run)) {
      let delayMs: number;
      try {
        if (this.#resourceVersion === undefined) await this.#list(run);
        if (!this.#current(run)) return;
        await this.#watch(run);
        delayMs = this.#watchBackoff.next();
      } catch (thrown) {
        if (!this.#current(run)) return;
        const error = KubeError.from(thrown, this.#subject('watch'));
        if (mustRelist(error)) this.#resourceVersion = undefined;
        const backoff = this.#resourceVersion === undefined ? this.#listBackoff : this.#watchBackoff;
        delayMs = Math.max(backoff.next(), Math.min(error.retryAfterMs ?? 0, 5 * 60_000));
        this.#lastError = error;
        this.#tell({ type: 'error', error, retryInMs: delayMs });
      }
      if (!this.#current(run)) return;
      this.#phase = 'waiting';
      await sleep(this.#clock, delayMs, run.signal);
    }
  }

  #current(run: Run): boolean {
    return !run.signal.aborted && run.generation === this.#generation;
  }

  async #list(run: Run): Promise<void> {
    this.#phase = 'listing';
    this.#lists += 1;
    const startedMs = this.#clock.monotonicMs();
    const { namespace, labelSelector, fieldSelector, pageSize } = this.#options;
    const objects: P[] = [];
    const unreadable: ObjectMeta[] = [];
    let resourceVersion: string | undefined;
    // No resourceVersion in the request: the server reads from a quorum, so a list is never older than what we knew.
    const pages = this.#resource.pages({
      namespace,
      labelSelector,
      fieldSelector,
      limit: pageSize,
      signal: run.signal,
    });
    for await (const page of pages) {
      if (!this.#current(run)) return;
      resourceVersion ??= page.metadata.resourceVersion;
      for (const item of page.items) this.#readItem(item, objects, unreadable);
    }
    if (!this.#current(run)) return;
    if (resourceVersion === undefined || resourceVersion === '') {
      throw new KubeError('protocol', 'the list has no resourceVersion', { subject: this.#subject('list') });
    }
    this.#resourceVersion = resourceVersion;
    this.#deliver(() => this.#options.sink.replace(objects, unreadable));
    const durationMs = this.#clock.monotonicMs() - startedMs;
    this.#tell({ type: 'listed', objects: objects.length, durationMs, resourceVersion });
    this.#synced.resolve();
  }

  #readItem(item: T, objects: P[], unreadable: ObjectMeta[]): void {
    const raw = checkObject(item, this.#subject('list'));
    const object = this.#project(raw);
    if (object === undefined) unreadable.push(raw.metadata);
    else objects.push(object);
  }

  async #watch(run: Run): Promise<void> {
    const span = watchSeconds.max - watchSeconds.min;
    const timeoutSeconds = watchSeconds.min + Math.floor(this.#random() * (span + 1));
    const startedMs = this.#clock.monotonicMs();
    const connection = new AbortController();
    const onStop = (): void => connection.abort();
    run.signal.addEventListener('abort', onStop, { once: true });
    const cancelDeadline = this.#clock.schedule(timeoutSeconds * 1000 + overdueMs, onStop);
    this.#phase = 'watching';
    this.#watches += 1;
    const counted = { events: 0 };
    try {
      await this.#readWatch(run, timeoutSeconds, connection.signal, counted);
    } catch (thrown) {
      // Overdue: the connection was dead or a proxy kept it; what we know is still right, so just watch on from there.
      if (!connection.signal.aborted || run.signal.aborted) throw thrown;
    } finally {
      cancelDeadline();
      run.signal.removeEventListener('abort', onStop);
      connection.abort();
    }
    if (!this.#current(run)) return;
    const durationMs = this.#clock.monotonicMs() - startedMs;
    if (durationMs >= goodWatchMs) {
      this.#watchBackoff.reset();
      this.#listBackoff.reset();
    }
    this.#tell({ type: 'watch-ended', events: counted.events, durationMs });
  }

  async #readWatch(run: Run, timeoutSeconds: number, signal: AbortSignal, counted: { events: number }): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const subject = this.#subject('watch');
    const query = {
      watch: true,
      resourceVersion: this.#resourceVersion,
      allowWatchBookmarks: true,
      timeoutSeconds,
      labelSelector,
      fieldSelector,
    };
    const lines = new LineSplitter();
    await this.#options.client.stream(
      { path: this.#resource.collectionPath(namespace), query, subject, signal },
      {
        begun: () => {
          if (this.#current(run)) this.#tell({ type: 'watching', resourceVersion: this.#resourceVersion ?? '' });
        },
        piece: (piece) => {
          if (this.#current(run)) counted.events += this.#readLines(lines.push(piece), subject);
        },
      },
    );
  }

  /** Delivers the events of a chunk together. What precedes a bad line is good, and is delivered before the error. */
  #readLines(lines: readonly string[], subject: RequestSubject): number {
    const events: ObjectEvent<P>[] = [];
    let failed: unknown;
    let version = this.#resourceVersion;
    try {
      for (const text of lines) {
        const line = parseWatchLine(text, subject);
        if (version !== undefined && isOlderVersion(line.resourceVersion, version)) {
          throw new KubeError('gone', `versions run backwards: ${line.resourceVersion} after ${version}`, { subject });
        }
        version = line.resourceVersion;
        if (line.type === 'BOOKMARK') continue;
        const object = this.#project(line.object);
        if (object !== undefined) events.push({ type: line.type, object });
      }
    } catch (thrown) {
      failed = thrown;
    }
    if (version !== this.#resourceVersion || events.length > 0) this.#watchBackoff.reset();
    this.#resourceVersion = version;
    if (events.length > 0) this.#deliver(() => this.#options.sink.apply(events));
    if (failed !== undefined) throw KubeError.from(failed, subject);
    return events.length;
  }

  /** Items of a list come without apiVersion and kind, those of a watch with them: make both one shape. */
  #project(raw: RawObject): P | undefined {
    const object = { ...raw, apiVersion: apiVersionOf(this.#options.kind), kind: this.#options.kind.kind };
    try {
      const project = this.#options.project;
      // Without a projection P is T (its default), and a checked object of this kind is a T.
      return project === undefined ? (dropBulk(object) as unknown as P) : project(object as unknown as T);
    } catch (error) {
      this.#handlerFailed(error);
      return undefined;
    }
  }

  #deliver(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  #handlerFailed(error: unknown): void {
    this.#handlerErrors += 1;
    this.#tell({ type: 'handler-error', error });
  }

  #tell(notice: ReflectorNotice): void {
    try {
      this.#options.onNotice?.(notice);
    } catch {
      this.#handlerErrors += 1;
    }
  }
}

/**
 * Whether the server cannot continue from our version: it forgot it (410), it has not got there (a restored backup:
 * `ResourceVersionTooLarge`), or it does not understand it (400).
 */
function mustRelist(error: KubeError): boolean {
  if (error.code === 'gone' || error.code === 'bad-request') return true;
  return error.body?.details?.causes?.some((cause) => cause.reason === 'ResourceVersionTooLarge') === true;
}
