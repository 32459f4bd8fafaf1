import type { Change, Clock, KubeObject } from '@ovenbird/kube';

/** After this long a write that the watch never showed is believed to be lost. */
const PATIENCE_MS = 30_000;

/**
 * Writes that the watch has not shown yet. A controller that counts its pods in a store must not act on a count that
 * lacks what it did a moment ago: it would make the same pods again.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #byOwner = new Map<string, { uids: Set<string>; until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The owner created or deleted the object `uid` (and `shown` says whether the store shows that already). */
  expect(owner: string, uid: string, shown: boolean): void {
    if (shown) return;
    const entry = this.#byOwner.get(owner) ?? { uids: new Set<string>(), until: 0 };
    entry.uids.add(uid);
    entry.until = this.#clock.monotonicMs() + PATIENCE_MS;
    this.#byOwner.set(owner, entry);
  }

  /** The watch showed a change: whatever was expected of this object has happened. */
  observe(owner: string, change: Change<KubeObject>): void {
    const entry = this.#byOwner.get(owner);
    if (!entry) return;
    // A pod that was to be deleted is done with when it is marked; one that was created, when it appears.
    if (!change.old && change.new) entry.uids.delete(change.new.metadata.uid ?? '');
    if (change.old && (!change.new || change.new.metadata.deletionTimestamp !== undefined)) {
      entry.uids.delete(change.old.metadata.uid ?? '');
    }
    if (entry.uids.size === 0) this.#byOwner.delete(owner);
  }

  /** Whether the store can be trusted to count the owner's objects. */
  met(owner: string): boolean {
    const entry = this.#byOwner.get(owner);
    return !entry || entry.until < this.#clock.monotonicMs();
  }

  /** The owner is gone. */
  forget(owner: string): void {
    this.#byOwner.delete(owner);
  }
}
