import { type Pod, Store } from '@ovenbird/kube';
import { describe, expect, test } from 'vitest';
import { type PodSource, waitAnnounced } from './wait-announced.ts';

const announced = {
  'ovn.kubernetes.io/allocated': 'true',
  'ovn.kubernetes.io/routed': 'true',
  'ovn.kubernetes.io/ip_address': '10.16.0.10',
  'ovn.kubernetes.io/mac_address': '02:00:00:00:00:0a',
  'ovn.kubernetes.io/cidr': '10.16.0.0/16',
  'ovn.kubernetes.io/gateway': '10.16.0.1',
  'ovn.kubernetes.io/logical_switch': 'net',
  'ovenbird.io/announced-uid': 'u1',
};
const pod = (
  change: {
    uid?: string;
    nodeName?: string;
    phase?: 'Running' | 'Failed';
    hostNetwork?: boolean;
    annotations?: Record<string, string>;
  } = {},
): Pod => ({
  metadata: { namespace: 'default', name: 'a', uid: change.uid ?? 'u1', annotations: change.annotations ?? {} },
  spec: { nodeName: change.nodeName ?? 'n1', hostNetwork: change.hostNetwork },
  status: { phase: change.phase ?? 'Running' },
});
const identity = { namespace: 'default', name: 'a', uid: 'u1' };
const quick = { announceMs: 40, appearMs: 10 };
const patient = { announceMs: 10_000, appearMs: 10_000 };

function source(known: readonly Pod[], server?: Pod | Error): PodSource & { pods: Store<Pod> } {
  const pods = new Store<Pod>();
  pods.replace(known);
  const lookup = async (): Promise<Pod | undefined> => {
    if (server instanceof Error) throw server;
    return server;
  };
  return { pods, lookup, nodeName: 'n1' };
}
const wait = (
  from: PodSource,
  deadlines = quick,
  signal: AbortSignal = new AbortController().signal,
): ReturnType<typeof waitAnnounced> => waitAnnounced(from, identity, signal, deadlines);

describe('waiting for the announcement', () => {
  test('what is announced already is returned at once', async () => {
    expect(await wait(source([pod({ annotations: announced })]))).toMatchObject({ uid: 'u1', subnet: 'net' });
  });

  test('pod and announcement may come later, by events', async () => {
    const from = source([]);
    const waiting = wait(from, patient);
    from.pods.apply([{ type: 'ADDED', object: pod({ uid: 'u0' }) }]);
    from.pods.apply([{ type: 'MODIFIED', object: pod() }]);
    from.pods.apply([{ type: 'MODIFIED', object: pod({ annotations: announced }) }]);
    expect(await waiting).toMatchObject({ mac: '02:00:00:00:00:0a' });
  });

  test.each([
    ['no announcement', source([pod()]), /for the controller to give pod default\/a an address/],
    ['not there', source([]), /does not exist: was it deleted/],
    ['another incarnation', source([pod({ uid: 'u2' })], pod({ uid: 'u2' })), /has the UID u2, not u1/],
    ['another node', source([], pod({ nodeName: 'n2' })), /on node n2, not on n1/],
    ['a watch that lags too long', source([], pod()), /not in the agent's watch/],
    ['no API server', source([], new Error('refused')), /cannot look up pod default\/a.*refused/],
  ])('%s', async (_name, from, message) => {
    await expect(wait(from)).rejects.toMatchObject({
      code: 'try-again',
      message: expect.stringMatching(message) as unknown,
    });
  });

  test('pods without interface are refused at once', async () => {
    await expect(wait(source([pod({ hostNetwork: true })]), patient)).rejects.toMatchObject({ code: 'pod-refused' });
    await expect(wait(source([pod({ phase: 'Failed' })]), patient)).rejects.toMatchObject({ code: 'pod-refused' });
  });

  test('a deletion ends the wait', async () => {
    const from = source([pod()]);
    const waiting = wait(from, patient);
    from.pods.apply([{ type: 'DELETED', object: pod() }]);
    await expect(waiting).rejects.toThrow('was deleted while it waited');
  });

  test('an abort ends the wait with its reason', async () => {
    const stop = new AbortController();
    const waiting = wait(source([pod()]), patient, stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
