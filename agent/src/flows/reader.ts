import { type Connection, type FlowStats, matchKey, matchOn, type PortStats } from '@ovenbird/openflow';
import type { FlowReading } from './accumulator.ts';
import {
  conjunctionOf,
  conjunctionPorts,
  datapathOf,
  meaningKey,
  type PortId,
  portOfFlow,
  subjectsOf,
} from './count.ts';
import type { FlowMeaning, StageInfo } from './explainer.ts';

/** The part of a connection that reading needs. */
export type FlowSource = Pick<Connection, 'dumpFlows' | 'request'>;

/** The table in which OVN tells packets of local ports from those that come through tunnels (ovn-architecture(7)). */
const PHYSICAL_TABLE = 0;
const EXACT_COOKIE = 0xffff_ffff_ffff_ffffn;

/**
 * Finds the OpenFlow table of a stage by the cookies of its flows: where OVN puts its pipelines differs between versions.
 * @returns undefined when none of the examples is on this node
 */
export async function tableOf(source: FlowSource, stage: StageInfo): Promise<number | undefined> {
  for (const example of stage.examples) {
    const flows = await source.dumpFlows({ cookie: BigInt(`0x${example}`), cookieMask: EXACT_COOKIE });
    const [first] = flows;
    // A logical flow may be in several tables only by a collision of cookies.
    if (first !== undefined && flows.every(({ tableId }) => tableId === first.tableId)) return first.tableId;
  }
  return undefined;
}

/** Which logical port each of the switch's ports is, by port number. */
export async function logicalPorts(source: FlowSource): Promise<ReadonlyMap<number, PortId>> {
  const ports = new Map<number, PortId>();
  for (const { match, actions } of await source.dumpFlows({ tableId: PHYSICAL_TABLE })) {
    const port = matchOn(match, 'in_port_oxm')?.value ?? matchOn(match, 'in_port')?.value;
    const set = (name: string): number | undefined => {
      for (const action of actions)
        if (action.type === 'set_field' && action.field.name === name) return Number(action.value);
      return undefined;
    };
    const datapath = set('metadata');
    const key = set('reg14');
    if (port !== undefined && datapath !== undefined && key !== undefined)
      ports.set(Number(port), `${datapath}.${key}`);
  }
  return ports;
}

/** Counters of all ports. @throws OpenFlowError */
export async function portCounters(source: FlowSource): Promise<readonly PortStats[]> {
  return (await source.request({ type: 'port_stats_request' })).ports;
}

/** One stage's table as it was read. */
export interface TableReading {
  readonly stage: StageInfo;
  readonly flows: readonly FlowStats[];
  /** Key of each flow's meaning. */
  readonly keys: readonly (string | undefined)[];
}

/** Reads a stage's table: one statistics request. @throws OpenFlowError */
export async function readTable(source: FlowSource, stage: StageInfo, tableId: number): Promise<TableReading> {
  const flows = await source.dumpFlows({ tableId });
  return { stage, flows, keys: flows.map(meaningKey) };
}

/** The flows of a stage's table that count something. Flows without a known meaning are left out, for the next time. */
export function readings(
  { stage, flows, keys }: TableReading,
  known: ReadonlyMap<string, FlowMeaning>,
): readonly FlowReading[] {
  const found: FlowReading[] = [];
  const conjunctions = conjunctionPorts(flows, stage.direction);
  for (const [at, flow] of flows.entries()) {
    const key = keys[at];
    const meaning = key === undefined ? undefined : known.get(key);
    if (meaning === undefined || meaning.stage !== stage.name) continue;
    const subjects = subjectsOf(flow, stage, meaning);
    if (subjects.length === 0) continue;
    const packets = Number(flow.packetCount);
    const conjunction = conjunctionOf(flow);
    const named = conjunction === undefined ? undefined : conjunctions.get(conjunction);
    found.push({
      // A flow that never had a packet needs no identity, and most have none.
      key: packets === 0 ? '' : `${flow.tableId},${flow.priority},${key},${matchKey(flow.match)}`,
      packets,
      bytes: Number(flow.byteCount),
      ageMs: flow.durationSec * 1000 + flow.durationNsec / 1e6,
      idleSeconds: flow.idleAge,
      subjects,
      port: portOfFlow(flow, stage.direction),
      // Conjunctions that name no port are about addresses: every port of the datapath may be meant.
      ports: named === undefined || named.size === 0 ? undefined : named,
      datapath: datapathOf(flow),
    });
  }
  return found;
}
