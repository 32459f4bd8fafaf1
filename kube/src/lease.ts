import { type Clock, sleep, systemClock } from './clock.ts';
import { isKubeError, KubeError } from './error.ts';
import { type Requester, Resource } from './resource.ts';
import { LEASES } from './resource-kind.ts';
import { toMicroTime } from './timestamp.ts';
import type { Lease } from './types/groups.ts';

/** Settings of a {@link LeaseElector}. The defaults are those of client-go's leader election. */
export interface LeaseElectorOptions {
  readonly client: Requester;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Unique for each process and start: two candidates of one identity would both believe. */
  readonly identity: string;
  /** Others wait so long after the last change they saw. Default 15 s. */
  readonly leaseDurationMs?: number | undefined;
  /** The leader gives up when it could not renew for so long. Default 10 s. */
  readonly renewDeadlineMs?: number | undefined;
  /** Between attempts. Default 2 s; candidates add up to 120 % jitter. */
  readonly retryPeriodMs?: number | undefined;
  /**
   * The work of a leader. Its signal fires when leadership ends, for whatever reason; the lease is handed over only
   * after the returned promise has settled.
   */
  readonly onStartedLeading: (signal: AbortSignal) => Promise<void> | void;
  readonly onNewLeader?: ((identity: string) => void) | undefined;
  readonly onError?: ((error: KubeError) => void) | undefined;
  /** Ends the candidacy, or the leadership with a hand-over. */
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

/** How run() ended: asked to, or leadership could not be held (then the process should exit). */
export type ElectionEnd = 'stopped' | 'lost';

/**
 * Elects one leader with a `coordination.k8s.io` Lease.
 *
 * Whether a leader is alive is judged by how long *we* have seen the record unchanged, on our own monotonic clock;
 * times in the record are for people (clocks of machines differ). Every write names the resourceVersion it read, so
 * of two candidates one gets a conflict. A Lease alone is no fence: a leader that was frozen does not know that it
 * has been replaced, so what it writes must be guarded where it is written.
 */
export class LeaseElector {
  readonly #options: LeaseElectorOptions;
  readonly #leases: Resource<Lease>;
  readonly #clock: Clock;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  #observed: { readonly lease: Lease; readonly atMs: number } | undefined;
  #leading = false;
  #renewedAtMs = 0;
  #toldLeader = '';

  constructor(options: LeaseElectorOptions) {
    this.#options = options;
    this.#leases = new Resource(options.client, LEASES);
    this.#clock = options.clock ?? systemClock;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#leaseDurationMs <= this.#renewDeadlineMs || this.#renewDeadlineMs <= this.#retryPeriodMs) {
      throw new KubeError(
        'config',
        `leader election needs lease duration > renew deadline > retry period, got ${this.#leaseDurationMs}, ${this.#renewDeadlineMs}, ${this.#retryPeriodMs} ms`,
      );
    }
  }

  /** Whether this process leads and its lease cannot have run out yet. */
  get isLeader(): boolean {
    return this.#leading && this.#clock.monotonicMs() - this.#renewedAtMs < this.#leaseDurationMs;
  }

  /** Identity of the last known leader; `''` when there is none. */
  get leader(): string {
    return this.#observed?.lease.spec?.holderIdentity ?? '';
  }

  /** Waits for leadership, leads until it is lost or the signal fires, and says which. Call it once. */
  async run(): Promise<ElectionEnd> {
    const { signal } = this.#options;
    for (;;) {
      if (signal.aborted) return 'stopped';
      if (await this.#attempt(signal)) break;
      const jitter = 1 + (this.#options.random ?? Math.random)() * 1.2;
      await sleep(this.#clock, this.#retryPeriodMs * jitter, signal);
    }
    return await this.#lead();
  }

  async #lead(): Promise<ElectionEnd> {
    const { signal } = this.#options;
    const term = new AbortController();
    const onAbort = (): void => term.abort();
    if (signal.aborted) term.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#leading = true;
    const renewing = this.#renew(term);
    const work = this.#work(term.signal);
    await renewing;
    signal.removeEventListener('abort', onAbort);
    if (!signal.aborted) {
      this.#leading = false;
      return 'lost';
    }
    await this.#handOver(work);
    return 'stopped';
  }

  async #work(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.onStartedLeading(signal);
    } catch (thrown) {
      this.#options.onError?.(KubeError.from(thrown));
    }
  }

  /** Renews until the term ends; ends the term when the deadline passes without success. */
  async #renew(term: AbortController): Promise<void> {
    while (!term.signal.aborted) {
      const leftMs = this.#renewedAtMs + this.#renewDeadlineMs - this.#clock.monotonicMs();
      if (leftMs <= 0) return term.abort();
      const cancelDeadline = this.#clock.schedule(leftMs, () => term.abort());
      try {
        await sleep(this.#clock, Math.min(this.#retryPeriodMs, leftMs), term.signal);
        if (term.signal.aborted) return;
        const held = await this.#attempt(term.signal);
        // Somebody else holds it: there is nothing to wait for.
        if (!held && this.leader !== '' && this.leader !== this.#options.identity) return term.abort();
      } finally {
        cancelDeadline();
      }
    }
  }

  /** Once: takes or renews the lease if that is allowed. Errors count as "no" and are reported. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#tryAcquireOrRenew(signal);
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (error.code !== 'aborted') this.#options.onError?.(error);
      // Whatever we remember may be wrong now: a conflict says so, and a timeout may have written.
      this.#observed = this.#leading ? undefined : this.#observed;
      return false;
    }
  }

  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { namespace, name, identity } = this.#options;
    const startedMs = this.#clock.monotonicMs();
    const call = { signal, timeoutMs: this.#renewDeadlineMs };
    // The leader knows the record it wrote last; a conflict will tell if that is no longer so.
    const known = this.#leading ? this.#observed?.lease : undefined;
    const lease = known ?? (await this.#leases.find({ namespace, name }, call));
    if (lease === undefined) {
      const fresh: Lease = { metadata: { namespace, name }, spec: this.#record(undefined) };
      return await this.#write(() => this.#leases.create(fresh, call), startedMs, signal);
    }
    this.#observe(lease);
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== identity && !this.#expired(lease)) return false;
    const renewed = { ...lease, spec: this.#record(lease) };
    return await this.#write(() => this.#leases.replace(renewed, call), startedMs, signal);
  }

  async #write(write: () => Promise<Lease>, startedMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      const written = await write();
      this.#observe(written);
      // From before the request: by the time others see the renewal, we count from no later than they do.
      this.#renewedAtMs = startedMs;
      return true;
    } catch (error) {
      if (!isKubeError(error, 'conflict', 'already-exists')) throw error;
      // Another was faster. A leader looks at once who, a candidate at its next attempt.
      if (this.#leading) {
        const { namespace, name } = this.#options;
        const lease = await this.#leases.find({ namespace, name }, { signal, timeoutMs: this.#renewDeadlineMs });
        if (lease !== undefined) this.#observe(lease);
      }
      return false;
    }
  }

  #observe(lease: Lease): void {
    if (this.#observed?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) {
      this.#observed = { lease, atMs: this.#clock.monotonicMs() };
    }
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== this.#toldLeader) {
      this.#toldLeader = holder;
      this.#options.onNewLeader?.(holder);
    }
  }

  /** The longer of our duration and the holder's own: it may be configured differently. */
  #expired(lease: Lease): boolean {
    const promisedMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1000;
    const since = this.#observed?.atMs ?? this.#clock.monotonicMs();
    return this.#clock.monotonicMs() - since >= Math.max(promisedMs, this.#leaseDurationMs);
  }

  #record(old: Lease | undefined): NonNullable<Lease['spec']> {
    const now = toMicroTime(this.#clock.wallMs());
    const mine = old?.spec?.holderIdentity === this.#options.identity;
    return {
      ...old?.spec,
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      acquireTime: mine ? (old.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (old?.spec?.leaseTransitions ?? 0) + (old === undefined || mine ? 0 : 1),
    };
  }

  /**
   * Gives the lease away so that the next leader need not wait. Only when our work has ended while the lease was
   * certainly ours; otherwise it runs out by itself.
   */
  async #handOver(work: Promise<void>): Promise<void> {
    const patience = new AbortController();
    const leftMs = this.#renewedAtMs + this.#renewDeadlineMs - this.#clock.monotonicMs();
    const expired = sleep(this.#clock, leftMs, patience.signal);
    const done = await Promise.race([work.then(() => true), expired.then(() => false)]);
    patience.abort();
    this.#leading = false;
    if (!done) return;
    const { namespace, name, identity } = this.#options;
    const call = { timeoutMs: this.#retryPeriodMs };
    try {
      // Read again: a renewal that was cut off by the end may have been written all the same.
      const lease = await this.#leases.find({ namespace, name }, call);
      if (lease?.spec?.holderIdentity !== identity) return;
      const now = toMicroTime(this.#clock.wallMs());
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
      await this.#leases.replace({ ...lease, spec }, call);
    } catch (thrown) {
      this.#options.onError?.(KubeError.from(thrown));
    }
  }
}
