import type { KubeClient } from '@ovenbird/kube';
import { expect, test } from 'vitest';
import { furtherNetworks } from './further-networks.ts';

/** An API server that has these definitions. */
const clientOf = (configs: Readonly<Record<string, object>>): KubeClient =>
  ({
    resource: () => ({
      find: async ({ namespace, name }: { namespace: string; name: string }) => {
        const config = configs[`${namespace}/${name}`];
        return config && { metadata: { namespace, name }, spec: { config: JSON.stringify(config) } };
      },
    }),
  }) as unknown as KubeClient;
const networksOf = (
  annotation: unknown,
  configs: Readonly<Record<string, object>>,
): ReturnType<typeof furtherNetworks> =>
  furtherNetworks(
    {
      metadata: {
        namespace: 'ns',
        name: 'p',
        annotations: {
          'k8s.v1.cni.cncf.io/networks': typeof annotation === 'string' ? annotation : JSON.stringify(annotation),
        },
      },
      spec: { containers: [] },
    },
    clientOf(configs),
    '/run/agent.sock',
  );

test('names, by place or as asked for; one plugin is a list of one', async () => {
  const configs = { 'ns/a': { cniVersion: '1.0.0', type: 'ovenbird' }, 'other/b': { plugins: [{ type: 'bridge' }] } };
  expect(await networksOf('a, other/b@data', configs)).toEqual([
    {
      ifname: 'net1',
      network: {
        cniVersion: '1.0.0',
        name: 'a',
        type: 'ovenbird',
        plugins: [{ cniVersion: '1.0.0', type: 'ovenbird', socket: '/run/agent.sock' }],
      },
      runtimeConfig: {},
      multus: [],
      gateways: [],
    },
    {
      ifname: 'data',
      network: { cniVersion: '0.3.1', name: 'b', plugins: [{ type: 'bridge' }] },
      runtimeConfig: {},
      multus: [],
      gateways: [],
    },
  ]);
  await expect(networksOf('c', configs)).rejects.toThrow('ns/c does not exist');
});

test('what a selection asks for goes where Multus puts it', async () => {
  const configs = { 'ns/a': { type: 'macvlan', args: { cni: { old: 1 } }, ipam: { type: 'ovenbird' } } };
  const selection = {
    name: 'a',
    ips: ['10.0.0.2', 'fd00::2'],
    mac: '02:00:00:00:00:01',
    bandwidth: { ingressRate: 1000 },
    portMappings: [{ hostPort: 80, containerPort: 8080 }],
    'cni-args': { color: 'red' },
    'default-route': ['10.0.0.1'],
  };
  const [network] = await networksOf([selection], configs);
  const { ips, mac, bandwidth, portMappings } = selection;
  expect(network).toMatchObject({
    runtimeConfig: { ips, mac, bandwidth, portMappings },
    multus: ['MAC=02:00:00:00:00:01', 'IP=10.0.0.2,fd00::2'],
    gateways: ['10.0.0.1'],
  });
  expect(network?.network.plugins).toEqual([
    {
      type: 'macvlan',
      args: { cni: { old: 1, color: 'red' } },
      ipam: { type: 'ovenbird', socket: '/run/agent.sock' },
    },
  ]);
});
