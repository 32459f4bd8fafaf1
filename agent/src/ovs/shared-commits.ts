import type { OpenVswitch, Transaction } from '@ovenbird/ovsdb';
import { mayBuildAnew, newTransaction, type Ovs } from './database.ts';

/** How often a change is built anew after a refusal that may pass. */
const MOST_TRIES = 5;

interface Change {
  readonly key: string;
  readonly build: () => Transaction<OpenVswitch> | undefined;
  readonly signal: AbortSignal;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  tries: number;
  /** It was refused together with others: by itself it is known whose fault that is. */
  alone: boolean;
}

/**
 * Small changes of the local database that come many at a time. One transaction is in flight; what is asked for meanwhile
 * makes the next one. Besides fewer transactions, that is fewer reconfigurations of ovs-vswitchd, each of which looks at
 * every port of the node.
 */
export class SharedCommits {
  readonly #ovs: Pick<Ovs, 'synced' | 'transact'>;
  #waiting: Change[] = [];
  #running = false;

  constructor(ovs: Pick<Ovs, 'synced' | 'transact'>) {
    this.#ovs = ovs;
  }

  /**
   * Commits what `build` returns, which sees the database as it is right before; when it was refused for a reason that may
   * pass, or the connection ended before the reply, it is built anew, at most five times.
   * @param key changes of one key never share a transaction: a later one sees what the earlier one did
   * @param signal gives up as long as the change was not sent
   * @throws OvsdbError what the last try failed with, and what `build` throws
   */
  async commit(key: string, build: Change['build'], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const change: Change = { key, build, signal, resolve: () => resolve(undefined), reject, tries: 0, alone: false };
    const giveUp = (): void => {
      const place = this.#waiting.indexOf(change);
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.push(change);
    void this.#drain();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async #drain(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length > 0) {
      try {
        await this.#ovs.synced();
      } catch (error) {
        // The client was closed: nothing will ever be sent.
        for (const { reject } of this.#waiting.splice(0)) reject(error);
        break;
      }
      await this.#send(this.#take());
    }
    this.#running = false;
  }

  /** The oldest change that has to go alone, else all that may go together. */
  #take(): Change[] {
    const [first] = this.#waiting;
    const keys = new Set<string>();
    const taken = this.#waiting.filter((change) => {
      if (first?.alone === true ? change !== first : change.alone || keys.has(change.key)) return false;
      keys.add(change.key);
      return true;
    });
    const gone = new Set(taken);
    this.#waiting = this.#waiting.filter((change) => !gone.has(change));
    return taken;
  }

  async #send(changes: readonly Change[]): Promise<void> {
    const transaction = newTransaction();
    const sent: Change[] = [];
    for (const change of changes) {
      try {
        const part = change.build();
        if (part === undefined) change.resolve();
        else {
          transaction.append(part);
          sent.push(change);
        }
      } catch (error) {
        change.reject(error);
      }
    }
    if (sent.length === 0) return;
    try {
      await this.#ovs.transact(transaction);
      for (const { resolve } of sent) resolve();
    } catch (error) {
      this.#refused(sent, error);
    }
  }

  #refused(changes: readonly Change[], error: unknown): void {
    const again: Change[] = [];
    for (const change of changes) {
      const passing = mayBuildAnew(error);
      if (passing) change.tries += 1;
      else if (changes.length > 1) change.alone = true;
      const hopeless = passing ? change.tries >= MOST_TRIES : changes.length === 1;
      if (change.signal.aborted) change.reject(change.signal.reason);
      else if (hopeless) change.reject(error);
      else again.push(change);
    }
    this.#waiting.unshift(...again);
  }
}
