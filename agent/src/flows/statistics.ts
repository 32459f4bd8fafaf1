import type { PortStats } from '@ovenbird/openflow';
import { messageOf } from '../error.ts';
import { Accumulator, type Amount, type Series } from './accumulator.ts';
import type { PortId } from './count.ts';
import type { Explainer, FlowMeaning, StageInfo } from './explainer.ts';
import {
  type FlowSource,
  logicalPorts,
  portCounters,
  readings,
  readTable,
  type TableReading,
  tableOf,
} from './reader.ts';
import { Recent } from './recent.ts';

/** What statistics need. */
export interface StatisticsParts {
  /** br-int; rejects while ovs-vswitchd is away. */
  readonly source: FlowSource;
  /** Undefined: only ports are counted. */
  readonly explainer: Explainer | undefined;
  /** Milliseconds that a reading is good for. */
  readonly intervalMs: number;
  /** Milliseconds of a clock that never steps. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly signal: AbortSignal;
}

/** What the switch and the controller said last. */
export interface StatisticsState {
  readonly series: readonly Series[];
  /** Growth since `since`, about a minute. */
  readonly recent: ReadonlyMap<Series, ReadonlyMap<PortId | undefined, Readonly<Amount>>>;
  readonly since: number | undefined;
  readonly readAt: number | undefined;
  /** Logical ports by OpenFlow port number. */
  readonly ports: ReadonlyMap<number, PortId>;
  readonly counters: readonly PortStats[];
  /** How many flows nobody could explain yet. */
  readonly unexplained: number;
  /** How long the last reading took, milliseconds. */
  readonly durationMs: number;
  /** What is missing from the last reading, and why. */
  readonly problem: string | undefined;
}

/** Stages are asked for anew this often, and those that were not found on the switch looked for again. */
const STAGES_MS = 60_000;
/** After a question readings go on for this long, so that the next one can be answered for the last minute. */
const ATTENDED_MS = 120_000;

/**
 * Reads flow and port counters of br-int when somebody asks: one request for each table with ACLs, and never more often than
 * the interval.
 */
export class FlowStatistics {
  readonly #parts: StatisticsParts;
  readonly #accumulator = new Accumulator();
  readonly #recent = new Recent();
  #stages: readonly StageInfo[] = [];
  #tables = new Map<string, number>();
  #stagesAt = Number.NEGATIVE_INFINITY;
  #known: ReadonlyMap<string, FlowMeaning> = new Map();
  #ports: ReadonlyMap<number, PortId> = new Map();
  #counters: readonly PortStats[] = [];
  #unexplained = 0;
  #problem: string | undefined;
  #readAt: number | undefined;
  #durationMs = 0;
  #reading: Promise<void> | undefined;
  #attendedUntil = Number.NEGATIVE_INFINITY;
  #attending = false;

  constructor(parts: StatisticsParts) {
    this.#parts = parts;
  }

  /** The state after a reading that is not older than the interval. Never rejects: see `problem`. */
  async read(): Promise<StatisticsState> {
    const { now, intervalMs } = this.#parts;
    if (this.#readAt === undefined || now() - this.#readAt >= intervalMs) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
      await this.#reading;
    }
    return {
      series: [...this.#accumulator.series],
      recent: this.#recent.growth(),
      since: this.#recent.since,
      readAt: this.#readAt,
      ports: this.#ports,
      counters: this.#counters,
      unexplained: this.#unexplained,
      durationMs: this.#durationMs,
      problem: this.#problem,
    };
  }

  /** The same, and for two minutes from now readings go on by themselves, once in an interval. */
  async attend(): Promise<StatisticsState> {
    this.#attendedUntil = this.#parts.now() + ATTENDED_MS;
    if (!this.#attending) void this.#attend();
    return await this.read();
  }

  async #attend(): Promise<void> {
    const { now, sleep, intervalMs, signal } = this.#parts;
    this.#attending = true;
    while (!signal.aborted && now() < this.#attendedUntil) {
      await this.read();
      await sleep(intervalMs);
    }
    this.#attending = false;
  }

  async #read(): Promise<void> {
    const { source, now } = this.#parts;
    const startedAt = now();
    try {
      this.#problem = undefined;
      this.#ports = await logicalPorts(source);
      this.#counters = await portCounters(source);
      await this.#readFlows();
      this.#readAt = now();
      this.#durationMs = this.#readAt - startedAt;
    } catch (error) {
      this.#problem = `br-int: ${messageOf(error)}`;
    }
  }

  async #readFlows(): Promise<void> {
    const { source, now, explainer } = this.#parts;
    if (explainer === undefined) {
      this.#problem = 'no controller to ask (lookup in the configuration): rules are not counted';
      return;
    }
    await this.#findStages(explainer);
    const startedAt = now();
    const stages = this.#stages.flatMap((stage) => {
      const tableId = this.#tables.get(stage.name);
      return tableId === undefined ? [] : [{ stage, tableId }];
    });
    const tables: TableReading[] = [];
    for (const { stage, tableId } of stages) tables.push(await readTable(source, stage, tableId));
    const endedAt = now();
    const present = new Set(tables.flatMap(({ keys }) => keys.filter((key) => key !== undefined)));
    // Meanings of flows that are gone are forgotten.
    this.#known = new Map([...this.#known].filter(([key]) => present.has(key)));
    await this.#explain(explainer, present);
    this.#unexplained = present.size - this.#known.size;
    const all = tables.flatMap((table) => readings(table, this.#known));
    this.#recent.push(endedAt, this.#accumulator.read(all, { startedAt, endedAt }));
  }

  /** Looks for the tables of stages, at the start and from time to time: a first pod of a network brings new ones. */
  async #findStages(explainer: Explainer): Promise<void> {
    const { source, now } = this.#parts;
    if (now() - this.#stagesAt < STAGES_MS) return;
    try {
      this.#stages = await explainer.stages();
    } catch (error) {
      this.#problem = messageOf(error);
      return;
    }
    const tables = new Map<string, number>();
    for (const stage of this.#stages) {
      const table = await tableOf(source, stage);
      if (table !== undefined) tables.set(stage.name, table);
    }
    this.#tables = tables;
    this.#stagesAt = now();
  }

  async #explain(explainer: Explainer, present: ReadonlySet<string>): Promise<void> {
    const keys = [...present].filter((key) => !this.#known.has(key));
    if (keys.length === 0) return;
    try {
      this.#known = new Map([...this.#known, ...(await explainer.flows(keys))]);
    } catch (error) {
      this.#problem = messageOf(error);
    }
  }
}
