/** Locks that outlive connections (RFC 7047 §4.1.8 to §4.1.10). */
import { OvsdbError } from './error.ts';
import type { Json } from './json.ts';
import { lockResult, unlock } from './protocol.ts';
import type { Session } from './session.ts';

/**
 * A lock that is held or waited for. It is a server's, not a cluster's: two clients of different members may both hold
 * it. Put `transaction.assert(name)` before what needs it; the server checks that at commit.
 */
export interface Lock {
  readonly name: string;
  /** Whether the server said so on the present connection. False as soon as the connection ends. */
  readonly held: boolean;
  /**
   * Resolves when the lock is held; at once if it is now.
   * @throws OvsdbError `closed` when the signal aborts, the lock is released or the client closed before.
   */
  acquired(signal?: AbortSignal): Promise<void>;
  /** Calls `listener` when `held` changes. Returns what ends it. */
  onChange(listener: (held: boolean) => void): () => void;
  /** Gives the lock back, or stops to wait for it. */
  release(): Promise<void>;
}

/** The client's side of a lock. */
class LockHolder implements Lock {
  readonly name: string;
  readonly #onRelease: () => void;
  readonly #onListenerError: (error: unknown) => void;
  readonly #listeners = new Set<(held: boolean) => void>();
  readonly #waiters = new Set<() => void>();
  #steal: boolean;
  #held = false;
  #over = false;
  #session: Session | undefined;
  /** Whether the server has answered the request: a notification before that is about an earlier one. */
  #answered = false;

  /**
   * @param steal whether the first request takes the lock from its holder; requests on later connections wait.
   * @param onListenerError told of what a listener threw: a listener's mistake must not cost the connection.
   */
  constructor(name: string, steal: boolean, onRelease: () => void, onListenerError: (error: unknown) => void) {
    this.name = name;
    this.#steal = steal;
    this.#onRelease = onRelease;
    this.#onListenerError = onListenerError;
  }

  get held(): boolean {
    return this.#held;
  }

  acquired(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.#held) {
          settle();
          resolve();
        } else if (this.#over || signal?.aborted === true) {
          settle();
          const why = this.#over ? 'was released' : 'was not had before the signal aborted';
          reject(new OvsdbError('closed', `lock ${this.name} ${why}`));
        }
      };
      const settle = (): void => {
        this.#waiters.delete(check);
        signal?.removeEventListener('abort', check);
      };
      this.#waiters.add(check);
      signal?.addEventListener('abort', check);
      check();
    });
  }

  onChange(listener: (held: boolean) => void): () => void {
    const entry = (held: boolean): void => listener(held);
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  async release(): Promise<void> {
    const session = this.#session;
    if (this.#over) {
      return;
    }
    this.end();
    this.#onRelease();
    if (session !== undefined && session.reason === undefined) {
      try {
        await unlock(session, this.name);
      } catch (error) {
        // The connection ended, and the lock with it.
        if (session.reason === undefined) {
          throw error;
        }
      }
    }
  }

  /** Asks for the lock, once on each connection. @throws OvsdbError the server's refusal, or why the session ended. */
  async request(session: Session): Promise<void> {
    if (this.#session === session) {
      // Asked already: the server takes a second request for a mistake.
      return;
    }
    this.#session = session;
    this.#answered = false;
    await session.call(this.#steal ? 'steal' : 'lock', [this.name], {
      // In the turn of the reply: `locked` or `stolen` may be right behind it.
      onResult: (result) => {
        this.#steal = false;
        this.#answered = true;
        this.#set(lockResult(result));
      },
    });
  }

  /** `locked` or `stolen`. */
  notify(held: boolean): void {
    if (this.#answered) {
      this.#set(held);
    }
  }

  /** The connection ended: the server gives the lock to the next. */
  lost(): void {
    this.#session = undefined;
    this.#set(false);
  }

  /** For good. */
  end(): void {
    this.#over = true;
    this.lost();
    for (const waiter of this.#waiters) {
      waiter();
    }
  }

  #set(held: boolean): void {
    if (this.#held === held || (held && this.#over)) {
      return;
    }
    this.#held = held;
    for (const waiter of this.#waiters) {
      waiter();
    }
    for (const listener of this.#listeners) {
      try {
        listener(held);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}

/** All locks of one client. */
export class LockTable {
  readonly #holders = new Map<string, LockHolder>();
  readonly #onListenerError: (error: unknown) => void;

  /** @param onListenerError told of what a listener threw. */
  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** A lock to ask for. @throws OvsdbError `invalid_value` when it is asked for already. */
  add(name: string, steal: boolean): LockHolder {
    if (this.#holders.has(name)) {
      throw new OvsdbError('invalid_value', `lock ${name} is already asked for: release it first`);
    }
    const holder = new LockHolder(name, steal, () => this.#holders.delete(name), this.#onListenerError);
    this.#holders.set(name, holder);
    return holder;
  }

  /** Asks for all on a connection. @throws OvsdbError the server's refusal, or why the session ended. */
  async request(session: Session): Promise<void> {
    await Promise.all(this.#holders.values().map((holder) => holder.request(session)));
  }

  /** `locked` or `stolen`. */
  notify(name: Json | undefined, held: boolean): void {
    if (typeof name === 'string') {
      this.#holders.get(name)?.notify(held);
    }
  }

  /** The connection ended. */
  lost(): void {
    for (const holder of this.#holders.values()) {
      holder.lost();
    }
  }

  /** For good. */
  end(): void {
    for (const holder of this.#holders.values()) {
      holder.end();
    }
  }
}
