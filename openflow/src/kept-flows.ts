/** What a keeper knows: flows that should be, flows that are, and where the two may differ. No I/O. */
import { decodeCookie, encodeCookie } from './cookie.ts';
import { OpenFlowError } from './error.ts';
import { type Flow, flowChange, flowKey, flowsByKey } from './flow-diff.ts';
import type { FlowChange } from './flow-text.ts';
import type { FlowUpdate } from './messages/flow-monitor.ts';
import type { Version } from './version.ts';

/** A flow to keep. It has no timeouts, and its cookie is made of category and object. */
export interface KeptFlow extends Omit<Flow, 'cookie' | 'idleTimeout' | 'hardTimeout'> {
  /** Default: the keeper's first one. */
  readonly category?: number | undefined;
  /** What the flow is for, in the caller's own numbering. Default 0. */
  readonly object?: number | undefined;
}

/** Changes to commit together. */
export interface Plan {
  readonly changes: readonly FlowChange[];
  /** What each identity will be afterwards. */
  readonly results: ReadonlyMap<string, { readonly wanted: Flow | undefined; readonly after: Flow | undefined }>;
  readonly added: number;
  readonly modified: number;
  readonly deleted: number;
}

/** All but the round: a flow of an earlier round that is as wanted stays as it is, with its counters. */
const COMPARED_COOKIE = 0x0000_ffff_ffff_ffffn;

/** The flows of some categories, wanted and actual, by identity. */
export class KeptFlows {
  readonly #categories: ReadonlySet<number>;
  readonly #firstCategory: number;
  readonly #round: number;
  #wanted = new Map<string, Flow>();
  #actual = new Map<string, Flow>();
  /** Identities of which wanted and actual may differ. */
  readonly #dirty = new Set<string>();
  /** Identities that were wanted in this run, while not all is said: whoever takes them away again means it. */
  readonly #claimed = new Set<string>();
  #complete = false;

  /** @throws OpenFlowError `invalid_value` */
  constructor(categories: readonly number[], round: number) {
    const [first] = categories;
    if (first === undefined) throw new OpenFlowError('invalid_value', '`categories` is empty: name one, from 1 to 255');
    for (const category of categories) encodeCookie({ round, category, object: 0 });
    this.#categories = new Set(categories);
    this.#firstCategory = first;
    this.#round = round;
  }

  /** Whether some identity may need a change. */
  get dirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** How many flows are wanted. */
  get size(): number {
    return this.#wanted.size;
  }

  /** Makes these the wanted flows. @throws OpenFlowError `invalid_value`; nothing has changed then */
  replace(flows: Iterable<KeptFlow>): void {
    const next = flowsByKey([...flows].map((flow) => this.#flowOf(flow)));
    for (const key of this.#wanted.keys()) if (!next.has(key)) this.#dirty.add(key);
    for (const [key, flow] of next) if (flowChange(this.#wanted.get(key), flow) !== undefined) this.#dirty.add(key);
    this.#wanted = next;
    this.#claim(next.keys());
  }

  /** Adds wanted flows, in place of those of the same identity. @throws OpenFlowError `invalid_value`; nothing has changed then */
  put(flows: Iterable<KeptFlow>): void {
    const added = flowsByKey([...flows].map((kept) => this.#flowOf(kept)));
    for (const [key, flow] of added) {
      if (flowChange(this.#wanted.get(key), flow) !== undefined) this.#dirty.add(key);
      this.#wanted.set(key, flow);
    }
    this.#claim(added.keys());
  }

  /** Takes wanted flows away, by their identity. */
  remove(flows: Iterable<Pick<KeptFlow, 'tableId' | 'priority' | 'match'>>): void {
    for (const flow of flows) {
      const key = flowKey(flow);
      if (this.#wanted.delete(key)) this.#dirty.add(key);
    }
  }

  /** From now on, flows of earlier rounds that are not wanted go as well. */
  complete(): void {
    if (this.#complete) return;
    this.#complete = true;
    this.#claimed.clear();
    for (const [key] of this.#actual) if (!this.#wanted.has(key)) this.#dirty.add(key);
  }

  /** Takes a dump as what there is. */
  load(flows: Iterable<Flow>): void {
    this.#actual = new Map();
    for (const flow of flows) if (this.#owns(flow.cookie)) this.#actual.set(flowKey(flow), flow);
    this.#dirty.clear();
    for (const key of this.#wanted.keys()) this.#dirty.add(key);
    for (const key of this.#actual.keys()) this.#dirty.add(key);
  }

  /** Takes what the flow monitor tells. Returns whether it concerns flows of ours. */
  take(update: FlowUpdate): boolean {
    if (!('match' in update)) return false;
    const key = flowKey(update);
    const known = this.#actual.has(key) || this.#wanted.has(key);
    if (update.event === 'removed') {
      if (!known) return false;
      this.#actual.delete(key);
    } else if (this.#owns(update.cookie)) {
      const { tableId, priority, match, cookie, idleTimeout, hardTimeout, actions } = update;
      this.#actual.set(key, { tableId, priority, match, cookie, idleTimeout, hardTimeout, actions });
    } else if (known) {
      // Somebody put a flow with another cookie there: it is theirs unless the place is wanted.
      this.#actual.delete(key);
    } else return false;
    this.#dirty.add(key);
    return true;
  }

  /** The changes that are due. Clears what needs none. */
  plan(version: Version): Plan {
    const writes: FlowChange[] = [];
    const deletions: FlowChange[] = [];
    const results = new Map<string, { wanted: Flow | undefined; after: Flow | undefined }>();
    let modified = 0;
    for (const key of this.#dirty) {
      const actual = this.#actual.get(key);
      const wanted = this.#wanted.get(key);
      const stays = wanted === undefined && actual !== undefined && this.#isInherited(key, actual);
      const change = stays ? undefined : flowChange(actual, wanted, { version, cookieMask: COMPARED_COOKIE });
      if (change === undefined) {
        this.#dirty.delete(key);
        continue;
      }
      (wanted === undefined ? deletions : writes).push(change);
      if (actual !== undefined && wanted !== undefined) modified += 1;
      // A modified flow keeps its cookie, and with it its round.
      const after =
        change.command === 'modify_strict' && wanted !== undefined ? { ...wanted, cookie: actual?.cookie } : wanted;
      results.set(key, { wanted, after });
    }
    const added = writes.length - modified;
    return { changes: [...writes, ...deletions], results, added, modified, deleted: deletions.length };
  }

  /** Takes a plan as carried out. */
  commit(plan: Plan): void {
    for (const [key, { wanted, after }] of plan.results) {
      if (after === undefined) this.#actual.delete(key);
      else this.#actual.set(key, after);
      // What was wanted may have changed since.
      if (this.#wanted.get(key) === wanted) this.#dirty.delete(key);
    }
  }

  #owns(cookie: bigint | undefined): boolean {
    const parts = decodeCookie(cookie ?? 0n);
    return parts !== undefined && this.#categories.has(parts.category);
  }

  #claim(keys: Iterable<string>): void {
    if (!this.#complete) for (const key of keys) this.#claimed.add(key);
  }

  /** Whether a flow nobody wants is to stay: from an earlier round, while not all is known of what is wanted. */
  #isInherited(key: string, flow: Flow): boolean {
    if (this.#complete || this.#claimed.has(key)) return false;
    return decodeCookie(flow.cookie ?? 0n)?.round !== this.#round;
  }

  #flowOf(kept: KeptFlow): Flow {
    const { category = this.#firstCategory, object = 0, tableId, priority, match, flags, importance, actions } = kept;
    if (!this.#categories.has(category)) {
      throw new OpenFlowError('invalid_value', `a flow of category ${category}, which this keeper does not own`);
    }
    const cookie = encodeCookie({ round: this.#round, category, object });
    return { tableId, priority, match, cookie, flags, importance, actions };
  }
}
