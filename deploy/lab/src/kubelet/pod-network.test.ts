import { type KubeClient, systemClock } from '@ovenbird/kube';
import { beforeEach, describe, expect, test } from 'vitest';
import type { CniRunner, CniTarget, NetworkList } from './cni.ts';
import type { NodeConfig } from './config.ts';
import { type NetworkContext, PodNetwork } from './pod-network.ts';
import type { PodRecord } from './pod-record.ts';
import { Semaphore } from './semaphore.ts';

const node = { name: 'n1' } as NodeConfig;
const network: NetworkList = { cniVersion: '1.0.0', name: 'cluster', plugins: [] };
const record: PodRecord = {
  uid: 'u',
  namespace: 'ns',
  name: 'p',
  node: 'n1',
  hostNetwork: false,
  containerId: 'c',
  netns: 'netns-u',
  sandbox: 'adding',
  network,
  result: { ips: [{ address: '10.16.0.2/16' }] },
  startTime: '2026-01-01T00:00:00Z',
  containers: [],
  ran: false,
};

describe('CNI calls of a sandbox', () => {
  let calls: string[] = [];
  let failing: ReadonlySet<string> = new Set();
  const call = async (command: string, { name }: NetworkList, { ifname = 'eth0' }: CniTarget): Promise<object> => {
    calls.push(`${command} ${name} ${ifname}`);
    if (failing.has(`${command} ${name}`)) throw new Error(`${command} of ${name} failed`);
    return { ips: [], of: name };
  };
  const runner = {
    add: (list: NetworkList, target: CniTarget) => call('ADD', list, target),
    del: (list: NetworkList, target: CniTarget) => call('DEL', list, target),
    check: (list: NetworkList, target: CniTarget) => call('CHECK', list, target),
  } as unknown as CniRunner;
  const context: NetworkContext = {
    client: {
      resource: () => ({
        find: async ({ name }: { name: string }) => ({
          metadata: { name },
          spec: { config: JSON.stringify({ type: 'x' }) },
        }),
      }),
    } as unknown as KubeClient,
    clock: systemClock,
    signal: new AbortController().signal,
    node: (name) => (name === 'n1' ? node : undefined),
    runner: () => runner,
    plugins: new Semaphore(1),
  };
  const of = new PodNetwork(context);
  beforeEach(() => {
    calls = [];
    failing = new Set();
  });

  test('each further network is recorded before its ADD, and with its result after it', async () => {
    failing = new Set(['ADD b']);
    const pod = {
      metadata: { namespace: 'ns', name: 'p', annotations: { 'k8s.v1.cni.cncf.io/networks': 'a,b,c' } },
      spec: { containers: [] },
    };
    const kept: string[] = [];
    const adding = of.addFurther(
      pod,
      record,
      node,
      ({ further = [] }) => {
        kept.push(further.map(({ ifname, result }) => `${ifname}${result === undefined ? '?' : ''}`).join(' '));
      },
      context.signal,
    );
    await expect(adding).rejects.toThrow('ADD of b failed');
    expect(calls).toEqual(['ADD a net1', 'ADD b net2']);
    expect(kept).toEqual(['net1?', 'net1', 'net1 net2?']);
  });

  test('DEL goes backwards, and on after a failure; what failed is told together', async () => {
    failing = new Set(['DEL b', 'DEL cluster']);
    const further = ['a', 'b', 'c'].map((name, at) => ({
      ifname: `net${at + 1}`,
      network: { ...network, name },
      runtimeConfig: {},
      multus: [],
      gateways: [],
    }));
    await expect(of.delete({ ...record, further })).rejects.toThrow('DEL of b failed / DEL of cluster failed');
    expect(calls).toEqual(['DEL c net3', 'DEL b net2', 'DEL a net1', 'DEL cluster eth0']);
  });

  test('CHECK is of the cluster network alone; of a node that is gone nothing is asked', async () => {
    await of.check(record);
    await of.check({ ...record, node: 'n2' });
    await of.delete({ ...record, node: 'n2' });
    expect(calls).toEqual(['CHECK cluster eth0']);
  });
});
