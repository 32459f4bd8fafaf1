import { isDeepStrictEqual } from 'node:util';
import type { PodCondition } from '@ovenbird/kube';
import type { ContainerStatus, LabContainer, LabPod, LabPodStatus } from '../workloads/objects.ts';
import { podAddresses } from './cni.ts';
import type { ContainerRecord, PodRecord } from './pod-record.ts';

/** What a status is computed from. */
export interface StatusInput {
  readonly pod: LabPod;
  readonly record: PodRecord;
  /** Addresses of the node, IPv4 first. */
  readonly hostAddresses: readonly string[];
  /** RFC 3339; stamps the conditions that change. */
  readonly now: string;
}

/** The conditions a kubelet owns; others (readiness gates) stay as they are. */
const OWNED = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'] as const;

/**
 * The status a pod should show. Pure. `phase` follows the kubelet's rules: Pending until every container has started,
 * Running while one runs or will be restarted, then Succeeded or Failed.
 */
export function podStatus({ pod, record, hostAddresses, now }: StatusInput): LabPodStatus {
  const main = record.containers.filter((container) => !container.init);
  const init = record.containers.filter((container) => container.init);
  const phase = podPhase(pod, init, main);
  const ended = phase === 'Succeeded' || phase === 'Failed';
  const initialized = init.every((container) => container.state.terminated?.exitCode === 0);
  const notReady = main.filter((container) => container.state.running === undefined).map((container) => container.name);
  const ready = initialized && notReady.length === 0;
  const why: Pick<PodCondition, 'reason' | 'message'> = ended
    ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${notReady.join(' ')}]` };
  const flags: Record<(typeof OWNED)[number], boolean> = {
    PodScheduled: true,
    Initialized: initialized,
    ContainersReady: ready,
    Ready: ready,
  };
  const before = pod.status?.conditions ?? [];
  const conditions = OWNED.map((type): PodCondition => {
    const status = flags[type] ? 'True' : 'False';
    const old = before.find((condition) => condition.type === type);
    return {
      type,
      status,
      ...(flags[type] ? {} : why),
      lastTransitionTime: old?.status === status && old.lastTransitionTime ? old.lastTransitionTime : now,
    };
  });
  const foreign = before.filter((condition) => !OWNED.includes(condition.type as (typeof OWNED)[number]));
  const ips = record.hostNetwork ? hostAddresses : podAddresses(record.result ?? {});
  return {
    phase,
    startTime: record.startTime,
    hostIP: hostAddresses[0],
    hostIPs: hostAddresses.map((ip) => ({ ip })),
    ...(ips.length > 0 ? { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) } : {}),
    conditions: [...conditions, ...foreign],
    containerStatuses: statuses(pod.spec.containers, main),
    ...(init.length > 0 ? { initContainerStatuses: statuses(pod.spec.initContainers ?? [], init) } : {}),
  };
}

/** Whether a terminated container is started again. */
export function restarts(pod: LabPod, exitCode: number): boolean {
  const policy = pod.spec.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

function podPhase(
  pod: LabPod,
  init: readonly ContainerRecord[],
  main: readonly ContainerRecord[],
): NonNullable<LabPodStatus['phase']> {
  const exits = (list: readonly ContainerRecord[]): number[] =>
    list.flatMap(({ state, lastState }) => {
      const exit = state.terminated ?? (state.waiting ? lastState.terminated : undefined);
      return exit ? [exit.exitCode] : [];
    });
  const initFailed = init.some((container) => (container.state.terminated?.exitCode ?? 0) !== 0);
  if (initFailed && pod.spec.restartPolicy === 'Never') return 'Failed';
  if (init.some((container) => container.state.terminated?.exitCode !== 0)) return 'Pending';
  const codes = exits(main);
  if (main.some(({ state, lastState }) => state.waiting && !lastState.terminated)) return 'Pending';
  if (codes.length < main.length || codes.some((code) => restarts(pod, code))) return 'Running';
  return codes.every((code) => code === 0) ? 'Succeeded' : 'Failed';
}

function statuses(specs: readonly LabContainer[], records: readonly ContainerRecord[]): ContainerStatus[] {
  return records.map((record) => {
    const image = specs.find((container) => container.name === record.name)?.image ?? '';
    const running = record.state.running !== undefined;
    return {
      name: record.name,
      image,
      imageID: image,
      ...(record.containerId === undefined ? {} : { containerID: `ovenbird-lab://${record.containerId}` }),
      ready: record.init ? record.state.terminated?.exitCode === 0 : running,
      started: running,
      restartCount: record.restartCount,
      state: record.state,
      lastState: record.lastState,
    };
  });
}

/**
 * The part of `wanted` that `current` does not show yet, as a merge patch; undefined when nothing is missing.
 * Lists are compared whole, as a merge patch replaces them whole.
 */
export function statusPatch(current: LabPodStatus | undefined, wanted: LabPodStatus): LabPodStatus | undefined {
  const before: Partial<Record<string, unknown>> = { ...current };
  const after = JSON.parse(JSON.stringify(wanted)) as Record<string, unknown>; // without undefined members
  const missing = Object.entries(after).filter(([key, value]) => !isDeepStrictEqual(before[key], value));
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}
