/** Who waits for which transaction id. */
import type { Clock } from './clock.ts';
import { OpenFlowError } from './error.ts';
import type { Message } from './message.ts';
import { hasMore, joinParts } from './reply.ts';

/** Bytes that one multipart reply may have, unless said otherwise: some millions of flows. */
const MAX_REPLY_BYTES = 512 * 1024 * 1024;

interface Waiter {
  readonly what: string;
  /** Whether the switch may have changed something when no reply comes. */
  readonly changes: boolean;
  readonly slow: boolean;
  readonly timeoutMs: number;
  readonly onPart: ((part: Message) => void) | undefined;
}

interface Pending extends Waiter {
  sent: boolean;
  bytes: number;
  readonly parts: Message[];
  readonly resolve: (reply: Message) => void;
  readonly reject: (error: OpenFlowError) => void;
  cancelTimeout: () => void;
}

/** Messages without a reply, with transaction ids in a row. */
export interface Batch {
  readonly first: number;
  readonly count: number;
  readonly onError: (index: number, error: OpenFlowError) => void;
  readonly onEnd: (error: OpenFlowError) => void;
}

/** Waiters by transaction id. Parts of a reply are joined; a reply beyond the cap is refused and its rest ignored. */
export class PendingRequests {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #waiting = new Map<number, Pending>();
  readonly #batches = new Set<Batch>();
  /** Replies that were refused or given up, of which parts may still come. */
  readonly #ignored = new Set<number>();
  #slow = 0;

  constructor(clock: Clock, maxBytes: number = MAX_REPLY_BYTES) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Whether the switch is busy with something that takes long. */
  get slow(): boolean {
    return this.#slow > 0;
  }

  /** Whether the request still waits. */
  waits(xid: number): boolean {
    return this.#waiting.has(xid);
  }

  /** Adds a waiter; `sent` is to be called once the request is written. */
  add(xid: number, waiter: Waiter): { readonly sent: () => void; readonly reply: Promise<Message> } {
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const pending: Pending = {
      ...waiter,
      sent: false,
      bytes: 0,
      parts: [],
      resolve,
      reject,
      cancelTimeout: () => undefined,
    };
    this.#waiting.set(xid, pending);
    if (waiter.slow) this.#slow += 1;
    const sent = (): void => {
      pending.sent = true;
      this.#arm(xid, pending);
    };
    return { sent, reply: promise };
  }

  #arm(xid: number, pending: Pending): void {
    pending.cancelTimeout();
    pending.cancelTimeout = this.#clock.after(pending.timeoutMs, () => {
      this.#ignored.add(xid);
      this.fail(xid, new OpenFlowError('timeout', `no answer to ${pending.what} within ${pending.timeoutMs} ms`));
    });
  }

  #remove(xid: number): Pending | undefined {
    const pending = this.#waiting.get(xid);
    if (pending === undefined) return undefined;
    this.#waiting.delete(xid);
    pending.cancelTimeout();
    if (pending.slow) this.#slow -= 1;
    return pending;
  }

  /** Takes a message that answers a request. Returns false when it answers none. */
  take(message: Message, bytes: number): boolean {
    const { xid } = message;
    const pending = this.#waiting.get(xid);
    const more = hasMore(message);
    if (pending === undefined) {
      if (!this.#ignored.has(xid)) return false;
      if (!more) this.#ignored.delete(xid);
      return true;
    }
    if (pending.onPart !== undefined) {
      try {
        pending.onPart(message);
      } catch (error) {
        if (more) this.#ignored.add(xid);
        this.fail(xid, OpenFlowError.from(error));
        return true;
      }
      pending.parts.length = 0;
    } else {
      pending.bytes += bytes;
      if (pending.bytes > this.#maxBytes) {
        if (more) this.#ignored.add(xid);
        const text = `the reply to ${pending.what} has more than ${this.#maxBytes} bytes (maxReplyBytes)`;
        this.fail(xid, new OpenFlowError('too_large', text));
        return true;
      }
    }
    pending.parts.push(message);
    if (more) {
      this.#arm(xid, pending);
      return true;
    }
    this.#remove(xid);
    pending.resolve(joinParts(pending.parts as [Message, ...Message[]]));
    return true;
  }

  /** Rejects whoever waits for a transaction id. Returns false when nobody does. */
  fail(xid: number, error: OpenFlowError): boolean {
    const pending = this.#remove(xid);
    if (pending !== undefined) {
      pending.reject(error);
      return true;
    }
    for (const batch of this.#batches) {
      const index = xid - batch.first;
      if (index >= 0 && index < batch.count) {
        batch.onError(index, error);
        return true;
      }
    }
    return false;
  }

  /** Rejects the first one that waits for the answer to a kind of request. Returns false when nobody does. */
  failFirst(what: string, error: OpenFlowError): boolean {
    for (const [xid, pending] of this.#waiting) if (pending.what === what) return this.fail(xid, error);
    return false;
  }

  /** Has errors of a row of transaction ids reported. */
  addBatch(
    first: number,
    count: number,
    onError: (index: number, error: OpenFlowError) => void,
    onEnd: (error: OpenFlowError) => void,
  ): Batch {
    const batch = { first, count, onError, onEnd };
    this.#batches.add(batch);
    return batch;
  }

  removeBatch(batch: Batch): void {
    this.#batches.delete(batch);
  }

  /** Rejects all: the connection is over. */
  end(reason: OpenFlowError): void {
    for (const xid of this.#waiting.keys()) {
      const pending = this.#remove(xid);
      if (pending === undefined) continue;
      const text = `${pending.what} ${pending.sent ? 'has no answer' : 'was not sent'}: ${reason.message}`;
      const unknown = pending.sent && pending.changes;
      const code = unknown ? 'outcome_unknown' : reason.code === 'closed' ? 'closed' : 'disconnected';
      pending.reject(new OpenFlowError(code, text, { cause: reason }));
    }
    const code = reason.code === 'closed' ? 'closed' : 'disconnected';
    for (const batch of this.#batches) batch.onEnd(new OpenFlowError(code, reason.message, { cause: reason }));
    this.#batches.clear();
    this.#ignored.clear();
  }
}
