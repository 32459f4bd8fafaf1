import { inNamespace } from '@ovenbird/deploy';
import { CniRunner } from '../../deploy/lab/src/kubelet/cni.ts';
import { targetOf } from '../../deploy/lab/src/kubelet/pod-network.ts';
import { RecordStore } from '../../deploy/lab/src/kubelet/pod-record.ts';
import type { TestLab } from './lab.ts';

/**
 * CNI CHECK of one of a pod's interfaces, as libcni makes it: with the configuration and the result of its ADD.
 * @returns what was wrong, or nothing
 */
export async function checkInterface(lab: TestLab, namespace: string, name: string, ifname: string): Promise<string> {
  const problems: string[] = [];
  const records = new RecordStore(lab.layout.kubelet).load((problem) => problems.push(problem));
  const record = records.find((other) => other.namespace === namespace && other.name === name);
  if (record === undefined) throw new Error(`kubelet has no pod ${namespace}/${name} ${problems.join(', ')}`);
  const { node, network, result, further = [] } = record;
  const one = ifname === 'eth0' ? network && { network, result } : further.find((other) => other.ifname === ifname);
  if (one === undefined) throw new Error(`${namespace}/${name} has no ${ifname}`);
  const own = lab.state.nodes.find((other) => other.name === node)?.namespace;
  const runner = new CniRunner({ binDir: lab.layout.node(node).cniBin, enter: inNamespace(own, []) });
  const target = { ...targetOf(record), ...one };
  return await runner.check(one.network, target, one.result, AbortSignal.timeout(30_000)).then(
    () => '',
    (error: unknown) => String(error),
  );
}
