/** Keeps one connection to a switch, and sets it up anew whenever it was lost. */
import type { Duplex } from 'node:stream';
import { Backoff } from './backoff.ts';
import { type BundleOptions, commitBundle } from './bundle.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import type {
  AsyncOptions,
  Connection,
  ConnectionEvent,
  ConnectionState,
  ConnectOptions,
  PacketOutInput,
} from './connection-api.ts';
import { setUpAsync } from './connection-setup.ts';
import { OpenFlowError } from './error.ts';
import { type FlowWatch, FlowWatches, type FlowWatchOptions } from './flow-watch.ts';
import type { Message, MessageList, Outgoing } from './message.ts';
import type { FlowFilter, FlowStats } from './messages/flow-stats.ts';
import type { PacketIn2 } from './messages/nicira.ts';
import type { PacketIn } from './messages/packet.ts';
import type { FeaturesReply, Role } from './messages/session.ts';
import { BoundedQueue, type PacketInQueue, type PacketInQueueOptions } from './packet-in-queue.ts';
import type { ReplyOf, RequestOf, RequestType } from './reply.ts';
import { type PartsOptions, type RequestOptions, Session } from './session.ts';
import { switchError } from './switch-error.ts';
import { openTransport, parseRemote } from './transport.ts';
import type { Version } from './version.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Connects, and stays connected. Never throws for a switch that is absent: it is waited for, without end.
 * @throws OpenFlowError `invalid_value` for a malformed remote
 */
export function connect(options: ConnectOptions): Connection {
  return new SwitchConnection(options);
}

class SwitchConnection implements Connection {
  readonly #options: ConnectOptions;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  readonly #finished: Promise<void>;
  readonly #waiters = new Set<() => void>();
  readonly #listeners = new Set<(message: Message) => void>();
  readonly #queues = new Set<BoundedQueue<PacketIn | PacketIn2>>();
  readonly #watches = new FlowWatches();
  #async: AsyncOptions | undefined;
  #role: { readonly role: Role; readonly generationId: bigint } | undefined;
  #state: ConnectionState = 'connecting';
  /** The present session, from the greeting on. */
  #session: Session | undefined;
  #version: Version | undefined;
  #features: FeaturesReply | undefined;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#async = options.async;
    this.#role = options.role;
    if (typeof options.remote === 'string') parseRemote(options.remote);
    const stop = (): void => this.#closing.abort();
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted === true) stop();
    this.#finished = this.#run().finally(() => options.signal?.removeEventListener('abort', stop));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get version(): Version | undefined {
    return this.#version;
  }

  get features(): FeaturesReply | undefined {
    return this.#features;
  }

  get backlog(): { readonly bytes: number; readonly waiting: number } {
    return this.#session?.backlog ?? { bytes: 0, waiting: 0 };
  }

  connected(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(check);
        signal?.removeEventListener('abort', check);
      };
      const check = (): void => {
        if (this.#state === 'connected') {
          settle();
          resolve();
        } else if (this.#state === 'closed' || signal?.aborted === true) {
          settle();
          const text = this.#state === 'closed' ? 'the connection is closed' : 'aborted while waiting for the switch';
          reject(new OpenFlowError('closed', text));
        }
      };
      this.#waiters.add(check);
      signal?.addEventListener('abort', check);
      check();
    });
  }

  async request<T extends RequestType>(
    message: RequestOf<T> | readonly RequestOf<T>[],
    options?: RequestOptions | PartsOptions<T>,
  ): Promise<ReplyOf<T>> {
    return this.#usable().request<T>(message, options);
  }

  async send(messages: readonly Outgoing[], options?: RequestOptions): Promise<void> {
    await this.#usable().send(messages, options);
  }

  async bundle(messages: readonly Outgoing[] | MessageList, options?: BundleOptions): Promise<void> {
    await commitBundle(this.#usable(), messages, options);
  }

  async barrier(): Promise<void> {
    await this.#usable().request<'barrier_request'>({ type: 'barrier_request' });
  }

  async dumpFlows(filter: FlowFilter = {}): Promise<readonly FlowStats[]> {
    const reply = await this.request<'flow_stats_request'>({ type: 'flow_stats_request', ...filter });
    return reply.flows;
  }

  post(message: Outgoing): void {
    this.#usable().post(message);
  }

  packetOut(packet: PacketOutInput): void {
    this.post({ type: 'packet_out', ...packet });
  }

  resume(packet: PacketIn2): void {
    if (packet.continuation === undefined) {
      const text = 'this packet cannot be resumed: the action that sent it did not say "pause"';
      throw new OpenFlowError('invalid_value', text);
    }
    this.post({ ...packet, type: 'resume' });
  }

  async setAsync(options: AsyncOptions): Promise<void> {
    this.#async = options;
    const session = this.#state === 'connected' ? this.#session : undefined;
    if (session !== undefined) await setUpAsync(session, options);
  }

  async setRole(role: Role, generationId: bigint): Promise<void> {
    this.#role = { role, generationId };
    if (this.#state === 'connected') await this.request<'role_request'>({ type: 'role_request', role, generationId });
  }

  onMessage(listener: (message: Message) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onState(listener: (state: ConnectionState) => void): () => void {
    const waiter = (): void => listener(this.#state);
    this.#waiters.add(waiter);
    return () => this.#waiters.delete(waiter);
  }

  packetIns(options: PacketInQueueOptions = {}): PacketInQueue<PacketIn | PacketIn2> {
    const queue: BoundedQueue<PacketIn | PacketIn2> = new BoundedQueue(options, () => this.#queues.delete(queue));
    if (this.#state === 'closed') queue.close();
    else this.#queues.add(queue);
    return queue;
  }

  async watchFlows(options: FlowWatchOptions): Promise<FlowWatch> {
    const id = this.#watches.add(options);
    const session = this.#state === 'connected' ? this.#session : undefined;
    try {
      if (session !== undefined) await this.#watches.start(session, id);
    } catch (error) {
      // A connection that ends meanwhile is no failure: the next one starts the watch.
      if (session?.reason === undefined) {
        this.#watches.remove(id);
        throw error;
      }
    }
    return {
      close: () => {
        if (!this.#watches.remove(id)) return;
        const current = this.#session;
        if (this.#state === 'connected' && current?.reason === undefined && current !== undefined) {
          this.#watches.stop(current, id);
        }
      },
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#finished;
  }

  /** @throws OpenFlowError `closed` or `disconnected` */
  #usable(): Session {
    if (this.#state === 'closed') throw new OpenFlowError('closed', 'the connection is closed');
    if (this.#state !== 'connected' || this.#session === undefined) {
      throw new OpenFlowError('disconnected', 'not connected to the switch: wait for connected() and try again');
    }
    return this.#session;
  }

  /** Connects again and again until closed. */
  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const backoff = new Backoff(this.#options.random ?? Math.random);
    while (!signal.aborted) {
      let connectedAt: number | undefined;
      let error: OpenFlowError;
      try {
        this.#setState('connecting');
        this.#emit({ type: 'connecting' });
        const session = await this.#open(signal);
        connectedAt = this.#clock.now();
        error = await session.ended;
      } catch (cause) {
        error = OpenFlowError.from(cause);
      }
      this.#session = undefined;
      if (signal.aborted) break;
      const retryMs = backoff.next(connectedAt === undefined ? undefined : this.#clock.now() - connectedAt);
      this.#setState('waiting');
      this.#emit({ type: 'disconnected', error, retryMs });
      await pause(this.#clock, retryMs, signal);
    }
    this.#setState('closed');
    for (const queue of this.#queues) queue.close();
  }

  /** Opens a session and sets it up; closes it when that fails. */
  async #open(signal: AbortSignal): Promise<Session> {
    const { remote, tls, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const stream: Duplex =
      typeof remote === 'string' ? await openTransport(remote, tls, connectTimeoutMs, signal) : await remote(signal);
    const session = new Session({
      stream,
      versions: this.#options.versions,
      probeIntervalMs: this.#options.probeIntervalMs,
      maxReplyBytes: this.#options.maxReplyBytes,
      clock: this.#clock,
      onMessage: (message) => this.#onMessage(session, message),
      onError: (error) => this.#emit({ type: 'message_error', error }),
    });
    const onAbort = (): void => session.close(new OpenFlowError('closed', 'the connection was closed'));
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    void session.ended.then(() => signal.removeEventListener('abort', onAbort));
    const cancelTimeout = this.#clock.after(connectTimeoutMs, () =>
      session.close(new OpenFlowError('connect_failed', `no greeting within ${connectTimeoutMs} ms`)),
    );
    try {
      this.#version = await session.ready.finally(cancelTimeout);
      this.#session = session;
      await this.#setUp(session);
      return session;
    } catch (error) {
      session.close(OpenFlowError.from(error));
      throw error;
    }
  }

  /** What the switch knows per connection, and forgets with it. */
  async #setUp(session: Session): Promise<void> {
    const features = await session.request<'features_request'>({ type: 'features_request' });
    this.#features = features;
    if (this.#async !== undefined) await setUpAsync(session, this.#async);
    if (this.#role !== undefined) await session.request<'role_request'>({ type: 'role_request', ...this.#role });
    await this.#options.setup?.(session);
    await this.#watches.startAll(session);
    if (session.reason !== undefined) throw session.reason;
    this.#setState('connected');
    this.#emit({ type: 'connected', version: session.version, features });
  }

  #onMessage(session: Session, message: Message): void {
    if (message.type === 'flow_monitor_reply') this.#watches.deliver(message.updates);
    else if (message.type === 'packet_in' || message.type === 'packet_in2') {
      for (const queue of this.#queues) queue.push(message);
    } else if (message.type === 'error') {
      this.#emit({ type: 'refused', error: switchError(session.version, message) });
    } else if (message.type === 'flow_monitor_paused' || message.type === 'flow_monitor_resumed') {
      this.#watches.deliver([{ event: message.type === 'flow_monitor_paused' ? 'paused' : 'resumed' }]);
    }
    for (const listener of this.#listeners) listener(message);
  }

  #setState(state: ConnectionState): void {
    if (this.#state === state) return;
    this.#state = state;
    // Waiters remove themselves, which a Set's iteration allows.
    for (const waiter of this.#waiters) waiter();
  }

  #emit(event: ConnectionEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      // A mistake of the listener: it must surface, but not stop the connection half-way.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
