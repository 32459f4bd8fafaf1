/** JSON-RPC over one connection (RFC 7047 §4): calls, notifications, echo both ways, inactivity probes. */
import type { Duplex } from 'node:stream';
import { type Clock, systemClock } from './clock.ts';
import { OvsdbError, serverErrorCode } from './error.ts';
import { DEFAULT_LIMITS, type FramerLimits, JsonFramer, type TakeMessage } from './framer.ts';
import { isJsonObject, type Json, type JsonObject } from './json.ts';
import type { RowSink } from './row-cutter.ts';

/** What a session needs. */
export interface SessionOptions {
  /** An open stream; the session owns it from now on. */
  readonly stream: Duplex;
  /** Called for every notification and for every request other than `echo`. What it throws ends the session. */
  readonly onNotification: (method: string, params: Json) => void;
  /** Called when the session ends, before the calls in flight are rejected. Must not throw. */
  readonly onEnd?: () => void;
  /** Milliseconds of silence after which the peer is probed with `echo`; after as much again it is given up. 0 = never. */
  readonly probeIntervalMs?: number;
  /** Sees messages before they are parsed, see `JsonFramer`. What it throws ends the session. */
  readonly takeMessage?: TakeMessage;
  readonly limits?: FramerLimits;
  readonly clock?: Clock;
}

/** Options of one call. */
export interface CallOptions {
  /**
   * Called with the result in the same turn in which the reply is read: what the server sent right after it is not
   * handled before. What it throws ends the session.
   */
  readonly onResult?: (result: Json) => void;
  /** Sends `cancel` when it aborts (RFC 7047 §4.1.4); the call still ends with what the server answers. */
  readonly signal?: AbortSignal | undefined;
  /** The server may be busy with this for long (an initial dump): probes wait until bytes flow or a minute has passed. */
  readonly slow?: boolean;
  /** Gets the rows of the reply's tables while it arrives; `result` then has its tables empty. One such call at a time. */
  readonly rows?: RowSink;
}

interface PendingCall {
  readonly method: string;
  /** Whether it has been written to the stream. */
  sent: boolean;
  readonly slow: boolean;
  readonly onResult: ((result: Json) => void) | undefined;
  readonly resolve: (result: Json) => void;
  readonly reject: (error: OvsdbError) => void;
}

/** Silence that is still normal while the server prepares an initial dump, milliseconds. */
const SLOW_SILENCE_MS = 60_000;

/** Methods that may have changed the database when no reply comes. */
const CHANGES_DATABASE: ReadonlySet<string> = new Set(['transact', 'convert']);

/** Bytes of answers to `echo` that a peer may leave unread. */
const MAX_UNREAD_ECHO_BYTES = 16 * 1024 * 1024;

/**
 * One connection. It ends once, for one reason: by `close`, by the peer, by bytes that are not OVSDB, or by silence.
 * `ended` then resolves and every call in flight is rejected: with `outcome_unknown` if it could have changed the
 * database (`transact`), else with the reason.
 */
export class Session {
  /** Resolves with the reason when the session is over. Never rejects. */
  readonly ended: Promise<OvsdbError>;
  readonly #stream: Duplex;
  readonly #framer: JsonFramer;
  readonly #take: TakeMessage | undefined;
  readonly #onNotification: (method: string, params: Json) => void;
  readonly #onEnd: (() => void) | undefined;
  readonly #probeMs: number;
  readonly #clock: Clock;
  readonly #calls = new Map<number, PendingCall>();
  /** Calls that wait until the peer reads: their texts are not made before. */
  #queue: (() => void)[] = [];
  readonly #resolveEnded: (reason: OvsdbError) => void;
  #reason: OvsdbError | undefined;
  #nextId = 1;
  #lastActivity: number;
  #cancelProbe: (() => void) | undefined;
  #probing = false;

  constructor(options: SessionOptions) {
    this.#stream = options.stream;
    this.#onNotification = options.onNotification;
    this.#onEnd = options.onEnd;
    this.#probeMs = options.probeIntervalMs ?? 10_000;
    this.#clock = options.clock ?? systemClock;
    const take = options.takeMessage;
    this.#take = take;
    this.#framer = new JsonFramer(
      (text) => this.#onText(text),
      options.limits ?? DEFAULT_LIMITS,
      take && ((text, from) => (this.#reason === undefined ? take(text, from) : -1)),
    );
    const { promise, resolve } = Promise.withResolvers<OvsdbError>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#lastActivity = this.#clock.now();
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#stream.on('error', (error: Error) =>
      this.close(new OvsdbError('disconnected', error.message, { cause: error })),
    );
    const gone = (): void => this.close(new OvsdbError('disconnected', 'the peer closed the connection'));
    this.#stream.on('drain', () => this.#flush());
    this.#stream.on('end', gone);
    this.#stream.on('close', gone);
    this.#armProbe();
  }

  /** The reason when the session is over. */
  get reason(): OvsdbError | undefined {
    return this.#reason;
  }

  /**
   * Calls a method.
   * @throws OvsdbError what the server answered as error, or why the session ended.
   */
  call(method: string, params: Json, options: CallOptions = {}): Promise<Json> {
    if (this.#reason !== undefined) {
      return Promise.reject(new OvsdbError('disconnected', 'not connected', { cause: this.#reason }));
    }
    if (options.signal?.aborted === true) {
      return Promise.reject(new OvsdbError('closed', `${method} aborted before it was sent`));
    }
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    const { signal, rows } = options;
    const settled = (): void => {
      signal?.removeEventListener('abort', onAbort);
      if (rows !== undefined) {
        this.#framer.cutRows(undefined);
      }
    };
    const call: PendingCall = {
      method,
      sent: false,
      slow: options.slow === true,
      onResult: options.onResult,
      resolve: (result) => {
        settled();
        resolve(result);
      },
      reject: (error) => {
        settled();
        reject(error);
      },
    };
    const onAbort = (): void => {
      if (call.sent) {
        this.#send({ id: null, method: 'cancel', params: [id] });
      } else {
        this.#calls.delete(id);
        call.reject(new OvsdbError('closed', `${method} aborted before it was sent`));
      }
    };
    signal?.addEventListener('abort', onAbort);
    this.#calls.set(id, call);
    if (rows !== undefined) {
      // No other call is in flight: the rows can be no other reply's, even if the id comes behind them.
      this.#framer.cutRows({ id, sink: rows, alone: () => this.#calls.size === 1 && this.#calls.has(id) });
    }
    this.#queue.push(() => {
      if (this.#calls.has(id)) {
        call.sent = true;
        this.#send({ id, method, params });
      }
    });
    this.#flush();
    return promise;
  }

  /** Sends what waits, as far as the peer reads. */
  #flush(): void {
    let at = 0;
    while (at < this.#queue.length && !this.#stream.writableNeedDrain && this.#reason === undefined) {
      this.#queue[at]?.();
      at += 1;
    }
    this.#queue = this.#queue.slice(at);
  }

  /** Sends a notification: no reply is expected. */
  notify(method: string, params: Json): void {
    this.#send({ id: null, method, params });
  }

  /** Ends the session for `reason`; later calls have no effect. */
  close(reason: OvsdbError): void {
    if (this.#reason !== undefined) {
      return;
    }
    this.#reason = reason;
    this.#cancelProbe?.();
    this.#stream.destroy();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#queue = [];
    this.#onEnd?.();
    for (const call of calls) {
      call.reject(
        !call.sent
          ? new OvsdbError('disconnected', `${call.method} was not sent: ${reason.message}`, { cause: reason })
          : CHANGES_DATABASE.has(call.method)
            ? new OvsdbError(
                'outcome_unknown',
                `the connection ended before the reply to ${call.method} (${reason.message}): whether it was carried out shows in the replica once it is in sync again`,
                { cause: reason },
              )
            : reason,
      );
    }
    this.#resolveEnded(reason);
  }

  #send(message: JsonObject): void {
    if (this.#reason === undefined) {
      this.#stream.write(JSON.stringify(message));
    }
  }

  #onData(chunk: Buffer): void {
    if (this.#reason !== undefined) {
      return;
    }
    this.#lastActivity = this.#clock.now();
    this.#probing = false;
    try {
      this.#framer.push(chunk);
    } catch (error) {
      this.close(OvsdbError.from(error, 'protocol_error'));
    }
  }

  #onText(text: string): void {
    // A message that came in several chunks is whole only now.
    if (this.#reason !== undefined || (this.#take?.(text, 0) ?? -1) >= 0) {
      return;
    }
    let message: Json;
    try {
      message = JSON.parse(text) as Json;
    } catch (error) {
      throw new OvsdbError('protocol_error', `not JSON: ${text.slice(0, 60)}`, { cause: error });
    }
    if (!isJsonObject(message)) {
      throw new OvsdbError('protocol_error', 'a message is not an object');
    }
    const { method, id } = { method: message['method'], id: message['id'] };
    if (typeof method === 'string') {
      this.#onRequest(method, message['params'] ?? [], id ?? null);
    } else {
      this.#onReply(message, id ?? null);
    }
  }

  #onRequest(method: string, params: Json, id: Json): void {
    if (id !== null && this.#stream.writableLength > MAX_UNREAD_ECHO_BYTES) {
      throw new OvsdbError('protocol_error', 'the peer sends requests and does not read the answers');
    }
    if (method === 'echo' && id !== null) {
      this.#send({ id, result: params, error: null });
      return;
    }
    if (id !== null) {
      this.#send({ id, result: null, error: 'unknown method' });
      return;
    }
    this.#onNotification(method, params);
  }

  #onReply(message: JsonObject, id: Json): void {
    const call = typeof id === 'number' ? this.#calls.get(id) : undefined;
    if (call === undefined || typeof id !== 'number') {
      // The answer to a probe, or to a call that the server knows and we do not: the former is normal.
      if (id !== 'probe') {
        throw new OvsdbError('protocol_error', `reply to a call ${JSON.stringify(id)} that was not made`);
      }
      return;
    }
    this.#calls.delete(id);
    const error = message['error'];
    if (error !== null && error !== undefined) {
      call.reject(callError(call.method, error));
      return;
    }
    const result = message['result'] ?? null;
    try {
      call.onResult?.(result);
    } catch (thrown) {
      const reason = OvsdbError.from(thrown, 'protocol_error');
      call.reject(reason);
      throw reason;
    }
    call.resolve(result);
  }

  #armProbe(): void {
    if (this.#probeMs <= 0) {
      return;
    }
    const waiting = this.#calls.values().some((call) => call.slow);
    const limit = waiting ? Math.max(SLOW_SILENCE_MS, this.#probeMs) : this.#probeMs;
    this.#cancelProbe = this.#clock.after(Math.min(limit, this.#probeMs), () => {
      // Let the socket be read first: a process that was busy for long finds timers and data due at the same time.
      setImmediate(() => this.#probe(limit));
    });
  }

  #probe(limit: number): void {
    if (this.#reason !== undefined) {
      return;
    }
    const silence = this.#clock.now() - this.#lastActivity;
    if (silence >= limit) {
      if (this.#probing && silence >= 2 * limit) {
        this.close(new OvsdbError('inactive', `the peer was silent for ${Math.round(silence)} ms`));
        return;
      }
      if (!this.#probing) {
        this.#probing = true;
        this.#send({ id: 'probe', method: 'echo', params: [] });
      }
    }
    this.#armProbe();
  }
}

/** The error of a JSON-RPC reply: a string, or an object with `error` and `details` (ovsdb-server answers both). */
function callError(method: string, error: Json): OvsdbError {
  const text = isJsonObject(error) ? error['error'] : error;
  const details = isJsonObject(error) && typeof error['details'] === 'string' ? error['details'] : undefined;
  const serverError = typeof text === 'string' ? text : JSON.stringify(error);
  return new OvsdbError(serverErrorCode(serverError), `${method}: ${details ?? serverError}`, { serverError, details });
}
