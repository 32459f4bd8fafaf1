import { describe, expect, test } from 'vitest';
import type { ContainerState, LabPod } from '../workloads/objects.ts';
import type { ContainerRecord, PodRecord } from './pod-record.ts';
import { podStatus, statusPatch } from './pod-status.ts';

const running: ContainerState = { running: { startedAt: '2026-01-01T00:00:00Z' } };
const ended = (exitCode: number): ContainerState => ({
  terminated: { exitCode, reason: 'x', startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' },
});
const waiting = (reason: string): ContainerState => ({ waiting: { reason } });

function container(state: ContainerState, more: Partial<ContainerRecord> = {}): ContainerRecord {
  return { name: 'main', init: false, state, lastState: {}, restartCount: 0, ...more };
}

function statusOf(containers: ContainerRecord[], pod: Partial<LabPod['spec']> = {}, status?: LabPod['status']) {
  const record: PodRecord = {
    uid: 'u',
    namespace: 'default',
    name: 'a',
    node: 'node-1',
    hostNetwork: false,
    containerId: 'c',
    netns: 'n',
    sandbox: 'ready',
    startTime: '2026-01-01T00:00:00Z',
    result: { ips: [{ address: '10.0.0.5/16' }, { address: 'fd00::5/112' }] },
    containers,
    ran: false,
  };
  const spec = { containers: containers.filter(({ init }) => !init).map(({ name }) => ({ name, image: 'i' })), ...pod };
  return podStatus({
    pod: { metadata: { name: 'a' }, spec, status },
    record,
    hostAddresses: ['192.0.2.1', '2001:db8::1'],
    now: '2026-01-02T00:00:00Z',
  });
}

describe('phase', () => {
  test.each([
    ['all run', [container(running)], 'Always', 'Running'],
    ['one has not started', [container(running), container(waiting('x'), { name: 'b' })], 'Always', 'Pending'],
    ['one is between restarts', [container(waiting('x'), { lastState: ended(1) })], 'Always', 'Running'],
    ['success is started again', [container(ended(0))], 'Always', 'Running'],
    ['success', [container(ended(0))], 'OnFailure', 'Succeeded'],
    ['one still runs', [container(ended(0)), container(running, { name: 'b' })], 'Never', 'Running'],
    ['failure is started again', [container(ended(1))], 'OnFailure', 'Running'],
    ['failure', [container(ended(0)), container(ended(1), { name: 'b' })], 'Never', 'Failed'],
    ['init runs', [container(running, { name: 'i', init: true }), container(waiting('x'))], 'Never', 'Pending'],
    ['init failed', [container(ended(1), { name: 'i', init: true }), container(waiting('x'))], 'Never', 'Failed'],
    [
      'init failed, again',
      [container(ended(1), { name: 'i', init: true }), container(waiting('x'))],
      'Always',
      'Pending',
    ],
  ] as const)('%s', (_what, containers, restartPolicy, phase) => {
    expect(statusOf([...containers], { restartPolicy }).phase).toBe(phase);
  });
});

describe('conditions', () => {
  test('Ready only when all containers run; times change only with the status', () => {
    const first = statusOf([container(running)]);
    expect(first.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'PodScheduled=True',
      'Initialized=True',
      'ContainersReady=True',
      'Ready=True',
    ]);
    const old = { conditions: [{ type: 'Ready', status: 'True' as const, lastTransitionTime: 'before' }] };
    const times = (status: ReturnType<typeof statusOf>): unknown =>
      status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
    expect(times(statusOf([container(running)], {}, old))).toBe('before');
    expect(times(statusOf([container(waiting('x'))], {}, old))).toBe('2026-01-02T00:00:00Z');
  });

  test('those of others stay', () => {
    const foreign = { type: 'example.com/gate', status: 'True' as const };
    expect(statusOf([container(running)], {}, { conditions: [foreign] }).conditions).toContainEqual(foreign);
  });
});

describe('statusPatch', () => {
  test('is what differs, and nothing when nothing does', () => {
    const wanted = statusOf([container(running)]);
    expect(statusPatch(undefined, wanted)?.podIPs).toEqual([{ ip: '10.0.0.5' }, { ip: 'fd00::5' }]);
    expect(statusPatch(wanted, wanted)).toBeUndefined();
    expect(statusPatch({ ...wanted, phase: 'Pending' }, wanted)).toEqual({ phase: 'Running' });
  });
});
