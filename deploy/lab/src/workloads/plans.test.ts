import type { Node } from '@ovenbird/kube';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planDaemonSet } from './daemon-set.ts';
import { planRollout, type ReplicaState } from './deployment.ts';
import { planJob } from './job.ts';
import { judge } from './object-graph.ts';
import type { DaemonSet, Job, LabPod, LabStatefulSet } from './objects.ts';
import { templateHash } from './owned-pods.ts';
import { chooseNode, isTolerated } from './scheduler.ts';
import { planStatefulSet } from './stateful-set.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

function pod(name: string, more: Partial<LabPod['metadata']> = {}, status: LabPod['status'] = ready): LabPod {
  return { metadata: { name, ...more }, spec: { nodeName: 'n', containers: [] }, status };
}
const ready: LabPod['status'] = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
const starting: LabPod['status'] = { phase: 'Pending' };
const failed: LabPod['status'] = { phase: 'Failed' };

function node(name: string, more: Partial<Node['spec']> = {}, labels: Record<string, string> = {}): Node {
  return { metadata: { name, labels }, spec: more, status: { conditions: [{ type: 'Ready', status: 'True' }] } };
}

describe('scheduler', () => {
  const free = { total: () => 0, siblings: () => 0 };

  test('siblings apart first, then the emptiest, then by name', () => {
    const nodes = ['node-10', 'node-2', 'node-1'].map((name) => node(name));
    expect(chooseNode(nodes, pod('p'), free)).toEqual({ node: 'node-1' });
    const siblings = (name: string): number => (name === 'node-1' ? 1 : 0);
    expect(chooseNode(nodes, pod('p'), { total: () => 0, siblings })).toEqual({ node: 'node-2' });
    const total = (name: string): number => (name === 'node-2' ? 5 : 1);
    expect(chooseNode(nodes, pod('p'), { total, siblings })).toEqual({ node: 'node-10' });
  });

  test('says how many nodes have which obstacle', () => {
    const taints = [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }];
    const nodes = [node('a', { unschedulable: true }), node('b', { taints }), node('c', { taints })];
    expect(chooseNode(nodes, pod('p'), free)).toEqual({
      message: '0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint {gpu: yes}.',
    });
    expect(chooseNode([], pod('p'), free)).toEqual({ message: '0/0 nodes are available.' });
  });

  test('tolerations', () => {
    const taint = { key: 'k', value: 'v', effect: 'NoSchedule' };
    expect(isTolerated(taint, [{ operator: 'Exists' }])).toBe(true);
    expect(isTolerated(taint, [{ key: 'k', operator: 'Exists', effect: 'NoExecute' }])).toBe(false);
    expect(isTolerated(taint, [{ key: 'k', value: 'v' }])).toBe(true);
    expect(isTolerated(taint, [{ key: 'k', value: 'w' }])).toBe(false);
  });
});

describe('rollout', () => {
  const state = (name: string, replicas: number, available = replicas): ReplicaState => ({
    name,
    replicas,
    available,
    actual: replicas,
  });

  test('a random rollout stays within its limits and ends', () => {
    const amount = fc.oneof(fc.nat(3), fc.constantFrom('0%', '25%', '50%', '100%'));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        amount,
        amount,
        fc.array(fc.nat(4), { maxLength: 3 }),
        fc.nat(4),
        fc.infiniteStream(fc.boolean()),
        (desired, maxSurge, maxUnavailable, oldSizes, currentSize, coins) => {
          const strategy = { rollingUpdate: { maxSurge, maxUnavailable } };
          let current = state('new', currentSize, 0);
          let old = oldSizes.map((size, index) => state(`old-${index}`, size));
          for (let step = 0; step < 200; step += 1) {
            const total = current.replicas + old.reduce((sum, { replicas }) => sum + replicas, 0);
            const available = current.available + old.reduce((sum, one) => sum + one.available, 0);
            const plan = planRollout({ desired, strategy, current, old });
            const after = (one: ReplicaState): number => plan.get(one.name) ?? one.replicas;
            const nextTotal = [current, ...old].reduce((sum, one) => sum + after(one), 0);
            const part = (value: number | string, round: (value: number) => number): number =>
              typeof value === 'number' ? value : round((Number.parseInt(value, 10) * desired) / 100);
            const surge = part(maxSurge, Math.ceil);
            const unavailable = part(maxUnavailable, Math.floor);
            const least = desired - (surge + unavailable === 0 ? 1 : unavailable);
            expect(nextTotal).toBeLessThanOrEqual(Math.max(total, desired + surge));
            // What is removed is broken or spare: the available ones that stay are enough, or none was taken.
            const taken = old.reduce((sum, one) => sum + Math.max(0, one.available - after(one)), 0);
            if (taken > 0) expect(available - taken).toBeGreaterThanOrEqual(least);
            // Everything asked for happens, pods of the new template become available now and then.
            old = old.map((one) => state(one.name, after(one), Math.min(one.available, after(one))));
            const size = after(current);
            const up = Math.min(size, current.available + (coins.next().value ? 1 : 0));
            current = state('new', size, up);
            if (current.available === desired && old.every(({ replicas }) => replicas === 0)) return;
          }
          throw new Error(`no end: ${JSON.stringify([current, old])}`);
        },
      ),
      { seed, numRuns: 200 },
    );
  });

  test('Recreate empties first', () => {
    const strategy = { type: 'Recreate' } as const;
    const busy = { desired: 2, strategy, current: state('new', 0), old: [state('old', 2)] };
    expect([...planRollout(busy)]).toEqual([['old', 0]]);
    const empty = { ...busy, old: [{ ...state('old', 0), actual: 1 }] };
    expect([...planRollout(empty)]).toEqual([]);
    expect([...planRollout({ ...busy, old: [state('old', 0)] })]).toEqual([['new', 2]]);
  });

  test('the hash of a template ignores the order of keys', () => {
    const spec = { containers: [] };
    expect(templateHash({ spec, metadata: {} })).toBe(templateHash({ metadata: {}, spec }));
    expect(templateHash({ spec })).not.toBe(templateHash({ spec: { ...spec, hostNetwork: true } }));
  });
});

describe('StatefulSet', () => {
  const set = (spec: Partial<LabStatefulSet['spec']>): LabStatefulSet => ({
    metadata: { name: 's' },
    spec: { replicas: 2, selector: {}, template: { spec: { containers: [] } }, ...spec },
  });
  const at = (revision: string): Partial<LabPod['metadata']> => ({ labels: { 'controller-revision-hash': revision } });
  const names = (pods: readonly LabPod[]): string[] => pods.map(({ metadata }) => metadata.name);

  test('in order: the next one only when those before are ready', () => {
    expect(planStatefulSet(set({}), [], 'r').create).toEqual([0]);
    expect(planStatefulSet(set({}), [pod('s-0', at('r'), starting)], 'r').create).toEqual([]);
    expect(planStatefulSet(set({}), [pod('s-0', at('r'))], 'r').create).toEqual([1]);
    expect(planStatefulSet(set({ ordinals: { start: 3 } }), [], 'r').create).toEqual([3]);
  });

  test('in parallel: all at once', () => {
    const plan = planStatefulSet(
      set({ podManagementPolicy: 'Parallel', replicas: 3 }),
      [pod('s-7'), pod('s-1', {}, failed)],
      'r',
    );
    expect(plan.create).toEqual([0, 2]);
    expect(names(plan.delete)).toEqual(['s-7', 's-1']);
  });

  test('an ended pod is made anew; surplus goes from the top, one at a time', () => {
    expect(names(planStatefulSet(set({}), [pod('s-0', at('r'), failed)], 'r').delete)).toEqual(['s-0']);
    const four = ['s-0', 's-1', 's-2', 's-3'].map((name) => pod(name, at('r')));
    expect(names(planStatefulSet(set({}), four, 'r').delete)).toEqual(['s-3']);
  });

  test('updates go down to the partition, one pod at a time', () => {
    const old = ['s-0', 's-1'].map((name) => pod(name, at('q')));
    expect(names(planStatefulSet(set({}), old, 'r').delete)).toEqual(['s-1']);
    const half = [pod('s-0', at('q')), pod('s-1', at('r'))];
    expect(names(planStatefulSet(set({}), half, 'r').delete)).toEqual(['s-0']);
    const partition = { rollingUpdate: { partition: 1 } };
    expect(planStatefulSet(set({ updateStrategy: partition }), half, 'r').delete).toEqual([]);
    expect(planStatefulSet(set({ updateStrategy: { type: 'OnDelete' } }), old, 'r').delete).toEqual([]);
  });
});

test('DaemonSet: missing, misplaced, doubled and outdated pods', () => {
  const set: DaemonSet = {
    metadata: { name: 'd' },
    spec: { selector: {}, template: { spec: { containers: [], nodeSelector: { run: 'yes' } } } },
  };
  const nodes = ['a', 'b'].map((name) => node(name, { unschedulable: true }, { run: 'yes' }));
  const on = (name: string, nodeName: string, revision = 'r'): LabPod => ({
    ...pod(name, { labels: { 'controller-revision-hash': revision } }),
    spec: { nodeName, containers: [] },
  });
  expect(planDaemonSet(set, nodes, [], 'r').create).toEqual(['a', 'b']);
  const plan = planDaemonSet(set, [...nodes, node('c')], [on('1', 'a'), on('2', 'a'), on('3', 'c')], 'r');
  expect(plan.create).toEqual(['b']);
  expect(plan.delete.map(({ metadata }) => metadata.name)).toEqual(['2', '3']);
  const update = planDaemonSet(set, nodes, [on('1', 'a', 'q'), on('2', 'b', 'q')], 'r');
  expect(update.delete).toHaveLength(1);
});

describe('Job', () => {
  const job = (spec: Partial<Job['spec']>, status: Job['status'] = {}): Job => ({
    metadata: { name: 'j' },
    spec: { template: { spec: { containers: [] } }, ...spec },
    status,
  });
  const end = (phase: 'Succeeded' | 'Failed', finishedAt = '1970-01-01T00:00:00Z'): LabPod => {
    const terminated = { exitCode: 1, reason: 'Error', startedAt: finishedAt, finishedAt };
    const state = { name: 'c', image: '', imageID: '', ready: false, started: false, restartCount: 0, lastState: {} };
    return pod(phase, {}, { phase, containerStatuses: [{ ...state, state: { terminated } }] });
  };

  test('creates no more than what is left', () => {
    expect(planJob(job({ completions: 5, parallelism: 3 }), [], 0).create).toBe(3);
    expect(planJob(job({ completions: 2, parallelism: 3 }), [end('Succeeded')], 0).create).toBe(1);
    expect(planJob(job({}), [end('Succeeded')], 0).end?.type).toBe('Complete');
    expect(planJob(job({ suspend: true }), [pod('p')], 0).delete).toHaveLength(1);
  });

  test('waits after a failure, and gives up after the limit', () => {
    const plan = planJob(job({}), [end('Failed', '1970-01-01T00:00:10Z')], 10_400);
    expect(plan).toMatchObject({ create: 0, againMs: 600 });
    expect(planJob(job({}), [end('Failed')], 20_000).create).toBe(1);
    expect(planJob(job({ backoffLimit: 0 }), [end('Failed')], 20_000).end?.reason).toBe('BackoffLimitExceeded');
    const late = job({ activeDeadlineSeconds: 5 }, { startTime: '1970-01-01T00:00:00Z' });
    expect(planJob(late, [pod('p')], 6000).end?.reason).toBe('DeadlineExceeded');
  });
});

describe('garbage collection', () => {
  const owner = (uid: string): { apiVersion: string; kind: string; name: string; uid: string } => ({
    apiVersion: 'v1',
    kind: 'X',
    name: uid,
    uid,
  });
  const owned = (...uids: string[]): LabPod => pod('p', { ownerReferences: uids.map(owner) });
  const verdict = (object: LabPod, gone: string[], waits: string[] = []): unknown =>
    judge(
      object,
      ({ uid }) => gone.includes(uid),
      ({ uid }) => waits.includes(uid),
    );

  test('the last owner takes the object with it, another keeps it', () => {
    expect(verdict(owned('a'), [])).toEqual({ action: 'nothing' });
    expect(verdict(owned('a'), ['a'])).toEqual({ action: 'delete', policy: 'Background' });
    expect(verdict(owned('a', 'b'), ['a'])).toEqual({ action: 'unlink', owners: [owner('a')] });
    expect(verdict(owned('a'), [], ['a'])).toEqual({ action: 'delete', policy: 'Foreground' });
    expect(verdict(pod('p'), ['a'])).toEqual({ action: 'nothing' });
    const going = { ...owned('a'), metadata: { ...owned('a').metadata, deletionTimestamp: 'x' } };
    expect(verdict(going, ['a'])).toEqual({ action: 'nothing' });
  });
});
