/** Flows by identity, without a string for each: a dump of 50,000 flows is compared with what should be in one go. */
import type { FieldValue } from './field.ts';
import type { Match, MatchField } from './match.ts';
import { DEFAULT_PRIORITY } from './match-format.ts';

/** What a table cannot have two of (OpenFlow 1.5.1 §6.4). */
export interface FlowIdentity {
  /** Default 0. */
  readonly tableId?: number | undefined;
  /** Default 0x8000. */
  readonly priority?: number | undefined;
  readonly match: Match;
}

const MULTIPLIER = 0x9e37_79b1;

function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, MULTIPLIER);
  return h ^ (h >>> 15);
}

function mixValue(hash: number, value: FieldValue): number {
  if (typeof value === 'number') {
    const h = mix(hash, value | 0);
    return value > 0xffff_ffff ? mix(h, value / 0x1_0000_0000) : h;
  }
  let h = hash;
  for (let left = value; left > 0n; left >>= 32n) h = mix(h, Number(left & 0xffff_ffffn) | 0);
  return h;
}

/** 32 bits that are the same for the same identity, whatever the order of the fields. */
function hashOf({ tableId = 0, priority = DEFAULT_PRIORITY, match }: FlowIdentity): number {
  let sum = mix(tableId, priority);
  for (const { field, value, mask } of match) {
    let h = mixValue(field.index + 1, value);
    if (mask !== undefined) h = mixValue(h ^ MULTIPLIER, mask);
    sum = (sum + mix(h, field.index)) | 0;
  }
  return sum;
}

function sameField(a: MatchField | undefined, b: MatchField | undefined): boolean {
  return a !== undefined && b !== undefined && a.field === b.field && a.value === b.value && a.mask === b.mask;
}

/** Whether two matches say the same, whatever the order of the fields. */
function sameMatch(a: Match, b: Match): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) {
    if (sameField(a[at], b[at])) continue;
    const entry = a[at];
    if (!b.some((other) => sameField(entry, other))) return false;
  }
  return true;
}

/** Whether two flows have the same identity. */
export function sameIdentity(a: FlowIdentity, b: FlowIdentity): boolean {
  return (
    (a.tableId ?? 0) === (b.tableId ?? 0) &&
    (a.priority ?? DEFAULT_PRIORITY) === (b.priority ?? DEFAULT_PRIORITY) &&
    sameMatch(a.match, b.match)
  );
}

/** Flows, found and taken out by their identity. */
export class FlowIndex<F extends FlowIdentity> {
  /** By hash: the flow, or in the rare case of a clash several. */
  readonly #flows = new Map<number, F | F[]>();

  /** Adds a flow. Returns the one of the same identity that is there, if any; then nothing is added. */
  add(flow: F): F | undefined {
    const hash = hashOf(flow);
    const found = this.#flows.get(hash);
    if (found === undefined) {
      this.#flows.set(hash, flow);
      return undefined;
    }
    const list = Array.isArray(found) ? found : [found];
    const same = list.find((other) => sameIdentity(other, flow));
    if (same === undefined) this.#flows.set(hash, [...list, flow]);
    return same;
  }

  /** Takes out the flow of an identity, and returns it. */
  take(identity: FlowIdentity): F | undefined {
    const hash = hashOf(identity);
    const found = this.#flows.get(hash);
    if (found === undefined) return undefined;
    if (!Array.isArray(found)) {
      if (!sameIdentity(found, identity)) return undefined;
      this.#flows.delete(hash);
      return found;
    }
    const at = found.findIndex((other) => sameIdentity(other, identity));
    return at < 0 ? undefined : found.splice(at, 1)[0];
  }

  /** What is left. */
  *values(): Generator<F> {
    for (const found of this.#flows.values()) {
      if (Array.isArray(found)) yield* found;
      else yield found;
    }
  }
}
