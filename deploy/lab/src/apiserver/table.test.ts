import { describe, expect, it } from 'vitest';
import { podStatus } from './columns.ts';
import { duration } from './duration.ts';
import type { KubeObject } from './json.ts';
import { findValues, parseJsonPath, printedValue } from './json-path.ts';
import { presentation } from './table.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('ages', () => {
  it.each([
    [0, '0s'],
    [119 * SECOND, '119s'],
    [2 * MINUTE, '2m'],
    [3 * MINUTE + 20 * SECOND, '3m20s'],
    [10 * MINUTE + SECOND, '10m'],
    [179 * MINUTE, '179m'],
    [3 * HOUR, '3h'],
    [5 * HOUR + 30 * MINUTE, '5h30m'],
    [47 * HOUR, '47h'],
    [3 * DAY + 5 * HOUR, '3d5h'],
    [30 * DAY, '30d'],
    [800 * DAY, '2y70d'],
    [-10 * SECOND, '<invalid>'],
  ])('%d ms is %s', (milliseconds, text) => {
    expect(duration(milliseconds)).toBe(text);
  });
});

describe('JSONPath of printer columns', () => {
  const object = {
    spec: { a: [1, 2], 'b.c': 'x', on: false },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Other', status: 'False' },
      ],
    },
  };
  it.each([
    ['.spec.a[0]', [1]],
    ['.spec.a[-1]', [2]],
    ['.spec.a[*]', [1, 2]],
    [".spec['b.c']", ['x']],
    ['.spec.b\\.c', ['x']],
    ['{.spec.on}', [false]],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [".status.conditions[?(@.type != 'Ready')].status", ['False']],
    ['.spec.none.deeper', []],
    ['.spec.a[?(]', []],
  ])('%s', (path, values) => {
    expect(findValues(parseJsonPath(path), object)).toEqual(values);
  });

  it('prints by type', () => {
    expect(printedValue(parseJsonPath('.spec.a'), object, 'string')).toBe('[1,2]');
    expect(printedValue(parseJsonPath('.spec.on'), object, 'boolean')).toBe(false);
    expect(printedValue(parseJsonPath('.spec.on'), object, 'string')).toBe('false');
    expect(printedValue(parseJsonPath('.spec.x'), object, 'integer')).toBeNull();
  });
});

describe('pod status', () => {
  const pod = (status: object, deletionTimestamp?: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'a',
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    status,
  });
  it.each([
    [{ phase: 'Pending' }, 'Pending'],
    [{ phase: 'Running', containerStatuses: [{ ready: true, state: { running: {} } }] }, 'Running'],
    [
      { phase: 'Pending', containerStatuses: [{ state: { waiting: { reason: 'ContainerCreating' } } }] },
      'ContainerCreating',
    ],
    [{ phase: 'Failed', containerStatuses: [{ state: { terminated: { exitCode: 3 } } }] }, 'ExitCode:3'],
    [
      { phase: 'Succeeded', containerStatuses: [{ state: { terminated: { reason: 'Completed', exitCode: 0 } } }] },
      'Completed',
    ],
    [{ phase: 'Failed', reason: 'Evicted' }, 'Evicted'],
  ])('%j is %s', (status, shown) => {
    expect(podStatus(pod(status))).toBe(shown);
  });

  it('is Terminating while it is being deleted', () => {
    expect(podStatus(pod({ phase: 'Running' }, '2026-01-01T00:00:00Z'))).toBe('Terminating');
  });
});

describe('Accept', () => {
  it.each([
    ['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'table'],
    ['application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json', 'object'],
    ['application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json', 'object'],
    ['application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1', 'partial'],
    ['', 'object'],
  ])('%s asks for %s', (accept, form) => {
    expect(presentation(accept, null).form).toBe(form);
  });
});
