import type { Pod as KubePod, ObjectEvent } from '@ovenbird/kube';
import { expect, onTestFinished, test } from 'vitest';
import { FakeClock } from '../../../kube/src/testing/fake-clock.ts';
import { MirrorPods } from './mirror-pods.ts';
import { projectPod } from './projections.ts';
import { State } from './state.ts';
import { type Projected, StateSink } from './state-sink.ts';

type Event = ObjectEvent<Projected<'Pod'>>;
const key = 'kube-system/proxy-n1';

/** An event about the mirror pod of the manifest `hash`. */
function mirror(type: Event['type'], uid: string, hash = 'hash-1'): Event {
  const annotations = { 'kubernetes.io/config.hash': hash, 'kubernetes.io/config.mirror': hash };
  const metadata = { namespace: 'kube-system', name: 'proxy-n1', uid, annotations };
  const pod: KubePod = { metadata, spec: { nodeName: 'n1' } };
  return { type, object: { metadata, slim: projectPod(pod) } };
}

function setUp(): { state: State; pods: MirrorPods; clock: FakeClock; changes: () => number } {
  const state = new State();
  const clock = new FakeClock();
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  let changed = 0;
  const sink = new StateSink<'Pod'>({
    state,
    kind: 'Pod',
    inferred: (change) => change(),
    changed: () => {
      changed += 1;
    },
    announced: () => {},
  });
  return { state, clock, pods: new MirrorPods({ sink, clock, signal: stop.signal }), changes: () => changed };
}

test('a mirror pod has the UID of its static pod, and keeps it when it is made anew', () => {
  const { state, pods, clock } = setUp();
  pods.apply([mirror('ADDED', 'u1')]);
  expect(state.get('Pod', key)).toMatchObject({ uid: 'hash-1', objectUid: 'u1' });
  pods.apply([mirror('DELETED', 'u1')]);
  expect(state.get('Pod', key)).toMatchObject({ uid: 'hash-1', objectUid: 'u1' });
  clock.advance(5000);
  pods.apply([mirror('ADDED', 'u2')]);
  clock.advance(600_000);
  expect(state.get('Pod', key)).toMatchObject({ uid: 'hash-1', objectUid: 'u2' });
});

test('one that does not come back, comes back from another manifest, or is in no list any more is gone', () => {
  const { state, pods, clock, changes } = setUp();
  pods.apply([mirror('ADDED', 'u1'), mirror('DELETED', 'u1')]);
  expect(state.get('Pod', key)).toBeDefined();
  clock.advance(600_000);
  expect(state.get('Pod', key)).toBeUndefined();
  pods.apply([mirror('ADDED', 'u2'), mirror('DELETED', 'u2')]);
  pods.apply([mirror('ADDED', 'u3', 'hash-2')]);
  expect(state.get('Pod', key)).toMatchObject({ uid: 'hash-2', objectUid: 'u3' });
  pods.apply([mirror('DELETED', 'u3', 'hash-2')]);
  pods.replace([], []);
  expect(state.get('Pod', key)).toBeUndefined();
  const before = changes();
  clock.advance(600_000);
  expect(changes()).toBe(before);
});

test('the deletion of any other pod is passed on at once', () => {
  const { state, pods } = setUp();
  const metadata = { namespace: 'default', name: 'a', uid: 'u1' };
  const object = { metadata, slim: projectPod({ metadata, spec: {} }) };
  pods.apply([{ type: 'ADDED', object }]);
  expect(state.get('Pod', 'default/a')).not.toHaveProperty('objectUid');
  pods.apply([{ type: 'DELETED', object }]);
  expect(state.get('Pod', 'default/a')).toBeUndefined();
});
