import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CniRunner } from '../../deploy/lab/src/kubelet/cni.ts';
import type { PodRecord } from '../../deploy/lab/src/kubelet/pod-record.ts';
import type { TestLab } from './lab.ts';

/**
 * CNI CHECK of one of a pod's interfaces, as libcni makes it: with the configuration and the result of its ADD.
 * @returns what was wrong, or nothing
 */
export async function checkInterface(lab: TestLab, namespace: string, name: string, ifname: string): Promise<string> {
  const directory = join(lab.layout.kubelet, 'pods');
  const records = readdirSync(directory).map(
    (file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as PodRecord,
  );
  const record = records.find((other) => other.namespace === namespace && other.name === name);
  if (record === undefined) throw new Error(`no pod ${namespace}/${name} in ${directory}`);
  const { node, network, result, further = [] } = record;
  const one = ifname === 'eth0' ? network && { network, result } : further.find((other) => other.ifname === ifname);
  if (one === undefined) throw new Error(`${namespace}/${name} has no ${ifname}`);
  const enter = [
    'nsenter',
    `--net=/run/netns/${lab.state.nodes.find((one) => one.name === node)?.namespace ?? ''}`,
    '--',
  ];
  const runner = new CniRunner({ binDir: lab.layout.node(node).cniBin, enter });
  const target = {
    containerId: record.containerId,
    netns: `/run/netns/${record.netns}`,
    podNamespace: namespace,
    podName: name,
    podUid: record.uid,
    ...one,
  };
  return await runner.check(one.network, target, one.result, AbortSignal.timeout(30_000)).then(
    () => '',
    (error: unknown) => String(error),
  );
}
