/** The difference between the flows that there are and those that should be. */
import type { Action } from './action.ts';
import { OpenFlowError } from './error.ts';
import { FlowIndex } from './flow-index.ts';
import type { FlowChange } from './flow-text.ts';
import { formatFlow } from './flow-text.ts';
import { writeInstructions } from './instruction.ts';
import { type Match, matchKey } from './match.ts';
import { DEFAULT_PRIORITY } from './match-format.ts';
import { FLOW_FLAGS } from './messages/flow.ts';
import { OF14, OF15, type Version } from './version.ts';
import { Writer } from './writer.ts';

/** A flow: one of a dump, or one that should be. What is left out is as in a flow_mod. */
export interface Flow {
  /** Default 0. */
  readonly tableId?: number | undefined;
  /** Default 0x8000. */
  readonly priority?: number | undefined;
  readonly match: Match;
  readonly cookie?: bigint | undefined;
  /** Seconds; 0: never. */
  readonly idleTimeout?: number | undefined;
  readonly hardTimeout?: number | undefined;
  /** FLOW_FLAGS. */
  readonly flags?: number | undefined;
  readonly importance?: number | undefined;
  readonly actions: readonly Action[];
}

/** Options of a difference. */
export interface FlowDiffOptions {
  /** The version that the flows come from and go to. Default 1.5. */
  readonly version?: Version | undefined;
  /** Bits of the cookie that are compared. Default: all. */
  readonly cookieMask?: bigint | undefined;
}

const ALL_COOKIE = 0xffff_ffff_ffff_ffffn;
/** The flags that a flow keeps; the others say how it is added. */
const KEPT_FLAGS: number = FLOW_FLAGS.sendFlowRem | FLOW_FLAGS.noPacketCounts | FLOW_FLAGS.noByteCounts;

/** What a table cannot have two of: table, priority and match as one string (OpenFlow 1.5.1 §6.4). */
export function flowKey(flow: Pick<Flow, 'tableId' | 'priority' | 'match'>): string {
  return `${flow.tableId ?? 0} ${flow.priority ?? DEFAULT_PRIORITY} ${matchKey(flow.match)}`;
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, place) => sameValue(item, b[place]));
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const key in left) if (!sameValue(left[key], right[key])) return false;
  for (const key in right) if (left[key] === undefined && right[key] !== undefined) return false;
  return true;
}

const WRITERS = [new Writer(), new Writer()] as const;

/** Whether two lists of actions are the same to a switch: alike, or written with the same bytes. */
export function sameActions(a: readonly Action[], b: readonly Action[], version: Version = OF15): boolean {
  if (sameValue(a, b)) return true;
  const [left, right] = [a, b].map((actions, place) => {
    const w = WRITERS[place] ?? new Writer();
    w.truncate(0);
    writeInstructions(w, version, actions);
    return w.take();
  });
  return left !== undefined && right !== undefined && Buffer.compare(left, right) === 0;
}

/** Whether all but identity and actions is the same. */
function sameSettings(a: Flow, b: Flow, version: Version, cookieMask: bigint): boolean {
  return (
    (((a.cookie ?? 0n) ^ (b.cookie ?? 0n)) & cookieMask) === 0n &&
    (a.idleTimeout ?? 0) === (b.idleTimeout ?? 0) &&
    (a.hardTimeout ?? 0) === (b.hardTimeout ?? 0) &&
    (((a.flags ?? 0) ^ (b.flags ?? 0)) & KEPT_FLAGS) === 0 &&
    (version < OF14 || (a.importance ?? 0) === (b.importance ?? 0))
  );
}

function setting(flow: Flow): Omit<FlowChange, 'type' | 'command'> {
  const { tableId, priority, match, cookie, idleTimeout, hardTimeout, flags, importance, actions } = flow;
  return { tableId, priority, match, cookie, idleTimeout, hardTimeout, flags, importance, actions };
}

/**
 * What makes the flow `actual` (undefined: there is none) the flow `wanted` (undefined: there should be none), or
 * undefined when nothing has to change. Both have the same identity. Other actions alone are modified, which keeps
 * counters and age; a delete takes the flow with just this cookie, not one that somebody put in its place.
 */
export function flowChange(
  actual: Flow | undefined,
  wanted: Flow | undefined,
  options: FlowDiffOptions = {},
): FlowChange | undefined {
  const { version = OF15, cookieMask = ALL_COOKIE } = options;
  if (wanted === undefined) {
    if (actual === undefined) return undefined;
    const { tableId, priority, match, cookie = 0n } = actual;
    const command = 'delete_strict';
    return { type: 'flow_mod', command, tableId, priority, match, cookie, cookieMask: ALL_COOKIE, actions: [] };
  }
  if (actual === undefined || !sameSettings(actual, wanted, version, cookieMask)) {
    return { type: 'flow_mod', command: 'add', ...setting(wanted) };
  }
  if (sameActions(actual.actions, wanted.actions, version)) return undefined;
  return { type: 'flow_mod', command: 'modify_strict', ...setting(wanted) };
}

function twice(flow: Flow): OpenFlowError {
  const text = formatFlow({ type: 'flow_mod', ...setting(flow) });
  return new OpenFlowError('invalid_value', `two flows have the same table, priority and match: ${text}`);
}

/** Flows by their identity. @throws OpenFlowError `invalid_value` when two have the same */
export function flowsByKey<F extends Flow>(flows: Iterable<F>): Map<string, F> {
  const byKey = new Map<string, F>();
  for (const flow of flows) {
    const key = flowKey(flow);
    if (byKey.has(key)) throw twice(flow);
    byKey.set(key, flow);
  }
  return byKey;
}

/**
 * The changes that make `actual` into `wanted`: add and modify first, then delete, so that applied one by one they
 * leave no gap. Flows that are to stay need not be in `actual` nor in `wanted`.
 * @throws OpenFlowError `invalid_value` when two wanted flows have the same identity
 */
export function diffFlows(
  actual: Iterable<Flow>,
  wanted: Iterable<Flow>,
  options: FlowDiffOptions = {},
): readonly FlowChange[] {
  const left = new FlowIndex<Flow>();
  for (const flow of wanted) if (left.add(flow) !== undefined) throw twice(flow);
  const changes: FlowChange[] = [];
  const deletions: FlowChange[] = [];
  for (const flow of actual) {
    const should = left.take(flow);
    const change = flowChange(flow, should, options);
    if (change !== undefined) (should === undefined ? deletions : changes).push(change);
  }
  for (const flow of left.values()) {
    const change = flowChange(undefined, flow, options);
    if (change !== undefined) changes.push(change);
  }
  return [...changes, ...deletions];
}
