import type { Node } from '@ovenbird/kube';
import { expect, test } from 'vitest';
import { conditionPatch, networkUnavailable } from './conditions.ts';

const node = (...conditions: NonNullable<NonNullable<Node['status']>['conditions']>): Node => ({
  metadata: { name: 'n1', uid: 'u1' },
  status: { conditions },
});

test('a condition is written where it differs, and its time moves with its status only', () => {
  const serves = networkUnavailable(undefined);
  const at = '1970-01-01T00:00:01Z';
  expect(conditionPatch(node(), [serves], 1000)).toEqual({
    metadata: { uid: 'u1' },
    status: { conditions: [{ ...serves, lastHeartbeatTime: at, lastTransitionTime: at }] },
  });
  expect(conditionPatch(node(serves), [serves], 1000)).toBeUndefined();
  const cloud = { ...serves, reason: 'NoRouteCreated', message: 'x' };
  expect(conditionPatch(node(cloud), [serves], 1000)).toMatchObject({
    status: { conditions: [{ ...serves, lastHeartbeatTime: at }] },
  });
  expect(conditionPatch(node({ ...cloud, status: 'True' }), [serves], 1000)).toMatchObject({
    status: { conditions: [{ lastTransitionTime: at }] },
  });
});

test('annotations are written where they differ', () => {
  const has = (annotations: Record<string, string>): Node => ({ metadata: { name: 'n1', uid: 'u1', annotations } });
  expect(conditionPatch(has({ mtu: '1400', other: 'x' }), [], 0, { mtu: '1442' })).toEqual({
    metadata: { uid: 'u1', annotations: { mtu: '1442' } },
  });
  expect(conditionPatch(has({ mtu: '1442' }), [], 0, { mtu: '1442' })).toBeUndefined();
});
