/** What users of a connection see: options, events, the connection itself. `connection.ts` does it. */
import type { Duplex } from 'node:stream';
import type { BundleOptions } from './bundle.ts';
import type { Clock } from './clock.ts';
import type { OpenFlowError } from './error.ts';
import type { FlowWatch, FlowWatchOptions } from './flow-watch.ts';
import type { Message, MessageList, Outgoing } from './message.ts';
import type { AsyncMasks } from './messages/async.ts';
import type { FlowFilter, FlowStats } from './messages/flow-stats.ts';
import type { PacketIn2 } from './messages/nicira.ts';
import type { PacketIn, PacketOut } from './messages/packet.ts';
import type { FeaturesReply, Role } from './messages/session.ts';
import type { PacketInQueue, PacketInQueueOptions } from './packet-in-queue.ts';
import type { ReplyOf, RequestOf, RequestType } from './reply.ts';
import type { PartsOptions, RequestOptions, Session } from './session.ts';
import type { TlsFiles } from './transport.ts';
import type { Version } from './version.ts';

/**
 * - `waiting`: no connection; the next attempt comes by itself.
 * - `connecting`: opening the stream, greeting, setting up.
 * - `connected`: requests work.
 * - `closed`: for good, by `close` or the signal.
 */
export type ConnectionState = 'waiting' | 'connecting' | 'connected' | 'closed';

/** What happens to a connection, for logs and metrics. */
export type ConnectionEvent =
  | { readonly type: 'connecting' }
  | { readonly type: 'connected'; readonly version: Version; readonly features: ReplyOf<'features_request'> }
  /** `retryMs`: milliseconds until the next attempt. */
  | { readonly type: 'disconnected'; readonly error: OpenFlowError; readonly retryMs: number }
  /** The switch refused a message that was posted. */
  | { readonly type: 'refused'; readonly error: OpenFlowError }
  /** A message could not be decoded, or a listener threw. The connection goes on. */
  | { readonly type: 'message_error'; readonly error: OpenFlowError };

/** Which messages the switch sends by itself. Open vSwitch sends none unless asked. */
export interface AsyncOptions {
  /** Bytes of a packet that a table miss sends; 0 would turn all messages off. Default 0xffff. */
  readonly missSendLen?: number | undefined;
  /** Packets of `controller` actions with this id come here. Default 0. */
  readonly controllerId?: number | undefined;
  /** Default `nxt_packet_in2`: with metadata, user data, and what is needed to resume. */
  readonly packetInFormat?: 'standard' | 'nxt_packet_in2' | undefined;
  /** Reasons by message and bit, as primary or equal; what is left out is as the switch has it. */
  readonly primary?: AsyncMasks | undefined;
  readonly secondary?: AsyncMasks | undefined;
}

/** How `connect` finds a switch and what it sets up at every connection. */
export interface ConnectOptions {
  /** `unix:PATH`, `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`, or what opens a stream. */
  readonly remote: string | ((signal: AbortSignal) => Promise<Duplex>);
  /** Versions to offer. Default 1.5, 1.4, 1.3. */
  readonly versions?: readonly Version[] | undefined;
  /** For `ssl:` remotes. */
  readonly tls?: TlsFiles | undefined;
  /** Default: nothing is sent unasked. */
  readonly async?: AsyncOptions | undefined;
  /** A role to ask for. Default: none, which is equal. */
  readonly role?: { readonly role: Role; readonly generationId: bigint } | undefined;
  /** What else each connection needs before it counts as connected. What it throws ends that connection. */
  readonly setup?: ((session: Session) => Promise<void>) | undefined;
  /** Closes the connection. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
  /** Milliseconds of silence before the switch is probed; see `SessionOptions`. Default 5,000. */
  readonly probeIntervalMs?: number | undefined;
  /** Milliseconds until the stream, and then the greeting, must stand. Default 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Bytes that one multipart reply may have. Default 512 MiB. */
  readonly maxReplyBytes?: number | undefined;
  readonly clock?: Clock | undefined;
  /** 0 ≤ random() < 1, for the jitter of waits. */
  readonly random?: (() => number) | undefined;
}

/** A packet to send. */
export type PacketOutInput = Omit<PacketOut, 'type' | 'xid'>;

/** A switch: connected, and connected again whenever the connection ends. */
export interface Connection {
  readonly state: ConnectionState;
  /** The version of the present or last connection. */
  readonly version: Version | undefined;
  /** What the switch said it is, at the present or last connection. */
  readonly features: FeaturesReply | undefined;
  /** What waits to be sent because the switch does not read: bytes, and lists of messages. */
  readonly backlog: { readonly bytes: number; readonly waiting: number };
  /**
   * Resolves when the switch is connected; at once if it is now.
   * @throws OpenFlowError `closed` when the signal aborts or the connection is closed before
   */
  connected(signal?: AbortSignal): Promise<void>;
  /**
   * Sends a request and waits for its reply; the parts of a multipart reply come joined, or one by one with `onPart`.
   * A list is the parts of a multipart request that is too long for one message.
   * @throws OpenFlowError `switch_error`, `timeout`, `too_large`, `disconnected`, `outcome_unknown`, `unencodable` ...
   */
  request<T extends RequestType>(
    message: RequestOf<T> | readonly RequestOf<T>[],
    options?: RequestOptions | PartsOptions<T>,
  ): Promise<ReplyOf<T>>;
  /**
   * Sends messages that have no reply, and a barrier: when it resolves, the switch has carried all out.
   * @throws OpenFlowError the first refusal, with the `index` of its message; the others are carried out
   */
  send(messages: readonly Outgoing[], options?: RequestOptions): Promise<void>;
  /** Commits messages together or not at all. @throws OpenFlowError `bundle_failed` with `index`, and as `request` */
  bundle(messages: readonly Outgoing[] | MessageList, options?: BundleOptions): Promise<void>;
  /** Resolves when the switch has carried out all that was sent before. */
  barrier(): Promise<void>;
  /** The flows that a filter chooses. */
  dumpFlows(filter?: FlowFilter): Promise<readonly FlowStats[]>;
  /** Sends one message that has no reply. A refusal comes as event. @throws OpenFlowError `disconnected`, `unencodable` ... */
  post(message: Outgoing): void;
  /** Sends a packet. @throws OpenFlowError as `post` */
  packetOut(packet: PacketOutInput): void;
  /** Lets a paused packet go on where it was; packet and continuation go back as they came. @throws OpenFlowError as `post` */
  resume(packet: PacketIn2): void;
  /** Changes which messages the switch sends by itself, now and at later connections. */
  setAsync(options: AsyncOptions): Promise<void>;
  /** Asks for a role, now and at later connections. @throws OpenFlowError `switch_error` for an old generation */
  setRole(role: Role, generationId: bigint): Promise<void>;
  /** Calls the listener with every state that the connection comes into. Returns what ends that. */
  onState(listener: (state: ConnectionState) => void): () => void;
  /** Calls the listener with every message that answers nothing. Returns what ends that. */
  onMessage(listener: (message: Message) => void): () => void;
  /** The packets that come in, in a queue of bounded length, to be iterated over. */
  packetIns(options?: PacketInQueueOptions): PacketInQueue<PacketIn | PacketIn2>;
  /**
   * Watches flows, through reconnections. Resolves when the watch has begun (at once without a connection).
   * @throws OpenFlowError when the switch refuses the monitor
   */
  watchFlows(options: FlowWatchOptions): Promise<FlowWatch>;
  /** Closes for good; requests in flight are rejected. */
  close(): Promise<void>;
}
