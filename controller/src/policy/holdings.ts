import type { State } from '../store/state.ts';
import type { NodeSet } from './cluster-model.ts';
import { Counter } from './counter.ts';
import type { Isolation, NodeBlock, PodSet } from './model.ts';

/** What a policy's rows refer to. */
export interface Holding {
  readonly sets: ReadonlyMap<string, PodSet>;
  readonly blocks: ReadonlyMap<string, NodeBlock>;
  readonly nodeSets: ReadonlyMap<string, NodeSet>;
}

const nothing: Holding = { sets: new Map(), blocks: new Map(), nodeSets: new Map() };

const sizeOf = ({ sets, blocks, nodeSets }: Holding): number => sets.size + blocks.size + nodeSets.size;

export interface HoldingsOptions {
  readonly state: State;
  /** The unit's rows are to be committed; `then` runs when they are. */
  readonly committed: (unit: string, then: () => void) => void;
  /** A block is in use for the first time, or no longer. */
  readonly block: (block: NodeBlock, used: boolean) => void;
}

/**
 * Sets that policies share. A set outlives the last policy that uses it until that policy's rows are committed, so that no
 * ACL ever names a set that is gone: ovn-controller would drop the whole match.
 */
export class Holdings {
  readonly #state: State;
  readonly #committed: HoldingsOptions['committed'];
  readonly #holdings = new Map<string, Holding>();
  /** What is to be held when rows are committed that are on their way. */
  readonly #wanted = new Map<string, Holding>();
  readonly #sets: Counter<PodSet>;
  readonly #blocks: Counter<NodeBlock>;
  readonly #nodeSets: Counter<NodeSet>;
  readonly #isolation: Counter<Isolation>;

  constructor({ state, committed, block }: HoldingsOptions) {
    this.#state = state;
    this.#committed = committed;
    this.#sets = new Counter(
      (id, set) => state.set('PodSet', id, set),
      (id) => state.delete('PodSet', id),
    );
    this.#blocks = new Counter(
      (_id, held) => block(held, true),
      (_id, held) => block(held, false),
    );
    this.#nodeSets = new Counter(
      (id, set) => state.set('NodeSet', id, set),
      (id) => state.delete('NodeSet', id),
    );
    this.#isolation = new Counter(
      (direction, isolation) => state.set('Isolation', direction, isolation),
      (direction) => state.delete('Isolation', direction),
    );
  }

  /** Says in which directions a unit's policy drops packets. */
  isolates(unit: string, directions: readonly Isolation['direction'][]): void {
    this.#isolation.set(unit, new Map(directions.map((direction) => [direction, { direction }])));
  }

  /** Replaces what the rows of a unit refer to; nothing = the policy is gone. */
  want(unit: string, wanted: Holding): void {
    this.#wanted.set(unit, wanted);
    // Which pods the policy selects changes at once; what its rules refer to stays until the new rules are committed.
    const { sets, blocks, nodeSets } = this.#holdings.get(unit) ?? nothing;
    const kept = new Map([...sets].filter(([, { holds }]) => holds !== 'policy'));
    const held: Holding = {
      sets: new Map([...kept, ...wanted.sets]),
      blocks: new Map([...blocks, ...wanted.blocks]),
      nodeSets: new Map([...nodeSets, ...wanted.nodeSets]),
    };
    this.#hold(unit, held);
    if (sizeOf(held) === sizeOf(wanted)) this.#wanted.delete(unit);
    else
      this.#committed(unit, () => {
        // Changed again meanwhile: that change waits for its own commit.
        if (this.#wanted.get(unit) !== wanted) return;
        this.#wanted.delete(unit);
        this.#hold(unit, wanted);
      });
  }

  #hold(unit: string, holding: Holding): void {
    const old = this.#holdings.get(unit) ?? nothing;
    if (sizeOf(holding) === 0) this.#holdings.delete(unit);
    else this.#holdings.set(unit, holding);
    const shared = new Map<string, PodSet>();
    for (const [id, set] of holding.sets) {
      if (set.holds === 'addresses') shared.set(id, set);
      else this.#state.set('PodSet', id, set);
    }
    for (const [id, set] of old.sets)
      if (set.holds !== 'addresses' && !holding.sets.has(id)) this.#state.delete('PodSet', id);
    this.#sets.set(unit, shared);
    this.#blocks.set(unit, holding.blocks);
    this.#nodeSets.set(unit, holding.nodeSets);
  }
}
