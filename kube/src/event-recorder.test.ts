import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KubeError } from './error.ts';
import { EventRecorder } from './event-recorder.ts';
import { EVENTS, NODES, PODS } from './resource-kind.ts';
import { FakeApi } from './testing/fake-api.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { skipBackoff, until } from './testing/until.ts';
import type { KubeEvent, Node, Pod } from './types/core.ts';

const pod: Pod = { metadata: { name: 'a', namespace: 'default', uid: 'u1', resourceVersion: '7' }, spec: {} };
const node: Node = { metadata: { name: 'node-1', uid: 'u2' } };
const taken = { type: 'Warning', reason: 'AddressTaken', message: '10.0.0.5 is held by default/b' } as const;

let api: FakeApi;
let clock: FakeClock;
let recorder: EventRecorder;
let errors: KubeError[];

beforeEach(async () => {
  api = await FakeApi.start();
  clock = new FakeClock();
  errors = [];
  recorder = new EventRecorder({
    client: api.client(),
    component: 'ovenbird-controller',
    instance: 'controller-0',
    clock,
    onError: (error) => errors.push(error),
  });
});
afterEach(() => api.stop());

const events = (): KubeEvent[] => api.objects.list('/api/v1/events', undefined) as unknown as KubeEvent[];

describe('EventRecorder', () => {
  test('an event names its object, reason, message and reporter', async () => {
    recorder.record(PODS, pod, taken);
    await recorder.idle();
    expect(events()).toMatchObject([
      {
        ...taken,
        kind: 'Event',
        metadata: { namespace: 'default' },
        involvedObject: {
          apiVersion: 'v1',
          kind: 'Pod',
          namespace: 'default',
          name: 'a',
          uid: 'u1',
          resourceVersion: '7',
        },
        count: 1,
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        reportingComponent: 'ovenbird-controller',
      },
    ]);
    expect(events()[0]?.metadata.name).toMatch(/^a\.[0-9a-f]{16}$/);
  });

  test('the same again counts, another message is another event', async () => {
    recorder.record(PODS, pod, taken);
    await recorder.idle();
    clock.advance(5_000);
    recorder.record(PODS, pod, taken);
    recorder.record(PODS, pod, taken);
    await recorder.idle();
    recorder.record(PODS, pod, { ...taken, message: 'another' });
    await recorder.idle();
    expect(events()).toMatchObject([
      { count: 3, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:05Z' },
      { count: 1, message: 'another' },
    ]);
    expect(api.requests.map((request) => request.method)).toEqual(['POST', 'PATCH', 'POST']);
  });

  test('events of cluster-scoped objects are in default', async () => {
    recorder.record(NODES, node, { type: 'Normal', reason: 'Joined', message: 'ready' });
    await recorder.idle();
    expect(events()).toMatchObject([
      { metadata: { namespace: 'default' }, involvedObject: { kind: 'Node', name: 'node-1' } },
    ]);
  });

  test('one object in a loop is cut off, others are not', async () => {
    for (let i = 0; i < 100; i += 1) recorder.record(PODS, pod, { ...taken, message: `${i}` });
    recorder.record(NODES, node, taken);
    await recorder.idle();
    expect(events().length).toBe(26);
    expect(recorder.dropped).toBe(75);
    clock.advance(300_000);
    recorder.record(PODS, pod, { ...taken, message: 'later' });
    await recorder.idle();
    expect(events().length).toBe(27);
  });

  test('an event that expired on the server starts anew', async () => {
    recorder.record(PODS, pod, taken);
    await recorder.idle();
    const [first] = events();
    if (first !== undefined) api.remove(EVENTS, first.metadata);
    clock.advance(3_600_000);
    recorder.record(PODS, pod, taken);
    await recorder.idle();
    expect(events()).toMatchObject([{ count: 2 }]);
    expect(events()[0]?.metadata.name).not.toBe(first?.metadata.name);
  });

  test('failures are retried a few times and then dropped; refusals at once', async () => {
    api.inject(() => true, { kind: 'status', status: 503 }, 2);
    recorder.record(PODS, pod, taken);
    await until(
      () => events().length === 1,
      () => clock.pending,
      skipBackoff(clock),
    );
    api.inject(() => true, { kind: 'status', status: 403, reason: 'Forbidden' });
    recorder.record(NODES, node, taken);
    await until(
      () => recorder.dropped === 1,
      () => recorder.dropped,
    );
    expect(errors.map((error) => error.code)).toEqual(['forbidden']);
    api.inject(() => true, { kind: 'status', status: 500 }, 100);
    recorder.record(NODES, node, { ...taken, message: 'again' });
    await until(
      () => recorder.dropped === 2,
      () => clock.pending,
      skipBackoff(clock),
    );
    expect(errors.map((error) => error.code)).toEqual(['forbidden', 'internal']);
  });

  test('long names and messages are cut to what the API takes', async () => {
    const long = { metadata: { ...pod.metadata, name: 'x'.repeat(253) }, spec: {} };
    recorder.record(PODS, long, { ...taken, message: 'm'.repeat(5000) });
    await recorder.idle();
    expect(events()[0]?.metadata.name.length).toBeLessThanOrEqual(253);
    expect(events()[0]?.message?.length).toBe(1024);
  });
});
