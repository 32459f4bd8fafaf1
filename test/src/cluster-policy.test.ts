import type { ClusterPolicyObject } from '@ovenbird/kube';
import { describe, expect, it } from 'vitest';
import { podPortName } from '../../controller/src/compile/names.ts';
import { projectClusterPolicy } from '../../controller/src/store/projections.ts';
import { makePod, makeSubnet, makeVpc } from '../../controller/src/testing/world.ts';
import { assertChanges, checkMeaning, ladders, seed } from './changing.ts';
import { CompiledPolicies } from './compiled-policies.ts';
import { ClusterBoth, clusterChange } from './random-cluster-policies.ts';

describe.each(ladders)('cluster policies in %s', (_name, _release, tiers) => {
  it(`mean what the API says, whatever changes (SEED=${seed})`, async () => {
    const extent = { numRuns: 60, minLength: 5, maxLength: 30 };
    await assertChanges(clusterChange, extent, (changes) => checkMeaning(new ClusterBoth(tiers), changes));
  }, 120_000);

  it('lead, by a Pass of Baseline, to what a private subnet says', async () => {
    const { world } = new ClusterBoth(tiers);
    world.set('Subnet', makeSubnet('vault', '10.80.0.0/24', { private: true, namespaces: ['y'] }));
    world.set('Pod', makePod('x', 'client', 'node-1', { labels: { app: 'web' } }));
    world.set('Pod', makePod('y', 'gold', 'node-1'));
    const everybody = { namespaces: {} };
    const web = { pods: { podSelector: { matchLabels: { app: 'web' } } } };
    const put = (...actions: readonly string[]): void => {
      const ingress = actions.map((action) => ({ action, from: [action === 'Deny' ? everybody : web] }));
      const spec = { tier: 'Baseline', priority: 1, subject: everybody, ingress };
      const object = { metadata: { name: 'p' }, spec } as ClusterPolicyObject;
      world.set('ClusterNetworkPolicy', projectClusterPolicy('ClusterNetworkPolicy', object));
    };
    const reaches = async (): Promise<boolean> => {
      await world.settle();
      const [source = '', destination = ''] = ['x/client', 'y/gold'].map(
        (key) => world.state.get('PodAddress', key)?.v4 ?? '',
      );
      expect(destination).toMatch(/^10\.80\.0\./);
      return new CompiledPolicies(world.sink).allows('client.x', 'gold.y', { source, destination });
    };
    put('Pass', 'Deny');
    expect(await reaches()).toBe(false);
    put('Accept', 'Deny');
    expect(await reaches()).toBe(true);
  });

  it('keep VPCs with the same addresses apart', async () => {
    const { world } = new ClusterBoth(tiers);
    world.set('Vpc', makeVpc('island'));
    world.set('Subnet', makeSubnet('beach', '10.16.0.0/16', { vpc: 'island', namespaces: ['y'] }));
    const island = { annotations: { 'ovn.kubernetes.io/logical_switch': 'beach' } };
    world.set('Pod', makePod('x', 'client', 'node-1'));
    world.set('Pod', makePod('x', 'plain', 'node-1'));
    world.set('Pod', makePod('y', 'client', 'node-1', island));
    world.set('Pod', makePod('y', 'web', 'node-1', { ...island, labels: { app: 'web' } }));
    const web = { pods: { podSelector: { matchLabels: { app: 'web' } } } };
    const spec = {
      tier: 'Admin',
      priority: 1,
      subject: { namespaces: {} },
      egress: [
        { action: 'Pass', to: [web], protocols: [{ udp: { destinationPort: { number: 53 } } }] },
        { action: 'Deny', to: [web] },
      ],
    };
    const object = { metadata: { name: 'p' }, spec } as ClusterPolicyObject;
    world.set('ClusterNetworkPolicy', projectClusterPolicy('ClusterNetworkPolicy', object));
    await world.settle();
    const addressOf = (pod: string): string => world.state.get('PodAddress', pod)?.v4 ?? '';
    expect(addressOf('y/web'), world.events.join('\n')).toBe(addressOf('x/plain'));
    const reaches = (from: string, to: string, protocol: 'tcp' | 'udp', port: number): boolean => {
      const [namespaceName = '', name = ''] = from.split('/');
      const packet = { source: addressOf(from), destination: addressOf(to), protocol, port };
      return new CompiledPolicies(world.sink).allows(podPortName(namespaceName, name), undefined, packet);
    };
    expect(reaches('y/client', 'y/web', 'tcp', 80)).toBe(false);
    expect(reaches('y/client', 'y/web', 'udp', 53)).toBe(true);
    expect(reaches('x/client', 'x/plain', 'tcp', 80)).toBe(true);
  });
});
