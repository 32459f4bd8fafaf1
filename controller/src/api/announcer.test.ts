import type { KubeRequest, Requester } from '@ovenbird/kube';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Address, UsableSubnet } from '../store/model.ts';
import { State } from '../store/state.ts';
import { makeNamespace, makePod } from '../testing/world.ts';
import { Announcer } from './announcer.ts';

const address: Address = { owner: 'Pod/default/a', uid: 'u', subnet: 's', mac: '0a:58:00:00:00:01', v4: '10.1.0.2' };
const subnet: UsableSubnet = {
  name: 's',
  vpc: 'ovn-cluster',
  v4: { cidr: '10.1.0.0/24', gateway: '10.1.0.1', prefix: 24 },
  excludeIps: [],
  namespaces: [],
  namespaceSelectors: [],
  isDefault: false,
  private: false,
  allowSubnets: [],
  aclLogRate: 10,
  allowEastWest: false,
  acls: [],
  natOutgoing: false,
  multicastSnoop: false,
  deleting: false,
};
const gatewayKey = 'ovn.kubernetes.io/gateway';

/** An announcer whose patches are recorded; the test plays the watch. */
function setUp(): {
  readonly state: State;
  readonly patches: Record<string, string>[];
  /** UIDs that the patches have as precondition. */
  readonly uids: string[];
  readonly restored: string[];
  readonly announce: () => Promise<void>;
  readonly watch: (annotations: Record<string, string>, objectUid?: string) => Promise<void>;
} {
  const state = new State();
  const patches: Record<string, string>[] = [];
  const uids: string[] = [];
  const restored: string[] = [];
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const client: Requester = {
    request: <T>({ body }: KubeRequest): Promise<T> => {
      const { metadata } = body as { metadata: { uid: string; annotations: Record<string, string> } };
      patches.push(metadata.annotations);
      uids.push(metadata.uid);
      return Promise.resolve({} as T);
    },
  };
  const announcer = new Announcer({
    client,
    state,
    signal: stop.signal,
    isPublished: (owner, uid) => owner === 'Pod/default/a' && uid === 'u',
    announced: () => undefined,
    restored: (pod) => void restored.push(pod.name),
  });
  const pod = makePod('default', 'a', 'node-1', { uid: 'u' });
  state.set('Namespace', 'default', makeNamespace('default'));
  state.set('Pod', 'default/a', pod);
  state.set('PodAddress', 'default/a', address);
  state.set('UsableSubnet', 's', subnet);
  const announce = async (): Promise<void> => {
    announcer.pod('default/a');
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    state,
    patches,
    uids,
    restored,
    announce,
    watch: async (annotations, objectUid) => {
      state.set('Pod', 'default/a', { ...pod, annotations, ...(objectUid === undefined ? {} : { objectUid }) });
      await announce();
    },
  };
}

describe('Announcer', () => {
  it('writes once and waits for the watch', async () => {
    const { patches, announce, watch } = setUp();
    await announce();
    await announce();
    expect(patches).toHaveLength(1);
    await watch(patches[0] ?? {});
    expect(patches).toHaveLength(1);
  });

  it('an edit that came before the watch showed our own write is put back', async () => {
    const { patches, announce, watch } = setUp();
    await announce();
    await watch({ ...patches[0], [gatewayKey]: '10.1.0.99' });
    expect(patches).toHaveLength(2);
    expect(patches[1]?.[gatewayKey]).toBe('10.1.0.1');
  });

  it('a mirror pod that kubelet made anew is told again, and nobody is blamed', async () => {
    const { patches, uids, restored, watch } = setUp();
    await watch({}, 'mirror-1');
    await watch(patches[0] ?? {}, 'mirror-1');
    await watch({}, 'mirror-2');
    expect(uids).toEqual(['mirror-1', 'mirror-2']);
    expect(patches[1]).toEqual(patches[0]);
    expect(patches[1]?.['ovenbird.io/announced-uid']).toBe('u');
    expect(restored).toEqual([]);
  });

  it('a new gateway while the first write is on its way is written as well, and blames nobody', async () => {
    const { state, patches, restored, announce, watch } = setUp();
    await announce();
    state.set('UsableSubnet', 's', { ...subnet, v4: { cidr: '10.1.0.0/24', gateway: '10.1.0.254', prefix: 24 } });
    await announce();
    expect(patches.map((patch) => patch[gatewayKey])).toEqual(['10.1.0.1', '10.1.0.254']);
    await watch(patches[1] ?? {});
    state.set('UsableSubnet', 's', subnet);
    await announce();
    expect(patches).toHaveLength(3);
    expect(restored).toEqual([]);
    await watch(patches[2] ?? {});
    await watch({ ...patches[2], [gatewayKey]: 'edited' });
    expect(restored).toEqual(['a']);
  });
});
