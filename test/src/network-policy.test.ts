import { describe, expect, it } from 'vitest';
import { projectNetworkPolicy } from '../../controller/src/store/projections.ts';
import { makePod, makeSubnet, makeVpc } from '../../controller/src/testing/world.ts';
import { assertChanges, checkMeaning, seed } from './changing.ts';
import { CompiledPolicies } from './compiled-policies.ts';
import { Both, change } from './random-policies.ts';

describe('NetworkPolicy', () => {
  it(`compiled ACLs mean what the API says, whatever changes (SEED=${seed})`, async () => {
    const extent = { numRuns: 150, minLength: 5, maxLength: 40 };
    await assertChanges(change, extent, (changes) => checkMeaning(new Both(), changes));
  });

  it('keeps VPCs with the same addresses apart', async () => {
    const both = new Both();
    const { world } = both;
    world.set('Vpc', makeVpc('island'));
    world.set('Subnet', makeSubnet('beach', '10.16.0.0/16', { vpc: 'island', namespaces: ['y'] }));
    const island = { annotations: { 'ovn.kubernetes.io/logical_switch': 'beach' } };
    world.set('Pod', makePod('x', 'client', 'node-1', { labels: { app: 'web' } }));
    world.set('Pod', makePod('y', 'server', 'node-1', island));
    world.set('Pod', makePod('y', 'stranger', 'node-1', island));
    await world.settle();
    const [client, stranger] = ['x/client', 'y/stranger'].map((key) => world.state.get('PodAddress', key)?.v4 ?? '');
    world.set(
      'NetworkPolicy',
      projectNetworkPolicy({
        metadata: { namespace: 'y', name: 'np' },
        spec: {
          podSelector: {},
          ingress: [{ from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'web' } } }] }],
        },
      }),
    );
    await world.settle();
    const compiled = new CompiledPolicies(world.sink);
    const server = world.state.get('PodAddress', 'y/server')?.v4 ?? '';
    expect([client, stranger, server], world.events.join('\n')).toEqual(
      Array<unknown>(3).fill(expect.stringMatching(/^10\.16\.0\./)),
    );
    for (const source of [client, stranger])
      expect(compiled.allows(undefined, 'server.y', { source: source ?? '', destination: server })).toBe(false);
    world.set('Pod', makePod('y', 'friend', 'node-1', { ...island, labels: { app: 'web' } }));
    await world.settle();
    const friend = world.state.get('PodAddress', 'y/friend')?.v4 ?? '';
    expect(
      new CompiledPolicies(world.sink).allows('friend.y', 'server.y', { source: friend, destination: server }),
    ).toBe(true);
  });
});
