import type { PortStats } from '@ovenbird/openflow';
import type { Amount, Series } from './accumulator.ts';
import type { PortId, Subject } from './count.ts';
import type { StatisticsState } from './statistics.ts';

/** A pod's port on the switch. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  /** OpenFlow port number on br-int. */
  readonly ofport: number;
}

/** What a port has seen, from the pod's side. */
export interface PodTraffic {
  readonly sent: PortAmount;
  readonly received: PortAmount;
}

interface PortAmount extends Amount {
  dropped: number;
  errors: number;
}

/** One counter in an answer: since it exists, and in the last minute. */
export interface Counted {
  readonly packets: number;
  readonly bytes: number;
  readonly recentPackets: number;
  readonly recentBytes: number;
  /** Seconds since the last packet; absent: there was none, or the switch does not say. */
  readonly secondsAgo?: number;
}

/** A counter with what it counts. */
export type CountedSubject = Subject & Counted;

/** What about a pod is known for sure, and what only together with others. */
export interface PodReport {
  readonly pod: string;
  /** The window of the `recent` numbers, seconds; absent: counting has only begun. */
  readonly windowSeconds?: number;
  readonly traffic: PodTraffic;
  /** Counters of this pod's port alone. */
  readonly own: readonly CountedSubject[];
  /** Rules that are about this pod and whose counters are those of all pods of this node that they are about. */
  readonly shared: readonly CountedSubject[];
  /** What is counted for the pod's whole network on this node only. */
  readonly network: readonly CountedSubject[];
  readonly problem?: string;
}

/** All rules of the node. */
export interface NodeReport {
  readonly windowSeconds?: number;
  readonly counters: readonly CountedSubject[];
  readonly problem?: string;
}

const unknownIsZero = (value: bigint): number => (value === 0xffff_ffff_ffff_ffffn ? 0 : Number(value));

/** A port's counters from the pod's side: what the switch receives, the pod sent. */
export function trafficOf(stats: PortStats | undefined): PodTraffic {
  const of = (packets: bigint, bytes: bigint, dropped: bigint, errors: bigint): PortAmount => ({
    packets: unknownIsZero(packets),
    bytes: unknownIsZero(bytes),
    dropped: unknownIsZero(dropped),
    errors: unknownIsZero(errors),
  });
  if (stats === undefined) return { sent: of(0n, 0n, 0n, 0n), received: of(0n, 0n, 0n, 0n) };
  return {
    sent: of(stats.rxPackets, stats.rxBytes, stats.rxDropped, stats.rxErrors),
    received: of(stats.txPackets, stats.txBytes, stats.txDropped, stats.txErrors),
  };
}

/** What allowed and dropped a pod's traffic. @param now of the clock that the readings have, milliseconds */
export function podReport(port: PodPort, state: StatisticsState, now: number): PodReport {
  const id = state.ports.get(port.ofport);
  const datapath = Number(id?.split('.')[0] ?? Number.NaN);
  const own: CountedSubject[] = [];
  const shared: CountedSubject[] = [];
  const network: CountedSubject[] = [];
  for (const series of state.series) {
    const mine = id === undefined ? undefined : series.byPort.get(id);
    if (mine !== undefined) own.push(counted(series, mine, recentOf(state, series, id), undefined));
    const isNamed = id !== undefined && series.sharedPorts.has(id);
    const isOfDatapath = series.sharedDatapaths.has(datapath);
    if (!isNamed && !isOfDatapath) continue;
    const list = series.subject.type === 'rule' ? shared : network;
    list.push(counted(series, series.shared, recentOf(state, series, undefined), ageOf(series, now)));
  }
  return {
    pod: `${port.namespace}/${port.pod}`,
    ...windowOf(state, now),
    traffic: trafficOf(state.counters.find((stats) => stats.port === port.ofport)),
    own,
    shared,
    network,
    ...problemOf(state),
  };
}

/** All counters of the node. @param now as for {@link podReport} */
export function nodeReport(state: StatisticsState, now: number): NodeReport {
  const counters = state.series.map((series) => {
    const recent = { packets: 0, bytes: 0 };
    for (const { packets, bytes } of state.recent.get(series)?.values() ?? []) {
      recent.packets += packets;
      recent.bytes += bytes;
    }
    return counted(series, series, recent, ageOf(series, now));
  });
  return { ...windowOf(state, now), counters, ...problemOf(state) };
}

function counted(series: Series, total: Amount, recent: Amount, secondsAgo: number | undefined): CountedSubject {
  return {
    ...series.subject,
    packets: total.packets,
    bytes: total.bytes,
    recentPackets: recent.packets,
    recentBytes: recent.bytes,
    ...(secondsAgo === undefined ? {} : { secondsAgo }),
  };
}

const nothing: Readonly<Amount> = { packets: 0, bytes: 0 };

const recentOf = (state: StatisticsState, series: Series, port: PortId | undefined): Readonly<Amount> =>
  state.recent.get(series)?.get(port) ?? nothing;

const ageOf = ({ lastPacketAt }: Series, now: number): number | undefined =>
  lastPacketAt === undefined ? undefined : Math.max(0, Math.round((now - lastPacketAt) / 1000));

function windowOf({ since }: StatisticsState, now: number): { readonly windowSeconds?: number } {
  return since === undefined ? {} : { windowSeconds: Math.round((now - since) / 1000) };
}

const problemOf = ({ problem }: StatisticsState): { readonly problem?: string } =>
  problem === undefined ? {} : { problem };
