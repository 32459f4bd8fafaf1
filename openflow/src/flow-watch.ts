/** Watching flows: monitors that outlive connections (OpenFlow 1.5.1 §7.3.5.20). */
import type { Match } from './match.ts';
import { matchIncludes } from './match-includes.ts';
import { type FlowUpdate, MONITOR_FLAGS } from './messages/flow-monitor.ts';
import type { Session } from './session.ts';
import { OF14 } from './version.ts';

/** Which flows to watch, and how. */
export interface FlowWatchOptions {
  /** Default: all tables. */
  readonly tableId?: number | undefined;
  /** Only flows that match no more than this. Default: all. */
  readonly match?: Match | undefined;
  /** Tell all flows that there are when the watch begins, and again at every connection. Default true. */
  readonly initial?: boolean | undefined;
  /** Tell the actions of the flows. Default true. */
  readonly actions?: boolean | undefined;
  /**
   * Changes made over this connection: `abbreviated` (default) to `{ event: 'abbrev', xid }`, or in `full`, which needs
   * OpenFlow 1.4 and which Open vSwitch 3.1 refuses.
   */
  readonly own?: 'abbreviated' | 'full' | undefined;
  /** A connection begins: what was told before counts no more. Flows that there are come next, if asked for. */
  readonly onStart?: (() => void) | undefined;
  /** All flows that there were at the start are told. */
  readonly onSynced?: (() => void) | undefined;
  /** Changes, in their order. Flows that were there at the start have the event `initial`. */
  readonly onUpdates: (updates: readonly FlowUpdate[]) => void;
}

/** A watch. */
export interface FlowWatch {
  /** Ends it. */
  close(): void;
}

/** The monitors of a connection: they begin anew with every session. */
export class FlowWatches {
  readonly #watches = new Map<number, FlowWatchOptions>();
  #nextId = 1;

  /** Remembers a watch; its number. */
  add(options: FlowWatchOptions): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#watches.set(id, options);
    return id;
  }

  /** Forgets a watch. Returns false when it was not there. */
  remove(id: number): boolean {
    return this.#watches.delete(id);
  }

  /** Starts all watches on a new session. */
  async startAll(session: Session): Promise<void> {
    for (const id of this.#watches.keys()) await this.start(session, id);
  }

  /** Starts a watch. @throws OpenFlowError of the switch, or why the session ended */
  async start(session: Session, id: number): Promise<void> {
    const options = this.#watches.get(id);
    if (options === undefined) return;
    const { initial = true, actions = true, own = 'abbreviated', tableId, match } = options;
    const flags =
      MONITOR_FLAGS.add |
      MONITOR_FLAGS.removed |
      MONITOR_FLAGS.modify |
      (initial ? MONITOR_FLAGS.initial : 0) |
      (actions ? MONITOR_FLAGS.instructions : 0) |
      (own === 'full' ? MONITOR_FLAGS.noAbbrev : 0);
    let started = false;
    await session.request<'flow_monitor_request'>(
      { type: 'flow_monitor_request', id, flags, tableId, match },
      {
        // In the turn in which it is read: updates that come right behind it must not be told before it.
        onPart: (part) => {
          if (!started) options.onStart?.();
          started = true;
          // Nicira's form, which 1.3 has, says "added" of these.
          const updates = part.updates.map((u): FlowUpdate => (u.event === 'added' ? { ...u, event: 'initial' } : u));
          if (updates.length > 0) options.onUpdates(updates);
          if (part.more !== true) options.onSynced?.();
        },
      },
    );
  }

  /** Ends a watch's monitor on the switch. */
  stop(session: Session, id: number): void {
    if (session.version >= OF14) session.post({ type: 'flow_monitor_request', id, command: 'delete', flags: 0 });
    else session.post({ type: 'flow_monitor_cancel', id });
  }

  /** Passes updates to the watches that want them: a switch does not say which monitor an update is for. */
  deliver(updates: readonly FlowUpdate[]): void {
    for (const { tableId, match, onUpdates } of this.#watches.values()) {
      const wanted = updates.filter(
        (update) =>
          !('match' in update) ||
          ((tableId === undefined || update.tableId === tableId) &&
            (match === undefined || matchIncludes(match, update.match))),
      );
      if (wanted.length > 0) onUpdates(wanted);
    }
  }
}
