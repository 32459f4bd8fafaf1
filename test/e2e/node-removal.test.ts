import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod } from '../src/objects.ts';

/** A machine that was switched off and whose Node was deleted leaves nothing behind, and may come back. */
describe('removal of a node', () => {
  let lab: TestLab;
  const ns = 'removal';
  const node = 'node-3';
  const parts = ['ovsdb', 'vswitchd', 'ovn-controller', 'agent'].map((part) => `${node}.${part}`);

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), pod(ns, 'lost', { node }), pod(ns, 'stays', { node: 'node-1' }));
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  /** What speaks of the node, by place. */
  const traces = async (): Promise<Readonly<Record<string, boolean>>> => {
    const has = (text: string, name: string): boolean => text.split(/\s+/).includes(name);
    const join = await lab.get<{ status: { nodes: { name: string }[] } }>('subnet', 'join');
    return {
      port: has(await lab.nbctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port'), `node_${node}`),
      'port of its pod': has(await lab.nbctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port'), `lost.${ns}`),
      'port group': has(await lab.nbctl('--bare', '--columns=name', 'list', 'Port_Group'), 'node_node_3'),
      'router policy': (await lab.nbctl('lr-policy-list', 'ovn-cluster')).includes('node_node_3_ip4'),
      chassis: has(await lab.sbctl('--bare', '--columns=name', 'list', 'Chassis'), node),
      'private chassis': has(await lab.sbctl('--bare', '--columns=name', 'list', 'Chassis_Private'), node),
      'IP object': (await lab.kubectlAny(['get', 'ip', `node-${node}`])).code === 0,
      'IP object of its pod': (await lab.kubectlAny(['get', 'ip', `lost.${ns}`])).code === 0,
      // By the chassis: the names of ports change when ovn-controller has started again on a node that kept its database.
      'tunnels of node-1': (await lab.vsctl('node-1', '--bare', '--columns=external_ids', 'list', 'Port')).includes(
        `ovn-chassis-id=${node}@`,
      ),
      'list of nodes': join.status.nodes.some(({ name }) => name === node),
    };
  };

  it('takes its rows, chassis, tunnels, addresses and pods with it; all of it comes back with the node', async () => {
    expect(Object.values(await traces())).not.toContain(false);
    for (const part of parts.toReversed()) await lab.killProcess(part);
    await lab.kubectl(['delete', 'node', node]);
    await lab.waitFor(
      'nothing speaks of the node',
      async () => {
        const left = Object.entries(await traces()).filter(([, there]) => there);
        return left.length === 0 || left.map(([place]) => place).join(', ');
      },
      30_000,
    );
    for (const part of parts) await lab.startProcess(part);
    // The kubelet registers its nodes when it starts.
    await lab.restartProcess('kubelet');
    await lab.waitFor(
      'the node is registered again',
      async () => (await lab.kubectlAny(['get', 'node', node])).code === 0 || 'not yet',
      30_000,
    );
    await lab.kubectl(['wait', '--for=condition=Ready', `node/${node}`, '--timeout=60s']);
    await lab.apply(pod(ns, 'lost', { node }));
    await lab.podsReady(ns);
    await lab.waitFor(
      'everything is there again',
      async () => {
        const missing = Object.entries(await traces()).filter(([, there]) => !there);
        return missing.length === 0 || missing.map(([place]) => place).join(', ');
      },
      60_000,
    );
    await lab.waitFor(
      'pods of the two nodes reach each other',
      async () =>
        (await lab.pingMatrix([`${ns}/stays`, `${ns}/lost`], ['10.16.0.1', '172.30.1.3', '172.30.1.1'])).join('\n') ||
        true,
      30_000,
    );
  });
});
