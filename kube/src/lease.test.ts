import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KubeError } from './error.ts';
import { LeaseElector, type LeaseElectorOptions } from './lease.ts';
import { LEASES } from './resource-kind.ts';
import { FakeApi } from './testing/fake-api.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { until } from './testing/until.ts';
import { toMicroTime } from './timestamp.ts';

const ref = { namespace: 'kube-system', name: 'ovenbird' };

let api: FakeApi;
let clock: FakeClock;
const stops: AbortController[] = [];

beforeEach(async () => {
  api = await FakeApi.start();
  clock = new FakeClock();
});
afterEach(async () => {
  for (const stop of stops.splice(0)) stop.abort();
  await api.stop();
});

function candidate(identity: string, options: Partial<LeaseElectorOptions> = {}) {
  const stop = new AbortController();
  stops.push(stop);
  const errors: KubeError[] = [];
  const state = { started: 0, termEnded: false, end: '' };
  const elector = new LeaseElector({
    client: api.client(),
    ...ref,
    identity,
    signal: stop.signal,
    clock,
    random: () => 0,
    onError: (error) => errors.push(error),
    onStartedLeading: (signal) => {
      state.started += 1;
      signal.addEventListener('abort', () => (state.termEnded = true));
    },
    ...options,
  });
  const ended = elector.run().then((end) => (state.end = end));
  return { elector, stop, state, errors, ended };
}

const holder = (): string => api.get(LEASES, ref)?.spec?.holderIdentity ?? 'nobody';
const view = (): unknown => ({ lease: api.get(LEASES, ref)?.spec, pending: clock.pending });
const holds = (identity: string, tick?: () => void): Promise<void> => until(() => holder() === identity, view, tick);
/** Moves time on in small steps, each only when every candidate sleeps, so that no time passes inside a request. */
const ticking = (sleepers: number) => () => {
  if (clock.pending.length >= sleepers) clock.advance(100);
};

describe('LeaseElector', () => {
  test('the first candidate creates the lease with six-digit times', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1, view);
    expect(api.get(LEASES, ref)?.spec).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:00.000000Z',
      leaseTransitions: 0,
    });
    expect(a.elector.isLeader).toBe(true);
    expect(toMicroTime(1_700_000_000_123)).toBe('2023-11-14T22:13:20.123000Z');
  });

  test('of two candidates one leads; the other follows at once after a hand-over', async () => {
    const a = candidate('a');
    await holds('a');
    const b = candidate('b');
    await until(() => b.elector.leader === 'a', view);
    expect(b.elector.isLeader).toBe(false);
    a.stop.abort();
    await a.ended;
    expect(a.state).toEqual({ started: 1, termEnded: true, end: 'stopped' });
    expect(holder()).toBe('');
    const handedOverAt = clock.monotonicMs();
    await holds('b', ticking(1));
    // One retry period of the fake clock, and the steps it moves in.
    expect(clock.monotonicMs() - handedOverAt).toBeLessThanOrEqual(2_200);
    expect(api.get(LEASES, ref)?.spec?.leaseTransitions).toBe(1);
  });

  test('the lease is handed over only after the work has ended', async () => {
    const work = Promise.withResolvers<void>();
    const a = candidate('a', { onStartedLeading: () => work.promise });
    await holds('a');
    await until(() => a.elector.isLeader, view);
    a.stop.abort();
    await until(() => clock.pending.some((delay) => delay > 2_000), view);
    expect(holder()).toBe('a');
    work.resolve();
    await a.ended;
    expect(holder()).toBe('');
  });

  test('work that does not end keeps the lease until it runs out by itself', async () => {
    const a = candidate('a', { onStartedLeading: () => new Promise(() => undefined) });
    await holds('a');
    await until(() => a.elector.isLeader && clock.pending.length === 2, view);
    a.stop.abort();
    await settle();
    expect(clock.pending).toEqual([10_000]);
    clock.advance(10_000);
    await a.ended;
    expect(a.state.end).toBe('stopped');
    expect(holder()).toBe('a');
  });

  test('a renewal counts from when it was sent, not from when it was answered', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1 && clock.pending.length === 2, view);
    const gate = Promise.withResolvers<void>();
    api.inject((request) => request.method === 'PUT', { kind: 'slow', until: gate.promise });
    const before = api.requests.length;
    clock.advance(2_000);
    await until(() => api.requests.length > before, view);
    clock.advance(7_000);
    gate.resolve();
    await until(() => clock.pending.length === 2, view);
    // Sent at 2 s: the deadline is at 12 s, and it is 9 s now.
    expect(clock.pending).toEqual([2_000, 3_000]);
  });

  test('a holder that promised a longer duration is given it', async () => {
    api.put(LEASES, { metadata: ref, spec: { holderIdentity: 'dead', leaseDurationSeconds: 40 } });
    const b = candidate('b');
    await until(() => b.elector.leader === 'dead', view);
    await holds('b', ticking(1));
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(40_000);
  });

  test('a dead leader is replaced after we saw its lease unchanged for its duration, not earlier', async () => {
    api.put(LEASES, {
      metadata: ref,
      // Long ago by its own clock, and still to be believed until we have watched it.
      spec: {
        holderIdentity: 'dead',
        leaseDurationSeconds: 15,
        renewTime: '2020-01-01T00:00:00.000000Z',
        leaseTransitions: 4,
      },
    });
    const b = candidate('b');
    await until(() => b.elector.leader === 'dead', view);
    await holds('b', ticking(1));
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(15_000);
    expect(clock.monotonicMs()).toBeLessThanOrEqual(17_200);
    expect(api.get(LEASES, ref)?.spec?.leaseTransitions).toBe(5);
  });

  test('a leader that renews stays leader, a follower stays follower', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1, view);
    const b = candidate('b');
    await until(
      () => clock.monotonicMs() >= 120_000,
      view,
      () => {
        // a: sleep and deadline; b: sleep.
        if (clock.pending.length >= 3) clock.advance(500);
      },
    );
    expect(holder()).toBe('a');
    expect([a.state.started, b.state.started]).toEqual([1, 0]);
    expect(b.errors).toEqual([]);
  });

  test('a leader cut off from the API stops before anybody else may start', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1, view);
    api.inject(() => true, { kind: 'status', status: 503 }, 1000);
    await until(
      () => a.state.end !== '',
      view,
      () => {
        if (clock.pending.length >= 2) clock.advance(100);
      },
    );
    expect(a.state).toMatchObject({ end: 'lost', termEnded: true });
    expect(clock.monotonicMs()).toBeLessThanOrEqual(12_200);
    expect(a.elector.isLeader).toBe(false);
    expect(a.errors[0]?.code).toBe('unavailable');
  });

  test('a leader that hangs in a request is ended by its deadline', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1 && clock.pending.length === 2, view);
    const gate = Promise.withResolvers<void>();
    api.inject((request) => request.method === 'PUT', { kind: 'slow', until: gate.promise }, 100);
    const before = api.requests.length;
    clock.advance(2_000);
    await until(() => api.requests.length > before, view);
    clock.advance(8_000);
    await a.ended;
    expect(a.state).toMatchObject({ end: 'lost', termEnded: true });
    gate.resolve();
  });

  test('a leader whose lease somebody else took gives up at once', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1 && clock.pending.length === 2, view);
    api.put(LEASES, { metadata: ref, spec: { holderIdentity: 'thief', leaseDurationSeconds: 15 } });
    clock.advance(2_000);
    await a.ended;
    expect(a.state).toMatchObject({ end: 'lost', termEnded: true });
    expect(holder()).toBe('thief');
  });

  test('a foreign annotation on the lease costs a conflict, not the leadership', async () => {
    const a = candidate('a');
    await holds('a');
    await until(() => a.state.started === 1 && clock.pending.length === 2, view);
    const lease = api.get(LEASES, ref);
    api.put(LEASES, { metadata: { ...ref, annotations: { note: 'hello' } }, spec: { ...lease?.spec } });
    await until(
      () => clock.monotonicMs() >= 20_000,
      view,
      () => {
        if (clock.pending.length >= 2) clock.advance(500);
      },
    );
    expect(holder()).toBe('a');
    expect(a.state.termEnded).toBe(false);
    expect(api.get(LEASES, ref)?.metadata.annotations).toEqual({ note: 'hello' });
  });

  test('constants that cannot work are refused', () => {
    expect(() => candidate('a', { renewDeadlineMs: 20_000 })).toThrow('lease duration > renew deadline > retry period');
  });
});
