import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KubeError } from './error.ts';
import { resourceKind } from './resource-kind.ts';
import { StatusWriter, type StatusWriterOptions } from './status-writer.ts';
import { FakeApi, type SeenRequest } from './testing/fake-api.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { skipBackoff, until } from './testing/until.ts';
import type { Condition, KubeObject } from './types/meta.ts';

interface Subnet extends KubeObject {
  readonly spec?: object;
  readonly status?: { readonly conditions?: readonly Condition[]; readonly [field: string]: unknown };
}
const SUBNETS = resourceKind<Subnet>({
  group: 'ovenbird.io',
  version: 'v1',
  kind: 'Subnet',
  plural: 'subnets',
  namespaced: false,
});
const ref = { name: 'a' };
const ready = { type: 'Ready', status: 'True', reason: 'Programmed', message: '18/18 nodes' } as const;
const isPatch = (request: SeenRequest): boolean => request.method === 'PATCH';

let api: FakeApi;
let clock: FakeClock;
let errors: [KubeError, boolean][];
let stop: AbortController;

beforeEach(async () => {
  api = await FakeApi.start();
  clock = new FakeClock();
  errors = [];
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await api.stop();
});

const newWriter = (options: Partial<StatusWriterOptions> = {}): StatusWriter =>
  new StatusWriter({
    client: api.client(),
    clock,
    signal: stop.signal,
    onError: (error, retrying) => errors.push([error, retrying]),
    ...options,
  });
const subnet = (): Subnet => {
  const object = api.get(SUBNETS, ref);
  if (object === undefined) throw new Error('the subnet is gone');
  return structuredClone(object);
};
const patches = (): SeenRequest[] => api.requests.filter(isPatch);
const state = (): unknown => ({ patches: patches().length, errors, pending: clock.pending });

describe('StatusWriter', () => {
  beforeEach(() => {
    api.put(SUBNETS, { metadata: ref, spec: { cidrBlock: '10.0.0.0/24' }, status: { foreign: 1 } });
  });

  test('writes fields and conditions to the status subresource, with UID and observedGeneration', async () => {
    const writer = newWriter();
    writer.update(SUBNETS, subnet(), { fields: { v4usingIPs: 3 }, conditions: [ready] });
    await writer.idle();
    expect(patches()).toMatchObject([
      { path: '/apis/ovenbird.io/v1/subnets/a/status', query: { fieldManager: 'ovenbird-status' } },
    ]);
    expect(patches()[0]?.body).toMatchObject({ metadata: { uid: 'uid-1' } });
    expect(subnet().status).toEqual({
      foreign: 1,
      v4usingIPs: 3,
      conditions: [{ ...ready, observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' }],
    });
  });

  test('without a status subresource the status is written with the object, about the generation that this makes', async () => {
    const IPS = resourceKind<Subnet>({ ...SUBNETS, kind: 'IP', plural: 'ips', statusSubresource: false });
    api.put(IPS, { metadata: { ...ref, generation: 4 }, spec: {} });
    const seen = (): Subnet => structuredClone(api.get(IPS, ref) ?? { metadata: ref });
    const writer = newWriter();
    writer.update(IPS, seen(), { conditions: [ready] });
    await writer.idle();
    expect(patches()).toMatchObject([{ path: '/apis/ovenbird.io/v1/ips/a' }]);
    const judged = (seen().metadata.generation ?? 0) + 1;
    expect(seen().status?.conditions).toMatchObject([{ ...ready, observedGeneration: judged }]);
    // The API server counts the status as well.
    const after = seen();
    const counted = { ...after, metadata: { ...after.metadata, generation: judged, resourceVersion: '99' } };
    writer.update(IPS, counted, { conditions: [ready] });
    await writer.idle();
    expect(patches()).toHaveLength(1);
  });

  test('many updates of one object are one write', async () => {
    const writer = newWriter();
    const object = subnet();
    for (let i = 0; i <= 100; i += 1) writer.update(SUBNETS, object, { fields: { used: i } });
    writer.update(SUBNETS, object, { conditions: [ready] });
    await writer.idle();
    expect(patches().length).toBe(1);
    expect(subnet().status).toMatchObject({ used: 100, conditions: [{ type: 'Ready' }] });
  });

  test('nothing new is no write, not even from a copy that is older than our own write', async () => {
    const writer = newWriter();
    const old = subnet();
    writer.update(SUBNETS, old, { fields: { used: 1, nested: { a: 1, b: 2 } }, conditions: [ready] });
    await writer.idle();
    clock.advance(60_000);
    for (const copy of [old, subnet()]) {
      writer.update(SUBNETS, copy, { fields: { used: 1, nested: { a: 1, b: 2 } }, conditions: [ready] });
      await writer.idle();
    }
    expect(patches().length).toBe(1);
    expect(writer.writes).toBe(1);
    writer.update(SUBNETS, old, { fields: { used: undefined, nested: { a: 1 } } });
    await writer.idle();
    expect(patches()[1]?.body).toMatchObject({ status: { used: null, nested: { b: null } } });
    expect(subnet().status).toMatchObject({ nested: { a: 1 } });
  });

  test('lastTransitionTime moves with the status only', async () => {
    const writer = newWriter();
    writer.update(SUBNETS, subnet(), { conditions: [ready] });
    await writer.idle();
    clock.advance(60_000);
    writer.update(SUBNETS, subnet(), { conditions: [{ ...ready, message: 'all 18 nodes' }] });
    await writer.idle();
    expect(subnet().status?.conditions?.[0]).toMatchObject({
      message: 'all 18 nodes',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    });
    writer.update(SUBNETS, subnet(), { conditions: [{ ...ready, status: 'False' }] });
    await writer.idle();
    expect(subnet().status?.conditions?.[0]?.lastTransitionTime).toBe('2026-01-01T00:01:00Z');
  });

  test('a conflict is read again and keeps the conditions of others', async () => {
    const writer = newWriter();
    const old = subnet();
    const foreign = { ...ready, type: 'Foreign', lastTransitionTime: '2025-01-01T00:00:00Z' };
    api.put(SUBNETS, { ...old, status: { conditions: [foreign] } });
    writer.update(SUBNETS, old, { conditions: [ready] });
    await writer.idle();
    expect(subnet().status?.conditions?.map((condition) => condition.type)).toEqual(['Foreign', 'Ready']);
    expect(errors).toEqual([]);
  });

  test('failures are retried with what was asked for last, and never reach the caller', async () => {
    const writer = newWriter();
    api.inject(isPatch, { kind: 'status', status: 503 }, 3);
    writer.update(SUBNETS, subnet(), { fields: { used: 1, other: 1 } });
    await until(() => errors.length === 2, state, skipBackoff(clock));
    writer.update(SUBNETS, subnet(), { fields: { used: 2 } });
    await until(() => subnet().status?.['used'] === 2, state, skipBackoff(clock));
    expect(subnet().status).toMatchObject({ used: 2, other: 1 });
    expect(errors.every(([error, retrying]) => error.code === 'unavailable' && retrying)).toBe(true);
  });

  test('an object that is gone, or another by now, is left alone', async () => {
    const writer = newWriter();
    const old = subnet();
    api.remove(SUBNETS, ref);
    writer.update(SUBNETS, old, { fields: { used: 1 } });
    await writer.idle();
    api.put(SUBNETS, { metadata: ref });
    writer.update(SUBNETS, old, { fields: { used: 1 } });
    await writer.idle();
    expect(subnet().status).toBeUndefined();
    expect(errors).toEqual([]);
    expect(writer.pending).toBe(0);
  });

  test('what the server finds invalid is reported once', async () => {
    const writer = newWriter();
    api.inject(isPatch, { kind: 'status', status: 422, reason: 'Invalid' });
    writer.update(SUBNETS, subnet(), { fields: { used: 'many' } });
    await writer.idle();
    expect(errors).toMatchObject([[{ code: 'invalid' }, false]]);
    expect(clock.pending).toEqual([]);
  });

  test('the rate is bounded over all objects', async () => {
    const writer = newWriter({ perSecond: 10, burst: 3, concurrency: 10 });
    for (let i = 0; i < 8; i += 1) api.put(SUBNETS, { metadata: { name: `s${i}` } });
    for (let i = 0; i < 8; i += 1) {
      const object = api.get(SUBNETS, { name: `s${i}` });
      if (object !== undefined) writer.update(SUBNETS, object, { fields: { used: i } });
    }
    await until(() => patches().length === 3 && clock.pending.length === 5, state);
    expect(clock.pending.map(Math.round)).toEqual([100, 200, 300, 400, 500]);
    clock.advance(500);
    await writer.idle();
    expect(patches().length).toBe(8);
  });
});
