/** One connection to a switch: greeting, requests and their replies, lists of messages, echo both ways. */
import type { Duplex } from 'node:stream';
import { type Clock, systemClock } from './clock.ts';
import { OpenFlowError } from './error.ts';
import { Framer } from './framer.ts';
import { chooseVersion, DEFAULT_VERSIONS, greeting } from './handshake.ts';
import type { Message, Outgoing } from './message.ts';
import { decodeMessage, encodeMessage, readHeader, writeMessage } from './message-codec.ts';
import type { Hello } from './messages/session.ts';
import { Outbox } from './outbox.ts';
import { PendingRequests } from './pending-requests.ts';
import type { ReplyOf, RequestOf, RequestType } from './reply.ts';
import { switchError } from './switch-error.ts';
import { type Version, versionName } from './version.ts';
import { Writer } from './writer.ts';

/** What a session needs. */
export interface SessionOptions {
  /** An open stream; the session owns it from now on. */
  readonly stream: Duplex;
  /** Versions to offer. Default 1.5, 1.4, 1.3. */
  readonly versions?: readonly Version[] | undefined;
  /** Gets every message that answers nothing, in the order of arrival, before the next message is looked at. */
  readonly onMessage?: ((message: Message) => void) | undefined;
  /** Gets messages that cannot be decoded, and what `onMessage` threw. The connection goes on. */
  readonly onError?: ((error: OpenFlowError) => void) | undefined;
  /** Milliseconds of silence after which the switch is probed; after as much again it is given up. 0: never. Default 5,000. */
  readonly probeIntervalMs?: number | undefined;
  /** Bytes that one multipart reply may have. Default 512 MiB. */
  readonly maxReplyBytes?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** Options of one request. */
export interface RequestOptions {
  /** Milliseconds without any part of the reply. Default 10,000; 60,000 where the switch has much to do. */
  readonly timeoutMs?: number | undefined;
}

/** Options of a request whose reply comes in parts. */
export interface PartsOptions<T extends RequestType> extends RequestOptions {
  /** Gets each part as it comes; the reply then holds the last one only, and the cap does not apply. */
  readonly onPart: (part: ReplyOf<T>) => void;
}

/** Silence that is still normal while the switch carries out much, milliseconds. */
const SLOW_SILENCE_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 10_000;
/** Bytes of answers to echo that the other side may leave unread. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;
/** A list of messages is written in pieces of about this many bytes. */
const PIECE_BYTES = 128 * 1024;
/** Of all parts of a request but the last. */
const MORE = { more: true };
const LAST_XID = 0xffff_0000;

/** Requests after which the switch may need long before it says anything. */
const SLOW: ReadonlySet<string> = new Set([
  ...['flow_stats_request', 'aggregate_request', 'flow_monitor_request'],
  // Of bundles: the close request follows all of their messages.
  ...['close_request', 'commit_request'],
]);

/** Requests that may have changed something when the connection ends without a reply. */
const CHANGES: ReadonlySet<string> = new Set(['role_request', 'commit_request', 'table_features_request']);

/**
 * One connection. It ends once, for one reason: by `close`, by the switch, by bytes that are no OpenFlow, or by
 * silence. `ended` then resolves and whatever waits for an answer is rejected.
 */
export class Session {
  /** Resolves with the version once both sides agree; rejects with the reason when the session ends before. */
  readonly ready: Promise<Version>;
  /** Resolves with the reason when the session is over. Never rejects. */
  readonly ended: Promise<OpenFlowError>;
  readonly #options: SessionOptions;
  readonly #stream: Duplex;
  readonly #framer = new Framer();
  readonly #outbox: Outbox;
  readonly #pending: PendingRequests;
  readonly #clock: Clock;
  readonly #probeMs: number;
  readonly #versions: readonly Version[];
  readonly #writer = new Writer(PIECE_BYTES + 0x1_0000);
  readonly #resolveEnded: (reason: OpenFlowError) => void;
  readonly #resolveReady: (version: Version) => void;
  readonly #rejectReady: (reason: OpenFlowError) => void;
  #version: Version | undefined;
  #reason: OpenFlowError | undefined;
  #nextXid = 2;
  #lastActivity: number;
  #probing = false;
  #cancelProbe: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#clock = options.clock ?? systemClock;
    this.#probeMs = options.probeIntervalMs ?? 5_000;
    this.#versions = options.versions ?? DEFAULT_VERSIONS;
    if (this.#versions.length === 0) throw new OpenFlowError('invalid_value', '`versions` is empty: name one, as OF15');
    this.#pending = new PendingRequests(this.#clock, options.maxReplyBytes);
    this.#outbox = new Outbox(this.#stream);
    const ended = Promise.withResolvers<OpenFlowError>();
    const ready = Promise.withResolvers<Version>();
    ready.promise.catch(() => undefined); // whoever waits for it hears of it
    [this.ended, this.#resolveEnded] = [ended.promise, ended.resolve];
    [this.ready, this.#resolveReady, this.#rejectReady] = [ready.promise, ready.resolve, ready.reject];
    this.#lastActivity = this.#clock.now();
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#stream.on('error', (error: Error) =>
      this.close(new OpenFlowError('disconnected', error.message, { cause: error })),
    );
    const gone = (): void => this.close(new OpenFlowError('disconnected', 'the switch closed the connection'));
    this.#stream.on('end', gone);
    this.#stream.on('close', gone);
    const { version, hello } = greeting(this.#versions);
    this.#outbox.now(encodeMessage(version, hello));
    this.#armProbe();
  }

  /** The version in use. @throws OpenFlowError `disconnected` before both sides agree */
  get version(): Version {
    if (this.#version === undefined) throw new OpenFlowError('disconnected', 'no OpenFlow version is agreed on yet');
    return this.#version;
  }

  /** The reason when the session is over. */
  get reason(): OpenFlowError | undefined {
    return this.#reason;
  }

  /** Bytes and lists of messages that wait because the switch does not read. */
  get backlog(): { readonly bytes: number; readonly waiting: number } {
    return { bytes: this.#outbox.unreadBytes, waiting: this.#outbox.waiting };
  }

  /**
   * Sends a request and waits for its reply; of a multipart reply for all parts, which come joined.
   * @param message one message, or the parts of a multipart request that is too long for one
   * @throws OpenFlowError `switch_error`, `timeout`, `too_large`, `malformed`, why the session ended, or why the message
   * cannot be encoded
   */
  request<T extends RequestType>(
    message: RequestOf<T> | readonly RequestOf<T>[],
    options: RequestOptions | PartsOptions<T> = {},
  ): Promise<ReplyOf<T>> {
    const parts = (Array.isArray(message) ? message : [message]) as readonly Outgoing[];
    const [first] = parts;
    if (first === undefined) return Promise.reject(new OpenFlowError('invalid_value', 'a request without parts'));
    const { type, control } = first as Outgoing & { readonly control?: string };
    const { timeoutMs = SLOW.has(control ?? type) ? SLOW_SILENCE_MS : DEFAULT_TIMEOUT_MS } = options;
    const slow = timeoutMs >= SLOW_SILENCE_MS;
    const onPart = 'onPart' in options ? (options.onPart as (part: Message) => void) : undefined;
    if (this.#reason !== undefined) return Promise.reject(this.#notConnected());
    const xid = this.reserve(1);
    const changes = CHANGES.has(control ?? type);
    const { sent, reply } = this.#pending.add(xid, { what: type, changes, slow, timeoutMs, onPart });
    this.#outbox.add(() => {
      if (!this.#pending.waits(xid)) return true;
      try {
        const last = parts.length - 1;
        const written = parts.map((part, at) => encodeMessage(this.version, { ...part, xid, ...(at < last && MORE) }));
        this.#stream.write(written.length === 1 ? written[0] : Buffer.concat(written));
        sent();
      } catch (error) {
        this.#pending.fail(xid, OpenFlowError.from(error));
      }
      return true;
    });
    return reply as Promise<ReplyOf<T>>;
  }

  /**
   * Sends messages that have no reply, and waits until the switch has carried them out: a barrier follows them.
   * All are sent even when some are refused.
   * @throws OpenFlowError the first error, with the `index` of the message it is about; `outcome_unknown`
   */
  async send(messages: readonly Outgoing[], options: RequestOptions = {}): Promise<void> {
    const errors: OpenFlowError[] = [];
    const written = this.write(messages, (index, error) => errors.push(error.about(index)));
    const barrier = this.request<'barrier_request'>(
      { type: 'barrier_request' },
      { timeoutMs: options.timeoutMs ?? SLOW_SILENCE_MS },
    );
    try {
      // A barrier that fails first says why; what was not encoded is known by then.
      await Promise.all([written.done, barrier]);
    } catch (error) {
      if (OpenFlowError.from(error).code === 'disconnected' && written.started) {
        throw new OpenFlowError('outcome_unknown', `the connection ended before the switch had carried out all`, {
          cause: error,
        });
      }
      throw error;
    } finally {
      written.forget();
    }
    if (errors[0] !== undefined) throw errors[0];
  }

  /**
   * Writes messages, as fast as the switch reads, and passes the errors that come back for them to `onError`.
   * `done` resolves when all are written, and rejects when one cannot be encoded (with its `index`; those before it are
   * written) or the session ends. Call `forget` when no errors can come any more: after a barrier.
   */
  write(messages: readonly Outgoing[], onError: (index: number, error: OpenFlowError) => void): Writing {
    return this.writeList(messages.length, (index) => messages[index] as Outgoing, onError);
  }

  /** As `write`, of messages that are made one by one; each must have the transaction id that it is made with. */
  writeList(
    count: number,
    make: (index: number, xid: number) => Outgoing,
    onError: (index: number, error: OpenFlowError) => void,
  ): Writing {
    const first = this.reserve(count);
    const done = Promise.withResolvers<void>();
    done.promise.catch(() => undefined); // whoever waits for it hears of it
    const batch = this.#pending.addBatch(first, count, onError, done.reject);
    const state = { started: false };
    if (this.#reason !== undefined) done.reject(this.#notConnected());
    let at = 0;
    const step = (): boolean => {
      const w = this.#writer;
      w.truncate(0);
      try {
        state.started = true;
        while (at < count && w.length < PIECE_BYTES) {
          const xid = first + at;
          writeMessage(w, this.version, make(at, xid) as Message, xid);
          at += 1;
        }
      } catch (error) {
        done.reject(OpenFlowError.from(error).about(at));
        at = count;
      }
      if (w.length > 0) this.#stream.write(w.take());
      if (at < count) return false;
      done.resolve();
      return true;
    };
    this.#outbox.add(step);
    return {
      done: done.promise,
      get started() {
        return state.started;
      },
      forget: () => this.#pending.removeBatch(batch),
    };
  }

  /** Sends one message that has no reply. What the switch thinks of it comes to `onMessage`, as an error. */
  post(message: Outgoing): void {
    if (this.#reason !== undefined) throw this.#notConnected();
    const bytes = encodeMessage(this.version, { ...message, xid: this.reserve(1) });
    this.#outbox.add(() => {
      this.#stream.write(bytes);
      return true;
    });
  }

  /** Takes transaction ids in a row; the first one. */
  reserve(count: number): number {
    if (this.#nextXid + count > LAST_XID) this.#nextXid = 2;
    const first = this.#nextXid;
    this.#nextXid += count;
    return first;
  }

  /** Ends the session for `reason`; later calls have no effect. */
  close(reason: OpenFlowError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#cancelProbe?.();
    this.#outbox.end();
    this.#stream.destroy();
    this.#pending.end(reason);
    this.#rejectReady(reason);
    this.#resolveEnded(reason);
  }

  #notConnected(): OpenFlowError {
    const code = this.#reason?.code === 'closed' ? 'closed' : 'disconnected';
    return new OpenFlowError(code, 'not connected, so nothing was sent', { cause: this.#reason });
  }

  #onData(chunk: Buffer): void {
    if (this.#reason !== undefined) return;
    this.#lastActivity = this.#clock.now();
    this.#probing = false;
    let frames: Uint8Array[];
    try {
      frames = this.#framer.push(chunk);
    } catch (error) {
      this.close(OpenFlowError.from(error));
      return;
    }
    for (const frame of frames) {
      if (this.#reason !== undefined) return;
      this.#onFrame(frame);
    }
  }

  /** One message. What is wrong with it is that message's affair alone. */
  #onFrame(frame: Uint8Array): void {
    const { version: header, xid } = readHeader(frame);
    let message: Message;
    try {
      message = decodeMessage(frame).message;
    } catch (error) {
      if (!this.#pending.fail(xid, OpenFlowError.from(error))) this.#report(error);
      return;
    }
    if (message.type === 'echo_request') {
      this.#answerEcho(header as Version, xid, message.data);
    } else if (message.type === 'hello') {
      this.#onHello(header, message);
    } else if (message.type === 'error') {
      const error = switchError(header as Version, message);
      if (error.code === 'unsupported_version' && this.#version === undefined) this.close(error);
      else if (!this.#pending.fail(xid, error) && !this.#failMonitor(xid, error)) this.#deliver(message);
    } else if (this.#version !== undefined && header !== this.#version) {
      this.#report(new OpenFlowError('malformed', `${message.type} of version byte ${header} after the greeting`));
    } else if (!this.#pending.take(message, frame.length)) {
      this.#deliver(message);
    }
  }

  /** Open vSwitch 3.1 refuses a flow monitor with an error that has no transaction id and not the request either. */
  #failMonitor(xid: number, error: OpenFlowError): boolean {
    return xid === 0 && error.offending === undefined && this.#pending.failFirst('flow_monitor_request', error);
  }

  #onHello(header: number, hello: Hello): void {
    if (this.#version !== undefined) return;
    const version = chooseVersion(this.#versions, header, hello);
    if (version === undefined) {
      const theirs = hello.versions?.map((byte) => `0x0${byte}`).join(', ') ?? `up to 0x0${header}`;
      const text = `we offer OpenFlow ${this.#versions.map(versionName).join(', ')}; the other side ${theirs}`;
      const highest = Math.max(...this.#versions) as Version;
      const data = new TextEncoder().encode(text);
      this.#outbox.now(encodeMessage(highest, { type: 'error', xid: hello.xid, errorType: 0, code: 0, data }));
      this.close(new OpenFlowError('unsupported_version', `no common version: ${text}`));
      return;
    }
    this.#version = version;
    this.#resolveReady(version);
  }

  #answerEcho(version: Version, xid: number, data: Uint8Array): void {
    if (this.#outbox.unreadBytes > MAX_UNREAD_BYTES) {
      this.close(new OpenFlowError('inactive', 'the switch sends echo requests and does not read the answers'));
      return;
    }
    this.#outbox.now(encodeMessage(version, { type: 'echo_reply', xid, data }));
  }

  #deliver(message: Message): void {
    // The answer to a probe, or to a request that was given up.
    if (message.type === 'echo_reply') return;
    try {
      this.#options.onMessage?.(message);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    this.#options.onError?.(OpenFlowError.from(error));
  }

  /** Probes after silence, and gives up after as much again. */
  #armProbe(): void {
    if (this.#probeMs === 0 || this.#reason !== undefined) return;
    const silentMs = this.#clock.now() - this.#lastActivity;
    const patience = this.#pending.slow && this.#probing ? Math.max(SLOW_SILENCE_MS, this.#probeMs) : this.#probeMs;
    const limit = this.#probing ? this.#probeMs + patience : this.#probeMs;
    if (silentMs >= limit) {
      if (this.#probing) {
        this.close(
          new OpenFlowError('inactive', `no answer to an echo request, silent for ${Math.round(silentMs)} ms`),
        );
        return;
      }
      this.#probing = true;
      const version = this.#version ?? (Math.max(...this.#versions) as Version);
      this.#outbox.now(encodeMessage(version, { type: 'echo_request', xid: this.reserve(1), data: new Uint8Array() }));
      this.#cancelProbe = this.#clock.after(this.#probeMs, () => this.#armProbe());
      return;
    }
    this.#cancelProbe = this.#clock.after(Math.min(limit - silentMs, this.#probeMs), () => this.#armProbe());
  }
}

/** A list of messages on its way. */
export interface Writing {
  /** Resolves when all are written. */
  readonly done: Promise<void>;
  /** Whether any may have been. */
  readonly started: boolean;
  /** No errors for these messages are expected any more. */
  forget(): void;
}
