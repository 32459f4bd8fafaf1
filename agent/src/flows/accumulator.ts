import type { PortId, Subject } from './count.ts';
import { subjectKey } from './count.ts';

/** Packets and bytes. */
export interface Amount {
  packets: number;
  bytes: number;
}

/** One flow's counters as the switch has them now. */
export interface FlowReading {
  /** Identity: table, priority, match. */
  readonly key: string;
  readonly packets: number;
  readonly bytes: number;
  /** Milliseconds since the flow was added. */
  readonly ageMs: number;
  /** Seconds since its last packet, where the switch says so. */
  readonly idleSeconds: number | undefined;
  readonly subjects: readonly Subject[];
  /** The port it is for, if it is for one. */
  readonly port: PortId | undefined;
  /** The ports it may be for, when it is for several; undefined: for every port of its datapath. */
  readonly ports: ReadonlySet<PortId> | undefined;
  readonly datapath: number;
}

/** One counter, summed over flows and over their resets. */
export interface Series extends Amount {
  readonly subject: Subject;
  /** Of flows that are for one port each. */
  readonly byPort: Map<PortId, Amount>;
  /** Of flows that are for several ports; with the ports, where they are known, and the datapaths otherwise. */
  readonly shared: Amount;
  sharedPorts: Set<PortId>;
  sharedDatapaths: Set<number>;
  /** When its last packet was, in milliseconds of the clock; undefined: none yet. */
  lastPacketAt: number | undefined;
  /** When a flow of it was last there. */
  seenAt: number;
}

interface Previous extends Amount {
  seenAt: number;
}

/** When flows were read: the switch looked at some moment between, in milliseconds of a clock that never steps. */
export interface ReadingTime {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** What a counter grew by: of one port, or (`port` undefined) of flows for several. */
export interface Growth extends Amount {
  readonly series: Series;
  readonly port: PortId | undefined;
}

/** Counters of flows that are gone stay: an edit of a rule brings them back. */
const KEEP_MS = 15 * 60_000;

/**
 * Turns flows' counters, which start from 0 whenever OVN adds a flow anew, into counters that only grow. What a flow counted
 * after the last reading and before it was removed is not known to anybody and is missing.
 */
export class Accumulator {
  readonly #series = new Map<string, Series>();
  readonly #previous = new Map<string, Previous>();

  /** All counters. */
  get series(): Iterable<Series> {
    return this.#series.values();
  }

  /** Flows whose counters are remembered: those that ever had a packet. */
  get flows(): number {
    return this.#previous.size;
  }

  /**
   * Takes one reading of the flows that count.
   * @returns what grew
   */
  read(flows: Iterable<FlowReading>, time: ReadingTime): readonly Growth[] {
    const now = time.endedAt;
    const growths = new Map<string, Growth>();
    for (const series of this.#series.values()) {
      series.sharedPorts = new Set();
      series.sharedDatapaths = new Set();
    }
    for (const flow of flows) {
      const grown = this.#grown(flow, time);
      for (const subject of flow.subjects) this.#count(flow, subject, grown, now, growths);
    }
    for (const [key, { seenAt }] of this.#previous) if (now - seenAt > KEEP_MS) this.#previous.delete(key);
    for (const [key, { seenAt }] of this.#series) if (now - seenAt > KEEP_MS) this.#series.delete(key);
    return [...growths.values()];
  }

  #grown(flow: FlowReading, { startedAt, endedAt }: ReadingTime): Amount {
    const before = this.#previous.get(flow.key);
    if (flow.packets === 0) {
      if (before !== undefined) this.#previous.delete(flow.key);
      return { packets: 0, bytes: 0 };
    }
    // A flow that is younger than the time since it was seen is another one, whatever its counters say.
    const isReset =
      before === undefined ||
      flow.ageMs < startedAt - before.seenAt ||
      flow.packets < before.packets ||
      flow.bytes < before.bytes;
    if (isReset) {
      this.#previous.set(flow.key, { packets: flow.packets, bytes: flow.bytes, seenAt: endedAt });
      return { packets: flow.packets, bytes: flow.bytes };
    }
    const grown = { packets: flow.packets - before.packets, bytes: flow.bytes - before.bytes };
    before.packets = flow.packets;
    before.bytes = flow.bytes;
    before.seenAt = endedAt;
    return grown;
  }

  #count(flow: FlowReading, subject: Subject, grown: Amount, now: number, growths: Map<string, Growth>): void {
    const key = subjectKey(subject);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = {
        subject,
        packets: 0,
        bytes: 0,
        byPort: new Map(),
        shared: { packets: 0, bytes: 0 },
        sharedPorts: new Set(),
        sharedDatapaths: new Set(),
        lastPacketAt: undefined,
        seenAt: now,
      };
      this.#series.set(key, series);
    }
    series.seenAt = now;
    add(series, grown);
    if (flow.packets > 0 && flow.idleSeconds !== undefined)
      series.lastPacketAt = Math.max(series.lastPacketAt ?? 0, now - flow.idleSeconds * 1000);
    if (flow.port === undefined) {
      add(series.shared, grown);
      if (flow.ports === undefined) series.sharedDatapaths.add(flow.datapath);
      else for (const port of flow.ports) series.sharedPorts.add(port);
    } else {
      const own = series.byPort.get(flow.port);
      if (own === undefined) series.byPort.set(flow.port, { ...grown });
      else add(own, grown);
    }
    if (grown.packets === 0) return;
    const growthKey = `${key}\n${flow.port ?? ''}`;
    const growth = growths.get(growthKey);
    if (growth === undefined) growths.set(growthKey, { series, port: flow.port, ...grown });
    else add(growth, grown);
  }
}

/** Adds an amount to another. */
export function add(to: Amount, more: Readonly<Amount>): void {
  to.packets += more.packets;
  to.bytes += more.bytes;
}
