import { multus } from '@ovenbird/crds';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { named, type Step } from '../testing/random-cluster.ts';
import { makeIp, makePod, makeSubnet, World } from '../testing/world.ts';

const seed = Number(process.env['SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
const podName = fc.constantFrom('p0', 'p1', 'p2', 'p3');
const containerName = fc.constantFrom('attach-0', 'attach-1', 'attach-2');
const nodeName = fc.constantFrom('node-1', 'node-2', 'node-3');
const networks = fc.constantFrom(
  'blue',
  'blue,blue',
  'blue,lan',
  'lan@data',
  'missing,blue',
  '[{"name": "blue", "ips": ["10.20.0.5"]}]',
  '[nonsense',
  '',
);

/** One random change of the cluster; each prints itself when the property fails. */
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(podName, nodeName, networks).map(([name, node, value]) =>
    named(`pod ${name} on ${node}: ${value}`, (world) => {
      if (world.state.get('Pod', `default/${name}`) === undefined)
        world.set('Pod', makePod('default', name, node, { annotations: { [multus.networks]: value } }));
    }),
  ),
  fc.tuple(podName, networks).map(([name, value]) =>
    named(`annotate ${name}: ${value}`, (world) => {
      const pod = world.state.get('Pod', `default/${name}`);
      if (pod !== undefined) world.set('Pod', { ...pod, annotations: { [multus.networks]: value } });
    }),
  ),
  podName.map((name) => named(`delete ${name}`, (world) => world.delete('Pod', `default/${name}`))),
  fc
    .tuple(podName, networks)
    .map(([name, value]) =>
      named(`recreate ${name}: ${value}`, (world) =>
        world.set('Pod', makePod('default', name, 'node-2', { annotations: { [multus.networks]: value } })),
      ),
    ),
  fc.tuple(containerName, nodeName, fc.constantFrom(undefined, '10.16.0.9')).map(([name, nodeName, v4]) =>
    named(`container ${name} on ${nodeName} ${v4}`, (world) => {
      const attachment = { interface: 'eth0', network: 'podman' };
      if (world.state.get('IpRecord', name) === undefined)
        world.set(
          'IpRecord',
          makeIp(name, 'ovn-default', { nodeName, attachment, ...(v4 === undefined ? {} : { v4 }) }),
        );
    }),
  ),
  containerName.map((name) => named(`delete ${name}`, (world) => world.delete('IpRecord', name))),
  fc.constantFrom('blue', 'lan').map((name) =>
    named(`toggle definition ${name}`, (world) => {
      const provider = name === 'blue' ? 'blue.default.ovn' : 'lan.default';
      const meta = { name, namespace: 'default', uid: name, created: '', deleting: false };
      if (world.state.get('NetworkAttachment', `default/${name}`) === undefined)
        world.set('NetworkAttachment', { ...meta, provider });
      else world.delete('NetworkAttachment', `default/${name}`);
    }),
  ),
  fc.constantFrom('blue', 'lan').map((name) =>
    named(`toggle subnet ${name}`, (world) => {
      const provider = name === 'blue' ? 'blue.default.ovn' : 'lan.default';
      const subnet = world.state.get('Subnet', name);
      if (subnet === undefined)
        world.set('Subnet', makeSubnet(name, name === 'blue' ? '10.20.0.0/29' : '10.16.0.0/29', { provider }));
      else world.set('Subnet', { ...subnet, deleting: true });
    }),
  ),
  nodeName.map((name) =>
    named(`toggle ${name}`, (world) => {
      const node = world.state.get('Node', name) ?? removed.get(world)?.get(name);
      if (world.state.get('Node', name) === undefined && node !== undefined) world.set('Node', node);
      else if (node !== undefined) {
        removed.set(world, new Map([...(removed.get(world) ?? []), [name, node]]));
        world.delete('Node', name);
      }
    }),
  ),
);
type NodeObject = NonNullable<ReturnType<World['state']['get']>>;
const removed = new WeakMap<World, Map<string, Extract<NodeObject, { externalAddresses: unknown }>>>();

test('attachments: a restart changes nothing, no address is given twice, and nothing is left of what is gone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const world = World.standard();
      for (const [index, apply] of steps.entries()) {
        apply(world);
        if (index % 3 === 0) await world.settle();
      }
      await world.settle();
      const all = [...world.state.list('AttachmentAddress'), ...world.state.list('PodAddress')];
      const given = all.flatMap(({ subnet, v4, v6 }) => [v4, v6].filter(Boolean).map((ip) => `${subnet} ${ip}`));
      expect(new Set(given).size).toBe(given.length);
      const restarted = await world.restarted();
      expect(restarted.sink.content()).toEqual(world.sink.content());
      for (const key of [...restarted.state.keys('Pod')]) restarted.delete('Pod', key);
      for (const name of ['attach-0', 'attach-1', 'attach-2']) restarted.delete('IpRecord', name);
      await restarted.settle();
      expect(restarted.state.list('AttachmentAddress')).toEqual([]);
      for (const subnet of ['ovn-default', 'blue', 'lan']) expect(restarted.brain.allocator.usersOf(subnet)).toBe(0);
      expect(
        restarted.state
          .list('IpRecord')
          .filter(({ nodeName, podName }) => podName !== undefined || nodeName === undefined),
      ).toEqual([]);
    }),
    { seed, numRuns: 60 },
  );
});
